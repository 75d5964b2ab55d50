// In: one linalg.generic on tensors an equation. Out: the same values, with elementwise
// equations computed where they are read instead of in a buffer of their own.
// Must hold: an expensive operation is done as often as before; nothing is computed more than
// once in a reduction; what is read later than before has not been written over in between, so
// that loops still bufferize in place.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

namespace qkv {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

// Costs of a body are counted in additions. What costs at most `cheapTwice` is computed again
// for each reader rather than stored and loaded; what costs at most `cheapAsLoad` also for
// several elements of one reader.
constexpr int cheapAsLoad = 2, cheapTwice = 3;
constexpr int divisionCost = 4, gatherCost = 4, functionCost = 12;
// Beyond, what is fused no longer stays in registers.
constexpr int mostOperands = 12, mostCost = 240;

int costOf(Operation &op) {
  if (op.hasTrait<OpTrait::ConstantLike>() ||
      isa<linalg::IndexOp, linalg::YieldOp, arith::IndexCastOp>(op))
    return 0;
  if (isa<tensor::ExtractOp>(op))
    return gatherCost;
  if (isa<math::AbsFOp, math::CopySignOp, math::FmaOp>(op))
    return 1;
  if (isa<arith::DivFOp, math::SqrtOp>(op)) {
    APFloat divisor(0.0f); // by a power of two it is a multiplication
    bool exact = op.getNumOperands() == 2 &&
                 matchPattern(op.getOperand(1), m_ConstantFloat(&divisor)) &&
                 divisor.getExactInverse(nullptr);
    return exact ? 1 : divisionCost;
  }
  if (isa<arith::ArithDialect>(op.getDialect()) && !isa<arith::RemFOp>(op))
    return 1;
  return functionCost;
}

int costOf(linalg::GenericOp op) {
  int cost = 0;
  op.getBody()->walk([&](Operation *inner) { cost += costOf(*inner); });
  return cost;
}

/// The tensors whose elements the operation reads.
SmallVector<Value> tensorsRead(linalg::GenericOp op) {
  SmallVector<Value> out;
  for (OpOperand *operand : op.getDpsInputOperands())
    if (isa<RankedTensorType>(operand->get().getType()))
      out.push_back(operand->get());
  op.getBody()->walk([&](tensor::ExtractOp read) { out.push_back(read.getTensor()); });
  return out;
}

/// The tensor that a value is a view of.
Value rootOf(Value value) {
  while (true) {
    Operation *op = value.getDefiningOp();
    if (!op || !isa<tensor::ExtractSliceOp, tensor::CastOp, tensor::CollapseShapeOp,
                    tensor::ExpandShapeOp>(op))
      return value;
    value = op->getOperand(0);
  }
}

/// Whether a buffer of this operand may be written by its operation.
bool mayWrite(OpOperand &operand) {
  Operation *op = operand.getOwner();
  if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
    return style.isDpsInit(&operand);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return operand.get() == insert.getDest();
  return !isPure(op) || op->getNumRegions() > 0; // loops, calls
}

/// Adds the names of the equations that an operation computes.
void appendEquations(Operation *op, llvm::SmallSetVector<StringRef, 8> &names) {
  auto several = op->getAttrOfType<StringAttr>(equationsAttribute);
  auto one = op->getAttrOfType<StringAttr>(equationAttribute);
  SmallVector<StringRef> parts;
  if (several || one)
    (several ? several : one).getValue().split(parts, ',');
  for (StringRef name : parts)
    names.insert(name.trim());
}

/// A producer and what its readers must satisfy.
class Producer {
public:
  explicit Producer(linalg::GenericOp op) : op_(op), cost_(costOf(op)), reads_(tensorsRead(op)) {
    for (Value read : reads_)
      roots_.insert(rootOf(read));
  }

  /// Whether it is elementwise and has no effect but its result.
  bool movable() const;
  /// Whether it may be computed where `use` reads it.
  bool mayMoveTo(OpOperand &use) const;
  /// (Two tensors read for each reader would cost as much as one stored, then read.)
  bool cheapEnoughTwice() const { return cost_ <= cheapTwice && reads_.size() <= 1; }

private:
  bool writtenUntil(Operation *reader) const;

  linalg::GenericOp op_;
  int cost_;
  SmallVector<Value> reads_;
  llvm::SmallDenseSet<Value> roots_;
};

bool Producer::movable() const {
  linalg::GenericOp op = op_;
  if (op.getNumReductionLoops() || op.getNumResults() != 1 || op.use_empty() ||
      !op.getIndexingMapsArray().back().isPermutation() || !op.getRegionOutputArgs()[0].use_empty())
    return false;
  return llvm::all_of(*op.getBody(), [](Operation &inner) {
    return isa<linalg::YieldOp>(inner) || isPure(&inner);
  });
}

/// Whether anything between the producer and the reader, or the reader itself, may write over
/// what the producer reads.
bool Producer::writtenUntil(Operation *reader) const {
  for (Operation *at = op_->getNextNode();; at = at->getNextNode()) {
    for (OpOperand &operand : at->getOpOperands())
      if (isa<TensorType>(operand.get().getType()) && roots_.contains(rootOf(operand.get())) &&
          mayWrite(operand))
        return true;
    if (at == reader)
      return false;
  }
}

bool Producer::mayMoveTo(OpOperand &use) const {
  auto reader = dyn_cast<linalg::GenericOp>(use.getOwner());
  linalg::GenericOp op = op_;
  if (!reader || reader->getBlock() != op->getBlock() || reader.isDpsInit(&use) ||
      !linalg::areElementwiseOpsFusable(&use) || writtenUntil(reader))
    return false;
  if (reader->getNumOperands() + op->getNumOperands() > mostOperands ||
      cost_ + costOf(reader) > mostCost)
    return false;
  AffineMap place = reader.getMatchingIndexingMap(&use);
  if (!place.isProjectedPermutation())
    return false;
  // One element of the producer for each point of the reader: nothing is done twice.
  bool once = place.isPermutation();
  if (!once && (reader.getNumReductionLoops() || cost_ > cheapAsLoad || reads_.size() > 1))
    return false;
  // What else a reduction reads may belong to several sequences while this belongs to none: then it
  // would not move, and the reduction would be laid out, and so add up, in another way.
  if (reader.getNumReductionLoops() && reader.getNumDpsInputs() != 1)
    return false;
  // Read in another order than it was computed, one tensor costs what the result would; more
  // would cost more.
  SmallVector<unsigned> letters;
  for (AffineExpr letter : place.getResults())
    letters.push_back(cast<AffineDimExpr>(letter).getPosition());
  return llvm::is_sorted(letters) || reads_.size() <= 1;
}

struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    // In the order of computation: a producer has taken in its own producers by then.
    getOperation().walk([&](Block *block) {
      Operation *next = nullptr;
      for (Operation *op = block->empty() ? nullptr : &block->front(); op; op = next) {
        if (auto generic = dyn_cast<linalg::GenericOp>(op))
          moveToReaders(generic);
        next = op->getNextNode(); // (a reader was replaced, so only now)
        if (isa<linalg::GenericOp>(op) && op->use_empty() && isPure(op))
          op->erase();
      }
    });
  }

private:
  void moveToReaders(linalg::GenericOp op) {
    if (!op.hasPureTensorSemantics())
      return;
    Producer producer(op);
    if (!producer.movable() || (!op->hasOneUse() && !producer.cheapEnoughTwice()))
      return;
    // All readers or none: a buffer that is needed anyway is better read.
    if (!llvm::all_of(op->getUses(), [&](OpOperand &use) { return producer.mayMoveTo(use); }))
      return;
    while (!op->use_empty())
      if (!fuse(op, *op->getUses().begin()))
        return;
  }

  /// Computes the producer anew where `use` reads it.
  bool fuse(linalg::GenericOp op, OpOperand &use) {
    IRRewriter rewriter(&getContext());
    auto reader = cast<linalg::GenericOp>(use.getOwner());
    llvm::SmallSetVector<StringRef, 8> names;
    appendEquations(op, names);
    appendEquations(reader, names);
    // (A copy that has one reader, because of a result with others the fused operation would
    // compute both.)
    rewriter.setInsertionPoint(reader);
    Operation *copy = rewriter.clone(*op);
    use.set(copy->getResult(0));
    FailureOr<linalg::ElementwiseOpFusionResult> fused = linalg::fuseElementwiseOps(rewriter, &use);
    if (failed(fused)) {
      use.set(op.getResult(0));
      copy->erase();
      return false;
    }
    Operation *made = fused->fusedOp;
    if (Attribute last = reader->getAttr(equationAttribute))
      made->setAttr(equationAttribute, last);
    if (Attribute batch = reader->getAttr(batchAttribute)) // (its letters are the reader's)
      made->setAttr(batchAttribute, batch);
    if (names.size() > 1)
      made->setAttr(equationsAttribute, rewriter.getStringAttr(llvm::join(names, ", ")));
    SmallVector<Value> results;
    for (Value result : reader->getResults())
      results.push_back(fused->replacements.lookup(result));
    rewriter.replaceOp(reader, results);
    copy->erase();
    return true;
  }
};

} // namespace
} // namespace qkv

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

/// What an operation takes and reads, as one sequence alone has it: what is the same at all
/// positions of a sequence is a number then, made in front of the operation. So the same
/// operations are fused for one sequence as for several.
struct Work {
  int cost = 0;
  int reads = 0;              ///< of elements that change with the position
  int operands = 0;           ///< that change with the position
  bool numbers = false;       ///< whether it reads numbers as well
  SmallVector<Value> tensors; ///< whose elements it reads
};

/// Whether a value from in front of an operation was read from a tensor, as far as it tells.
bool isNumberRead(Value value) {
  return !value.getType().isIndex() && !isa<ShapedType>(value.getType()) &&
         !matchPattern(value, m_Constant());
}

Work workOf(linalg::GenericOp op) {
  Work work;
  auto batch = op->getAttrOfType<IntegerAttr>(batchAttribute);
  auto isPosition = [&](unsigned letter) { return !batch || letter != batch.getValue(); };
  llvm::SmallDenseSet<Value> moving;
  for (OpOperand &operand : op->getOpOperands()) {
    bool moves =
        op.isDpsInit(&operand) ||
        llvm::any_of(llvm::seq<unsigned>(0, op.getNumLoops()), [&](unsigned letter) {
          return isPosition(letter) && op.getMatchingIndexingMap(&operand).isFunctionOfDim(letter);
        });
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (moves) {
      moving.insert(argument);
      ++work.operands;
    }
    if (op.isDpsInit(&operand) || argument.use_empty())
      continue;
    work.reads += moves;
    work.numbers |= !moves;
    if (isa<RankedTensorType>(operand.get().getType()))
      work.tensors.push_back(operand.get());
  }
  op.getBody()->walk([&](Operation *inner) {
    bool moves = false;
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      moves = isPosition(index.getDim());
    for (Value operand : inner->getOperands()) {
      moves |= moving.contains(operand);
      work.numbers |= operand.getParentBlock() != inner->getBlock() && isNumberRead(operand);
    }
    if (moves) {
      moving.insert(inner->result_begin(), inner->result_end());
      work.cost += costOf(*inner);
    }
    if (auto read = dyn_cast<tensor::ExtractOp>(inner)) {
      work.reads += moves;
      work.numbers |= !moves;
      work.tensors.push_back(read.getTensor());
    }
  });
  return work;
}

/// Whether what is computed is the same for all sequences of a batch.
bool isShared(Operation *op) { return op->hasAttr(sharedAttribute); }

/// Whether it hands on elements as they are.
bool isCopy(linalg::GenericOp op) {
  return llvm::hasSingleElement(*op.getBody()) &&
         isa<BlockArgument>(op.getBody()->getTerminator()->getOperand(0));
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
  explicit Producer(linalg::GenericOp op) : op_(op), work_(workOf(op)) {
    for (Value read : work_.tensors)
      roots_.insert(rootOf(read));
  }

  /// Whether it is elementwise and has no effect but its result.
  bool movable() const;
  /// Whether it may be computed where `use` reads it.
  bool mayMoveTo(OpOperand &use) const;
  /// (Two tensors read for each reader would cost as much as one stored, then read.)
  bool cheapEnoughTwice() const { return work_.cost <= cheapTwice && work_.reads <= 1; }

private:
  bool writtenUntil(Operation *reader) const;

  linalg::GenericOp op_;
  Work work_;
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
  Work readers = workOf(reader);
  if (readers.operands + work_.operands > mostOperands || work_.cost + readers.cost > mostCost)
    return false;
  AffineMap place = reader.getMatchingIndexingMap(&use);
  if (!place.isProjectedPermutation())
    return false;
  // One element of the producer for each point of the reader, whatever the number of sequences:
  // nothing is done twice.
  bool once = place.isPermutation() && isShared(op) == isShared(reader);
  if (!once && (reader.getNumReductionLoops() || work_.cost > cheapAsLoad || work_.reads > 1))
    return false;
  // What else a reduction reads may belong to several sequences while this belongs to none: then it
  // would not move, and the reduction would be laid out, and so add up, in another way.
  if (reader.getNumReductionLoops() && (readers.reads != 1 || readers.numbers))
    return false;
  // (A result that is the same for all sequences is copied for each of them, where one sequence
  // alone has it in the result.)
  if (isShared(op) != isShared(reader) && isCopy(reader))
    return false;
  // Read in another order than it was computed, one tensor costs what the result would; more
  // would cost more.
  SmallVector<unsigned> letters;
  for (AffineExpr letter : place.getResults())
    letters.push_back(cast<AffineDimExpr>(letter).getPosition());
  return llvm::is_sorted(letters) || work_.reads <= 1;
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
    Operation *made = withoutFirstResults(rewriter, cast<linalg::GenericOp>(fused->fusedOp),
                                          reader->getNumResults());
    if (!made) {
      fused->fusedOp->erase();
      use.set(op.getResult(0));
      copy->erase();
      return false;
    }
    if (Attribute last = reader->getAttr(equationAttribute))
      made->setAttr(equationAttribute, last);
    if (Attribute batch = reader->getAttr(batchAttribute)) // (its letters are the reader's)
      made->setAttr(batchAttribute, batch);
    if (isShared(reader))
      made->setAttr(sharedAttribute, rewriter.getUnitAttr());
    if (names.size() > 1)
      made->setAttr(equationsAttribute, rewriter.getStringAttr(llvm::join(names, ", ")));
    rewriter.replaceOp(reader, made->getResults());
    if (made != fused->fusedOp)
      fused->fusedOp->erase();
    copy->erase();
    return true;
  }

  /// A fused operation without results beside its last `count` ones. (MLIR keeps the producer's
  /// where it does not see that loops have their extents from other operands. Nobody reads it, and
  /// in a sum it would be written again at each step.) Null where it is needed for an extent.
  Operation *withoutFirstResults(IRRewriter &rewriter, linalg::GenericOp op, unsigned count) {
    unsigned extra = op->getNumResults() - count;
    if (extra == 0)
      return op;
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps.erase(maps.begin() + op.getNumDpsInputs(), maps.begin() + op.getNumDpsInputs() + extra);
    if (!inversePermutation(concatAffineMaps(maps, rewriter.getContext())))
      return nullptr;
    SmallVector<Value> outputs(op.getOutputs().drop_front(extra));
    auto out = linalg::GenericOp::create(rewriter, op.getLoc(), TypeRange(ValueRange(outputs)),
                                         op.getInputs(), outputs, maps, op.getIteratorTypesArray());
    out->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.inlineRegionBefore(op.getRegion(), out.getRegion(), out.getRegion().begin());
    Operation *yield = out.getBody()->getTerminator();
    yield->eraseOperands(0, extra);
    out.getBody()->eraseArguments(op.getNumDpsInputs(), extra);
    return out;
  }
};

} // namespace
} // namespace qkv

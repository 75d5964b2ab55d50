// In: tensors, computed into tensor.empty and then inserted into another or written to a result.
// Out: they are computed into the place where they end; or, element by element, over an operand
// that nothing else reads.
// Must hold: only values that nothing else reads on the way change their buffer. (MLIR's
// eliminate-empty-tensors does not ask that; a fill that two computations start from then
// shares a result's memory with both.)
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace qkv {
#define GEN_PASS_DEF_COMPUTEINPLACE
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// A tensor of nothing: a tensor.empty, or a part of one (of a block of rows).
bool isNothing(Value value) {
  if (auto slice = value.getDefiningOp<tensor::ExtractSliceOp>())
    value = slice.getSource();
  return value.getDefiningOp<tensor::EmptyOp>();
}

/// Whether nothing reads a value but the operation that computes over it, each element for itself.
bool isReadHereAlone(OpOperand &init) {
  auto generic = dyn_cast<linalg::GenericOp>(init.getOwner());
  return llvm::all_of(init.get().getUses(), [&](OpOperand &use) {
    return &use == &init ||
           (generic && use.getOwner() == generic && !generic.getNumReductionLoops() &&
            generic.getMatchingIndexingMap(&use) == generic.getMatchingIndexingMap(&init));
  });
}

/// The use of a tensor of nothing that `value` is computed over, through operations whose results
/// nothing else reads; null where there is none. The value itself may have other uses.
OpOperand *originOf(Value value) {
  while (true) {
    auto result = dyn_cast<OpResult>(value);
    if (!result)
      return nullptr;
    OpOperand *init = nullptr;
    if (auto style = dyn_cast<DestinationStyleOpInterface>(result.getOwner()))
      init = style.getTiedOpOperand(result);
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(result.getOwner()))
      init = &insert.getDestMutable();
    else if (auto loop = dyn_cast<scf::ForOp>(result.getOwner()))
      init = loop.getTiedLoopInit(result);
    if (!init)
      return nullptr;
    if (isNothing(init->get()))
      return init;
    if (!isReadHereAlone(*init))
      return nullptr;
    value = init->get();
  }
}

struct ComputeInPlace : impl::ComputeInPlaceBase<ComputeInPlace> {
  void getDependentDialects(DialectRegistry &registry) const override {
    ComputeInPlaceBase::getDependentDialects(registry);
    registry.insert<arith::ArithDialect, memref::MemRefDialect>();
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    protectInputs(function);
    DominanceInfo dominance(function);
    SmallVector<bufferization::MaterializeInDestinationOp> results;
    SmallVector<tensor::InsertSliceOp> inserts;
    function.walk([&](Operation *op) {
      if (auto result = dyn_cast<bufferization::MaterializeInDestinationOp>(op)) {
        if (isa<MemRefType>(result.getDest().getType()))
          results.push_back(result);
      } else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
        inserts.push_back(insert);
      }
    });
    // What is put together is written over where it is read, so that it becomes the result itself.
    function.walk([](linalg::GenericOp op) { computeOver(op, /*joined=*/true); });
    // Results first: an insertion adds a reader to what it inserts into.
    for (auto result : results)
      computeInto(apart(result));
    for (auto insert : inserts)
      computeInto(insert, dominance);
    function.walk([](linalg::GenericOp op) { computeOver(op, /*joined=*/false); });
  }

private:
  /// What a caller hands to an entry is only read; so is what several sequences share.
  void protectInputs(func::FuncOp function) {
    if (!function->hasAttr(entryAttribute) && !function->hasAttr(sequenceAttribute))
      return;
    for (BlockArgument argument : function.getArguments())
      if (isa<TensorType>(argument.getType()))
        function.setArgAttr(argument.getArgNumber(),
                            bufferization::BufferizationDialect::kWritableAttrName,
                            BoolAttr::get(&getContext(), false));
  }

  void computeInto(tensor::InsertSliceOp insert, DominanceInfo &dominance) {
    if (!insert.getSource().hasOneUse())
      return;
    // (What has axes merged on the way is computed as it was before.)
    auto merged = insert.getSource().getDefiningOp<tensor::CollapseShapeOp>();
    Value source = merged ? merged.getSrc() : insert.getSource();
    OpOperand *origin = source.hasOneUse() ? originOf(source) : nullptr;
    if (!origin || origin->get().getType() != source.getType())
      return;
    auto nothing = origin->get().getDefiningOp<tensor::EmptyOp>();
    if (merged && !nothing)
      return;
    Operation *first = origin->getOwner();
    auto into = insert.getDest().getDefiningOp<tensor::EmptyOp>();
    auto isThere = [&](Value value) { return dominance.properlyDominates(value, first); };
    for (Value operand : insert->getOperands())
      if (operand != insert.getSource() && !isThere(operand) &&
          !(operand == insert.getDest() && into && llvm::all_of(into->getOperands(), isThere)))
        return;
    if (!isThere(insert.getDest()))
      into->moveBefore(first);
    if (merged) {
      OpBuilder builder(first);
      Value part = tensor::ExtractSliceOp::create(builder, insert.getLoc(), insert.getSourceType(),
                                                  insert.getDest(), insert.getMixedOffsets(),
                                                  insert.getMixedSizes(), insert.getMixedStrides());
      origin->set(tensor::ExpandShapeOp::create(
          builder, insert.getLoc(), cast<RankedTensorType>(source.getType()), part,
          merged.getReassociationIndices(), nothing.getMixedSizes()));
      return;
    }
    // Where the same part is read, as by a step of a recurrence that goes on from it, it is the one
    // that is written over.
    for (Operation *user : insert.getDest().getUsers())
      if (auto read = dyn_cast<tensor::ExtractSliceOp>(user);
          read && read.getType() == insert.getSourceType() &&
          read.getSource() == insert.getDest() &&
          read.getMixedOffsets() == insert.getMixedOffsets() &&
          read.getMixedSizes() == insert.getMixedSizes() &&
          read.getMixedStrides() == insert.getMixedStrides() &&
          dominance.properlyDominates(read.getOperation(), first)) {
        origin->set(read);
        return;
      }
    OpBuilder builder(first);
    origin->set(tensor::ExtractSliceOp::create(builder, insert.getLoc(), insert.getSourceType(),
                                               insert.getDest(), insert.getMixedOffsets(),
                                               insert.getMixedSizes(), insert.getMixedStrides()));
  }

  /// y[i] = f(x[i], ...) where nothing else reads x: y takes the place of x. `joined`: x is several
  /// tensors put together, not computed at once.
  static void computeOver(linalg::GenericOp op, bool joined) {
    if (op.getNumReductionLoops() || op.getNumDpsInits() != 1)
      return;
    OpOperand *out = op.getDpsInitOperand(0);
    if (!isNothing(out->get()))
      return;
    for (OpOperand *in : op.getDpsInputOperands()) {
      Value x = in->get();
      // (Of other values the buffer may be somebody else's.)
      bool fits = joined ? x.getDefiningOp<tensor::InsertSliceOp>() && originOf(x)
                         : isa_and_nonnull<linalg::LinalgOp>(x.getDefiningOp());
      if (x.getType() != out->get().getType() || !x.hasOneUse() || !fits ||
          x.getDefiningOp()->getBlock() != op->getBlock() ||
          op.getMatchingIndexingMap(in) != op.getMatchingIndexingMap(out))
        continue;
      out->set(x);
      return;
    }
  }

  /// Whether a block is another one, or holds it.
  static bool isAround(Block *around, Block *block) {
    return around == block || around->findAncestorOpInBlock(*block->getParentOp());
  }

  /// A result that a call writes (PassDestinations.cpp) is written into its place by the call.
  static bool giveToCall(bufferization::MaterializeInDestinationOp result, Block *block) {
    auto made = result.getSource().getDefiningOp<bufferization::ToTensorOp>();
    auto buffer = made ? made.getBuffer().getDefiningOp<memref::AllocOp>() : nullptr;
    auto place = dyn_cast<BlockArgument>(result.getDest());
    if (!buffer || !place || !isAround(place.getOwner(), block) || !result.getRestrict() ||
        buffer.getType() != place.getType())
      return false;
    // The call, which it is handed to once, and what it is as a tensor.
    unsigned calls = 0;
    for (Operation *user : buffer->getUsers()) {
      if (user != made && !isa<func::CallOp>(user))
        return false;
      calls += user != made;
    }
    if (calls != 1)
      return false;
    buffer.replaceAllUsesWith(Value(place));
    buffer.erase();
    result.setRestrict(false); // two names of one buffer
    return true;
  }

  /// What has axes merged is written as it was before, in the same place.
  static bufferization::MaterializeInDestinationOp
  apart(bufferization::MaterializeInDestinationOp result) {
    auto merged = result.getSource().getDefiningOp<tensor::CollapseShapeOp>();
    auto place = dyn_cast<BlockArgument>(result.getDest());
    if (!merged || !merged->hasOneUse() || !place || place.getOwner() != result->getBlock())
      return result;
    ArrayRef<int64_t> shape = merged.getSrcType().getShape();
    auto groups = merged.getReassociationIndices();
    for (const ReassociationIndices &group : groups) // an extent at most is found by dividing
      if (llvm::count_if(group, [&](int64_t d) { return ShapedType::isDynamic(shape[d]); }) > 1 ||
          llvm::is_contained(shape, 0))
        return result;
    OpBuilder builder = OpBuilder::atBlockBegin(result->getBlock());
    Location loc = result.getLoc();
    SmallVector<OpFoldResult> sizes;
    for (auto [axis, group] : llvm::enumerate(groups)) {
      int64_t known = 1;
      for (int64_t d : group)
        known *= ShapedType::isDynamic(shape[d]) ? 1 : shape[d];
      for (int64_t d : group) {
        if (!ShapedType::isDynamic(shape[d])) {
          sizes.push_back(builder.getIndexAttr(shape[d]));
          continue;
        }
        Value size = memref::DimOp::create(builder, loc, place, axis);
        Value by = arith::ConstantIndexOp::create(builder, loc, known);
        sizes.push_back(builder.createOrFold<arith::DivUIOp>(loc, size, by));
      }
    }
    auto type = MemRefType::get(shape, merged.getSrcType().getElementType());
    Value wide = memref::ExpandShapeOp::create(builder, loc, type, place, groups, sizes);
    builder.setInsertionPoint(result);
    auto made = bufferization::MaterializeInDestinationOp::create(
        builder, loc, /*result=*/Type(), merged.getSrc(), wide, result.getRestrict(),
        result.getWritable());
    result.erase();
    merged.erase();
    return made;
  }

  void computeInto(bufferization::MaterializeInDestinationOp result) {
    // At the end of the function: whatever writes over the value before then gets a copy.
    Block *block = result->getBlock();
    result->moveBefore(block->getTerminator());
    if (giveToCall(result, block))
      return;
    OpOperand *origin = originOf(result.getSource());
    Value place = result.getDest();
    Operation *memory = place.getDefiningOp();
    if (!isa_and_nonnull<MemoryOp, memref::ExpandShapeOp>(memory))
      memory = nullptr;
    if (!origin || !result.getRestrict() || !block->findAncestorOpInBlock(*origin->getOwner()) ||
        !(memory ? place.getParentBlock() == block
                 : isa<BlockArgument>(place) && isAround(place.getParentBlock(), block)) ||
        origin->get().getType() != result.getSource().getType())
      return;
    OpBuilder builder = OpBuilder::atBlockBegin(block);
    if (memory)
      builder.setInsertionPointAfter(memory);
    origin->set(bufferization::ToTensorOp::create(builder, result.getLoc(), origin->get().getType(),
                                                  result.getDest(),
                                                  /*restrict=*/true, /*writable=*/true));
    // The tensor made here and this operation are two names of one buffer.
    result.setRestrict(false);
  }
};

} // namespace
} // namespace qkv

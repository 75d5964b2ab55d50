// In: buffers whose memref.dealloc stands at the end of a block, sound by construction.
// Out: each stands behind the last operation of its block that may touch the buffer.
// Must hold: moving is only ever upwards, and only past operations that reach no view of the
// buffer, so what was sound stays sound.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace qkv {
#define GEN_PASS_DEF_FREEEARLY
#include "compiler/passes/Passes.h.inc"

namespace {

/// The last operation of `block` that has, or holds in a region, a use of any of `views`;
/// `dealloc` itself is none.
mlir::Operation *lastUse(mlir::Block *block, mlir::Operation *dealloc,
                         const mlir::BufferViewFlowAnalysis::ValueSetT &views) {
  mlir::Operation *last = nullptr;
  for (mlir::Value view : views) {
    // A view made in this block lives from there on, used or not.
    for (mlir::Operation *user : view.getUsers()) {
      mlir::Operation *here = block->findAncestorOpInBlock(*user);
      if (here && here != dealloc && (!last || last->isBeforeInBlock(here)))
        last = here;
    }
    if (mlir::Operation *made = view.getDefiningOp())
      if (mlir::Operation *here = block->findAncestorOpInBlock(*made))
        if (!last || last->isBeforeInBlock(here))
          last = here;
  }
  return last;
}

struct FreeEarly : impl::FreeEarlyBase<FreeEarly> {
  void runOnOperation() override {
    mlir::BufferViewFlowAnalysis flow(getOperation());
    llvm::SmallVector<mlir::memref::DeallocOp> deallocs;
    getOperation().walk([&](mlir::memref::DeallocOp op) { deallocs.push_back(op); });
    for (mlir::memref::DeallocOp dealloc : deallocs) {
      // The buffer may itself be a view (a loop's result, a cast): take all it may come from.
      mlir::BufferViewFlowAnalysis::ValueSetT views;
      for (mlir::Value origin : flow.resolveReverse(dealloc.getMemref()))
        for (mlir::Value view : flow.resolve(origin))
          views.insert(view);
      mlir::Operation *last = lastUse(dealloc->getBlock(), dealloc, views);
      if (last && last->isBeforeInBlock(dealloc) && !last->hasTrait<mlir::OpTrait::IsTerminator>())
        dealloc->moveAfter(last);
    }
  }
};

} // namespace
} // namespace qkv

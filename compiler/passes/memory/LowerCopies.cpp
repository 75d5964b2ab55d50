// In: buffers, with memref.copy, linalg.fill and other named linalg operations.
// Out: linalg.generic alone. An input that a result begins with is copied unless the caller gave
// one buffer for both: what a sequence keeps then grows in its place (runtime/streams).
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERCOPIES
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// The caller's memory that a buffer is, or begins with: the same elements in the same places.
Value beginOf(Value buffer) {
  if (auto view = buffer.getDefiningOp<memref::SubViewOp>()) {
    // Along the first axis alone it may be less than all.
    auto from = view.getSourceType(), to = view.getType();
    if (from.getRank() != to.getRank() || !from.getLayout().isIdentity() ||
        !llvm::all_of(view.getMixedOffsets(), isZeroInteger) ||
        !llvm::all_of(view.getMixedStrides(), isOneInteger) ||
        !std::equal(from.getShape().begin() + (from.getRank() > 0), from.getShape().end(),
                    to.getShape().begin() + (to.getRank() > 0)) ||
        llvm::any_of(to.getShape().drop_front(to.getRank() > 0), ShapedType::isDynamic))
      return {};
    buffer = view.getSource();
  }
  if (auto argument = dyn_cast<BlockArgument>(buffer))
    return isa<func::FuncOp>(argument.getOwner()->getParentOp()) ? argument : Value();
  return buffer.getDefiningOp<MemoryOp>() ? buffer : Value();
}

struct LowerCopies : impl::LowerCopiesBase<LowerCopies> {
  void runOnOperation() override {
    mlir::IRRewriter rewriter(&getContext());
    getOperation().walk([&](mlir::memref::CopyOp copy) {
      rewriter.setInsertionPoint(copy);
      if (copy.getSource() != copy.getTarget())
        lower(rewriter, copy);
      rewriter.eraseOp(copy);
    });
    getOperation().walk([&](mlir::linalg::LinalgOp op) {
      rewriter.setInsertionPoint(op);
      if (!mlir::isa<mlir::linalg::GenericOp>(op.getOperation()))
        if (mlir::failed(mlir::linalg::generalizeNamedOp(rewriter, op)))
          signalPassFailure();
    });
  }

private:
  static void lower(IRRewriter &rewriter, memref::CopyOp copy) {
    Location loc = copy.getLoc();
    Value from = beginOf(copy.getSource()), to = beginOf(copy.getTarget());
    if (from && to) {
      Value a = memref::ExtractAlignedPointerAsIndexOp::create(rewriter, loc, from);
      Value b = memref::ExtractAlignedPointerAsIndexOp::create(rewriter, loc, to);
      Value differ = arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::ne, a, b);
      auto where = scf::IfOp::create(rewriter, loc, differ, /*withElseRegion=*/false);
      rewriter.setInsertionPointToStart(where.thenBlock());
    }
    linalg::makeMemRefCopyOp(rewriter, loc, copy.getSource(), copy.getTarget());
  }
};

} // namespace
} // namespace qkv

// In: buffers, with memref.copy, linalg.fill and other named linalg operations.
// Out: linalg.generic alone.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERCOPIES
#include "compiler/passes/Passes.h.inc"

namespace {

struct LowerCopies : impl::LowerCopiesBase<LowerCopies> {
  void runOnOperation() override {
    mlir::IRRewriter rewriter(&getContext());
    getOperation().walk([&](mlir::memref::CopyOp copy) {
      rewriter.setInsertionPoint(copy);
      if (copy.getSource() != copy.getTarget())
        mlir::linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(), copy.getTarget());
      rewriter.eraseOp(copy);
    });
    getOperation().walk([&](mlir::linalg::LinalgOp op) {
      rewriter.setInsertionPoint(op);
      if (!mlir::isa<mlir::linalg::GenericOp>(op.getOperation()))
        if (mlir::failed(mlir::linalg::generalizeNamedOp(rewriter, op)))
          signalPassFailure();
    });
  }
};

} // namespace
} // namespace qkv

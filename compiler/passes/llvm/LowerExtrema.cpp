// In: maxima and minima of float scalars or vectors, of arith.
// Out: max(a, b) = b > a ? b : a and min(a, b) = b < a ? b : a, which is what the language says
// where neither is a NaN, and one instruction.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace qkv {
#define GEN_PASS_DEF_LOWEREXTREMA
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

struct LowerExtrema : impl::LowerExtremaBase<LowerExtrema> {
  void runOnOperation() override {
    getOperation().walk([](Operation *op) {
      bool greatest = isa<arith::MaximumFOp, arith::MaxNumFOp>(op);
      if (!greatest && !isa<arith::MinimumFOp, arith::MinNumFOp>(op))
        return;
      OpBuilder builder(op);
      Value a = op->getOperand(0), b = op->getOperand(1);
      Value takesB = arith::CmpFOp::create(
          builder, op->getLoc(), greatest ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT,
          b, a);
      Value chosen = arith::SelectOp::create(builder, op->getLoc(), takesB, b, a);
      op->replaceAllUsesWith(ValueRange{chosen});
      op->erase();
    });
  }
};

} // namespace
} // namespace qkv

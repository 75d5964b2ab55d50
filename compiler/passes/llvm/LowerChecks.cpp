// In: qkv.check (context, value, bound) with the number of its site and its kind.
// Out: scf.if around a call of qkv_check_failed(context, site, value, bound).
// Must hold: what follows does not depend on the check; irgen clamped what it guards.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERCHECKS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

constexpr const char *failedName = "qkv_check_failed";

func::FuncOp declareFailed(ModuleOp module) {
  if (auto found = module.lookupSymbol<func::FuncOp>(failedName))
    return found;
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Type i64 = builder.getI64Type();
  auto type = builder.getFunctionType(
      {LLVM::LLVMPointerType::get(module.getContext()), builder.getI32Type(), i64, i64}, {});
  auto function = func::FuncOp::create(builder, module.getLoc(), failedName, type);
  function.setPrivate();
  return function;
}

struct LowerChecks : impl::LowerChecksBase<LowerChecks> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    module.walk([&](CheckOp check) {
      OpBuilder builder(check);
      Location loc = check.getLoc();
      Value value = check.getValue(), bound = check.getBound();
      Value failed;
      if (check.getKind() == 0) // value < 0 or value >= bound, in one comparison
        failed = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::uge, value, bound);
      else
        failed = arith::CmpIOp::create(
            builder, loc, arith::CmpIPredicate::eq, value,
            arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0)));
      auto branch = scf::IfOp::create(builder, loc, failed, /*withElseRegion=*/false);
      builder.setInsertionPointToStart(branch.thenBlock());
      Value site =
          arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(check.getSite()));
      func::CallOp::create(builder, loc, declareFailed(module),
                           ValueRange{check.getContext(), site, value, bound});
      check.erase();
    });
  }
};

} // namespace
} // namespace qkv

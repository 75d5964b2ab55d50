// In: buffers of i1. Out: buffers of i8 that hold 0 or 1.
// Must hold: no i1 is left in memory; values between a load and a store stay i1.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"

namespace qkv {
#define GEN_PASS_DEF_WIDENBOOLS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

Type widened(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  if (!buffer || !buffer.getElementType().isInteger(1))
    return type;
  return MemRefType::Builder(buffer).setElementType(IntegerType::get(type.getContext(), 8));
}

Value toBool(OpBuilder &builder, Location loc, Value byte) {
  Value zero = arith::ConstantOp::create(builder, loc, builder.getI8IntegerAttr(0));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, byte, zero);
}

Value toByte(OpBuilder &builder, Location loc, Value boolean) {
  return arith::ExtUIOp::create(builder, loc, builder.getI8Type(), boolean);
}

struct WidenBools : impl::WidenBoolsBase<WidenBools> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      // What reads and writes elements looks at the types as they were.
      if (auto kernel = dyn_cast<linalg::GenericOp>(op))
        widenBody(kernel);
      else if (auto load = dyn_cast<memref::LoadOp>(op))
        widenLoad(load);
      else if (auto store = dyn_cast<memref::StoreOp>(op))
        widenStore(store);
      else if (auto global = dyn_cast<memref::GlobalOp>(op))
        widenGlobal(global);
    });
    getOperation().walk([&](Operation *op) {
      for (Value result : op->getResults())
        result.setType(widened(result.getType()));
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (BlockArgument argument : block.getArguments())
            argument.setType(widened(argument.getType()));
      if (auto function = dyn_cast<func::FuncOp>(op)) {
        FunctionType type = function.getFunctionType();
        auto all = [](TypeRange types) {
          return llvm::to_vector(llvm::map_range(types, [](Type each) { return widened(each); }));
        };
        function.setFunctionType(
            FunctionType::get(&getContext(), all(type.getInputs()), all(type.getResults())));
      }
    });
  }

private:
  static bool holdsBools(Value buffer) { return widened(buffer.getType()) != buffer.getType(); }

  void widenBody(linalg::GenericOp kernel) {
    OpBuilder builder(kernel);
    Block *body = kernel.getBody();
    for (OpOperand &operand : kernel->getOpOperands()) {
      if (!holdsBools(operand.get()))
        continue;
      BlockArgument argument = kernel.getMatchingBlockArgument(&operand);
      argument.setType(builder.getI8Type());
      if (!argument.use_empty()) {
        builder.setInsertionPointToStart(body);
        Value boolean = toBool(builder, kernel.getLoc(), argument);
        argument.replaceAllUsesExcept(boolean, boolean.getDefiningOp());
      }
      if (kernel.isDpsInit(&operand)) {
        Operation *yield = body->getTerminator();
        OpOperand &yielded =
            yield->getOpOperand(operand.getOperandNumber() - kernel.getNumDpsInputs());
        builder.setInsertionPoint(yield);
        yielded.set(toByte(builder, yield->getLoc(), yielded.get()));
      }
    }
  }

  void widenLoad(memref::LoadOp load) {
    if (!holdsBools(load.getMemRef()))
      return;
    OpBuilder builder(load->getContext());
    builder.setInsertionPointAfter(load);
    load.getResult().setType(builder.getI8Type());
    Value boolean = toBool(builder, load.getLoc(), load);
    load.getResult().replaceAllUsesExcept(boolean, boolean.getDefiningOp());
  }

  void widenStore(memref::StoreOp store) {
    if (!holdsBools(store.getMemRef()))
      return;
    OpBuilder builder(store);
    store.getValueMutable().assign(toByte(builder, store.getLoc(), store.getValueToStore()));
  }

  void widenGlobal(memref::GlobalOp global) {
    Type type = widened(global.getType());
    if (type == global.getType())
      return;
    global.setType(cast<MemRefType>(type));
    if (auto values = dyn_cast_or_null<DenseElementsAttr>(global.getInitialValueAttr()))
      global.setInitialValueAttr(
          values.mapValues(IntegerType::get(&getContext(), 8),
                           [](const APInt &value) { return APInt(8, value.getBoolValue()); }));
  }
};

} // namespace
} // namespace qkv

// Calls that say which kernel runs. In: a module at the `kernels` stage. Out: the same with a call
// of qkv_time_kernel wherever, outside of all loops, another kernel begins.
//
// Holds: nothing inside a loop changes, so a kernel's own time does not; a loop with calls of
// functions in it (steps of repeats) is gone into, for their kernels are outside of loops of their
// own.
#include "compiler/explain/Explain.h"
#include "compiler/explain/Places.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <map>

namespace qkv {

using namespace mlir;

namespace {

constexpr const char *functionName = "qkv_time_kernel";

class Marker {
public:
  explicit Marker(ModuleOp module) : module_(module) {}
  std::vector<std::string> names;

  void function(func::FuncOp function) {
    for (Block &block : function.getBody())
      this->block(block);
  }

private:
  void block(Block &block) {
    int current = -2; // nobody knows what ran before
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isa<func::CallOp>(op) || calls(op)) {
        for (Region &region : op.getRegions())
          for (Block &inner : region)
            this->block(inner);
        current = -2;
        continue;
      }
      if (op.hasTrait<OpTrait::IsTerminator>()) {
        if (current >= 0)
          mark(op, -1, current);
        continue;
      }
      if (!works(op))
        continue;
      mark(op, number(nameOrLineOf(op.getLoc())), current);
    }
  }

  static bool calls(Operation &op) {
    return op.walk([&](func::CallOp) { return WalkResult::interrupt(); }).wasInterrupted();
  }

  /// Loops, and loads and stores outside of loops; not what only computes an index, gets memory or
  /// frees it.
  static bool works(Operation &op) {
    if (op.getNumRegions() > 0)
      return true;
    return !isMemoryEffectFree(&op) &&
           !isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp>(op);
  }

  int number(const std::string &name) {
    auto [at, isNew] = numbers_.try_emplace(name, static_cast<int>(names.size()));
    if (isNew)
      names.push_back(name);
    return at->second;
  }

  void mark(Operation &before, int kernel, int &current) {
    if (kernel == current)
      return;
    current = kernel;
    OpBuilder builder(&before);
    if (!declared_) {
      OpBuilder atEnd = OpBuilder::atBlockEnd(module_.getBody());
      declared_ = func::FuncOp::create(atEnd, module_.getLoc(), functionName,
                                       builder.getFunctionType({builder.getI64Type()}, {}));
      declared_.setPrivate();
    }
    Value which =
        arith::ConstantOp::create(builder, before.getLoc(), builder.getI64IntegerAttr(kernel));
    func::CallOp::create(builder, before.getLoc(), declared_, ValueRange{which});
  }

  ModuleOp module_;
  func::FuncOp declared_;
  std::map<std::string, int> numbers_;
};

} // namespace

std::vector<std::string> timeKernels(ModuleOp module) {
  Marker marker(module);
  for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (!function.isExternal())
      marker.function(function);
  return marker.names;
}

} // namespace qkv

// In: the LLVM dialect, complete.
// Out: the same, with buffers from the runtime, internal linkage where nothing outside calls,
// and the vector width of the target on every function.
#include "compiler/passes/Passes.h"
#include "compiler/passes/Target.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace qkv {
#define GEN_PASS_DEF_FINISHMODULE
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

struct FinishModule : impl::FinishModuleBase<FinishModule> {
  using FinishModuleBase::FinishModuleBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    rename("_mlir_memref_to_llvm_alloc", "qkv_alloc");
    rename("_mlir_memref_to_llvm_free", "qkv_free");
    int width = describeTarget(cpu).preferredWidth();
    for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
      if (function.isExternal())
        continue;
      if (SymbolTable::getSymbolVisibility(function) == SymbolTable::Visibility::Private)
        function.setLinkage(LLVM::Linkage::Internal);
      if (width)
        function.setPreferVectorWidth(std::to_string(width));
    }
  }

private:
  void rename(llvm::StringRef from, llvm::StringRef to) {
    ModuleOp module = getOperation();
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(from);
    if (!function)
      return;
    auto name = StringAttr::get(&getContext(), to);
    if (failed(SymbolTable::replaceAllSymbolUses(function, name, module)))
      return signalPassFailure();
    if (module.lookupSymbol(to))
      function.erase();
    else
      function.setSymName(to);
  }
};

} // namespace
} // namespace qkv

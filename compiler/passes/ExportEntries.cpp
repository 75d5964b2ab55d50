// In: functions, the entries marked `qkv.entry`.
// Out: entries are public and have a C interface; every other function with a body is private.
#include "compiler/passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace qkv {
#define GEN_PASS_DEF_EXPORTENTRIES
#include "compiler/passes/Passes.h.inc"

namespace {

struct ExportEntries : impl::ExportEntriesBase<ExportEntries> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      if (function.isDeclaration())
        continue;
      if (function->hasAttr("qkv.entry")) {
        function.setPublic();
        function->setAttr(mlir::LLVM::LLVMDialect::getEmitCWrapperAttrName(),
                          mlir::UnitAttr::get(&getContext()));
      } else {
        function.setPrivate();
      }
    }
  }
};

} // namespace
} // namespace qkv

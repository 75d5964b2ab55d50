// The `llvm` stage -> llvm::Module, once for the JIT and the object file alike; its text and back.
#include "compiler/native/NativeModule.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/Metadata.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

namespace qkv {

static constexpr const char descriptionName[] = "qkv.description";

std::unique_ptr<NativeModule> lower(mlir::ModuleOp module, std::string &error) {
  auto native = std::make_unique<NativeModule>();
  auto description = module->getAttrOfType<mlir::StringAttr>(descriptionName);
  if (!description) {
    error = "the module has no attribute qkv.description";
    return nullptr;
  }
  if (!Description::fromJson(description.str(), native->description, error))
    return nullptr;
  std::string said;
  llvm::raw_string_ostream out(said);
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    out << diagnostic.getLocation() << ": " << diagnostic << "\n";
    return mlir::success();
  });
  native->module = mlir::translateModuleToLLVMIR(module, native->context, native->description.name);
  if (!native->module) {
    error = "the module does not translate to LLVM IR\n" + said;
    return nullptr;
  }
  native->module->setSourceFileName(native->description.file);
  return native;
}

std::unique_ptr<NativeModule> parseNative(const std::string &text, const std::string &name,
                                          std::string &error) {
  auto native = std::make_unique<NativeModule>();
  llvm::SMDiagnostic diagnostic;
  native->module =
      llvm::parseAssembly(llvm::MemoryBufferRef(text, name), diagnostic, native->context);
  llvm::raw_string_ostream out(error);
  if (!native->module) {
    diagnostic.print("", out, /*ShowColors=*/false);
    return nullptr;
  }
  if (llvm::verifyModule(*native->module, &out))
    return nullptr;
  llvm::NamedMDNode *node = native->module->getNamedMetadata(descriptionName);
  auto *json = node && node->getNumOperands() == 1 && node->getOperand(0)->getNumOperands() == 1
                   ? llvm::dyn_cast<llvm::MDString>(node->getOperand(0)->getOperand(0))
                   : nullptr;
  if (!json) {
    error = "the module has no metadata !qkv.description";
    return nullptr;
  }
  if (!Description::fromJson(json->getString().str(), native->description, error))
    return nullptr;
  node->eraseFromParent();
  return native;
}

std::string text(const NativeModule &module) {
  llvm::LLVMContext &context = module.module->getContext();
  llvm::NamedMDNode *node = module.module->getOrInsertNamedMetadata(descriptionName);
  node->clearOperands();
  node->addOperand(
      llvm::MDNode::get(context, llvm::MDString::get(context, module.description.json())));
  std::string out;
  llvm::raw_string_ostream stream(out);
  module.module->print(stream, nullptr);
  node->eraseFromParent();
  return out;
}

} // namespace qkv

// One model as an llvm::Module: where the JIT and the object file begin.
//
// In: the `llvm` stage (MLIR's LLVM dialect, or LLVM IR as text). Out: the module's functions,
// untouched, and the description. What is added afterwards (Entries.h) follows from these two.
#pragma once

#include "compiler/description/Description.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <memory>
#include <string>

namespace mlir {
class ModuleOp;
}

namespace qkv {

struct NativeModule {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  Description description;
};

/// Null with `error` where the module is not at the `llvm` stage.
std::unique_ptr<NativeModule> lower(mlir::ModuleOp module, std::string &error);

/// The same from LLVM IR that `text` printed; `name` is what messages call it.
std::unique_ptr<NativeModule> parseNative(const std::string &text, const std::string &name,
                                          std::string &error);

/// LLVM IR; the description is its named metadata `qkv.description`.
std::string text(const NativeModule &module);

} // namespace qkv

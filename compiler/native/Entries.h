// What stands between the runtime and a model's functions, made from the description alone.
//
// In: a model's functions, `_mlir_ciface_NAME(context, sizes..., descriptors...)`. Out: the
// functions of runtime/qkv.h in the same module; for programs and libraries the constant
// qkv_model, `main` and the C interface too. Holds: everything but what the outside calls has
// internal linkage, and nothing that runs before the CPU was checked needs more than the baseline.
#pragma once

#include "compiler/native/NativeModule.h"

namespace llvm {
class TargetMachine;
}

namespace qkv {

/// The name of the qkv_function that addEntries makes (external, for the JIT).
std::string entryName(const Description &description, const Description::Entry &entry);

/// Renames and hides the model's own functions, adds the entries. False with `error` where the
/// module's functions are not what the description says.
bool addEntries(NativeModule &module, std::string &error);

/// A model in the module.
struct ModelConstants {
  llvm::GlobalVariable *model;
  llvm::GlobalVariable *trace; ///< the model of what can be traced, or null
};

/// The constants qkv_model with all that they lead to, and their `shapes`. Call after addEntries.
ModelConstants addModel(NativeModule &module, const std::string &cpu);

/// `int main(int, char **)` around the model.
void addMain(NativeModule &module, const ModelConstants &constants);

/// The functions of the C interface (Header.h): NAME_open and so on.
void addCInterface(NativeModule &module, llvm::GlobalVariable *model);

} // namespace qkv

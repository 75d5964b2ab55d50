// The processor that code is made for. In: a name as --cpu takes it. Out: LLVM's machine for it.
#pragma once

#include <memory>
#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace qkv {

/// What the code will be part of.
enum class CodeUse { Jit, Object };

/// The machine for `cpu` ("native" or a name that LLVM knows); null with `error` where it knows
/// none of that name. Only fused multiply-adds that the module itself names are made.
std::unique_ptr<llvm::TargetMachine> makeMachine(const std::string &cpu, CodeUse use,
                                                 std::string &error);

/// The features beyond x86-64's baseline that code for this machine may use, as the runtime
/// checks them (qkv_model.cpu): "avx2 fma".
std::string neededFeatures(const llvm::TargetMachine &machine);

/// Triple, data layout, and on every function the processor. Functions that have a processor
/// already keep theirs.
void aimAt(llvm::Module &module, const llvm::TargetMachine &machine);

} // namespace qkv

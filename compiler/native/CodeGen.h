// llvm::Module -> machine code. In: a module whose entries are made. Out: an object file, assembly.
#pragma once

#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace qkv {

/// LLVM's mid-level passes: all of O2 for what is built once and run often; for the JIT only what
/// the code generator does not do itself (kernels come as finished vector code).
enum class Effort { Full, Light };
void optimize(llvm::Module &module, llvm::TargetMachine &machine, Effort effort);

enum class CodeFile { Object, Assembly };
/// The bytes of the file; empty with `error` set where LLVM cannot.
std::string generateCode(llvm::Module &module, llvm::TargetMachine &machine, CodeFile kind,
                         std::string &error, Effort effort = Effort::Full);

} // namespace qkv

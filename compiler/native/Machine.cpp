// Machines by name. Holds: equal names give equal code, whatever the order LLVM lists things in.
#include "compiler/native/Machine.h"
#include "compiler/passes/Target.h"

#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

namespace qkv {

std::unique_ptr<llvm::TargetMachine> makeMachine(const std::string &cpu, CodeUse use,
                                                 std::string &error) {
  static const bool initialised = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
    return true;
  }();
  (void)initialised;
  TargetDescription description = describeTarget(cpu);
  llvm::Triple triple(description.triple);
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  // Asked before a machine is made of it: LLVM itself would only warn, on standard error.
  std::unique_ptr<llvm::MCSubtargetInfo> names(
      target->createMCSubtargetInfo(triple, description.baseline, ""));
  if (cpu != "native" && (!names || !names->isCPUStringValid(description.cpu))) {
    error = "no processor is called \"" + cpu +
            "\"; known are native, x86-64, x86-64-v2, x86-64-v3, x86-64-v4 and the names that "
            "clang takes for -march, such as haswell, skylake-avx512 or znver4";
    return nullptr;
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.FunctionSections = options.DataSections = use == CodeUse::Object;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, description.cpu, description.features, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Default, use == CodeUse::Jit));
  if (!machine)
    error = "LLVM makes no code for " + triple.str();
  return machine;
}

std::string neededFeatures(const llvm::TargetMachine &machine) {
  // Names that LLVM and the kernel agree on, or that the runtime knows in LLVM's spelling. What
  // is not listed is never used by code for tensors.
  static const char *const features[] = {
      "sse3",         "ssse3",      "sse4.1",     "sse4.2",     "popcnt",     "avx",
      "avx2",         "fma",        "f16c",       "bmi",        "bmi2",       "lzcnt",
      "movbe",        "avx512f",    "avx512bw",   "avx512cd",   "avx512dq",   "avx512vl",
      "avx512vnni",   "avx512vbmi", "avx512ifma", "avx512bf16", "avx512fp16", "avx512vbmi2",
      "avx512bitalg", "gfni",       "avxvnni",    "vpclmulqdq", "vaes",       "avx512vpopcntdq"};
  std::string needed;
  if (!machine.getTargetTriple().isX86())
    return needed;
  for (const char *feature : features)
    if (machine.getMCSubtargetInfo()->checkFeatures(std::string("+") + feature))
      needed += (needed.empty() ? "" : " ") + std::string(feature);
  return needed;
}

void aimAt(llvm::Module &module, const llvm::TargetMachine &machine) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  for (llvm::Function &function : module) {
    if (function.isDeclaration() || function.hasFnAttribute("target-cpu"))
      continue;
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    if (!machine.getTargetFeatureString().empty())
      function.addFnAttr("target-features", machine.getTargetFeatureString());
  }
}

} // namespace qkv

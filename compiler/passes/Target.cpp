// --cpu -> TargetDescription. Everything but the caches follows from the features that LLVM
// lists for the name; of `native` from those that the running processor reports, because a
// hypervisor may hide some that the model has.
#include "compiler/passes/Target.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <algorithm>
#include <unistd.h>
#include <vector>

namespace qkv {
namespace {

void describeX86(const llvm::StringSet<> &has, TargetDescription &target) {
  target.fma = has.contains("fma");
  if (has.contains("avx512f") && has.contains("avx512vl") && has.contains("avx512bw") &&
      has.contains("avx512dq")) {
    target.lanes = 16;
    target.registers = 32;
  } else if (has.contains("avx2")) {
    target.lanes = 8;
  }
}

bool startsWithAny(std::string_view text, std::initializer_list<std::string_view> heads) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](std::string_view head) { return text.starts_with(head); });
}

void describeCaches(bool native, TargetDescription &target) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  if (native) {
    if (long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE); bytes > 0)
      target.l1 = bytes;
    if (long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0)
      target.l2 = bytes;
    return;
  }
#endif
  if (startsWithAny(target.cpu, {"znver4", "znver5", "skylake-avx512", "cascadelake"}))
    target.l2 = 1 << 20;
  else if (startsWithAny(target.cpu, {"icelake-server", "sapphirerapids", "graniterapids"}))
    target.l2 = 2 << 20, target.l1 = 48 << 10;
  else if (startsWithAny(target.cpu, {"znver"}))
    target.l2 = 512 << 10;
}

} // namespace

TargetDescription describeTarget(std::string_view cpu) {
  TargetDescription target;
  target.triple = llvm::sys::getProcessTriple();
  bool native = cpu == "native" || cpu.empty();
  llvm::Triple host(target.triple);
  target.baseline = host.isX86() ? "x86-64" : "generic";
  llvm::StringSet<> has;
  if (native) {
    target.cpu = llvm::sys::getHostCPUName().str();
    std::vector<std::string> features;
    for (const auto &feature : llvm::sys::getHostCPUFeatures()) {
      features.push_back((feature.second ? "+" : "-") + feature.first().str());
      if (feature.second)
        has.insert(feature.first());
    }
    // A string map has no order of its own, and equal builds must be equal bytes.
    std::sort(features.begin(), features.end());
    for (const std::string &feature : features)
      target.features += (target.features.empty() ? "" : ",") + feature;
  } else {
    target.cpu = cpu;
    llvm::SmallVector<llvm::StringRef> known;
    llvm::X86::fillValidCPUArchList(known, /*Only64Bit=*/true);
    if (llvm::is_contained(known, llvm::StringRef(target.cpu))) {
      llvm::SmallVector<llvm::StringRef> features;
      llvm::X86::getFeaturesForCPU(target.cpu, features);
      for (llvm::StringRef feature : features)
        has.insert(feature);
    }
  }
  if (host.isAArch64()) { // NEON: four lanes, 32 registers, always with fma
    target.registers = 32;
    target.fma = true;
    target.l1 = 64 << 10;
  } else {
    describeX86(has, target);
  }
  describeCaches(native, target);
  return target;
}

} // namespace qkv

// In: names of CPU features. Out: the ones this CPU lacks. Holds: a name it does not know, and
// that the kernel does not list, counts as lacking only if the kernel's list could be read.
#pragma once

#include <string>

namespace qkv::rt {

/// The features of `needed` (names as in /proc/cpuinfo or in LLVM, separated by spaces) that this
/// CPU or its operating system lacks, separated by spaces; empty if it has them all.
std::string lackingFeatures(const char *needed);

} // namespace qkv::rt

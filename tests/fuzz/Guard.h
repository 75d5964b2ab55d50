// Runs what may crash, hang or eat memory in a process of its own.
#pragma once

#include "tests/fuzz/Slowdown.h"

#include <cstdint>
#include <functional>
#include <string>

namespace qkv::test {

struct Guarded {
  std::string said;   ///< what the function returned
  std::string died;   ///< how the process ended, if it did not end by itself
  double seconds = 0; ///< processor time, as if the build were not slow
  int64_t peak = 0;   ///< most memory used, in bytes
};

/// Calls fn in a child process with at most 4 GB of address space and `seconds` of processor time
/// (times the slowdown).
/// `note` in it may be set to say what is being done; it is part of `died`.
Guarded guarded(double seconds, const std::function<std::string()> &fn);

/// Within a guarded function: what a crash is to be reported with.
void noteForCrash(const std::string &text);

/// Checks a text as the driver would and looks at everything that comes out. Returns what is
/// wrong with that: a span outside of its file, a program without an order. Empty: nothing.
/// `says` gets the diagnostics.
std::string problemsOf(const std::string &text, std::string *says = nullptr,
                       const std::string &path = "fuzz.qkv");

} // namespace qkv::test

// Kernels and buffers as the driver shows them. In: what the compiler says of them. Out: text,
// JSON.
#pragma once

#include "compiler/explain/Explain.h"

#include <nlohmann/json.hpp>
#include <string>

namespace qkv::driver {

/// What a machine can do: FLOP/s and bytes/s, of the threads that are meant.
struct Roofline {
  double flops = 0, bandwidth = 0;
  /// The least seconds that so much work can take.
  double seconds(double flops, double bytes) const;
  /// Which of the two it is that takes them.
  bool boundByMemory(double flops, double bytes) const;
};

/// Measures this machine: some tenths of a second. `lanes`: of the code that is meant.
Roofline measuredRoofline(int lanes, int threads);

/// The fields of a kernel that do not depend on a machine; `file` is the model's.
nlohmann::json kernelJson(const KernelReport &kernel, const std::string &file);

/// Three digits and a unit: "1.24 GFLOP", "3.1 MB", "12.4 ms".
std::string flopsText(double flops);
std::string bytesText(double bytes);
std::string secondsText(double seconds);

/// "c (line 6), attention.score (nn.qkv:8)"; `file` is the model's.
std::string equationsText(const KernelReport &kernel, const std::string &file);

} // namespace qkv::driver

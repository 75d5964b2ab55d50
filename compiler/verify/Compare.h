// Are a compiled model's numbers right? In: the interpreter's values in double and in f32, and what
// the code computed. Out: the largest error, and whether language.md's tolerance holds:
//   error <= max(2 * error of the f32 interpreter (largest of its runs), 2e-6 * largest element)
// Magnitudes below 1e-37 count as 0; where the double value is not a number, anything is right.
#pragma once

#include "dsl/interpret/Interpreter.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qkv {

/// The interpreter's word on one tensor.
struct Expected {
  Values exact;                ///< in double
  std::vector<Values> rounded; ///< in f32, to nearest, up, down
};

struct Comparison {
  bool same = true;
  double error = 0, bound = 0;
  int64_t at = -1; ///< the first element that is wrong
  double expected = 0, got = 0;
};

Comparison compare(const Expected &expected, const Values &got);

/// Position number `at` of a shape: "[3,0,7]".
std::string indexText(const std::vector<int64_t> &shape, int64_t at);

} // namespace qkv

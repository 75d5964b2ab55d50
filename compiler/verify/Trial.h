// One generated run of a model: sizes, inputs and parameters, and what the interpreter makes of
// them. In: a program and a seed. Out: values that f32 holds exactly; the expected results.
#pragma once

#include "compiler/verify/Compare.h"
#include "dsl/Program.h"
#include "runtime/qkv.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

struct TrialOptions {
  uint64_t seed = 1;
  /// Dynamic sizes by name; others are small.
  std::map<std::string, int64_t> sizes;
  /// Parameters that are there already, by tensor; the others are generated.
  std::map<int, Values> params;
  std::function<void(double)> progress;
};

struct Trial {
  std::vector<int64_t> sizes; ///< in the order of Program::dynamicSizes
  std::map<int, Values> inputs, params;
};

/// Inputs for which the interpreter meets no failing check, if such are found by trying: ints that
/// are used as indices stay inside what they index.
Trial makeTrial(const Program &program, const TrialOptions &options);

/// Rounds the trial's parameters to what a compiled model holds of them.
void roundParams(const qkv_model &model, Trial &trial);

/// For each int input, the least extent that it indexes, directly or through equations.
std::map<int, int64_t> indexBounds(const Program &program, const std::vector<int64_t> &sizes);

/// The interpreter's values of tensors, in double and in f32 three times; or the check that fails.
struct Oracle {
  std::vector<Expected> values;
  std::optional<RunError> failure;
};
/// The interpreter's values of tensors, in one precision. Returns the checks that fail, by the
/// number of the tensor among `tensors`; such a tensor has no values.
std::map<size_t, RunError> interpret(const Program &program, const Trial &trial,
                                     const std::vector<int> &tensors, std::vector<Values> &out,
                                     const InterpretOptions &options = {});
Oracle expect(const Program &program, const Trial &trial, const std::vector<int> &tensors,
              const std::function<void(double)> &progress = {});

} // namespace qkv

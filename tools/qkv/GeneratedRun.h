// A run of a model with whatever is at hand: files that are given, noise for the rest.
//
// In: a model, sizes, paths that may be empty. Out: weights and a call, ready for qkv_run. What
// holds: generated ints stay below what they index where the program says so; weights take the way
// of all weights, through a safetensors file, so that they are held as they would be.
#pragma once

#include "dsl/Program.h"
#include "runtime/tensors/Inputs.h"
#include "tools/qkv/StepOptions.h"

#include <map>
#include <memory>
#include <string>

namespace qkv::driver {

class GeneratedRun {
public:
  /// `program` may be null (a dump); then ints are 0. False with *error set.
  bool open(const qkv_model &model, const Program *program, const Subject &subject,
            const std::string &weights, const std::string &input, qkv_error *error);
  /// One run. False with *error set.
  bool run(const qkv_model &model, qkv_error *error);
  const std::vector<int64_t> &sizes() const { return call_.sizes; }

private:
  bool openWeights(const qkv_model &model, const std::string &path, qkv_error *error);
  void makeInputs(const qkv_model &model, const Program *program);
  void growInPlace(const qkv_stream &stream, const qkv_model &part);

  using Weights = std::unique_ptr<qkv_weights, void (*)(qkv_weights *)>;
  Weights weights_{nullptr, qkv_weights_close};
  rt::Call call_;
  Subject subject_;
};

} // namespace qkv::driver

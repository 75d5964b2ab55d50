// A generator compiled to go on from what it keeps. In: a checked program. Out: its step and what
// is computed once for a sequence, in memory, with their weights.
#pragma once

#include "compiler/native/Jit.h"
#include "dsl/Program.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/text/Stepped.h"
#include "tools/qkv/ModelFile.h"

#include <memory>
#include <string>

namespace qkv::driver {

class SteppedModel {
public:
  /// Null where the model has no step that gives its logits row by row, and, with `error` set,
  /// where it does not compile.
  static std::unique_ptr<SteppedModel> create(const Program &program, const ModelOptions &options,
                                              std::string &error);
  /// Opens the weights that the parts need. False with *error set.
  bool open(const std::string &weights, qkv_error *error);
  const rt::StepModel &model() const { return model_; }

private:
  using Weights = std::unique_ptr<qkv_weights, void (*)(qkv_weights *)>;
  std::unique_ptr<JitModel> step_, session_;
  Weights stepWeights_{nullptr, qkv_weights_close}, sessionWeights_{nullptr, qkv_weights_close};
  rt::StepModel model_;
};

} // namespace qkv::driver

// A generator that goes on from what it keeps. In: a checked program. Out: its step, as the runtime
// calls it for text.
#pragma once

#include "dsl/Program.h"
#include "runtime/text/Stepped.h"
#include "tools/qkv/CompiledStream.h"

namespace qkv::driver {

class SteppedModel {
public:
  /// Null where the model has no step that gives its logits row by row, and, with `error` set,
  /// where it does not compile.
  static std::unique_ptr<SteppedModel> create(const Program &program, const ModelOptions &options,
                                              std::string &error);
  /// Opens the weights. False with *error set.
  bool open(const std::string &weights, qkv_error *error);
  const rt::StepModel &model() const { return model_; }

private:
  std::unique_ptr<CompiledStream> stream_;
  rt::StepModel model_;
};

} // namespace qkv::driver

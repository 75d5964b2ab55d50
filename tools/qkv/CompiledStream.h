// The step of a model over a stream, compiled in memory. In: a checked program. Out: code of the
// step and of what is computed once for a sequence, and their weights.
#pragma once

#include "compiler/native/Jit.h"
#include "compiler/streams/DeriveStream.h"
#include "runtime/checkpoint/Weights.h"
#include "tools/qkv/ModelFile.h"

#include <memory>
#include <string>

namespace qkv::driver {

class CompiledStream {
public:
  /// Null, with `error` set, where it does not compile.
  static std::unique_ptr<CompiledStream> create(streams::Stream stream, const ModelOptions &options,
                                                std::string &error);
  /// Opens the weights that the parts need; an empty path: there are none. False with *error set.
  bool open(const std::string &weights, qkv_error *error);

  const streams::Stream &stream() const { return stream_; }
  const qkv_model &step() const { return step_->model(); }
  /// Null where nothing is computed once.
  const qkv_model *session() const { return session_ ? &session_->model() : nullptr; }
  const qkv_weights *stepWeights() const { return stepWeights_.get(); }
  const qkv_weights *sessionWeights() const { return sessionWeights_.get(); }

private:
  using Weights = std::unique_ptr<qkv_weights, void (*)(qkv_weights *)>;
  streams::Stream stream_;
  std::unique_ptr<JitModel> step_, session_;
  Weights stepWeights_{nullptr, qkv_weights_close}, sessionWeights_{nullptr, qkv_weights_close};
};

} // namespace qkv::driver

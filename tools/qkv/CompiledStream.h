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
  /// The code of one of the stream's programs: its step, its last step, its session.
  const qkv_model &model(const Program &part) const { return code(part).code->model(); }
  const qkv_weights *weights(const Program &part) const { return code(part).weights.get(); }
  const qkv_model &step() const { return model(stream_.step); }
  /// Null where nothing is computed once.
  const qkv_model *session() const { return session_.code ? &session_.code->model() : nullptr; }
  const qkv_weights *stepWeights() const { return step_.weights.get(); }
  const qkv_weights *sessionWeights() const { return session_.weights.get(); }

private:
  struct Part {
    std::unique_ptr<JitModel> code; ///< null: it has no results
    std::unique_ptr<qkv_weights, void (*)(qkv_weights *)> weights{nullptr, qkv_weights_close};
  };
  const Part &code(const Program &part) const {
    return &part == &stream_.step ? step_ : &part == &stream_.last ? last_ : session_;
  }
  streams::Stream stream_;
  Part step_, last_, session_;
};

} // namespace qkv::driver

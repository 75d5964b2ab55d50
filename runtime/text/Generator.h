// In: bytes of prompts and source lines. Out: the bytes a generator answers with. Holds:
// tokens are bytes; 256 stands before a stream and 257 ends it, where the vocabulary has them.
#pragma once

#include "runtime/tensors/Entries.h"

#include <string_view>
#include <vector>

namespace qkv::rt {

/// One stream that is generated, and its source.
struct Stream {
  std::vector<int64_t> source, tokens;
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
  std::vector<float> logits;
  bool failed = false, done = false;
  qkv_error error = {};
  /// Gets each byte; may end the stream by returning false.
  bool (*emit)(void *to, char byte) = nullptr;
  void *to = nullptr;

  Stream() { error.size = sizeof error; }
};

/// What all streams of a run share.
struct Generator {
  const qkv_model &model;
  const qkv_weights *weights;
  int32_t streamSize, sourceSize; // among model.sizes; sourceSize -1: there is no source
  int64_t vocabulary = 0, maxTokens;

  Generator(const qkv_model &model, const qkv_weights *weights, int64_t maxTokens)
      : model(model), weights(weights),
        streamSize(model.inputs[model.generator_input].axes[0].size),
        sourceSize(model.generator_source < 0 ? -1
                                              : model.inputs[model.generator_source].axes[0].size),
        maxTokens(maxTokens) {}

  bool prepare(qkv_error *error);
  /// Whether the vocabulary has tokens for the start and the end of a stream.
  bool special() const;
  /// Whether streams can be computed together.
  bool together() const { return findEntry(model, QKV_LAST_BATCH) != nullptr; }
  /// Makes a stream ready to run; where it cannot be, it has failed.
  void begin(std::string_view source, std::string_view prompt, Stream &stream) const;
  /// Continues streams whose sources and prompts are equally long, token by token, to their ends.
  void run(std::vector<Stream *> streams) const;

private:
  bool fits(std::string_view source, std::string_view prompt, Stream &stream) const;
  bool isFull(const Stream &stream) const {
    return static_cast<int64_t>(stream.tokens.size()) >= model.sizes[streamSize].max;
  }
  void take(Stream &stream) const;
};

} // namespace qkv::rt

// In: prompts and source lines. Out: the text a generator answers with. Holds: what a token is, how
// the next one is chosen and how it is computed are interfaces (Tokenizer, Sampler, Sequences).
#pragma once

#include "runtime/qkv.h"
#include "runtime/text/Sampler.h"
#include "runtime/text/Sequence.h"
#include "runtime/text/Stepped.h"
#include "runtime/text/Tokenizer.h"

#include <memory>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// One stream that is generated, and its source.
struct Stream {
  std::unique_ptr<TokenSequence> sequence;
  size_t prompt = 0; // tokens
  bool failed = false, done = false;
  qkv_error error = {};
  /// Gets each piece of text; may end the stream by returning false.
  bool (*emit)(void *to, std::string_view text) = nullptr;
  void *to = nullptr;

  Stream() { error.size = sizeof error; }
};

/// What all streams of a run share.
struct Generator {
  const qkv_model &model;
  const qkv_weights *weights;
  const StepModel *steps;         ///< null: every token is computed from all before it
  int32_t streamSize, sourceSize; // among model.sizes; sourceSize -1: there is no source
  int64_t vocabulary = 0, maxTokens;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Sequences> sequences;

  Generator(const qkv_model &model, const qkv_weights *weights, const StepModel *steps,
            int64_t maxTokens)
      : model(model), weights(weights), steps(steps),
        streamSize(model.inputs[model.generator_input].axes[0].size),
        sourceSize(model.generator_source < 0 ? -1
                                              : model.inputs[model.generator_source].axes[0].size),
        maxTokens(maxTokens) {}

  bool prepare(qkv_error *error);
  /// Whether streams can be computed together.
  bool together() const { return sequences->together(); }
  /// Makes a stream ready to run; where it cannot be, it has failed.
  void begin(std::string_view source, std::string_view prompt, Stream &stream) const;
  /// Continues streams whose sources and prompts are equally long, token by token, to their ends.
  void run(std::vector<Stream *> streams) const;

private:
  bool tokensOf(std::string_view source, std::string_view prompt,
                std::vector<int64_t> &sourceTokens, std::vector<int64_t> &tokens,
                qkv_error *error) const;
  void take(Stream &stream) const;
};

} // namespace qkv::rt

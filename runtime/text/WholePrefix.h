// In: a compiled model. Out: sequences whose tokens are all computed with at every step.
#pragma once

#include "runtime/tensors/Entries.h"
#include "runtime/text/Sequence.h"

namespace qkv::rt {

class PrefixSequence : public TokenSequence {
public:
  /// `source` counts where the model has one.
  PrefixSequence(const qkv_model &model, int64_t vocabulary, std::vector<int64_t> source,
                 std::vector<int64_t> tokens);
  void append(int64_t token) override { stream.push_back(token); }
  const std::vector<int64_t> &tokens() const override { return stream; }
  const float *logits() const override { return last.data(); }
  const qkv_error *failure() const override { return failed ? &error : nullptr; }
  std::unique_ptr<TokenSequence> copy() const override;

private:
  friend class WholePrefix;
  const qkv_model &model;
  std::vector<int64_t> source, stream;
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
  std::vector<float> last;
  bool failed = false;
  qkv_error error = {};
};

class WholePrefix : public Sequences {
public:
  WholePrefix(const qkv_model &model, const qkv_weights *weights, int64_t vocabulary)
      : model(model), weights(weights), vocabulary(vocabulary) {}
  std::unique_ptr<TokenSequence> begin(std::vector<int64_t> source,
                                       std::vector<int64_t> tokens) const override;
  bool together() const override { return findEntry(model, QKV_LAST_BATCH) != nullptr; }
  /// PrefixSequences of this model.
  void advance(const std::vector<TokenSequence *> &sequences) const override;

private:
  const qkv_model &model;
  const qkv_weights *weights;
  int64_t vocabulary;
};

} // namespace qkv::rt

// In: tokens, one after the other. Out: the logits of the token that comes next. Holds: whether the
// model computes all of them anew each time or goes on from a state is this room's own matter.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace qkv::rt {

/// The size of an input of tokens, among the model's.
inline int32_t sizeOfTokens(const qkv_model &model, int32_t input) {
  return model.inputs[input].axes[0].size;
}

/// One stream of tokens in a model, with its source where the model has one.
class TokenSequence {
public:
  virtual ~TokenSequence() = default;
  virtual void append(int64_t token) = 0;
  virtual const std::vector<int64_t> &tokens() const = 0;
  /// Of the token behind the last one, once Sequences::advance has computed them.
  virtual const float *logits() const = 0;
  /// Another one that goes on from the same place; where there is no memory for it, it has failed.
  virtual std::unique_ptr<TokenSequence> copy() const = 0;
  /// Goes back to its first `count` tokens. False, with nothing changed, where what is kept has no
  /// past.
  virtual bool rewind(size_t count) = 0;
  /// From now on remembers what it keeps behind each `every` tokens, so that it can go back.
  virtual void snapshots(size_t) {}
  /// Bytes that are kept of it from step to step.
  virtual size_t keptBytes() const { return 0; }
  /// Whether computing failed, and why.
  virtual const qkv_error *failure() const = 0;
};

/// All that a model computes is the same for a sequence by itself and among others.
class Sequences {
public:
  virtual ~Sequences() = default;
  /// A stream that begins with some tokens, and its source (of no length where there is none).
  virtual std::unique_ptr<TokenSequence> begin(std::vector<int64_t> source,
                                               std::vector<int64_t> tokens) const = 0;
  /// Whether several are computed faster together.
  virtual bool together() const = 0;
  /// Whether those may be of different lengths.
  virtual bool mixes() const { return false; }
  /// Computes the logits of each. Unless this mixes, all are equally long, with equally long
  /// sources.
  virtual void advance(const std::vector<TokenSequence *> &sequences) const = 0;
};

} // namespace qkv::rt

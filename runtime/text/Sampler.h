// In: the logits of the next token. Out: the token that is taken.
#pragma once

#include "runtime/grammar/Constraint.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qkv::rt {

/// What is known where a token is to be chosen.
struct Choice {
  const float *logits;
  int64_t count;                      ///< of the vocabulary
  const std::vector<int64_t> &tokens; ///< the stream so far: the prompt, then what was generated
  size_t prompt;                      ///< how many of them are the prompt's
  uint64_t sequence;                  ///< which of several streams this is
  const TokenMask *allowed = nullptr; ///< null: all; else at least one is

  bool mayBe(int64_t token) const { return !allowed || isIn(*allowed, token); }
  /// What is chosen where nothing speaks for any.
  int64_t firstAllowed() const {
    int64_t token = 0;
    while (token + 1 < count && !mayBe(token))
      ++token;
    return token;
  }
};

class Sampler {
public:
  virtual ~Sampler() = default;
  virtual int64_t choose(const Choice &choice) const = 0;
};

/// The largest logit's token, the smallest of several; what is not a number is never the largest.
class Greedy : public Sampler {
public:
  int64_t choose(const Choice &choice) const override;
};

} // namespace qkv::rt

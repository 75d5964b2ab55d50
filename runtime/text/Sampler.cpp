// In: the logits of the next token. Out: the token that is taken.
#include "runtime/text/Sampler.h"

#include <algorithm>
#include <cmath>

namespace qkv::rt {

/// The largest of those that are numbers; -inf where there is none. (In lanes, each the largest of
/// its own, which is one instruction for all of them.)
static float largest(const float *values, int64_t count) {
  constexpr int64_t lanes = 16;
  float most[lanes];
  std::fill_n(most, lanes, -INFINITY);
  int64_t at = 0;
  for (; at + lanes <= count; at += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      most[lane] = values[at + lane] > most[lane] ? values[at + lane] : most[lane];
  for (; at < count; ++at)
    most[0] = values[at] > most[0] ? values[at] : most[0];
  return *std::max_element(most, most + lanes);
}

int64_t Greedy::choose(const Choice &choice) const {
  const float *logits = choice.logits;
  if (!choice.allowed) {
    const float *best = std::find(logits, logits + choice.count, largest(logits, choice.count));
    return best < logits + choice.count ? best - logits : choice.firstAllowed();
  }
  int64_t best = -1;
  for (int64_t token = 0; token < choice.count; ++token)
    if (choice.mayBe(token) &&
        (best < 0 ? logits[token] == logits[token] : logits[token] > logits[best]))
      best = token;
  return best < 0 ? choice.firstAllowed() : best;
}

} // namespace qkv::rt

// In: the logits of the next token. Out: the token that is taken.
#include "runtime/text/Sampler.h"

namespace qkv::rt {

int64_t Greedy::choose(const Choice &choice) const {
  const float *logits = choice.logits;
  int64_t best = -1;
  for (int64_t token = 0; token < choice.count; ++token)
    if (choice.mayBe(token) &&
        (best < 0 ? logits[token] == logits[token] : logits[token] > logits[best]))
      best = token;
  return best < 0 ? choice.firstAllowed() : best;
}

} // namespace qkv::rt

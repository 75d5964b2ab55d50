// Copies of a beginning (SharedBeginning.h).
#include "runtime/text/SharedBeginning.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// A shorter beginning is not worth a copy.
constexpr size_t least = 32;

/// How many tokens both begin with. Of the second at least one is left, which is computed for its
/// logits.
size_t common(const std::vector<int64_t> &a, const std::vector<int64_t> &b) {
  if (b.empty())
    return 0;
  size_t most = std::min(a.size(), b.size() - 1);
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

} // namespace

bool SharedBeginning::make(std::vector<int64_t> tokens) {
  shared = sequences.begin({}, std::move(tokens));
  sequences.advance({shared.get()});
  if (shared->failure())
    shared.reset();
  return shared != nullptr;
}

/// Goes on from the shared beginning, if it begins so. One that shares at least half of it makes it
/// shorter: prompts often differ a little behind what all of them begin with.
size_t SharedBeginning::goOn(std::unique_ptr<TokenSequence> &sequence) {
  if (!shared)
    return 0;
  const std::vector<int64_t> &tokens = sequence->tokens();
  size_t all = shared->tokens().size(), same = common(shared->tokens(), tokens);
  if (same < least || 2 * same < all)
    return 0;
  if (same < all && !shared->rewind(same) && !make({tokens.begin(), tokens.begin() + same}))
    return 0;
  std::unique_ptr<TokenSequence> copy = shared->copy();
  if (copy->failure())
    return 0;
  for (size_t i = same; i < tokens.size(); ++i)
    copy->append(tokens[i]);
  sequence = std::move(copy);
  return same;
}

std::vector<size_t>
SharedBeginning::share(const std::vector<std::unique_ptr<TokenSequence> *> &fresh) {
  std::vector<size_t> spared(fresh.size());
  for (size_t i = 0; i < fresh.size(); ++i) {
    std::vector<int64_t> tokens = (*fresh[i])->tokens();
    spared[i] = goOn(*fresh[i]);
    if (spared[i] == 0) {
      size_t same = common(before, tokens);
      for (size_t k = i + 1; k < fresh.size(); ++k)
        same = std::max(same, common((*fresh[k])->tokens(), tokens));
      if (same >= least && make({tokens.begin(), tokens.begin() + static_cast<long>(same)}))
        spared[i] = goOn(*fresh[i]);
    }
    before = std::move(tokens);
  }
  return spared;
}

} // namespace qkv::rt

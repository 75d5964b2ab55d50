// What several prompts begin with is computed once.
//
// In: streams that have just begun, without a source. Out: the same streams, going on from a copy
// of what was computed for all. Holds: a stream's results are what they are without this.
#pragma once

#include "runtime/text/Sequence.h"

#include <memory>
#include <vector>

namespace qkv::rt {

class SharedBeginning {
public:
  explicit SharedBeginning(const Sequences &sequences) : sequences(sequences) {}

  /// Replaces those that begin as others do, or as the one before them did. Returns of each how
  /// many tokens need not be computed for it any more.
  std::vector<size_t> share(const std::vector<std::unique_ptr<TokenSequence> *> &fresh);

private:
  size_t goOn(std::unique_ptr<TokenSequence> &sequence);
  bool make(std::vector<int64_t> tokens);

  const Sequences &sequences;
  std::unique_ptr<TokenSequence> shared; // null: none so far
  std::vector<int64_t> before;           // tokens of the one that came last
};

} // namespace qkv::rt

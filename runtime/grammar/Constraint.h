// In: a grammar, the bytes of every token, the tokens that were taken. Out: the tokens that may
// come next. Holds: a token may come exactly where its bytes go on with a text of the grammar; one
// that ends a text exactly where a text of the grammar may end; streams that share a constraint get
// what each gets alone.
#pragma once

#include "runtime/grammar/Positions.h"
#include "runtime/grammar/TokenTrie.h"

#include <memory>
#include <pthread.h>

namespace qkv::rt {

/// A bit for each token.
using TokenMask = std::vector<uint64_t>;

inline bool isIn(const TokenMask &mask, int64_t token) {
  return mask[static_cast<size_t>(token) / 64] >> (static_cast<size_t>(token) % 64) & 1;
}

class Constraint {
  struct Table;

public:
  /// Where a stream is.
  struct Place {
    std::shared_ptr<Table> table{}; ///< null: at the beginning
    int position = 0;
  };
  /// `first`: what tokens are at the beginning of a text, `behind`: what they are behind others;
  /// both of equal size. `ends` are tokens that end a text.
  Constraint(std::unique_ptr<Automaton> automaton, std::shared_ptr<const TokenTrie> first,
             std::shared_ptr<const TokenTrie> behind, std::vector<int64_t> ends);
  ~Constraint();
  Constraint(const Constraint &) = delete;
  Constraint &operator=(const Constraint &) = delete;

  /// The tokens that may come next; none of them: see mayEnd. Null where the grammar is too
  /// ambiguous to be followed. `atBeginning`: no text stands before.
  std::shared_ptr<const TokenMask> next(Place &place, bool atBeginning) const;
  /// Goes on by a text. False where it does not fit, or cannot be followed.
  bool take(Place &place, std::string_view bytes) const;
  bool mayEnd(Place &place) const;
  /// Whether anything at all may follow.
  bool goesOn(Place &place) const;
  const std::string &text(int64_t token, bool atBeginning) const {
    return (atBeginning ? *first : *behind).text(token);
  }

private:
  class Lock;
  void refresh(Place &place) const;
  void fill(Positions &positions, int from, const TokenTrie &trie, TokenMask &mask) const;

  const std::unique_ptr<Automaton> automaton;
  const std::shared_ptr<const TokenTrie> first, behind;
  const std::vector<int64_t> ends;
  mutable pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  mutable std::shared_ptr<Table> current; ///< null: a new one is to be made
};

} // namespace qkv::rt

// In: an automaton, bytes one after the other. Out: where a text may stand in the grammar, as a
// number. Holds: equal positions have equal numbers; what was computed once is looked up; work and
// memory are bounded, whatever the grammar is.
//
// Where a text may stand is a set of stacks: a state of the automaton, below it the states that the
// rules return to. A set of stacks is kept as the states on top, each with the set of what may lie
// below it; so many stacks as there are ways to read a text take little room, and sets that are
// equal are one.
#pragma once

#include "runtime/grammar/Automaton.h"

#include <unordered_map>

namespace qkv::rt {

class Positions {
public:
  /// No text goes on from here; nothing is left to be read.
  enum : int { Dead = 0, Finished = 1 };
  /// Rules that are open at once; what is nested deeper does not fit.
  static constexpr int mostDepth = 1000;

  explicit Positions(const Automaton &automaton);
  /// Where a text begins.
  int begin();
  /// The position behind a byte of a class (Automaton::classOf).
  int step(int position, int byteClass) {
    int row = sets[static_cast<size_t>(position)].row;
    if (row >= 0)
      if (int known = steps[static_cast<size_t>(row) + static_cast<size_t>(byteClass)]; known >= 0)
        return known;
    return computeStep(position, byteClass);
  }
  /// Whether a text may end here.
  bool mayEnd(int position) const { return sets[static_cast<size_t>(position)].accepts; }
  /// Whether anything may follow.
  bool goesOn(int position) const { return sets[static_cast<size_t>(position)].count > 0; }
  /// A position of others on the same automaton.
  int take(const Positions &other, int position);

  /// Whether so much is kept that new ones should be begun.
  bool full() const { return entries.size() + steps.size() + united.size() > mostKept; }
  /// Whether a step gave up since `restart`: then its answer means nothing.
  bool gaveUp() const { return work > mostWork; }
  void restart() { work = 0; }

private:
  static constexpr size_t mostKept = 4 << 20, mostWork = 4 << 20;
  struct Entry {
    int state, rest;
    bool operator==(const Entry &) const = default;
  };
  struct Set {
    size_t begin;
    int count, depth;
    bool accepts;      ///< the empty stack is one of them
    int row = -1;      ///< in `steps`
    int same = -1;     ///< another set of the same hash
    int returned = -1; ///< Positions::returned; -1: not computed
  };
  int intern(const Entry *first, size_t count, bool accepts);
  int unite(int a, int b);
  int push(int state, int rest);
  int close(const std::vector<Entry> &seeds);
  int returned(int set);
  int merged(std::vector<Entry> &list);
  int take(const Positions &other, int position, std::unordered_map<int, int> &taken);
  int computeStep(int position, int byteClass);
  template <class Visit> void walk(int state, Visit visit);

  const Automaton &automaton;
  std::vector<Entry> entries;
  std::vector<Set> sets;
  std::vector<int> steps; ///< -1: not computed
  std::unordered_map<uint64_t, int> byHash, united;
  std::vector<uint32_t> seen; ///< by state: the number of the walk that saw it last
  uint32_t walks = 0;
  size_t work = 0;
};

} // namespace qkv::rt

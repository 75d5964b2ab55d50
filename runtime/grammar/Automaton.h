// In: rules. Out: states and edges over bytes, with calls of other rules. Holds: from every state
// that an edge leads to the end of its rule can be reached; no rule calls itself without a byte
// before; no more than `mostStates` states, whatever the rules say.
#pragma once

#include "runtime/grammar/Grammar.h"

#include <array>
#include <memory>

namespace qkv::rt {

class Automaton {
public:
  static constexpr size_t mostStates = 400000;
  struct Edge {
    unsigned char first, last; ///< bytes
    int target;
  };
  struct Call {
    int rule, target;
  };
  struct State {
    std::vector<Edge> edges{};
    std::vector<Call> calls{};
    std::vector<int> empty{}; ///< states that follow without a byte
    int rule = -1;
    bool end = false; ///< of its rule
    /// Nothing but the end follows.
    bool endAlone() const { return end && edges.empty() && calls.empty() && empty.empty(); }
  };
  /// Null with `why` set: a rule that no text fits, one that begins with itself, too many states.
  static std::unique_ptr<Automaton> make(const Grammar &grammar, std::string &why);

  const State &operator[](int state) const { return states[state]; }
  size_t size() const { return states.size(); }
  int entry(int rule) const { return entries[rule]; }
  int root() const { return rootRule; }
  /// A rule stands before those that it calls before its first byte.
  int order(int rule) const { return orders[rule]; }
  int ruleAt(int order) const { return rulesInOrder[order]; }
  /// Bytes that no edge tells apart have one class.
  int classes() const { return classCount; }
  int classOf(unsigned char byte) const { return byteClass[byte]; }
  /// A byte of a class.
  unsigned char byteOf(int number) const { return someByte[number]; }

private:
  friend class AutomatonMaker;
  std::vector<State> states;
  std::vector<int> entries, orders, rulesInOrder;
  int rootRule = 0, classCount = 0;
  std::array<unsigned char, 256> byteClass{}, someByte{};
};

} // namespace qkv::rt

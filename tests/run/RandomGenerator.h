// What random models are made of. In: a seed and an empty program. Out: sizes, inputs, parameters
// and equations. Holds: every read is inside its axis, provably or by a guard that the checker
// sees, or by a clamp that is checked when it runs.
#pragma once

#include "tests/run/RandomProgram.h"

#include <set>

namespace qkv::random {

class Generator {
public:
  Generator(uint64_t seed, Program &program) : state_(seed * 0x9E3779B97F4A7C15 + 1), p_(program) {}
  void run();

private:
  /// A letter that may be used: what it runs over, and what it may not reach.
  struct Bound {
    std::string name;
    int size;
    int shift = 0; ///< name + shift is inside, too: a piece of its own has the other end
  };
  using Scope = std::vector<Bound>;

  // Numbers.
  uint64_t bits();
  int below(int count) { return static_cast<int>(bits() % static_cast<uint64_t>(count)); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename T> const T &any(const std::vector<T> &list) {
    return list[below(static_cast<int>(list.size()))];
  }

  // The model's frame.
  void makeSizes();
  void makeDerivedSizes();
  void makeInputs();
  void addEquation();

  // Kinds of equations.
  void plainEquation();
  void constantPieces();
  void recurrence();
  void backwardRecurrence();
  void twoStates();
  void allEarlier();
  void sliceCall();
  void elementFunction();
  void blockInRepeat();
  void wholeTensor();
  void attention();

  // Shapes of pieces and places (RandomShapes.cpp).
  void shiftedPieces();
  void outsidePieces();
  void recurrenceFromFirst();
  void strided();
  void highRank();
  void severalLetters();
  void nearlySame();

  // What models are made of (RandomIdioms.cpp).
  void idiom();
  std::string idiomTensor();

  // Expressions.
  NodePtr value(Kind kind, const Scope &scope, int depth);
  NodePtr floatValue(const Scope &scope, int depth);
  NodePtr infinite(const Scope &scope, int depth);
  NodePtr intValue(const Scope &scope, int depth);
  NodePtr boolValue(const Scope &scope, int depth);
  NodePtr leaf(Kind kind, const Scope &scope);
  NodePtr reduction(Kind kind, const Scope &scope, int depth);
  NodePtr read(const TensorInfo &tensor, const Scope &scope);
  NodePtr guard(const Scope &scope);
  /// An index into an axis of this size; `needs` gets a guard where one is necessary.
  std::string index(int size, const Scope &scope, std::string &needs);

  NodePtr node(Kind kind, std::string form, std::vector<NodePtr> children = {});
  std::vector<TensorInfo> readable(Kind kind);
  /// A letter of this size that the scope does not have; empty: none is left.
  std::string freeLetter(int size, const Scope &scope);
  Scope scopeOf(const std::vector<int> &sizes, std::string &brackets);
  std::vector<int> someSizes(int most);
  std::string newName(const char *start) { return start + std::to_string(names_++); }
  void define(TensorInfo tensor, std::string form, std::vector<NodePtr> values,
              std::vector<std::string> functions = {});

  uint64_t state_;
  Program &p_;
  int names_ = 0;
  std::set<std::string> hidden_; ///< tensors that may not be read now
};

} // namespace qkv::random

// Where a factor is 0 by a guard (A6): then a product does not read its other factors.
//
// In: a program and expressions of it. Out: which may be 0 by a guard, and the condition under
// which one takes part. An element of a softmax that its guard or a score of -inf leaves out is
// such a 0, so is `if c then x else 0` where c is false; sums and products of these, through
// definitions. What is 0 because data is 0 is none.
#pragma once

#include "dsl/Program.h"

#include <unordered_map>
#include <vector>

namespace qkv {

class LeftOut {
public:
  /// Tensors may be added to the program afterwards.
  explicit LeftOut(const Program &program) : program_(program) {}

  /// Whether an expression (an element of a tensor) may be left out, as far as its form says.
  bool may(const ExprPtr &e);
  bool may(int tensor);
  /// An element of a tensor may be left out, whatever its form says.
  void mark(int tensor);

  /// What holds where `e` is not left out, over its letters; null where nothing is known. Sound,
  /// not complete: it may hold where `e` is left out.
  ExprPtr takesPart(const ExprPtr &e) {
    budget_ = mostNodes;
    return partOf(e);
  }

private:
  static constexpr int mostNodes = 256; ///< that a condition is looked for in

  bool mayBe(const ExprPtr &e);
  void settle();
  ExprPtr partOf(const ExprPtr &e);
  ExprPtr isScore(const ExprPtr &e);
  ExprPtr definition(const ExprPtr &read) const;

  const Program &program_;
  std::vector<bool> tensors_;
  int budget_ = 0;
  /// Of expressions of the pass at hand. (The pointer keeps an address its own.)
  std::unordered_map<ExprPtr, bool> known_;
};

/// The number 0, written out.
bool isZeroLiteral(const ExprPtr &e);

} // namespace qkv

// Which reductions are running ones (R5): over all positions up to one that moves with a letter.
#pragma once

#include "compiler/equations/Expressions.h"

#include <optional>

namespace qkv::equations {

/// A reduction over `letter <= bound` (or `letter >= bound`), where what is reduced does not depend
/// on all that the bound depends on: it is computed in order of the letter.
struct Running {
  int letter;
  bool forward;       ///< letter <= bound; otherwise letter >= bound
  ExprPtr bound;      ///< an int, free of the reduction's letters
  ExprPtr body;       ///< what is reduced,
  ExprPtr rest;       ///< where this holds as well, or null
  std::set<int> rows; ///< letters that the bound alone depends on
};

/// Whether computing `e` (or null) may fail: an index that is checked (A1), a divisor that may be
/// 0.
bool mayFail(const ExprPtr &e);

/// The number of positions that letters are taken to have together, dynamic sizes being a quarter
/// of their maximum.
double nominalCount(const Program &program, const std::set<int> &letters);

/// What `e` is as a running reduction, if it is one that is worth it; of several bounds, the one
/// that leaves the fewest values. A bound that moves at both ends (a window) is none.
std::optional<Running> runningReduction(const Program &program, FreeLetters &free,
                                        const ExprPtr &e);

} // namespace qkv::equations

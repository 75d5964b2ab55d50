// What is known of an index where an equation is computed: inside its axis or not.
//
// Conditions inside of an equation do not count: both sides of an `if` are evaluated, so what
// is inside only under a condition must be kept inside by force.
#pragma once

#include "dsl/proof/Proof.h"

#include <map>

namespace qkv::equations {

/// The positions on one axis at which a piece is computed: those of its letter without those
/// at either end that have an equation of their own (P3).
struct PieceRange {
  Size base;               ///< the first
  Size extent;             ///< how many
  std::vector<Size> holes; ///< positions between that have their own equation
};

class Bounds {
public:
  explicit Bounds(const Program &program) : program_(program), prover_(program) {}

  /// On an axis where the piece has a letter.
  PieceRange range(int tensor, int piece, int axis);
  /// What is known of the piece's letters beside 0 <= letter < extent.
  const std::vector<Facts> &facts(int tensor, int piece);

  /// What a condition says where it holds.
  Facts assume(const ExprPtr &condition) { return prover_.facts(condition, true); }

  /// Whether -before <= index < extent + after follows.
  bool inside(const ExprPtr &index, const Axis &axis, const std::vector<Facts> &facts);
  /// Whether a divisor is never 0 (nor -1: the least int has no negative).
  bool positive(const ExprPtr &divisor, const std::vector<Facts> &facts);
  /// Whether a size is at least `least`, whatever the dynamic sizes.
  bool atLeast(const Size &size, int64_t least);

private:
  const Program &program_;
  Prover prover_;
  std::map<std::pair<int, int>, std::vector<Facts>> facts_;
};

} // namespace qkv::equations

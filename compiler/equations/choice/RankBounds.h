// Conditions that say of a rank that it is below a number (S3), through names (A5).
#pragma once

#include "compiler/equations/Expressions.h"

#include <optional>
#include <set>

namespace qkv::equations {

/// A condition `rank[e](..) < most` on a letter.
struct RankBound {
  int letter = -1;
  int64_t most = 0;
  ExprPtr rank;       ///< the letter is its position
  bool first = false; ///< it holds for the first `most`, not for one of them alone
};

class RankBounds {
public:
  explicit RankBounds(const Program &program) : program_(program) {}

  /// Tensors whose definitions are not looked through: those of recurrences.
  void keepFrom(std::set<int> tensors) { opaque_ = std::move(tensors); }
  /// What a condition, or its negation, says.
  std::optional<RankBound> of(const ExprPtr &condition, bool truth = true, int depth = 0);

  /// The parts of a conjunction, those among them that have names.
  std::vector<ExprPtr> conjunctsOf(const ExprPtr &condition) const;

private:
  ExprPtr definition(const ExprPtr &read) const;
  std::optional<int64_t> known(const ExprPtr &e) const;

  const Program &program_;
  std::set<int> opaque_;
};

} // namespace qkv::equations

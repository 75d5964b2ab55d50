// Factors of a running sum's terms that fall from position to position.
//
// In: a factor with the letters of a row and of a key in it. Out: what a sum over the keys up to
// the row before is multiplied by when the row comes. Holds: the product of what is given for the
// rows behind a key, up to a row, is the factor of that key and that row. Nothing is given for the
// first row.
#pragma once

#include "compiler/equations/Expressions.h"

#include <optional>

namespace qkv::streams {

/// What a sum falls by from one row to the next.
struct Decay {
  ExprPtr step;       ///< the factor, an expression of the row
  ExprPtr logarithm;  ///< of the step, where the step is positive for certain; or null
  bool same = false;  ///< for every row
  bool early = false; ///< the factor is that of the row before: its own step is not in it
};

class Decays {
public:
  explicit Decays(const Program &program) : program_(program) {}

  /// Of g^(row - key), exp(c[row] - c[key]) and b^(c[row] - c[key]), also with signs turned, and of
  /// the row before (g^(row - 1 - key), exp(c[row-1] - c[key])); of prod[m](g[m] where key < m <=
  /// row). Nothing of any other.
  std::optional<Decay> of(const ExprPtr &factor, int row, int key);
  /// Of a step that is given itself.
  Decay ofStep(const ExprPtr &step, int row);

private:
  ExprPtr ofProduct(const ExprPtr &product, int row, int key);
  std::optional<Decay> ofPower(const ExprPtr &power, const ExprPtr &base, const ExprPtr &exponent,
                               int row, int key);
  ExprPtr logarithmOf(const ExprPtr &step, int depth);
  ExprPtr difference(const ExprPtr &e, int row) const;
  ExprPtr lastTerm(const Expr &read, int row) const;
  std::optional<Decay> ofDistance(const ExprPtr &base, const ExprPtr &exponent, int row, int key);
  bool same(const ExprPtr &ofRow, int row, const ExprPtr &ofKey, int key) const;

  const Program &program_;
  mutable equations::FreeLetters letters_;
};

} // namespace qkv::streams

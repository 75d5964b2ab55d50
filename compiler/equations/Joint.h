// A sum that is weighed by a softmax, brought to one key and to values that rows share.
#pragma once

#include "compiler/equations/Softmaxes.h"

namespace qkv::equations {

/// sum[letters](softmax * factors where guard)
struct WeighedBy {
  std::vector<int> letters;
  ExprPtr softmax;
  std::vector<ExprPtr> factors;
  ExprPtr guard;
  Span span;
};

/// The same over one key: letters j, b of a joint softmax are n // B and n % B of a single letter
/// n. Nothing where the sum is not over all letters of the softmax.
std::optional<WeighedBy> singleKey(Program &program, const WeighedBy &sum);

/// Whether a value would have to be made for each pair of row and key: it depends on
/// both, and reads no tensor that has both.
bool isOfPairs(const ExprPtr &value, int row, const std::vector<int> &keys);

/// Terms whose values are of pairs, distributed where a summand of the value is not:
/// w[i,j] * (v[j,e] + r[i-j,e]) is two terms. `letters`: of the sum.
std::vector<Term> apart(const Program &program, const std::vector<Term> &terms,
                        const std::vector<int> &letters);

} // namespace qkv::equations

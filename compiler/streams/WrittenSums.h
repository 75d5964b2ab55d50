// Running sums that an author writes out as recurrences of the first order.
//
//   s[-1,d,e] = 0
//   s[t,d,e] = a[t] * s[t-1,d,e] + k[t,d] * v[t,e];  sum[d](q[t,d] * s[t,d,e])
//
// In: a program, and the sums that read such recurrences. Out: what is what in them, as of
// sum[j](sum[d](q[t,d] * k[j,d]) * decay(t,j) * v[j,e] where j <= t).
#pragma once

#include "compiler/streams/PagedSums.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace qkv::streams {

class WrittenSums {
public:
  explicit WrittenSums(Program &program);

  /// What a sum in an equation of `tensor` is, over positions of the letter `row`; nothing where it
  /// is another sum, or where something else reads the recurrence, too.
  std::optional<RunningSum> of(const ExprPtr &sum, int tensor, int row);

private:
  /// s[t] = (fall) * s[t-1] + (taken)
  struct Recurrence {
    size_t axis = 0;          ///< it runs along
    std::vector<int> letters; ///< an axis each
    std::vector<ExprPtr> fall, taken;
    bool read = false; ///< by something that is no such sum
  };

  std::optional<Recurrence> recurrence(int tensor, std::set<int> &chain);
  bool divide(const ExprPtr &value, int tensor, Recurrence &out) const;
  /// The factor of a sum that reads a recurrence at a letter of its own; or null.
  ExprPtr readOf(const Expr &sum) const;

  Program &program_;
  std::map<int, Recurrence> found_;
  equations::FreeLetters letters_;
};

} // namespace qkv::streams

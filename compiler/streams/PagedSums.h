// Running sums by pages.
//
// In: a running sum taken apart. Out: the same as of real numbers, computed by pages of 64
// positions at multiples of 64: what the row makes of the matrix at its page's start, and a guarded
// sum over the keys of its page.
//
//   sum[j](sum[d](q[i,d] * k[j,d]) * decay(i,j) * v[j,e] where j <= i)
//
//   S[b,d,e] = decay over page b * S[b-1,d,e] + sum[u](k[64*b+u,d] * decay behind it * v[64*b+u,e])
//   (if i >= 64 then decay(i) * sum[d](q[i,d] * S[i//64-1,d,e]) else 0)
//     + sum[j](sum[d](q[i,d] * k[j,d]) * decay(i,j) * v[j,e] where j // 64 == i // 64 and j <= i)
//
// Holds: no decay is asked for the first position; products of decays are those over a page at
// most, so that they lose no digits and their quotients never exceed what lies between.
#pragma once

#include "compiler/streams/Decays.h"

#include <set>

namespace qkv::streams {

/// A running sum taken apart: sum[key, inner](rows * keys * decays where key <= row).
struct RunningSum {
  int tensor = -1; ///< that it stands in
  int row = -1, key = -1;
  std::vector<ExprPtr> rows, keys; ///< factors without the key's letter, and without the row's
  std::vector<Decay> decays;       ///< of factors that fall from row to row
  std::vector<int> inner;          ///< letters of the sum within, in both
  bool before = false;             ///< the row's own key takes no part
  Span span;
};

/// The sum by pages; null where its matrix is too small for that to pay, or where a decay is not
/// known to be positive. Adds the tensors that hold matrices to `states`.
ExprPtr byPages(Program &program, const RunningSum &sum, std::set<int> &states);

} // namespace qkv::streams

// Pieces that take a part of an axis (P5): y[2*n] beside y[2*n+1], z[E+h] beside z[e], o[(h,d)].
//
// In: untyped equations, and where on an axis each such piece stands. Out: the same values, and
// every piece stands on an axis as a whole or at one position. A piece becomes a tensor of its own
// over its letters, computed in a loop of its own; the tensor takes each element from the piece
// that it is in: `y[p] = if p % 2 == 0 then y.piece1[p // 2] else y.piece2[p // 2]`. In a
// recurrence, and where other pieces lie inside of one, the piece's value stands there itself, with
// its letters replaced.
#pragma once

#include "dsl/check/pieces/PieceSets.h"

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace qkv::sema {

/// A part of an axis, or all of it counted by several letters.
struct Stripe {
  size_t axis = 0;
  AxisSet set;
  std::vector<int> letters; ///< of the program, in row-major order
};
using Stripes = std::vector<Stripe>;

/// By tensor and number of its piece.
using PieceStripes = std::map<std::pair<int, size_t>, Stripes>;

void joinPieces(Program &program, const PieceStripes &stripes);

} // namespace qkv::sema

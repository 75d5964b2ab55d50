// A program made ready for the question which elements an equation needs (arrivals).
//
// In: a checked program with a stream. Out: the same equations, for looking at and not for
// computing, in which
//   - a sum or softmax has as its guard what its terms take part under (A6), also where the author
//     wrote it elsewhere: a weight that a guard makes 0, a score of -inf;
//   - what depends on T beside an access is a read too: of the mark of an axis where a reduction
//     goes over its positions, of the mark of T where T is a number, of a mark of its own where T
//     is compared.
// Every other read is one of the program's, or stands for one (`original`).
#pragma once

#include "dsl/Program.h"

#include <unordered_map>
#include <vector>

namespace qkv::streams {

struct Marked {
  Program program; ///< tensors and letters of the original by their numbers; marks stand behind

  struct Mark {
    enum Kind { Axis, Number, Comparison } kind;
    Size extent;        ///< Axis: of its letter; the index of the read is the position
    ExprPtr comparison; ///< Comparison
  };
  std::unordered_map<int, Mark> marks;                     ///< by tensor
  std::unordered_map<const Expr *, const Expr *> original; ///< of reads
};

/// Marks the tensors in `live`.
Marked mark(const Program &program, const std::vector<bool> &live);

} // namespace qkv::streams

// Which positions of an axis a stream of some length has, and when it has one.
//
// In: extents of axes that grow with the stream size T. Out: extents at another length of the
// stream; the arrival of a position, that is the least T for which the axis has it.
#pragma once

#include "dsl/Program.h"

#include <optional>
#include <set>

namespace qkv::streams {

/// Whether a size is made from the stream size.
bool growsWith(const Program &program, const Size &size);

/// A size where the stream is `length` long.
Size atLength(const Size &size, const Size &length, Program &program);

/// The least T for which an axis of this extent has `position`, as an int expression: for T it is
/// position + 1, for T // r it is r * (position + 1). Nothing for extents other than
/// T * k + b and (T * k + b) // r + c, with k >= 1 and r >= 1 numbers and b, c free of T.
std::optional<ExprPtr> arrivalOf(const Program &program, const Size &extent,
                                 const ExprPtr &position);

/// How many positions at most the axis gets while the stream gets `count` longer.
int64_t positionsIn(const Program &program, const Size &extent, int64_t count);

/// How many values letters have together at one position of the stream, at most.
double valuesOfPosition(const Program &program, const std::set<int> &letters);

/// How many positions the axis gets for each of the stream's, in the long run.
double positionsPerStep(const Program &program, const Size &extent);

} // namespace qkv::streams

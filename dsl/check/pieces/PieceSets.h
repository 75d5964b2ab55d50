// Which positions of one axis a piece takes, and how two of these sets lie to each other (P1, P5).
//
// In: sets given by sizes. Out: what is so whatever the sizes are; what cannot be told is "no".
#pragma once

#include "dsl/Program.h"

#include <cstdint>

namespace qkv::sema {

struct AxisSet {
  enum class Kind {
    All,   ///< every position of the axis
    At,    ///< the position `first`
    Stripe ///< first, first + step, ...: `count` positions, inside of the axis
  };
  Kind kind = Kind::All;
  Size first;
  int64_t step = 1;
  Size count;

  static AxisSet at(Size position) { return {Kind::At, std::move(position), 1, Size(1)}; }
  static AxisSet stripe(Size first, int64_t step, Size count) {
    return {Kind::Stripe, std::move(first), step, std::move(count)};
  }
  /// One behind its last position, where it has one (At, Stripe).
  Size end() const { return first + (count - Size(1)) * Size(step) + Size(1); }
  bool operator==(const AxisSet &o) const = default;
};

/// No position is in both.
bool apart(const Program &program, const AxisSet &a, const AxisSet &b);
/// Every position of `a` is one of `b`; both lie inside of the axis.
bool within(const Program &program, const AxisSet &a, const AxisSet &b);

} // namespace qkv::sema

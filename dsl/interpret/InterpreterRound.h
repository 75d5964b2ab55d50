// Rounding of the f32 interpreter: to nearest, up or down.
//
// In: numbers that are f32 values, held in doubles. Out: the f32 that the operation rounds to,
// in a double. The directions are made here and not by the processor's mode, so that no
// compiler can move or fold an operation across a change of the mode, and the functions of the
// mathematical library never run in a mode they were not made for.
//
// Why rounding a double result is right: 53 bits hold a product of two f32 exactly, and a
// quotient or root of f32 cannot come so near an f32 without being it. A sum may not fit; its
// error is computed (Knuth's two-sum). Functions are computed in double and then rounded.
#pragma once

#include "dsl/interpret/Interpreter.h"

#include <bit>
#include <cstdint>

namespace qkv::interpret {

class Rounding {
public:
  explicit Rounding(Precision precision) : precision_(precision) {}

  bool single() const { return precision_ != Precision::Double; }
  bool nearest() const { return precision_ == Precision::Single; }

  /// x as an f32, where x is the result of an operation.
  double narrow(double x) const {
    if (nearest())
      return static_cast<float>(x);
    return directed(x, 0);
  }
  /// a + b as an f32.
  double add(double a, double b) const {
    if (nearest())
      return static_cast<float>(a + b);
    double s = a + b, t = s - a;
    return directed(s, (a - (s - t)) + (b - t));
  }

private:
  // x + rest as an f32 in the direction; rest is smaller than half a unit of x's last place.
  // Without branches, which would be taken at random.
  double directed(double x, double rest) const {
    float f = static_cast<float>(x);
    bool up = precision_ == Precision::SingleUp;
    bool above = (f < x) | ((f == x) & (rest > 0)); // the exact value is above f
    bool below = (f > x) | ((f == x) & (rest < 0));
    // As ints in the order of the floats; -0 is just below +0. (A zero f that is not exact has
    // the sign of x, so that a step from it leaves both zeros.)
    auto flip = [](int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); };
    int32_t order = flip(std::bit_cast<int32_t>(f)) + (up ? above : -static_cast<int>(below));
    return std::bit_cast<float>(flip(order));
  }

  Precision precision_;
};

/// x as an f32, to nearest whatever the direction: constants and given values (T3).
inline double nearestSingle(double x) { return static_cast<float>(x); }

} // namespace qkv::interpret

// Rounding to 16 bits. Holds: what rounds twice is as what rounds once (an f32 has more than twice
// the digits of either kind).
#include "dsl/interpret/RoundHalf.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkv {

double roundedTo(Half half, double x) {
  if (half == Half::None || x == 0 || !std::isfinite(x))
    return x;
  // bfloat16 has 8 digits and the exponents of f32, float16 11 digits and exponents from -14 on.
  bool wide = half == Half::BFloat16;
  int digits = wide ? 8 : 11, least = wide ? -125 : -13;
  double greatest = wide ? std::ldexp(255.0, 120) : 65504;
  int exponent;
  std::frexp(x, &exponent);
  double unit = std::ldexp(1.0, std::max(exponent, least) - digits);
  double rounded = std::nearbyint(x / unit) * unit;
  return std::abs(rounded) > greatest
             ? std::copysign(std::numeric_limits<double>::infinity(), rounded)
             : rounded;
}

} // namespace qkv

// Numbers of 16 bits, as what a step keeps may be held.
#pragma once

#include "dsl/Program.h"

namespace qkv {

/// The nearest number that 16 bits of that kind hold, the even one of two; beyond the greatest
/// infinity. What is no number stays none.
double roundedTo(Half half, double x);

} // namespace qkv

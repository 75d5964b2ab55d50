// The exponential as fused attention needs it: of what is not above zero, as vectors.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

namespace qkv {

/// exp(x) in each lane of `x` <= 0, a vector of f32 (with one lane: the scalar): relative error
/// at most 2 ulp. Below -87.7 it is a denormal number, which counts as 0 in what follows
/// (DAZ, on the runtime's threads). `fma`: the processor has multiply-adds.
mlir::Value exponentialBelowZero(LaneBuilder &lanes, mlir::Location loc, mlir::Value x, bool fma);

} // namespace qkv

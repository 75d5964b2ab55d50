// The exponential as fused attention needs it: of what is not above zero, as vectors.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

namespace qkv {

/// exp(x) in each lane of `x` <= 0, a vector of f32 (with one lane: the scalar): relative error
/// at most 2 ulp. Below -87.3, where it would be a denormal number, it is 0 (denormals are flushed
/// on the runtime's threads); of NaN it is NaN. `fma`: the processor has multiply-adds.
mlir::Value exponentialBelowZero(LaneBuilder &lanes, mlir::Location loc, mlir::Value x, bool fma);

} // namespace qkv

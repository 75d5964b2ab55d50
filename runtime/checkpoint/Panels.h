// In: parameters as checkpoints have them, row-major f32. Out: parameters as compiled code reads
// them (qkv_held: panels, narrow elements), and back. Holds: what fills up a last panel is zero.
#pragma once

#include "runtime/Held.h"

namespace qkv::rt {

/// Writes row-major f32 as the parameter is held, rounding to nearest; in parallel.
void writeHeld(const qkv_param &param, const float *from, void *to);

/// The reverse.
void readHeld(const qkv_param &param, const void *from, float *to);

} // namespace qkv::rt

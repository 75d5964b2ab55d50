// In: parameters as checkpoints have them, row-major f32. Out: parameters as compiled code reads
// them (qkv_held: panels, narrow elements), and back. Holds: what fills up a last panel is zero.
#pragma once

#include "runtime/Held.h"

namespace qkv::rt {

/// Writes row-major f32 as the parameter is held, rounding to nearest; in parallel.
void writeHeld(const qkv_param &param, const float *from, void *to);

/// The same for rows [begin, end) of the first axis, which stand at `from`; `to` is where the whole
/// parameter is held. Rows in panels come by whole panels (but for the last).
void writeHeldRows(const qkv_param &param, const float *from, void *to, int64_t begin, int64_t end);

/// How many rows come together: those of a panel, where they are in panels.
int64_t rowsOfPanel(const qkv_param &param);

/// The reverse.
void readHeld(const qkv_param &param, const void *from, float *to);

} // namespace qkv::rt

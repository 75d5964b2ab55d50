// In: parameters as checkpoints have them, row-major f32. Out: parameters as compiled code reads
// them (qkv_param: panels, narrow elements), and back. Holds: what fills up a last panel is zero.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>

namespace qkv::rt {

/// Bytes of one element of a parameter as it is held.
size_t elementSize(const qkv_param &param);

/// Elements of a parameter as it is held, padding included; -1 if they leave 62 bits.
int64_t heldCount(const qkv_param &param);

/// Whether a parameter is held row-major as f32, as files have it.
bool heldPlain(const qkv_param &param);

/// Whether both are held alike, given equal shapes.
bool heldAlike(const qkv_param &a, const qkv_param &b);

/// Writes row-major f32 as the parameter is held, rounding to nearest; in parallel.
void writeHeld(const qkv_param &param, const float *from, void *to);

/// The reverse.
void readHeld(const qkv_param &param, const void *from, float *to);

} // namespace qkv::rt

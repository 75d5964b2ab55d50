// In: blocks of elements as quantised checkpoints store them. Out: f32. Holds: each element is the
// value that its description gives (GGUF's), rounded once.
#pragma once

#include "runtime/checkpoint/Element.h"

namespace qkv::rt {

/// Decodes whole blocks of a type from Q4_0 on. `source` may be unaligned.
void decodeBlocks(Dtype type, const void *source, int64_t blocks, float *target);

/// The value of an f16.
float fromHalf(uint16_t half);

} // namespace qkv::rt

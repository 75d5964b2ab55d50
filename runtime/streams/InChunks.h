// A function over a stream, some positions at a time. In: whole inputs. Out: whole results, the
// same bytes whatever the chunks: rows put together along their axis, the others as they are
// behind the last chunk.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <string>

namespace qkv::rt {

struct Call;

/// Why a model cannot be run some positions at a time; empty if it can.
std::string notInChunks(const qkv_model &model);

/// Runs `call`, whose sizes, shapes, inputs and room for results are ready. The model has the parts
/// that its results come from. False with *error set.
bool runInChunks(const qkv_model &model, const qkv_weights *weights, int64_t chunk,
                 const Call &call, qkv_error *error);

} // namespace qkv::rt

// A function over a stream, some positions at a time. In: whole inputs. Out: whole results, the
// same bytes whatever the chunks: rows put together along their axis, the others as they are
// behind the last chunk.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qkv::rt {

struct Call;

/// Why a model cannot be run some positions at a time; empty if it can.
std::string notInChunks(const qkv_model &model);

/// A run in chunks of one sequence.
struct InChunks {
  const Call *call; ///< its sizes, shapes, inputs and room for results are ready
  qkv_error *error;
  std::vector<int64_t> lengths; ///< of the chunks, again and again; each at least 1
  bool failed = false;          ///< with *error set
};

/// Runs sequences, each in its chunks; the next chunks of all are computed together as far as the
/// code can. The model has the parts that its results come from.
void runInChunks(const qkv_model &model, const qkv_weights *weights, std::vector<InChunks> &runs);

} // namespace qkv::rt

// What the functions of a built model's header have in common. In: a struct of eight-byte members
// that a caller filled. Out: sizes and pointers. Holds: nothing is read beyond the size that the
// caller gave it.
#pragma once

#include "runtime/qkv.h"
#include "runtime/tensors/Room.h"

#include <vector>

struct qkv_handle {
  const qkv_model *model;
  qkv_weights *weights;
};

struct qkv_session {
  const qkv_handle *handle;
  // What its sequences have together, and may have.
  mutable qkv::rt::Room room{};
  mutable std::atomic<int64_t> sequences = 0, mostSequences = 0; // most 0: no bound
};

namespace qkv::rt {

struct Arguments {
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
};

/// Where `begins`, a stream has no positions yet: its size does not count, and inputs may be null.
/// False with *error set.
bool readArguments(const qkv_model &model, const void *given, bool begins, Arguments &out,
                   qkv_error *error);

} // namespace qkv::rt

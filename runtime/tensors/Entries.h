// In: a model's table of entries. Out: one of them, what it takes and gives. Holds: what is known
// of an entry is read from its arguments, not from its kind.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace qkv::rt {

/// Null where the model has no such entry.
const qkv_entry *findEntry(const qkv_model &model, qkv_entry_kind kind);

/// The kind that computes for several sequences what `kind` computes for one. Nothing where there
/// is no such kind.
std::optional<qkv_entry_kind> severalOf(qkv_entry_kind kind);

/// An error that says what a model without such an entry is not. Always false.
bool failLacking(const qkv_model &model, qkv_entry_kind kind, qkv_error *error);

/// A result of an entry.
struct EntryResult {
  int32_t index;              ///< among the model's results
  std::vector<int64_t> shape; ///< for one sequence
};

/// What an entry gives, in its order. `shapes` has the whole shape of each of the model's results.
std::vector<EntryResult> entryResults(const qkv_entry &entry,
                                      const std::vector<std::vector<int64_t>> &shapes);

} // namespace qkv::rt

// In: sequences of one model. Out: their results, computed together where their sizes are equal and
// the code can do so. Holds: a sequence's results and its error are those that it has alone.
#pragma once

#include "runtime/qkv.h"

#include <vector>

namespace qkv::rt {

/// One sequence of a run of an entry for one: what qkv_run takes and gives.
struct Sequence {
  const int64_t *sizes;
  void *const *inputs;
  void *const *results;
  qkv_error *error;
  bool failed = false;
};

/// The sequences' numbers, grouped by equal sizes, in order of the first of each group. Where the
/// model has code for sequences of different sizes (QKV_MIXED), those it wants equal alone count.
std::vector<std::vector<size_t>> groupBySizes(const qkv_model &model,
                                              const std::vector<Sequence> &sequences);

/// Runs sequences whose sizes are equal, as far as groupBySizes wants them to be. `kind`: QKV_WHOLE
/// or QKV_LAST.
void runTogether(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
                 std::vector<Sequence> &sequences);

/// Runs sequences of any sizes, those together that can be, one group after the other.
void runInGroups(const qkv_model &model, const qkv_weights *weights,
                 std::vector<Sequence> &sequences);

/// Runs the whole model on sequences of any sizes, groups of equal ones at a time on the threads.
void runSequences(const qkv_model &model, const qkv_weights *weights,
                  std::vector<Sequence> &sequences);

} // namespace qkv::rt

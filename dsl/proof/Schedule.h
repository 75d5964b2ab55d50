// In which order the tensors of a program are computed (R1).
//
// Out: a sequence of nodes; each computes a tensor whole, or runs a loop over positions of
// one axis of each of its tensors (a recurrence). Used by the checker (where there is no
// order, the cycle is shown) and again after rewriting.
#pragma once

#include "dsl/Program.h"
#include "dsl/syntax/Diagnostics.h"

#include <optional>
#include <vector>

namespace qkv {

struct ScheduleNode {
  int tensor = -1; ///< compute this tensor: whole, or inside loops at their positions; -1: a loop
  /// A loop: for p = first, first+1, ... (or backward): the children in order, each tensor at
  /// position p of its axis, where it has that position (P4 positions included).
  bool forward = true;
  std::vector<std::pair<int, int>> axes; ///< (tensor, axis) for every tensor in it
  std::vector<ScheduleNode> children;
};

/// The order for the tensors that `roots` need (all results if empty). Nothing, with the
/// cycle as a diagnostic, where there is none.
std::optional<std::vector<ScheduleNode>> schedule(const Program &program, Diagnostics &diagnostics,
                                                  const std::vector<int> &roots = {});

} // namespace qkv

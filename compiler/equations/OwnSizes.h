// What of several sequences has sizes that are not the same for all of them.
//
// In: prepared equations of one sequence, the sizes that each sequence has by itself (how many
// positions a step finds). Out: which tensors have to do with such a size. What has not is the same
// code for the rows of all sequences; what has is computed for each by itself.
#pragma once

#include "compiler/equations/Rewrite.h"

#include <set>
#include <vector>

namespace qkv::equations {

struct OwnSizes {
  std::set<int> atoms;
  std::vector<bool> shaped; ///< by tensor: its extents have one
  std::vector<bool> used;   ///< by tensor: its extents, its equation or what it is summed over have
};

OwnSizes findOwnSizes(const Prepared &prepared, std::set<int> atoms);

} // namespace qkv::equations

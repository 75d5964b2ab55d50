// Which tensors are computed choice by choice (GroupRows.cpp).
#pragma once

#include "compiler/equations/Rewrite.h"

#include <map>
#include <set>

namespace qkv::equations {

/// A tensor that is computed choice by choice.
struct Member {
  int chosen = -1;
  std::vector<size_t> axes; ///< where it has the rows and the number of the choice
  int level = 0;            ///< how often others come between it and the first
};

/// Sums that read what depends on no input at the position that each row chose, and what is
/// computed of them element by element, by tensor. `nodes`: the order.
std::map<int, Member> groupMembers(const Prepared &prepared,
                                   const std::vector<ScheduleNode> &nodes);

/// All tensors of a node.
void tensorsOf(const ScheduleNode &node, std::vector<int> &out);
/// What a tensor's equations and checks read.
void needsOf(const Prepared &prepared, int tensor, std::set<int> &out);

} // namespace qkv::equations

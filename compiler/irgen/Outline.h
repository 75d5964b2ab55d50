// Which parts of a program's order are steps of repeats, to be functions of their own.
#pragma once

#include "compiler/irgen/Rewrite.h"

#include "dsl/Schedule.h"

namespace qkv::irgen {

/// A node of the order, or a step of a repeat with its own items.
struct Item {
  int node = -1;
  int region = -1;
  std::vector<Item> items;
};

/// Groups the nodes by the steps they belong to, keeping every read behind its computation. A
/// step that is entangled with what is outside stays apart as single nodes.
std::vector<Item> outline(const Prepared &prepared, const std::vector<ScheduleNode> &nodes);

/// What a step computes, as a text equal for steps that one function can compute.
struct StepText {
  std::string text;
  std::vector<int> outside; ///< tensors that it reads, in order of arguments
  std::vector<int> steps;   ///< regions whose numbers it uses, likewise
  std::vector<int> results; ///< tensors of it that are read elsewhere
};
StepText stepText(const Prepared &prepared, const std::vector<ScheduleNode> &nodes,
                  const Item &item);

} // namespace qkv::irgen

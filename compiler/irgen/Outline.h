// Which parts of a program's order are steps of repeats, to be functions of their own.
#pragma once

#include "compiler/equations/Rewrite.h"

#include "dsl/proof/Schedule.h"

namespace qkv::irgen {

using namespace equations;

/// A node of the order, or a step of a repeat with its own items.
struct Item {
  int node = -1;
  int region = -1;
  std::vector<Item> items;
};

/// Everything that is to be emitted for one entry, in order.
struct Plan {
  const Prepared &prepared;
  std::vector<ScheduleNode> nodes;
  std::vector<Item> items;
  std::vector<std::vector<int>> readers; ///< of each tensor: those live that read it
  std::vector<bool> isResult;            ///< by tensor
  std::vector<bool> ofInput;             ///< by tensor: whether it depends on an input
};

/// LoopsByRows.cpp. Puts loops over rows around recurrences of rows.
void loopByRows(const Program &program, std::vector<ScheduleNode> &nodes);

/// Groups the nodes by the steps they belong to, keeping every read behind its computation. A
/// step that is entangled with what is outside stays apart as single nodes.
Plan plan(const Prepared &prepared, std::vector<ScheduleNode> nodes);

/// What a step computes, as a text equal for steps that one function can compute.
struct StepText {
  std::string text;
  std::vector<int> outside; ///< tensors that it reads, in order of arguments
  std::vector<int> steps;   ///< regions whose numbers it uses, likewise
  std::vector<int> results; ///< tensors of it that are read elsewhere
};
StepText stepText(const Plan &plan, const Item &item);

} // namespace qkv::irgen

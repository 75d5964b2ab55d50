// Which parts of a program's order are steps of repeats, to be functions of their own.
#pragma once

#include "compiler/equations/Rewrite.h"

#include "compiler/equations/OwnSizes.h"
#include "dsl/proof/Schedule.h"

#include <functional>

namespace qkv::irgen {

using namespace equations;

/// A node of the order, a step of a repeat with its own items, or nodes that are computed for each
/// of several sequences by itself.
struct Item {
  int node = -1;
  int region = -1;
  std::vector<Item> items;
  bool eachSequence = false;
};

/// How many of its latest positions a tensor of a loop has in memory along the loop's axis, by
/// (tensor, axis): position p stands at p modulo that number.
using Kept = std::map<std::pair<int, int>, int64_t>;

/// A tensor that is others put together along an axis (EmitJoined.cpp).
struct Joined {
  struct Part {
    int tensor;
    Size from, count; ///< which of its positions
    Size to;          ///< where the first one goes
    int64_t step;     ///< and how far from each other they stand there
  };
  int axis = 0;
  bool merges = false; ///< it is one tensor with axes merged into that one
  std::vector<Part> parts = {};
};

/// Everything that is to be emitted for one entry, in order.
struct Plan {
  const Prepared &prepared;
  std::vector<ScheduleNode> nodes;
  std::vector<Item> items;
  std::vector<std::vector<int>> readers; ///< of each tensor: those live that read it
  std::vector<bool> isResult;            ///< by tensor
  std::vector<bool> ofInput;             ///< by tensor: whether it depends on an input
  Kept kept;
  std::map<int, Joined> joined;  ///< by tensor
  std::map<int, int> joinedInto; ///< a part that nobody else reads -> what it is computed into
};

/// LoopsByRows.cpp. Puts loops over rows around recurrences of rows.
void loopByRows(const Program &program, std::vector<ScheduleNode> &nodes);

/// KeepLatest.cpp. What loops keep of their tensors; what they read or what reads them enters them,
/// where that keeps less; their nodes stay, empty. `own`: sizes that sequences do not share.
Kept keepLatest(const Prepared &prepared, std::vector<ScheduleNode> &nodes, const OwnSizes *own);

/// EmitJoined.cpp. Finds the tensors of an order that are others put together. `late`: their parts
/// may be computed where those are.
void findJoined(Plan &plan, bool late);

/// Groups the nodes by the steps they belong to, keeping every read behind its computation. A
/// step that is entangled with what is outside stays apart as single nodes.
Plan plan(const Prepared &prepared, std::vector<ScheduleNode> nodes, const OwnSizes *own = nullptr);

/// GroupSequences.cpp. Whether what has to do with sizes of a sequence's own can be grouped so that
/// a tensor which has such an extent is read in its group alone; then it is.
bool groupSequences(Plan &plan, const OwnSizes &own);

/// The tensors that a node computes.
std::vector<int> tensorsOf(const ScheduleNode &node);
/// All nodes of an item.
void nodesOf(const Item &item, std::vector<int> &out);
/// Everything that a tensor's pieces and checks read or ask the step number of.
void forEachUse(const Prepared &prepared, int tensor,
                const std::function<void(const Expr &)> &visit);

/// What a step computes, as a text equal for steps that one function can compute.
struct StepText {
  std::string text;
  std::vector<int> outside; ///< tensors that it reads, in order of arguments
  std::vector<int> steps;   ///< regions whose numbers it uses, likewise
  std::vector<int> results; ///< tensors of it that are read elsewhere
};
StepText stepText(const Plan &plan, const Item &item);

} // namespace qkv::irgen

// Sequences stacked to one run, and taken apart again.
//
// Holds: where a run of several meets a failing check, each runs again by itself: its error says
// what it says alone, and the others have their results.
#include "runtime/tensors/Batch.h"
#include "runtime/Error.h"
#include "runtime/Threads.h"
#include "runtime/tensors/Entries.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace qkv::rt {
namespace {

void runAlone(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
              Sequence &sequence) {
  sequence.failed = qkv_run(&model, kind, weights, sequence.sizes, sequence.inputs,
                            sequence.results, sequence.error) != 0;
}

/// Memory for a value of all sequences, one behind the other; null where no sequence wants it.
class Stacked {
public:
  Stacked(const std::vector<int64_t> &shape, int type, size_t sequences)
      : bytes(tensorBytes(type, shape)), memory(static_cast<char *>(qkv_alloc(bytes * sequences))) {
  }
  Stacked(const Stacked &) = delete;
  ~Stacked() { qkv_free(memory); }
  char *at(size_t sequence) const { return memory + sequence * bytes; }

  const size_t bytes; ///< of one sequence
  char *const memory;
};

/// What several sequences are given together, and take apart again.
class Stack {
public:
  Stack(const std::vector<Sequence> &sequences) : sequences(sequences) { memory.reserve(8); }

  /// The `input`-th of each, behind one another.
  void *input(int32_t input, const std::vector<int64_t> &shape, int type) {
    Stacked &stacked = make(shape, type);
    for (size_t at = 0; at < sequences.size(); ++at)
      memcpy(stacked.at(at), sequences[at].inputs[input], stacked.bytes);
    return stacked.memory;
  }
  /// Memory for the `result`-th of each; null where no sequence wants it.
  void *result(size_t result, const std::vector<int64_t> &shape, int type) {
    if (std::none_of(sequences.begin(), sequences.end(),
                     [&](const Sequence &s) { return s.results[result] != nullptr; }))
      return nullptr;
    Stacked &stacked = make(shape, type);
    wanted.push_back({result, &stacked});
    return stacked.memory;
  }
  /// Memory of one sequence's result that it does not want.
  void *unwanted(const std::vector<int64_t> &shape, int type) {
    memory.push_back(std::make_unique<Stacked>(shape, type, 1));
    return memory.back()->memory;
  }
  /// Gives each sequence its results.
  void takeApart() {
    for (auto &[result, stacked] : wanted)
      for (size_t at = 0; at < sequences.size(); ++at)
        if (void *to = sequences[at].results[result])
          memcpy(to, stacked->at(at), stacked->bytes);
  }

private:
  Stacked &make(const std::vector<int64_t> &shape, int type) {
    memory.push_back(std::make_unique<Stacked>(shape, type, sequences.size()));
    return *memory.back();
  }

  const std::vector<Sequence> &sequences;
  std::vector<std::unique_ptr<Stacked>> memory;
  std::vector<std::pair<size_t, const Stacked *>> wanted;
};

/// False where the run failed, whosever fault it is, or the code does one sequence at a time.
bool runStacked(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
                std::vector<Sequence> &sequences) {
  std::optional<qkv_entry_kind> several = severalOf(kind);
  const qkv_entry *entry = several ? findEntry(model, *several) : nullptr;
  if (!entry)
    return false;
  std::vector<int64_t> sizes(sequences[0].sizes, sequences[0].sizes + model.size_count);
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  if (!shapesOf(model, sizes, inputShapes, resultShapes, nullptr))
    return false;
  Stack stack(sequences);
  std::vector<void *> inputs, results;
  for (int32_t i = 0; i < model.input_count; ++i)
    inputs.push_back(stack.input(i, inputShapes[i], model.inputs[i].type));
  for (const EntryResult &result : entryResults(*entry, resultShapes))
    results.push_back(stack.result(results.size(), result.shape, model.results[result.index].type));
  sizes.insert(sizes.begin(), static_cast<int64_t>(sequences.size()));
  if (qkv_run(&model, *several, weights, sizes.data(), inputs.data(), results.data(), nullptr) != 0)
    return false;
  stack.takeApart();
  return true;
}

/// The rows of an entry's table (QKV_TABLE). False where a shape is too large.
bool fillTable(const qkv_model &model, const qkv_entry &entry,
               const std::vector<Sequence> &sequences, Stack &stack, std::vector<int64_t> &table) {
  auto address = [](const void *memory) {
    return static_cast<int64_t>(reinterpret_cast<intptr_t>(memory));
  };
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  table.reserve(sequences.size() * static_cast<size_t>(entry.argument_count));
  for (const Sequence &one : sequences) {
    sizes.assign(one.sizes, one.sizes + model.size_count);
    if (!shapesOf(model, sizes, inputShapes, resultShapes, nullptr))
      return false;
    for (int32_t i = 0; i < entry.argument_count; ++i) {
      int32_t index = entry.arguments[i].index;
      if (entry.arguments[i].kind == QKV_OWN_SIZE)
        table.push_back(sizes[index]);
      else if (entry.arguments[i].kind == QKV_OWN_INPUT)
        table.push_back(address(one.inputs[index]));
      else if (entry.arguments[i].kind == QKV_OWN_RESULT)
        table.push_back(address(
            one.results[index] ? one.results[index]
                               : stack.unwanted(resultShapes[index], model.results[index].type)));
    }
  }
  return true;
}

/// The same for sequences that share the sizes which the entry takes.
bool runMixed(const qkv_model &model, const qkv_entry &entry, const qkv_weights *weights,
              std::vector<Sequence> &sequences) {
  std::vector<int64_t> sizes(sequences[0].sizes, sequences[0].sizes + model.size_count);
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  if (!shapesOf(model, sizes, inputShapes, resultShapes, nullptr))
    return false;
  Stack stack(sequences);
  std::vector<int64_t> table, given;
  if (!fillTable(model, entry, sequences, stack, table))
    return false;
  std::vector<void *> inputs, results;
  for (int32_t i = 0; i < entry.argument_count; ++i) {
    int32_t index = entry.arguments[i].index;
    switch (static_cast<qkv_argument_kind>(entry.arguments[i].kind)) {
    case QKV_SEQUENCES:
      given.push_back(static_cast<int64_t>(sequences.size()));
      break;
    case QKV_SIZE:
      given.push_back(sizes[index]);
      break;
    case QKV_TABLE:
      inputs.push_back(table.data());
      break;
    case QKV_INPUT:
      inputs.push_back(stack.input(index, inputShapes[index], model.inputs[index].type));
      break;
    case QKV_RESULT:
      results.push_back(
          stack.result(static_cast<size_t>(index), resultShapes[index], model.results[index].type));
      break;
    case QKV_PARAMS:
    case QKV_LAST_POSITION:
    case QKV_OWN_SIZE:
    case QKV_OWN_INPUT:
    case QKV_OWN_RESULT:
      break;
    }
  }
  if (qkv_run(&model, QKV_MIXED, weights, given.data(), inputs.data(), results.data(), nullptr) !=
      0)
    return false;
  stack.takeApart();
  return true;
}

} // namespace

/// Which sizes sequences of one run share, among the model's.
static std::vector<int32_t> sharedSizes(const qkv_model &model) {
  std::vector<int32_t> out;
  const qkv_entry *mixed = findEntry(model, QKV_MIXED);
  for (int32_t i = 0; i < (mixed ? mixed->argument_count : model.size_count); ++i)
    if (!mixed || mixed->arguments[i].kind == QKV_SIZE)
      out.push_back(mixed ? mixed->arguments[i].index : i);
  return out;
}

std::vector<std::vector<size_t>> groupBySizes(const qkv_model &model,
                                              const std::vector<Sequence> &sequences) {
  std::vector<int32_t> shared = sharedSizes(model);
  auto less = [&](size_t a, size_t b) {
    for (int32_t size : shared)
      if (sequences[a].sizes[size] != sequences[b].sizes[size])
        return sequences[a].sizes[size] < sequences[b].sizes[size];
    return false;
  };
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return less(a, b) || (!less(b, a) && a < b); });
  std::vector<std::vector<size_t>> groups;
  for (size_t i = 0; i < order.size(); ++i)
    if (i == 0 || less(order[i - 1], order[i]))
      groups.push_back({order[i]});
    else
      groups.back().push_back(order[i]);
  std::sort(groups.begin(), groups.end());
  return groups;
}

void runTogether(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
                 std::vector<Sequence> &sequences) {
  const qkv_entry *mixed = kind == QKV_WHOLE ? findEntry(model, QKV_MIXED) : nullptr;
  if (sequences.size() > 1 && (mixed ? runMixed(model, *mixed, weights, sequences)
                                     : runStacked(model, kind, weights, sequences)))
    return;
  for (Sequence &sequence : sequences)
    runAlone(model, kind, weights, sequence);
}

/// Runs those of `sequences` that have these numbers.
static void runGroup(const qkv_model &model, const qkv_weights *weights,
                     const std::vector<size_t> &group, std::vector<Sequence> &sequences) {
  std::vector<Sequence> mates;
  mates.reserve(group.size());
  for (size_t at : group)
    mates.push_back(sequences[at]);
  runTogether(model, QKV_WHOLE, weights, mates);
  for (size_t at = 0; at < mates.size(); ++at)
    sequences[group[at]].failed = mates[at].failed;
}

void runInGroups(const qkv_model &model, const qkv_weights *weights,
                 std::vector<Sequence> &sequences) {
  for (const std::vector<size_t> &group : groupBySizes(model, sequences))
    runGroup(model, weights, group, sequences);
}

void runSequences(const qkv_model &model, const qkv_weights *weights,
                  std::vector<Sequence> &sequences) {
  std::vector<std::vector<size_t>> groups;
  if (findEntry(model, QKV_BATCH))
    groups = groupBySizes(model, sequences);
  else
    for (size_t at = 0; at < sequences.size(); ++at)
      groups.push_back({at});
  auto run = [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group)
      runGroup(model, weights, groups[group], sequences);
  };
  // A single group has the pool to itself.
  if (groups.size() == 1)
    run(0, 1);
  else
    parallelFor(static_cast<int64_t>(groups.size()), 1, run);
}

} // namespace qkv::rt

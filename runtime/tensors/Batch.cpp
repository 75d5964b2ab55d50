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

/// False where the run failed, whosever fault it is, or the code does one sequence at a time.
bool runStacked(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
                std::vector<Sequence> &sequences) {
  std::optional<qkv_entry_kind> several = severalOf(kind);
  const qkv_entry *entry = several ? findEntry(model, *several) : nullptr;
  if (!entry)
    return false;
  size_t count = sequences.size();
  std::vector<int64_t> sizes(sequences[0].sizes, sequences[0].sizes + model.size_count);
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  if (!shapesOf(model, sizes, inputShapes, resultShapes, nullptr))
    return false;
  std::vector<std::unique_ptr<Stacked>> memory;
  std::vector<EntryResult> given = entryResults(*entry, resultShapes);
  std::vector<void *> inputs, results(given.size());
  for (int32_t i = 0; i < model.input_count; ++i) {
    auto stacked = std::make_unique<Stacked>(inputShapes[i], model.inputs[i].type, count);
    for (size_t at = 0; at < count; ++at)
      memcpy(stacked->at(at), sequences[at].inputs[i], stacked->bytes);
    inputs.push_back(stacked->memory);
    memory.push_back(std::move(stacked));
  }
  std::vector<std::pair<size_t, const Stacked *>> wanted;
  for (size_t i = 0; i < given.size(); ++i) {
    if (std::none_of(sequences.begin(), sequences.end(),
                     [&](const Sequence &s) { return s.results[i] != nullptr; }))
      continue;
    auto stacked =
        std::make_unique<Stacked>(given[i].shape, model.results[given[i].index].type, count);
    results[i] = stacked->memory;
    wanted.push_back({i, stacked.get()});
    memory.push_back(std::move(stacked));
  }
  sizes.insert(sizes.begin(), static_cast<int64_t>(count));
  if (qkv_run(&model, *several, weights, sizes.data(), inputs.data(), results.data(), nullptr) != 0)
    return false;
  for (auto &[result, stacked] : wanted)
    for (size_t at = 0; at < count; ++at)
      if (void *to = sequences[at].results[result])
        memcpy(to, stacked->at(at), stacked->bytes);
  return true;
}

} // namespace

std::vector<std::vector<size_t>> groupBySizes(const qkv_model &model,
                                              const std::vector<Sequence> &sequences) {
  auto sizesOf = [&](size_t at) {
    return std::vector<int64_t>(sequences[at].sizes, sequences[at].sizes + model.size_count);
  };
  std::vector<std::pair<std::vector<int64_t>, size_t>> order;
  for (size_t at = 0; at < sequences.size(); ++at)
    order.push_back({sizesOf(at), at});
  std::sort(order.begin(), order.end());
  std::vector<std::vector<size_t>> groups;
  for (size_t i = 0; i < order.size(); ++i)
    if (i == 0 || order[i].first != order[i - 1].first)
      groups.push_back({order[i].second});
    else
      groups.back().push_back(order[i].second);
  std::sort(groups.begin(), groups.end());
  return groups;
}

void runTogether(const qkv_model &model, qkv_entry_kind kind, const qkv_weights *weights,
                 std::vector<Sequence> &sequences) {
  if (sequences.size() > 1 && runStacked(model, kind, weights, sequences))
    return;
  for (Sequence &sequence : sequences)
    runAlone(model, kind, weights, sequence);
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
    for (int64_t group = begin; group < end; ++group) {
      std::vector<Sequence> mates;
      for (size_t at : groups[group])
        mates.push_back(sequences[at]);
      runTogether(model, QKV_WHOLE, weights, mates);
      for (size_t at = 0; at < mates.size(); ++at)
        sequences[groups[group][at]].failed = mates[at].failed;
    }
  };
  // A single group has the pool to itself.
  if (groups.size() == 1)
    run(0, 1);
  else
    parallelFor(static_cast<int64_t>(groups.size()), 1, run);
}

} // namespace qkv::rt

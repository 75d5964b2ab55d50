// The table of entries of a model (Entries.h).
#include "runtime/tensors/Entries.h"

#include "runtime/Error.h"

namespace qkv::rt {

const qkv_entry *findEntry(const qkv_model &model, qkv_entry_kind kind) {
  for (int32_t i = 0; i < model.entry_count; ++i)
    if (model.entries[i].kind == kind)
      return &model.entries[i];
  return nullptr;
}

std::optional<qkv_entry_kind> severalOf(qkv_entry_kind kind) {
  switch (kind) {
  case QKV_WHOLE:
    return QKV_BATCH;
  case QKV_LAST:
    return QKV_LAST_BATCH;
  case QKV_BATCH:
  case QKV_LAST_BATCH:
  case QKV_MIXED:
    break;
  }
  return std::nullopt;
}

bool failLacking(const qkv_model &model, qkv_entry_kind kind, qkv_error *error) {
  const char *lacks = "has no such entry";
  switch (kind) {
  case QKV_WHOLE:
    lacks = "was compiled for the last position alone";
    break;
  case QKV_LAST:
    lacks = "is not a generator";
    break;
  case QKV_BATCH:
    lacks = "was compiled for one sequence at a time";
    break;
  case QKV_LAST_BATCH:
    lacks = findEntry(model, QKV_LAST) ? "was compiled for one sequence at a time"
                                       : "is not a generator";
    break;
  case QKV_MIXED:
    lacks = "was compiled for sequences of equal sizes";
    break;
  }
  return fail(error, format("model %s %s", model.name, lacks));
}

std::vector<EntryResult> entryResults(const qkv_entry &entry,
                                      const std::vector<std::vector<int64_t>> &shapes) {
  std::vector<EntryResult> results;
  for (int32_t i = 0; i < entry.argument_count; ++i) {
    const qkv_argument &argument = entry.arguments[i];
    if (argument.kind != QKV_RESULT && argument.kind != QKV_LAST_POSITION)
      continue;
    std::vector<int64_t> shape = shapes[argument.index];
    if (argument.kind == QKV_LAST_POSITION)
      shape.erase(shape.begin());
    results.push_back({argument.index, std::move(shape)});
  }
  return results;
}

} // namespace qkv::rt

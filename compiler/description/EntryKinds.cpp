// The table of kinds of entries (EntryKinds.h).
#include "compiler/description/EntryKinds.h"

namespace qkv {

const std::vector<EntryKind> &entryKinds() {
  static const std::vector<EntryKind> kinds{
      {QKV_WHOLE, "whole", "", "_run", false, Positions::All},
      {QKV_LAST, "last", ".last", "_run_last", false, Positions::Last},
      {QKV_BATCH, "batch", ".batch", "_run_batch", true, Positions::All},
      {QKV_LAST_BATCH, "last-batch", ".last.batch", "_run_last_batch", true, Positions::Last},
      {QKV_MIXED, "mixed", ".mixed", "_run_mixed", true, Positions::All}};
  return kinds;
}

const EntryKind &entryKind(qkv_entry_kind kind) { return entryKinds()[kind]; }

const EntryKind *entryKindNamed(const std::string &name) {
  for (const EntryKind &kind : entryKinds())
    if (name == kind.name)
      return &kind;
  return nullptr;
}

// By qkv_argument_kind.
static const char *const argumentNames[] = {"sequences", "size",          "input", "params",
                                            "result",    "last-position", "table", "own-size",
                                            "own-input", "own-result"};

const char *argumentName(int32_t kind) { return argumentNames[kind]; }

int32_t argumentKindNamed(const std::string &name) {
  for (int32_t kind = QKV_SEQUENCES; kind <= QKV_OWN_RESULT; ++kind)
    if (name == argumentNames[kind])
      return kind;
  return -1;
}

} // namespace qkv

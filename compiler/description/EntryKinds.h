// The table of kinds of entries: what each is called, on every stage and in C, and what it takes.
//
// In: a kind, or its name. Out: its row. Holds: a kind that is not here does not exist; whoever
// makes or calls an entry asks its arguments, not its kind, what it is given.
#pragma once

#include "runtime/qkv.h"

#include <string>
#include <vector>

namespace qkv {

/// How results are given: as the model declares them, or their last position alone.
enum class Positions { All, Last };

struct EntryKind {
  qkv_entry_kind kind;
  const char *name;      ///< in descriptions and messages
  const char *symbol;    ///< of its function, behind the model's name
  const char *cFunction; ///< in the C interface, behind the model's prefix
  bool sequences;        ///< takes their number
  Positions positions;
};

/// All kinds, in the order in which descriptions list entries.
const std::vector<EntryKind> &entryKinds();

const EntryKind &entryKind(qkv_entry_kind kind);

/// The attribute of an entry's function that says from which of its results on all may be null:
/// then what is for those alone is not computed.
constexpr const char *unwantedAttribute = "qkv.unwanted";

/// The row of that name; null where there is none.
const EntryKind *entryKindNamed(const std::string &name);

/// The name of a kind of argument, in descriptions and messages, and back; -1 for any other name.
const char *argumentName(int32_t kind);
int32_t argumentKindNamed(const std::string &name);

} // namespace qkv

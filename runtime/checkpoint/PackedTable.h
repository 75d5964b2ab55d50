// In: the parameters of a packed file; the bytes of its table (Packed.cpp says what they are). Out:
// rows. Holds: whatever bytes a table has, what a row says fits into them.
#pragma once

#include "runtime/Held.h"
#include "runtime/checkpoint/Weights.h"

#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

constexpr char packedMagic[] = "QKVPACK4";
constexpr size_t packedHeaderBytes = 128;
constexpr size_t packedFormat = 56, packedFormatBytes = 12; ///< where the format's name stands

/// A number of `bytes` bytes behind `text`.
void append(std::string &text, uint64_t value, size_t bytes = 8);
uint64_t loadNumber(const char *from);

/// What was packed for one parameter.
struct PackedRow {
  std::string_view name;               ///< in the page, for messages
  std::vector<std::string_view> names; ///< in the checkpoint
  std::vector<int64_t> shape;
  std::vector<int32_t> stacked;
  std::string_view place, value; ///< as in qkv_stored
  Origin origin;
  int32_t fallback = 0; ///< as in qkv_param
  double fallbackNumber = 0;
  uint64_t offset = 0;
  qkv_held held = heldAs(QKV_F32);

  /// Made of the same tensors of the checkpoint, stacked along the same axes, in the same way.
  bool isOf(const qkv_stored &stored) const;
};

void appendRow(std::string &text, const qkv_param &param, const qkv_stored &stored,
               const Origin &origin, uint64_t offset);

/// Reads one row; `at` moves behind it. False: the bytes are no row.
bool readRow(const char *&at, const char *end, PackedRow &row);

} // namespace qkv::rt

// In: parameters; bytes of a table, which may be anything. Out: bytes; rows that hold together.
#include "runtime/checkpoint/PackedTable.h"

#include <algorithm>
#include <cstring>

namespace qkv::rt {

void append(std::string &text, uint64_t value, size_t bytes) {
  text.append(reinterpret_cast<const char *>(&value), bytes);
}

uint64_t loadNumber(const char *from) {
  uint64_t value;
  memcpy(&value, from, 8);
  return value;
}

namespace {

constexpr uint64_t mostAxes = 64;

void appendText(std::string &text, std::string_view letters) {
  append(text, letters.size(), 4);
  text += letters;
}

/// Takes fields one after the other; after the first that is not there all are zero.
class Fields {
public:
  Fields(const char *begin, const char *end) : at(begin), end(end) {}
  bool good = true;
  const char *at;

  template <typename T> T take() {
    T value = {};
    if (const char *from = bytes(sizeof value))
      memcpy(&value, from, sizeof value);
    return value;
  }
  template <typename T> std::vector<T> list(uint64_t count) {
    std::vector<T> values;
    const char *from = count <= size_t(end - at) / sizeof(T) ? bytes(count * sizeof(T)) : fails();
    if (from && count) {
      values.resize(count);
      memcpy(values.data(), from, count * sizeof(T));
    }
    return values;
  }
  std::string_view text() {
    uint32_t length = take<uint32_t>();
    const char *from = bytes(length);
    return from ? std::string_view(from, length) : std::string_view();
  }

private:
  const char *fails() {
    good = false;
    return nullptr;
  }
  const char *bytes(uint64_t count) {
    if (!good || count > static_cast<uint64_t>(end - at))
      return fails();
    at += count;
    return at - count;
  }
  const char *end;
};

} // namespace

bool PackedRow::isOf(const qkv_stored &stored) const {
  return std::equal(names.begin(), names.end(), stored.names, stored.names + stored.name_count) &&
         std::equal(stacked.begin(), stacked.end(), stored.stacked,
                    stored.stacked + stored.stacked_count) &&
         place == stored.place && value == stored.value;
}

void appendRow(std::string &text, const qkv_param &param, const qkv_stored &stored,
               const Origin &origin, uint64_t offset) {
  size_t start = text.size();
  append(text, offset);
  const qkv_held &held = param.held;
  for (int32_t field : {held.element, held.panel_axis, held.panel_order, held.panel_width,
                        int32_t(origin.absent), param.fallback})
    append(text, static_cast<uint32_t>(field), 4);
  uint64_t number;
  memcpy(&number, &param.fallback_number, 8);
  append(text, number);
  for (size_t count : {size_t(param.rank), origin.shape.size(), size_t(stored.stacked_count),
                       size_t(stored.name_count)})
    append(text, count, 4);
  for (int32_t axis = 0; axis < param.rank; ++axis)
    append(text, param.shape[axis]);
  for (int64_t extent : origin.shape)
    append(text, extent);
  for (int32_t k = 0; k < stored.stacked_count; ++k)
    append(text, stored.stacked[k], 4);
  appendText(text, param.name);
  appendText(text, stored.place);
  appendText(text, stored.value);
  for (int32_t k = 0; k < stored.name_count; ++k)
    appendText(text, stored.names[k]);
  text.resize(start + (text.size() - start + 7) / 8 * 8);
}

bool readRow(const char *&at, const char *end, PackedRow &row) {
  Fields fields(at, end);
  row.offset = fields.take<uint64_t>();
  int32_t element = fields.take<int32_t>();
  if (!elementType(element))
    return false;
  row.held = heldAs(element);
  row.held.panel_axis = fields.take<int32_t>();
  row.held.panel_order = fields.take<int32_t>();
  row.held.panel_width = fields.take<int32_t>();
  row.origin.absent = fields.take<int32_t>() != 0;
  row.fallback = fields.take<int32_t>();
  row.fallbackNumber = fields.take<double>();
  uint64_t rank = fields.take<uint32_t>(), fileRank = fields.take<uint32_t>(),
           stackedCount = fields.take<uint32_t>(), nameCount = fields.take<uint32_t>();
  if (!fields.good || rank > mostAxes || stackedCount > rank)
    return false;
  row.shape = fields.list<int64_t>(rank);
  row.origin.shape = fields.list<int64_t>(fileRank);
  row.stacked = fields.list<int32_t>(stackedCount);
  row.name = fields.text();
  row.place = fields.text();
  row.value = fields.text();
  for (uint64_t k = 0; k < nameCount && fields.good; ++k)
    row.names.push_back(fields.text());
  ptrdiff_t bytes = (fields.at - at + 7) / 8 * 8;
  if (!fields.good || bytes > end - at)
    return false;
  if (!heldSound(row.held, static_cast<int64_t>(rank)))
    return false;
  at += bytes;
  return true;
}

} // namespace qkv::rt

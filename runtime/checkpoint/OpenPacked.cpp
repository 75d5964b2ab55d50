// In: a packed file (Packed.cpp) and a model. Out: pointers into its mapping. Holds: opening reads
// the table alone; the table is checked against the file and the model, whatever bytes it has. A
// packed file is a checkpoint in another form: a parameter gets what was packed of its own tensors
// of the checkpoint, wherever they stand in the file and whatever the page called them, or nothing.
#include "runtime/Error.h"
#include "runtime/checkpoint/PackedTable.h"
#include "runtime/checkpoint/Panels.h"
#include "runtime/checkpoint/ReadStored.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace qkv::rt {
namespace {

/// The parts of a packed file. False: it is cut, or no whole one.
struct Parts {
  const char *start = nullptr;
  uint64_t total = 0, tableBytes = 0, count = 0, configurationBytes = 0, textBytes = 0;

  const char *table() const { return start + packedHeaderBytes; }
  const char *configuration() const { return table() + tableBytes; }
  const char *texts() const { return configuration() + configurationBytes; }
};

bool takeApart(const FileBytes &file, size_t offset, Parts &parts) {
  parts.start = file.data() + offset;
  parts.total = loadNumber(parts.start + 8);
  parts.tableBytes = loadNumber(parts.start + 16);
  parts.count = loadNumber(parts.start + 24);
  parts.configurationBytes = loadNumber(parts.start + 40);
  parts.textBytes = loadNumber(parts.start + 48);
  uint64_t room = file.size() - offset;
  if (parts.total > room || parts.total < packedHeaderBytes)
    return false;
  room = parts.total - packedHeaderBytes;
  return parts.tableBytes <= room && parts.configurationBytes <= room - parts.tableBytes &&
         parts.textBytes <= room - parts.tableBytes - parts.configurationBytes &&
         parts.count <= parts.tableBytes / 8;
}

std::string formatOf(const Parts &parts) {
  const char *name = parts.start + packedFormat;
  return {name, strnlen(name, packedFormatBytes)};
}

bool isThisVersion(const FileBytes &file, size_t offset) {
  return memcmp(file.data() + offset, packedMagic, 8) == 0;
}

/// A parameter that the file holds in another way (for another processor, for a page that split the
/// letters otherwise), as the model holds it.
void *holdAgain(const PackedRow &row, const void *data, const qkv_param &to, qkv_weights &weights) {
  void *held = qkv_alloc(heldBytes(to));
  weights.owned.push_back(held);
  auto *plain = heldPlain(to.held)
                    ? static_cast<float *>(held)
                    : static_cast<float *>(qkv_alloc(heldBytes(heldAs(QKV_F32), shapeOf(to))));
  qkv_param from = {};
  from.rank = static_cast<int32_t>(row.shape.size());
  from.shape = row.shape.data();
  from.held = row.held;
  readHeld(from, data, plain);
  if (!heldPlain(to.held)) {
    writeHeld(to, plain, held);
    qkv_free(plain);
  }
  return held;
}

/// Whether the row's data, row-major, are what the checkpoint's tensors would give the parameter.
bool fits(const PackedRow &row, const qkv_param &param) {
  std::vector<int64_t> wanted = shapeOf(param);
  if (row.shape == wanted)
    return true;
  return !row.origin.absent && row.stacked.empty() && row.place.empty() &&
         shapeFits(wanted, row.origin.shape) && elementCount(wanted) == elementCount(row.shape);
}

std::string namesText(const std::vector<std::string_view> &names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 3; ++i)
    text += (i ? ", " : "") + quote(names[i]);
  return names.size() > 3 ? text + format(" and %zu more", names.size() - 3) : text;
}

/// The table, ready to be searched.
class Table {
public:
  bool read(const Parts &parts);
  /// The best of the rows that have the parameter's tensors; null with *error set.
  const PackedRow *find(const qkv_param &param, const qkv_stored &stored, const std::string &path,
                        qkv_error *error) const;

private:
  std::vector<PackedRow> rows;
  std::vector<const PackedRow *> byName; ///< in order of their first names
};

bool Table::read(const Parts &parts) {
  const char *at = parts.table(), *end = at + parts.tableBytes;
  for (uint64_t i = 0; i < parts.count; ++i)
    if (!readRow(at, end, rows.emplace_back()))
      return false;
  for (PackedRow &row : rows) {
    if (!row.names.empty())
      byName.push_back(&row);
    int64_t bytes = elementCount(row.shape) < 0 ? -1 : heldBytes(row.held, row.shape);
    if (bytes < 0 || row.offset % 4 || row.offset > parts.total ||
        static_cast<uint64_t>(bytes) > parts.total - row.offset)
      return false;
  }
  std::sort(byName.begin(), byName.end(),
            [](auto *a, auto *b) { return std::pair(a->names[0], a) < std::pair(b->names[0], b); });
  return true;
}

const PackedRow *Table::find(const qkv_param &param, const qkv_stored &stored,
                             const std::string &path, qkv_error *error) const {
  const PackedRow *best = nullptr, *other = nullptr;
  auto rank = [&](const PackedRow &row) {
    return (row.shape == shapeOf(param) ? 2 : 0) + (heldAlike(row.held, param.held) ? 1 : 0);
  };
  std::string_view first = stored.name_count ? stored.names[0] : "";
  auto at = std::lower_bound(byName.begin(), byName.end(), first,
                             [](auto *row, auto name) { return row->names[0] < name; });
  for (; at != byName.end() && (*at)->names[0] == first; ++at) {
    const PackedRow &row = **at;
    if (!row.isOf(stored))
      continue;
    if (!fits(row, param))
      other = &row;
    else if (!best || rank(row) > rank(*best))
      best = &row;
  }
  if (best)
    return best;
  std::string again =
      "; the page has changed since: pack the checkpoint again (qkv build --weights)";
  if (other) {
    failParam(error, param,
              format("%s holds %s as %s, expected %s", path.c_str(),
                     namesText(other->names).c_str(), shapeText(other->shape).c_str(),
                     shapeText(shapeOf(param)).c_str()) +
                  again);
    return nullptr;
  }
  std::string text = format("%s was packed without %s", path.c_str(),
                            namesText({stored.names, stored.names + stored.name_count}).c_str());
  for (const PackedRow &row : rows)
    if (row.name == param.name && !row.isOf(stored))
      text += format(
          " (%s was made of %s%s then)", param.name, namesText(row.names).c_str(),
          row.names == std::vector<std::string_view>(stored.names, stored.names + stored.name_count)
              ? " in another way"
              : "");
  failParam(error, param, text + again);
  return nullptr;
}

/// One parameter from its row; null (all is well) where its fallback is to be looked up.
bool take(const PackedRow &row, const Parts &parts, const std::string &path, const qkv_param &param,
          qkv_weights &weights, void *&pointer, qkv_error *error) {
  if (row.origin.absent) {
    if (param.fallback == 0)
      return failParam(error, param,
                       format("the checkpoint that %s was packed from has no tensor %s",
                              path.c_str(), namesText(row.names).c_str()));
    bool same = param.fallback == 2 && row.fallback == 2 &&
                std::bit_cast<uint64_t>(row.fallbackNumber) ==
                    std::bit_cast<uint64_t>(param.fallback_number);
    if (!same)
      return true;
  }
  const char *data = parts.start + row.offset;
  if (row.held.panel_width > 0) // it is contracted, thus read whole; a table is read by rows
    weights.packed.fetch(data, heldBytes(row.held, row.shape));
  pointer = row.shape == shapeOf(param) && heldAlike(row.held, param.held)
                ? const_cast<char *>(data)
                : holdAgain(row, data, param, weights);
  return true;
}

} // namespace

bool isPacked(const FileBytes &file, size_t offset) {
  // Of any version: the last letter is its number.
  return offset <= file.size() && file.size() - offset >= packedHeaderBytes &&
         memcmp(file.data() + offset, packedMagic, 7) == 0;
}

std::string packedFormatName(const FileBytes &file, size_t offset) {
  Parts parts;
  return isThisVersion(file, offset) && takeApart(file, offset, parts) ? formatOf(parts) : "";
}

std::string packedConfiguration(const FileBytes &file, size_t offset) {
  Parts parts;
  if (!isThisVersion(file, offset) || !takeApart(file, offset, parts))
    return "";
  return {parts.configuration(), parts.configurationBytes};
}

std::string_view packedTexts(const FileBytes &file, size_t offset) {
  Parts parts;
  if (!isThisVersion(file, offset) || !takeApart(file, offset, parts))
    return "";
  return {parts.texts(), parts.textBytes};
}

bool openPacked(const qkv_model &model, qkv_weights &weights, size_t offset,
                const std::string &path, qkv_error *error) {
  if (!isThisVersion(weights.packed, offset))
    return failFile(error, path,
                    "it was packed by another version of qkv: pack the checkpoint again (qkv build "
                    "--weights)");
  Parts parts;
  Table table;
  if (!takeApart(weights.packed, offset, parts) || !table.read(parts))
    return fail(error, format("%s is not a whole packed file", path.c_str()));
  weights.format = formatOf(parts);
  weights.configuration = {packedConfiguration(weights.packed, offset), path, weights.format};
  if (!checkSettings(model, weights.configuration, error))
    return false;
  weights.params.assign(model.param_count, nullptr);
  weights.origins.assign(model.param_count, {});
  for (int32_t i = 0; i < model.param_count; ++i) {
    const qkv_param &param = model.params[i];
    const PackedRow *row = table.find(param, storedIn(param, weights.format), path, error);
    if (!row || !take(*row, parts, path, param, weights, weights.params[i], error))
      return false;
    weights.origins[i] = row->origin;
  }
  return fallBackAll(model, weights, error);
}

} // namespace qkv::rt

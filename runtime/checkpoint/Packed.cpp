// In: opened weights, or a packed file. Out: a packed file, or pointers into its mapping. Holds:
// opening reads the table alone; the table is checked against the file and the model, whatever
// bytes it has.
//
// Little endian, all offsets from the file's start P, which is a multiple of 4096 in whatever
// file holds it:
//   0   "QKVPACK2"
//   8   u64 bytes of the whole     16  u64 bytes of the table     24  u64 number of parameters
//   32  u64 offset of the data (a multiple of 4096)               40  zeros
//   64  the table; for each parameter u32 bytes of its name, u32 rank, u64 offset of its data (a
//       multiple of 64), u32 element, panel axis, block and width (qkv_param), i64 extents, the
//       name, zeros to a multiple of 8
// Behind a program the last 24 bytes of the file are "QKVTRAIL", u64 P, u64 bytes of the whole.
#include "runtime/Error.h"
#include "runtime/checkpoint/Panels.h"
#include "runtime/checkpoint/Weights.h"

#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace qkv::rt {
namespace {

constexpr char magic[] = "QKVPACK2", trailerMagic[] = "QKVTRAIL";
constexpr size_t headerBytes = 64, trailerBytes = 24, page = 4096, line = 64,
                 rowBytes = 32; // of the table, without extents and name

uint64_t load(const char *from) {
  uint64_t value;
  memcpy(&value, from, 8);
  return value;
}

void append(std::string &text, uint64_t value, size_t bytes = 8) {
  text.append(reinterpret_cast<const char *>(&value), bytes);
}

uint64_t aligned(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

int64_t paramBytes(const qkv_param &param) {
  int64_t count = heldCount(param);
  return count < 0 ? -1 : count * static_cast<int64_t>(elementSize(param));
}

/// Where each parameter's data goes; parameters that share memory share it in the file too.
struct Layout {
  std::vector<uint64_t> offsets;
  std::vector<bool> shared;
  uint64_t tableBytes = 0, dataOffset = 0, totalBytes = 0;
};

Layout layoutOf(const qkv_model &model, const qkv_weights &weights) {
  Layout layout;
  for (int32_t i = 0; i < model.param_count; ++i)
    layout.tableBytes +=
        aligned(rowBytes + 8 * model.params[i].rank + strlen(model.params[i].name), 8);
  uint64_t offset = layout.dataOffset = aligned(headerBytes + layout.tableBytes, page);
  for (int32_t i = 0; i < model.param_count; ++i) {
    int32_t first = i;
    if (model.params[i].fallback == 1)
      for (first = 0; weights.params[first] != weights.params[i];)
        ++first;
    layout.shared.push_back(first < i);
    layout.offsets.push_back(first < i ? layout.offsets[first] : offset);
    if (first == i)
      offset = aligned(offset + paramBytes(model.params[i]), line);
  }
  layout.totalBytes = offset;
  return layout;
}

/// Writes the packed file; its start is the output's position, a multiple of 4096.
bool writePacked(const qkv_model &model, const qkv_weights &weights, OutputFile &output,
                 uint64_t &bytes, qkv_error *error) {
  Layout layout = layoutOf(model, weights);
  std::string head(magic, 8);
  append(head, layout.totalBytes);
  append(head, layout.tableBytes);
  append(head, model.param_count);
  append(head, layout.dataOffset);
  head.resize(headerBytes);
  for (int32_t i = 0; i < model.param_count; ++i) {
    const qkv_param &param = model.params[i];
    append(head, strlen(param.name), 4);
    append(head, param.rank, 4);
    append(head, layout.offsets[i]);
    for (int32_t field : {param.element, param.panel_axis, param.panel_block, param.panel_width})
      append(head, field, 4);
    for (int32_t axis = 0; axis < param.rank; ++axis)
      append(head, param.shape[axis]);
    head += param.name;
    head.resize(aligned(head.size(), 8));
  }
  if (!output.write(head.data(), head.size(), error) || !output.pad(page, error))
    return false;
  for (int32_t i = 0; i < model.param_count; ++i)
    if (!layout.shared[i] &&
        (!output.write(weights.params[i], paramBytes(model.params[i]), error) ||
         !output.pad(line, error)))
      return false;
  bytes = layout.totalBytes;
  return true;
}

/// A parameter of a file that was packed for another processor, as the model holds it.
void holdAgain(const qkv_param &from, const qkv_param &to, qkv_weights &weights, int32_t index) {
  void *held = qkv_alloc(heldCount(to) * elementSize(to));
  weights.owned.push_back(held);
  auto *plain = heldPlain(to) ? static_cast<float *>(held)
                              : static_cast<float *>(qkv_alloc(
                                    elementCount({to.shape, to.shape + to.rank}) * sizeof(float)));
  readHeld(from, weights.params[index], plain);
  if (!heldPlain(to)) {
    writeHeld(to, plain, held);
    qkv_free(plain);
  }
  weights.params[index] = held;
}

/// One row of the table; `at` moves behind it.
struct Row {
  std::string_view name;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  qkv_param held = {}; ///< its shape and how the data lie
};

bool readRow(const char *&at, const char *end, Row &row) {
  if (end - at < static_cast<ptrdiff_t>(rowBytes))
    return false;
  uint64_t sizes = load(at), length = sizes & 0xFFFFFFFF, rank = sizes >> 32;
  row.offset = load(at + 8);
  uint64_t bytes = aligned(rowBytes + 8 * rank + length, 8);
  if (rank > 64 || bytes > static_cast<uint64_t>(end - at))
    return false;
  row.shape.resize(rank);
  if (rank)
    memcpy(row.shape.data(), at + rowBytes, 8 * rank);
  row.name = {at + rowBytes + 8 * rank, length};
  row.held.rank = static_cast<int32_t>(rank);
  row.held.shape = row.shape.data();
  memcpy(&row.held.element, at + 16, 4);
  memcpy(&row.held.panel_axis, at + 20, 4);
  memcpy(&row.held.panel_block, at + 24, 4);
  memcpy(&row.held.panel_width, at + 28, 4);
  const qkv_param &held = row.held;
  auto isAxis = [&](int32_t axis) { return axis >= 0 && axis < held.rank; };
  if (held.element < QKV_F32 || held.element > QKV_F16 || held.panel_width < 0 ||
      (held.panel_width > 0 && (!isAxis(held.panel_axis) || !isAxis(held.panel_block))))
    return false;
  at += bytes;
  return true;
}

} // namespace

bool isPacked(const FileBytes &file, size_t offset) {
  return offset <= file.size() && file.size() - offset >= headerBytes &&
         memcmp(file.data() + offset, magic, 8) == 0;
}

bool findAppended(const FileBytes &program, size_t &offset) {
  if (program.size() < trailerBytes + headerBytes)
    return false;
  const char *trailer = program.data() + program.size() - trailerBytes;
  if (memcmp(trailer, trailerMagic, 8) != 0)
    return false;
  uint64_t start = load(trailer + 8), bytes = load(trailer + 16),
           limit = program.size() - trailerBytes;
  if (start > limit || bytes != limit - start || !isPacked(program, start))
    return false;
  offset = start;
  return true;
}

bool openPacked(const qkv_model &model, qkv_weights &weights, size_t offset,
                const std::string &path, qkv_error *error) {
  const char *start = weights.packed.data() + offset;
  uint64_t room = weights.packed.size() - offset, total = load(start + 8),
           tableBytes = load(start + 16), count = load(start + 24);
  auto broken = [&] { return fail(error, format("%s is not a whole packed file", path.c_str())); };
  if (total > room || total < headerBytes || tableBytes > total - headerBytes)
    return broken();
  auto other = [&](const std::string &why) {
    return fail(error, format("%s was built for another model: %s", path.c_str(), why.c_str()));
  };
  if (count != static_cast<uint64_t>(model.param_count))
    return other(format("it has %llu parameters, %s has %d", static_cast<unsigned long long>(count),
                        model.name, model.param_count));
  const char *at = start + headerBytes, *end = at + tableBytes;
  for (int32_t i = 0; i < model.param_count; ++i) {
    const qkv_param &param = model.params[i];
    Row row;
    if (!readRow(at, end, row))
      return broken();
    std::vector<int64_t> wanted(param.shape, param.shape + param.rank);
    if (row.name != param.name || row.shape != wanted)
      return other(format("it has %s%s where %s has %s%s", quote(row.name).c_str(),
                          shapeText(row.shape).c_str(), model.name, quote(param.name).c_str(),
                          shapeText(wanted).c_str()));
    int64_t bytes = paramBytes(row.held);
    if (bytes < 0 || row.offset % 4 || row.offset > total ||
        static_cast<uint64_t>(bytes) > total - row.offset)
      return broken();
    weights.params.push_back(const_cast<char *>(start + row.offset));
    if (row.held.panel_width > 0) // it is contracted, thus read whole; a table is read by rows
      weights.packed.fetch(start + row.offset, bytes);
    if (!heldAlike(row.held, param))
      holdAgain(row.held, param, weights, i);
  }
  return true;
}

bool packWeights(const qkv_model &model, const qkv_weights &weights, const std::string &path,
                 qkv_error *error) {
  OutputFile output;
  uint64_t bytes = 0;
  return output.open(path, error) && writePacked(model, weights, output, bytes, error) &&
         output.commit(error);
}

bool embedWeights(const qkv_model &model, const qkv_weights &weights, const std::string &program,
                  qkv_error *error) {
  FileBytes image;
  struct stat status;
  if (!image.open(program, error))
    return false;
  if (stat(program.c_str(), &status) != 0)
    return fail(error, format("cannot read %s", program.c_str()));
  size_t imageBytes = image.size();
  findAppended(image, imageBytes);
  OutputFile output;
  uint64_t bytes = 0;
  if (!output.open(program, error, status.st_mode & 07777) ||
      !output.write(image.data(), imageBytes, error) || !output.pad(page, error))
    return false;
  std::string trailer(trailerMagic, 8);
  append(trailer, output.written());
  if (!writePacked(model, weights, output, bytes, error))
    return false;
  append(trailer, bytes);
  return output.write(trailer.data(), trailer.size(), error) && output.commit(error);
}

} // namespace qkv::rt

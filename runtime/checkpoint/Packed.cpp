// In: opened weights. Out: a packed file, by itself or behind a program. Holds: what is written can
// be opened by mapping alone, and tells what it was made of: tensors of a checkpoint, by name.
//
// Little endian, all offsets from the file's start P, which is a multiple of 4096 in whatever
// file holds it:
//   0   "QKVPACK4"
//   8   u64 bytes of the whole     16  u64 bytes of the table     24  u64 number of parameters
//   32  u64 offset of the data (a multiple of 4096)    40  u64 bytes of the configuration
//   48  u64 bytes of the text files (TextFiles.h)
//   56  12 letters, the format of the checkpoint, zeros behind it
//   128 the table; for each parameter (PackedTable.h)
//       u64 offset of its data (a multiple of 64), u32 element, panel axis, order and width
//       (qkv_held), u32 1 if it is a fallback's, u32 the fallback's kind, f64 its number,
//       u32 rank, u32 rank of the checkpoint's tensors, u32 number of stacked axes, u32 number of
//       names, i64 extents, i64 extents of the checkpoint's tensors, u32 stacked axes,
//       u32 bytes and letters of its name in the page, of its place and its value (qkv_stored),
//       then of each name in the checkpoint, zeros to a multiple of 8 then the text of config.json
//       beside the checkpoint, if there was one, then the text files
// Behind a program the last 24 bytes of the file are "QKVTRAIL", u64 P, u64 bytes of the whole.
#include "runtime/Error.h"
#include "runtime/checkpoint/PackedTable.h"
#include "runtime/checkpoint/ReadStored.h"
#include "runtime/checkpoint/Weights.h"

#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace qkv::rt {
namespace {

constexpr char trailerMagic[] = "QKVTRAIL";
constexpr size_t trailerBytes = 24, page = 4096, line = 64;

uint64_t aligned(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Where each parameter's data goes; parameters that share memory share it in the file too.
struct Layout {
  std::vector<uint64_t> offsets;
  std::vector<bool> shared;
  uint64_t tableBytes = 0, dataOffset = 0, totalBytes = 0;
};

Layout layoutOf(const qkv_model &model, const qkv_weights &weights, size_t tableBytes,
                size_t textBytes) {
  Layout layout;
  layout.tableBytes = tableBytes;
  uint64_t offset = layout.dataOffset =
      aligned(packedHeaderBytes + tableBytes + weights.configuration.text.size() + textBytes, page);
  for (int32_t i = 0; i < model.param_count; ++i) {
    int32_t first = i;
    if (model.params[i].fallback == 1)
      for (first = 0; weights.params[first] != weights.params[i];)
        ++first;
    layout.shared.push_back(first < i);
    layout.offsets.push_back(first < i ? layout.offsets[first] : offset);
    if (first == i)
      offset = aligned(offset + heldBytes(model.params[i]), line);
  }
  layout.totalBytes = offset;
  return layout;
}

/// The table; its length does not depend on the offsets.
std::string table(const qkv_model &model, const qkv_weights &weights, const Layout *layout) {
  std::string text;
  for (int32_t i = 0; i < model.param_count; ++i)
    appendRow(text, model.params[i], storedIn(model.params[i], weights.format), weights.origins[i],
              layout ? layout->offsets[i] : 0);
  return text;
}

/// Writes the packed file; its start is the output's position, a multiple of 4096.
bool writePacked(const qkv_model &model, const qkv_weights &weights, OutputFile &output,
                 uint64_t &bytes, qkv_error *error) {
  const std::string &configuration = weights.configuration.text;
  std::string texts = textFilesText(weights.texts);
  Layout layout = layoutOf(model, weights, table(model, weights, nullptr).size(), texts.size());
  std::string head(packedMagic, 8);
  for (uint64_t field : {layout.totalBytes, layout.tableBytes, uint64_t(model.param_count),
                         layout.dataOffset, uint64_t(configuration.size()), uint64_t(texts.size())})
    append(head, field);
  head += weights.format.substr(0, packedFormatBytes);
  head.resize(packedHeaderBytes);
  head += table(model, weights, &layout) + configuration + texts;
  if (!output.write(head.data(), head.size(), error) || !output.pad(page, error))
    return false;
  for (int32_t i = 0; i < model.param_count; ++i)
    if (!layout.shared[i] && (!output.write(weights.params[i], heldBytes(model.params[i]), error) ||
                              !output.pad(line, error)))
      return false;
  bytes = layout.totalBytes;
  return true;
}

} // namespace

bool findAppended(const FileBytes &program, size_t &offset) {
  if (program.size() < trailerBytes + packedHeaderBytes)
    return false;
  const char *trailer = program.data() + program.size() - trailerBytes;
  if (memcmp(trailer, trailerMagic, 8) != 0)
    return false;
  uint64_t start = loadNumber(trailer + 8), bytes = loadNumber(trailer + 16),
           limit = program.size() - trailerBytes;
  if (start > limit || bytes != limit - start || !isPacked(program, start))
    return false;
  offset = start;
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

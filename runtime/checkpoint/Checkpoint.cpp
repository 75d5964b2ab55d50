// In: a path. Out: the checkpoint of the format that is found there.
#include "runtime/checkpoint/Checkpoint.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/Names.h"
#include "runtime/checkpoint/Safetensors.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace qkv::rt {

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string &path, qkv_error *error) {
  if (isFolder(path) || path.ends_with(".json"))
    return Safetensors::open(path, error);
  FileBytes file;
  if (!file.open(path, error))
    return nullptr;
  if (isGguf(file))
    return Gguf::fromFile(std::move(file), path, error);
  return Safetensors::fromFile(std::move(file), path, error);
}

int64_t elementCount(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  bool empty = false, overflow = false;
  for (int64_t extent : shape) {
    if (extent < 0)
      return -1;
    empty |= extent == 0;
    overflow |= __builtin_mul_overflow(count, extent, &count);
    if (overflow)
      count = 1;
  }
  return empty ? 0 : overflow ? -1 : count;
}

int64_t FileTensor::count() const { return elementCount(shape); }

bool overlapping(std::vector<TensorPlace> places, std::string &why) {
  std::sort(places.begin(), places.end(), [](const TensorPlace &a, const TensorPlace &b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const TensorPlace *last = nullptr;
  for (const TensorPlace &place : places) {
    if (place.begin == place.end)
      continue;
    if (last && place.begin < last->end) {
      why = format("tensors %s and %s overlap", quote(*last->name).c_str(),
                   quote(*place.name).c_str());
      return true;
    }
    last = &place;
  }
  return false;
}

const std::string *MappedCheckpoint::sortNames() {
  byName.resize(list.size());
  std::iota(byName.begin(), byName.end(), 0);
  std::sort(byName.begin(), byName.end(),
            [&](uint32_t a, uint32_t b) { return list[a].name < list[b].name; });
  for (size_t i = 1; i < byName.size(); ++i)
    if (list[byName[i]].name == list[byName[i - 1]].name)
      return &list[byName[i]].name;
  return nullptr;
}

const FileTensor *MappedCheckpoint::find(std::string_view name) const {
  auto found = std::lower_bound(byName.begin(), byName.end(), name,
                                [&](uint32_t index, auto key) { return list[index].name < key; });
  return found != byName.end() && list[*found].name == name ? &list[*found] : nullptr;
}

const FileTensor *MappedCheckpoint::nearest(std::string_view name) const {
  std::vector<std::string_view> names;
  for (uint32_t index : byName)
    names.push_back(list[index].name);
  int64_t best = nearestName(names, name);
  return best < 0 ? nullptr : &list[byName[best]];
}

bool MappedCheckpoint::intact() const {
  return std::all_of(files.begin(), files.end(),
                     [](const FileBytes &file) { return file.intact(); });
}

bool MappedCheckpoint::holds(const void *memory) const {
  auto *at = static_cast<const char *>(memory);
  return std::any_of(files.begin(), files.end(), [&](const FileBytes &file) {
    return at >= file.data() && at < file.data() + file.size();
  });
}

void MappedCheckpoint::forget(const FileTensor &tensor) const {
  for (const FileBytes &file : files)
    if (tensor.data >= file.data() && tensor.data < file.data() + file.size())
      file.forget(tensor.data, tensor.bytes);
}

} // namespace qkv::rt

// In: safetensors files. Out: their tensors by name. Holds: nothing is believed: lengths, offsets,
// overlaps, shapes and names are checked before a tensor is handed out.
#include "runtime/checkpoint/Safetensors.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Json.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace qkv::rt {

/// Why an entry's place or size cannot be; empty if all is well.
static std::string wrongEntry(const HeaderEntry &entry, uint64_t dataBytes) {
  std::string name = quote(entry.name);
  if (entry.begin > entry.end || entry.end > dataBytes)
    return format("tensor %s is at bytes %llu to %llu, but the data has %llu bytes", name.c_str(),
                  static_cast<unsigned long long>(entry.begin),
                  static_cast<unsigned long long>(entry.end),
                  static_cast<unsigned long long>(dataBytes));
  int64_t count = elementCount(entry.shape), bytes = 0;
  int64_t size = dtypeSize(dtypeOf(entry.dtype));
  if (count < 0 || __builtin_mul_overflow(count, size ? size : 1, &bytes))
    return format("tensor %s: its shape %s is too large", name.c_str(),
                  shapeText(entry.shape).c_str());
  if (size && static_cast<uint64_t>(bytes) != entry.end - entry.begin)
    return format("tensor %s: shape %s of %s is %lld bytes, but it has %llu", name.c_str(),
                  shapeText(entry.shape).c_str(), entry.dtype.c_str(),
                  static_cast<long long>(bytes),
                  static_cast<unsigned long long>(entry.end - entry.begin));
  return "";
}

bool Safetensors::readFile(const std::string &path, std::vector<FileTensor> &into,
                           qkv_error *error) {
  FileBytes file;
  return file.open(path, error) && readBytes(std::move(file), path, into, error);
}

bool Safetensors::readBytes(FileBytes file, const std::string &path, std::vector<FileTensor> &into,
                            qkv_error *error) {
  auto wrong = [&](const std::string &why) {
    return fail(error, format("%s is not a valid safetensors file: %s", path.c_str(), why.c_str()));
  };
  if (file.size() < 8)
    return wrong(format("it has %zu bytes", file.size()));
  uint64_t headerBytes = 0;
  for (int i = 7; i >= 0; --i)
    headerBytes = headerBytes << 8 | static_cast<unsigned char>(file.data()[i]);
  constexpr uint64_t mostHeaderBytes = 100'000'000; // the format's own limit
  if (headerBytes > mostHeaderBytes && headerBytes <= file.size() - 8)
    return wrong(format("its header has %llu bytes, at most %llu are allowed",
                        static_cast<unsigned long long>(headerBytes),
                        static_cast<unsigned long long>(mostHeaderBytes)));
  if (headerBytes > file.size() - 8)
    return wrong(format("its header would have %llu bytes, the file has %zu",
                        static_cast<unsigned long long>(headerBytes), file.size()));
  const char *header = file.data() + 8, *data = header + headerBytes;
  uint64_t dataBytes = file.size() - 8 - headerBytes;

  std::vector<HeaderEntry> entries;
  std::string why;
  std::vector<std::pair<std::string, std::string>> metadata;
  if (!parseHeader(header, data, entries, metadata, why))
    return wrong(why);
  for (auto &entry : entries)
    if (std::string reason = wrongEntry(entry, dataBytes); !reason.empty())
      return wrong(reason);
  std::vector<TensorPlace> places;
  for (auto &entry : entries)
    places.push_back({&entry.name, entry.begin, entry.end});
  if (overlapping(std::move(places), why))
    return wrong(why);
  // Of a key that is there twice the first counts, and shards repeat what the first one says.
  std::vector<const std::pair<std::string, std::string> *> order;
  for (auto &one : metadata)
    order.push_back(&one);
  std::sort(order.begin(), order.end(),
            [](auto *a, auto *b) { return std::tie(a->first, a) < std::tie(b->first, b); });
  for (size_t i = 0; i < order.size(); ++i) {
    if (keys.find(order[i]->first) || (i > 0 && order[i]->first == order[i - 1]->first))
      continue;
    texts.push_back(std::make_unique<std::string>(order[i]->second));
    MetaValue value;
    value.text = *texts.back();
    keys.add(order[i]->first, value);
  }
  keys.sort();

  into.reserve(into.size() + entries.size());
  for (auto &entry : entries) {
    FileTensor tensor;
    tensor.name = std::move(entry.name);
    tensor.type = dtypeOf(entry.dtype);
    tensor.typeName = std::move(entry.dtype);
    tensor.shape = std::move(entry.shape);
    tensor.data = data + entry.begin;
    tensor.bytes = entry.end - entry.begin;
    into.push_back(std::move(tensor));
  }
  files.push_back(std::move(file));
  return true;
}

bool Safetensors::readShards(const std::string &index, qkv_error *error) {
  FileBytes text;
  if (!text.open(index, error))
    return false;
  auto wrong = [&](const std::string &why) {
    return fail(error, format("%s is not a valid index: %s", index.c_str(), why.c_str()));
  };
  std::vector<std::pair<std::string, std::string>> map;
  std::string why;
  if (!parseIndex(text.data(), text.data() + text.size(), map, why))
    return wrong(why);
  std::sort(map.begin(), map.end(), [](auto &a, auto &b) {
    return std::tie(a.second, a.first) < std::tie(b.second, b.first);
  });
  std::vector<FileTensor> shard;
  for (size_t i = 0; i < map.size(); ++i) {
    auto &[name, file] = map[i];
    if (i == 0 || file != map[i - 1].second) {
      // Shards lie beside their index; a name that leads elsewhere is not followed.
      if (file.empty() || file.find('/') != file.npos || file.find('\0') != file.npos)
        return wrong(format("shard %s is not a file name", quote(file).c_str()));
      shard.clear();
      if (!readFile(std::string(folderOf(index)) + file, shard, error))
        return false;
      std::sort(shard.begin(), shard.end(), [](auto &a, auto &b) { return a.name < b.name; });
    }
    auto found = std::lower_bound(shard.begin(), shard.end(), name,
                                  [](auto &tensor, auto &key) { return tensor.name < key; });
    if (found == shard.end() || found->name != name)
      return wrong(format("tensor %s is not in %s", quote(name).c_str(), quote(file).c_str()));
    list.push_back(*found);
  }
  return true;
}

std::unique_ptr<Safetensors> Safetensors::open(const std::string &path, qkv_error *error) {
  std::unique_ptr<Safetensors> file(new Safetensors);
  file->place = path;
  bool done;
  if (isFolder(path)) {
    std::string folder = path.back() == '/' ? path : path + "/";
    std::string single = folder + "model.safetensors", index = single + ".index.json";
    if (exists(single)) {
      file->place = single;
      done = file->readFile(single, file->list, error);
    } else if (exists(index)) {
      done = file->readShards(index, error);
    } else {
      done = fail(error, format("%s has neither model.safetensors nor model.safetensors.index.json",
                                path.c_str()));
    }
  } else if (path.ends_with(".json")) {
    done = file->readShards(path, error);
  } else {
    done = file->readFile(path, file->list, error);
  }
  if (!done)
    return nullptr;
  file->sortNames();
  return file;
}

std::unique_ptr<Safetensors> Safetensors::openFile(const std::string &path, qkv_error *error) {
  std::unique_ptr<Safetensors> file(new Safetensors);
  file->place = path;
  if (!file->readFile(path, file->list, error))
    return nullptr;
  file->sortNames();
  return file;
}

std::unique_ptr<Safetensors> Safetensors::fromFile(FileBytes bytes, const std::string &name,
                                                   qkv_error *error) {
  std::unique_ptr<Safetensors> file(new Safetensors);
  file->place = name;
  if (!file->readBytes(std::move(bytes), name, file->list, error))
    return nullptr;
  file->sortNames();
  return file;
}

std::unique_ptr<Safetensors> Safetensors::fromBytes(const void *data, size_t size,
                                                    const std::string &name, qkv_error *error) {
  FileBytes bytes;
  if (bytes.copy(data, size))
    return fromFile(std::move(bytes), name, error);
  fail(error, format("%s: not enough memory", name.c_str()));
  return nullptr;
}

bool writeSafetensors(OutputFile &output, const std::vector<NewTensor> &tensors, qkv_error *error) {
  auto aligned = [](uint64_t bytes) { return (bytes + 7) / 8 * 8; };
  auto sizeOf = [](const NewTensor &tensor) {
    return elementCount(tensor.shape) * dtypeSize(tensor.type);
  };
  // Other readers refuse gaps between tensors, so none is left; only the start is aligned.
  std::string header = "{";
  uint64_t offset = 0;
  for (auto &tensor : tensors) {
    header += header.size() > 1 ? "," : "";
    header +=
        jsonString(tensor.name) + format(":{\"dtype\":\"%s\",\"shape\":[", dtypeText(tensor.type));
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis)
      header += format(axis ? ",%lld" : "%lld", static_cast<long long>(tensor.shape[axis]));
    uint64_t end = offset + sizeOf(tensor);
    header += format("],\"data_offsets\":[%llu,%llu]}", static_cast<unsigned long long>(offset),
                     static_cast<unsigned long long>(end));
    offset = end;
  }
  header += "}";
  header.resize(aligned(header.size()), ' ');
  unsigned char length[8];
  for (int i = 0; i < 8; ++i)
    length[i] = header.size() >> (8 * i) & 255;
  if (!output.write(length, 8, error) || !output.write(header.data(), header.size(), error))
    return false;
  for (auto &tensor : tensors)
    if (sizeOf(tensor) && !output.write(tensor.data, sizeOf(tensor), error))
      return false;
  return true;
}

bool writeSafetensors(const std::string &path, const std::vector<NewTensor> &tensors,
                      qkv_error *error) {
  OutputFile output;
  return output.open(path, error) && writeSafetensors(output, tensors, error) &&
         output.commit(error);
}

} // namespace qkv::rt

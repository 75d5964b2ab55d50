// In: safetensors files (https://huggingface.co/docs/safetensors), single or in shards. Out: their
// tensors by name; new files. Holds: every tensor's bytes lie inside its file and, where the type
// is known, are as many as its shape says, whatever bytes the file held.
#pragma once

#include "runtime/File.h"
#include "runtime/checkpoint/Element.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// A tensor of an open file. Its bytes may be unaligned.
struct FileTensor {
  std::string name;
  Dtype type = Dtype::Other;
  std::string typeName; // as the file says; for messages
  std::vector<int64_t> shape;
  const char *data = nullptr;
  size_t bytes = 0;
  int64_t count() const; // elements; the type is known
};

/// An open file, or an open folder of shards; its tensors live as long as it does.
class Safetensors {
public:
  /// `path`: a .safetensors file, `-` for standard input, an index (.json), or a folder with
  /// model.safetensors or model.safetensors.index.json. Null with *error set.
  static std::unique_ptr<Safetensors> open(const std::string &path, qkv_error *error);

  /// One file, or `-`: of inputs, which are not in shards. Null with *error set.
  static std::unique_ptr<Safetensors> openFile(const std::string &path, qkv_error *error);

  /// A file that is in memory; `name` is what messages call it.
  static std::unique_ptr<Safetensors> fromBytes(const void *data, size_t size,
                                                const std::string &name, qkv_error *error);

  const std::vector<FileTensor> &tensors() const { return list; }
  /// Null if there is none of that name.
  const FileTensor *find(std::string_view name) const;
  /// A name like it, for "did you mean"; null if none is near.
  const FileTensor *nearest(std::string_view name) const;
  /// Whether the files are as they were when they were opened.
  bool intact() const;
  /// Whether the memory is a part of the files.
  bool holds(const void *memory) const;
  /// The memory of a tensor's bytes may go: they are read no more, or from the file again.
  void forget(const FileTensor &tensor) const;
  /// The file or folder, as messages call it.
  const std::string &path() const { return place; }

private:
  bool readFile(const std::string &path, std::vector<FileTensor> &into, qkv_error *error);
  bool readBytes(FileBytes file, const std::string &path, std::vector<FileTensor> &into,
                 qkv_error *error);
  bool readShards(const std::string &index, qkv_error *error);
  void sortNames();

  std::string place;
  std::vector<FileBytes> files;
  std::vector<FileTensor> list;
  std::vector<uint32_t> byName;
};

/// A tensor to be written.
struct NewTensor {
  std::string name;
  Dtype type = Dtype::F32;
  std::vector<int64_t> shape;
  const void *data = nullptr;
};

/// Writes a file in the order given, header and data aligned to 8 bytes; the file shows at its
/// path when `output` is committed. False with *error set.
bool writeSafetensors(OutputFile &output, const std::vector<NewTensor> &tensors, qkv_error *error);

/// The same to a path (`-`: standard output), whole or not at all.
bool writeSafetensors(const std::string &path, const std::vector<NewTensor> &tensors,
                      qkv_error *error);

/// The product of a shape; -1 if an extent is negative or it leaves 63 bits.
int64_t elementCount(const std::vector<int64_t> &shape);

} // namespace qkv::rt

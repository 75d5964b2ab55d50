// In: safetensors files (https://huggingface.co/docs/safetensors), single or in shards. Out: their
// tensors by name; new files. Holds: every tensor's bytes lie inside its file and, where the type
// is known, are as many as its shape says, whatever bytes the file held.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// An open file, or an open folder of shards.
class Safetensors : public MappedCheckpoint {
public:
  /// `path`: a .safetensors file, `-` for standard input, an index (.json), or a folder with
  /// model.safetensors or model.safetensors.index.json. Null with *error set.
  static std::unique_ptr<Safetensors> open(const std::string &path, qkv_error *error);

  /// One file, or `-`: of inputs, which are not in shards. Null with *error set.
  static std::unique_ptr<Safetensors> openFile(const std::string &path, qkv_error *error);

  /// A file that was opened; `name` is what messages call it.
  static std::unique_ptr<Safetensors> fromFile(FileBytes file, const std::string &name,
                                               qkv_error *error);

  /// A file that is in memory.
  static std::unique_ptr<Safetensors> fromBytes(const void *data, size_t size,
                                                const std::string &name, qkv_error *error);

  const char *kind() const override { return "safetensors"; }
  const char *formatName() const override { return "safetensors"; }

private:
  bool readFile(const std::string &path, std::vector<FileTensor> &into, qkv_error *error);
  bool readBytes(FileBytes file, const std::string &path, std::vector<FileTensor> &into,
                 qkv_error *error);
  bool readShards(const std::string &index, qkv_error *error);

  std::vector<std::unique_ptr<std::string>> texts; // of the metadata
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

} // namespace qkv::rt

// In: GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3,
// single or split. Out: their tensors by name, their metadata by key. Holds: every length, offset
// and type is checked before it is believed; nothing is allocated that the file is too short for.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"

#include <memory>
#include <string>

namespace qkv::rt {

/// Whether the bytes begin as GGUF files do.
bool isGguf(const FileBytes &file);

class Gguf : public MappedCheckpoint {
public:
  /// A file that was opened; `path` is what messages call it, and where the other parts of a split
  /// checkpoint lie. Null with *error set.
  static std::unique_ptr<Gguf> fromFile(FileBytes file, const std::string &path, qkv_error *error);

  const char *kind() const override { return "GGUF"; }
  const char *formatName() const override { return "gguf"; }

private:
  bool readFile(FileBytes file, const std::string &path, Metadata &metadata, qkv_error *error);
  bool readParts(const std::string &path, qkv_error *error);
  bool scaleTensors(qkv_error *error);
};

} // namespace qkv::rt

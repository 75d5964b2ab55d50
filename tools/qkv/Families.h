// In: a checkpoint in the place of a model file. Out: the page of the library of models that serves
// it. Holds: the table of dsl/std/models/README.md says which that is, and nothing else does.
#pragma once

#include <string>
#include <vector>

namespace qkv::driver {

struct ModelOptions;

/// A row of the table.
struct Family {
  std::string page;                       ///< "llama"
  std::vector<std::string> architectures; ///< of config.json
  std::vector<std::string> types;         ///< its model_type
  std::vector<std::string> gguf;          ///< general.architecture
};

const std::vector<Family> &families();

/// Whether a path is a checkpoint and no model file: a folder, safetensors, an index of shards, a
/// GGUF.
bool isCheckpoint(const std::string &path);

/// Where the file of the options is a checkpoint: its page takes the file's place, it that of the
/// weights. 0, or the exit code after reporting.
int usePageOf(ModelOptions &options);

} // namespace qkv::driver

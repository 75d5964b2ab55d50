// In: weights' paths; a model's settings (what its page read from a configuration when it was
// compiled, rule C2). Out: the configuration beside or inside weights; whether it agrees. Holds: a
// key is found here exactly where the compiler finds it, and numbers are compared as numbers.
#pragma once

#include "runtime/qkv.h"

#include <string>

namespace qkv::rt {

/// A configuration as text, and the file that it is in (for messages). No text: there is none.
struct Configuration {
  std::string text, path;
  std::string format =
      {}; ///< of the checkpoint that it belongs to: "gguf" (Checkpoint::formatName)
};

/// The configuration of weights: config.json in the folder that is `weights`, or beside the file;
/// what was packed with it in a packed file; a GGUF's own keys. None for standard input. False with
/// *error set where there is one that cannot be read.
bool findConfiguration(const std::string &weights, Configuration &found, qkv_error *error);

/// Whether the model read the same from its own configuration as it would read from this. False
/// with *error set: the key and both values. Without a text all is well: weights that say nothing
/// contradict nothing.
bool checkSettings(const qkv_model &model, const Configuration &configuration, qkv_error *error);

} // namespace qkv::rt

// Syntax tree -> checked equations: names, ranges, shapes, types, proofs (the numbered rules).
//
// In: the text of a model file and, where there is one, the checkpoint's configuration.
// Out: a Program, or diagnostics. `use` finds files beside the model file first, then the
// standard library.
#pragma once

#include "dsl/Program.h"
#include "dsl/syntax/Diagnostics.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace qkv {

struct CheckOptions {
  std::string model; ///< C3: which model; empty: the only one
  /// The text of config.json beside the weights, where there is one (C2).
  std::optional<std::string> config;
  std::string configPath;   ///< for messages
  std::string configFormat; ///< of the checkpoint that it belongs to (C5): "gguf"
};

/// Checks the file and elaborates the model. Null if there were errors. A file without a
/// model is checked as far as that goes (all its definitions that can be).
std::unique_ptr<Program> check(const Source &source, Sources &sources, const CheckOptions &options,
                               Diagnostics &diagnostics);

/// The names of the models of a file, in order (C3).
std::vector<std::string> modelNames(const Source &source);

} // namespace qkv

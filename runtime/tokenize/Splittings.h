// In: the name that a GGUF has for its way of splitting text into words (`tokenizer.ggml.pre`).
// Out: the regular expressions, each of which splits what the one before it left whole.
#pragma once

#include <string_view>
#include <vector>

namespace qkv::rt {

struct Splitting {
  std::vector<std::string_view> names;
  std::vector<const char *> patterns;
  bool ignoreMerges = false; ///< a word that is a token is that token
  bool addBos = false;       ///< where the file does not say
};

/// Null if the name is not known.
const Splitting *splittingByName(std::string_view name);

} // namespace qkv::rt

// In: JSON text from files that may hold anything. Out: the tables that weights need, and values of
// a configuration. Holds: no recursion, no exceptions, names unique; a failure says why and at
// which byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qkv::rt {

/// One tensor as a safetensors header gives it; offsets are not checked yet.
struct HeaderEntry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

/// The header of a safetensors file (https://huggingface.co/docs/safetensors), in its order;
/// the texts of `__metadata__` are put by themselves. False with `why` set.
bool parseHeader(const char *begin, const char *end, std::vector<HeaderEntry> &entries,
                 std::vector<std::pair<std::string, std::string>> &metadata, std::string &why);

/// The `weight_map` of a model.safetensors.index.json: tensor name, shard file. False with `why`.
bool parseIndex(const char *begin, const char *end,
                std::vector<std::pair<std::string, std::string>> &map, std::string &why);

/// The values of `keys` in a configuration, as JSON writes them; none: absent or null. "a.b.0" is
/// the member "a.b.0" of the whole, else item 0 of its member "a.b", else what members and
/// positions of lists lead to; "a.b.length" is also the length of a list. Infinity and NaN may
/// stand bare, as Python writes them. False with `why`.
bool parseSettings(const std::string &text, const std::vector<std::string> &keys,
                   std::vector<std::optional<std::string>> &values, std::string &why);

} // namespace qkv::rt

// In: the bytes of every token. Out: these as a tree, for walks that leave out what cannot follow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qkv::rt {

/// The tree's nodes in the order of a walk: each before those below it.
class TokenTrie {
public:
  struct Node {
    uint32_t depth : 24; ///< bytes before its own
    uint32_t byte : 8;
    uint32_t behind; ///< the next node that is not below it
    uint32_t tokens; ///< the first of its own, in `tokens`; those of the next node are none of them
  };
  /// Tokens without bytes are in no node.
  explicit TokenTrie(std::vector<std::string> texts);
  const std::string &text(int64_t token) const { return texts[static_cast<size_t>(token)]; }
  int64_t size() const { return static_cast<int64_t>(texts.size()); }

  std::vector<Node> nodes; ///< and one behind the last
  std::vector<int64_t> tokens;
  uint32_t deepest = 0; ///< bytes of the longest token

private:
  std::vector<std::string> texts;
};

} // namespace qkv::rt

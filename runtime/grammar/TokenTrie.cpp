// The tree of all tokens (TokenTrie.h).
#include "runtime/grammar/TokenTrie.h"

#include <algorithm>

namespace qkv::rt {

/// A token that is longer than this is no node's.
constexpr size_t longest = 1 << 20;

TokenTrie::TokenTrie(std::vector<std::string> given) : texts(std::move(given)) {
  std::vector<int64_t> order;
  for (size_t token = 0; token < texts.size(); ++token)
    if (!texts[token].empty() && texts[token].size() <= longest)
      order.push_back(static_cast<int64_t>(token));
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    int compared = text(a).compare(text(b)); // (bytes as unsigned ones)
    return compared != 0 ? compared < 0 : a < b;
  });
  std::vector<uint32_t> open; // the nodes above the next one
  auto closeTo = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      nodes[open.back()].behind = static_cast<uint32_t>(nodes.size());
  };
  std::string before;
  for (int64_t token : order) {
    const std::string &own = text(token);
    size_t same = 0;
    while (same < before.size() && same < own.size() && before[same] == own[same])
      ++same;
    closeTo(same);
    for (size_t at = same; at < own.size(); ++at) {
      open.push_back(static_cast<uint32_t>(nodes.size()));
      nodes.push_back({static_cast<uint32_t>(at), static_cast<unsigned char>(own[at]), 0,
                       static_cast<uint32_t>(tokens.size())});
    }
    tokens.push_back(token);
    deepest = std::max(deepest, static_cast<uint32_t>(own.size()));
    before = own;
  }
  closeTo(0);
  nodes.push_back({0, 0, 0, static_cast<uint32_t>(tokens.size())});
}

} // namespace qkv::rt

// In: the texts of tokens. Out: a token by its text, by a text that it begins, by two that it is
// merged from. Holds: what is looked up a million times a second is in flat tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qkv::rt {

/// A flat table from 64-bit keys to 64-bit values.
class FlatMap {
public:
  void reserve(size_t count);
  /// Puts a value, in the place of one that is there.
  void put(uint64_t key, uint64_t value);
  /// Null if there is none.
  const uint64_t *find(uint64_t key) const {
    if (slots.empty())
      return nullptr;
    for (size_t at = place(key);; at = (at + 1) & mask)
      if (slots[at].key == key)
        return &slots[at].value;
      else if (slots[at].key == empty)
        return nullptr;
  }

private:
  static constexpr uint64_t empty = ~uint64_t(0);
  struct Slot {
    uint64_t key = empty, value = 0;
  };
  size_t place(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u >> 20) & mask; }
  std::vector<Slot> slots;
  size_t mask = 0, used = 0;
};

/// Texts by their beginnings.
class Trie {
public:
  Trie() : values(1, -1) {}
  void add(std::string_view text, int64_t value);
  /// The node behind a byte; -1 if there is none. Node 0 is the root.
  int64_t next(int64_t node, unsigned char byte) const {
    const uint64_t *found = edges.find(static_cast<uint64_t>(node) << 8 | byte);
    return found ? static_cast<int64_t>(*found) : -1;
  }
  /// The value of the text that ends at a node; -1 if none does.
  int64_t value(int64_t node) const { return values[node]; }
  bool empty() const { return values.size() == 1; }

private:
  FlatMap edges;
  std::vector<int64_t> values;
};

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

/// Tokens by their texts. Tokens may have gaps, and of one text the last token counts.
class Vocabulary {
public:
  /// At most so many tokens, so that a number alone cannot ask for much memory.
  static constexpr int64_t most = 1 << 24;
  void add(const std::string &text, int64_t token);
  /// -1 if there is none.
  int64_t find(std::string_view text) const {
    auto found = tokens.find(text);
    return found == tokens.end() ? -1 : found->second;
  }
  /// Null if there is none.
  const std::string *text(int64_t token) const {
    return token >= 0 && token < size() && there[token] ? &texts[token] : nullptr;
  }
  /// One more than the largest token.
  int64_t size() const { return static_cast<int64_t>(texts.size()); }

private:
  std::unordered_map<std::string, int64_t, TextHash, std::equal_to<>> tokens;
  std::vector<std::string> texts;
  std::vector<bool> there;
};

} // namespace qkv::rt

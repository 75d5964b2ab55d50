// In: the texts of tokens. Out: tokens by texts.
#include "runtime/tokenize/Vocabulary.h"

namespace qkv::rt {

void FlatMap::reserve(size_t count) {
  size_t size = 16;
  while (size < 2 * count)
    size *= 2;
  if (size <= slots.size())
    return;
  std::vector<Slot> old(size);
  old.swap(slots);
  mask = size - 1;
  used = 0;
  for (const Slot &slot : old)
    if (slot.key != empty)
      put(slot.key, slot.value);
}

void FlatMap::put(uint64_t key, uint64_t value) {
  if (2 * (used + 1) > slots.size())
    reserve(slots.size() + 8);
  for (size_t at = place(key);; at = (at + 1) & mask) {
    if (slots[at].key == empty) {
      slots[at] = {key, value};
      ++used;
      return;
    }
    if (slots[at].key == key) {
      slots[at].value = value;
      return;
    }
  }
}

void Trie::add(std::string_view text, int64_t value) {
  int64_t node = 0;
  for (unsigned char byte : text) {
    int64_t behind = next(node, byte);
    if (behind < 0) {
      behind = static_cast<int64_t>(values.size());
      values.push_back(-1);
      edges.put(static_cast<uint64_t>(node) << 8 | byte, behind);
    }
    node = behind;
  }
  values[node] = value;
}

void Vocabulary::add(const std::string &text, int64_t token) {
  tokens[text] = token;
  if (token >= size()) {
    texts.resize(token + 1);
    there.resize(token + 1);
  }
  texts[token] = text;
  there[token] = true;
}

} // namespace qkv::rt

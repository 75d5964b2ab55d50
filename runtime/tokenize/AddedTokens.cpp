// In: text. Out: the tokens that stand in it as a whole, and the text between them.
#include "runtime/tokenize/AddedTokens.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// Where the character before `at` begins.
size_t characterBefore(const std::string &text, size_t at) {
  do
    --at;
  while (at > 0 && (text[at] & 0xC0) == 0x80);
  return at;
}

bool wordEndsAt(const std::string &text, size_t at) {
  if (at == 0)
    return false;
  size_t begin = characterBefore(text, at);
  return isWordPart(nextCharacter(text, begin));
}

bool wordBeginsAt(const std::string &text, size_t at) {
  return at < text.size() && isWordPart(nextCharacter(text, at));
}

size_t spacesBegin(const std::string &text, size_t at) {
  while (at > 0) {
    size_t begin = characterBefore(text, at), end = begin;
    if (!isSpace(nextCharacter(text, end)))
      break;
    at = begin;
  }
  return at;
}

size_t spacesEnd(const std::string &text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!isSpace(nextCharacter(text, next)))
      break;
    at = next;
  }
  return at;
}

} // namespace

bool AddedTokens::prepare(const Normalizer *normalizer, std::string &why) {
  for (size_t i = 0; i < list.size(); ++i) {
    std::string text = list[i].content;
    if (list[i].normalized && normalizer && !normalizer->normalize(text, why))
      return false;
    byToken.put(list[i].token, i);
    if (!text.empty())
      tries[list[i].normalized].add(text, static_cast<int64_t>(i));
  }
  return true;
}

const AddedToken *AddedTokens::find(int64_t token) const {
  const uint64_t *found = token < 0 ? nullptr : byToken.find(token);
  return found ? &list[*found] : nullptr;
}

std::vector<AddedTokens::Part> AddedTokens::split(const std::string &text, bool normalized,
                                                  bool special) const {
  std::vector<Part> parts;
  const Trie &trie = tries[normalized];
  size_t from = 0;
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    size_t end = at;
    const AddedToken *longest = nullptr;
    int64_t node = 0;
    for (size_t i = at; i < text.size() && (node = trie.next(node, text[i])) >= 0; ++i)
      if (int64_t index = trie.value(node); index >= 0) {
        longest = &list[index];
        end = i + 1;
      }
    if (!longest) {
      ++at;
      continue;
    }
    size_t begin = at, stop = end;
    at = end;
    if ((longest->special && !special) ||
        (longest->singleWord && (wordEndsAt(text, begin) || wordBeginsAt(text, end))))
      continue;
    if (longest->leftSpaces)
      begin = std::max(spacesBegin(text, begin), from);
    if (longest->rightSpaces)
      stop = spacesEnd(text, end);
    if (from < begin)
      parts.push_back({from, begin, -1});
    parts.push_back({begin, stop, longest->token});
    from = stop;
  }
  if (from < text.size())
    parts.push_back({from, text.size(), -1});
  return parts;
}

} // namespace qkv::rt

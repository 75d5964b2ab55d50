// The expressions of rules (Grammar.h).
#include "runtime/grammar/Grammar.h"

#include <algorithm>

namespace qkv::rt {

constexpr int32_t lastCharacter = 0x10FFFF, firstSurrogate = 0xD800, lastSurrogate = 0xDFFF;

int Grammar::add(Expression expression) {
  expressions.push_back(std::move(expression));
  return static_cast<int>(expressions.size()) - 1;
}

int Grammar::bytes(std::string text) {
  return add({.kind = Kind::Bytes, .bytes = std::move(text)});
}

/// Sorted, joined where they touch, within what characters there are.
static std::vector<CharacterRange> tidy(std::vector<CharacterRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<CharacterRange> out;
  for (auto [first, last] : ranges) {
    last = std::min(last, lastCharacter);
    if (first > last)
      continue;
    if (!out.empty() && first <= out.back().second + 1)
      out.back().second = std::max(out.back().second, last);
    else
      out.push_back({first, last});
  }
  return out;
}

int Grammar::characters(std::vector<CharacterRange> ranges) {
  std::vector<CharacterRange> out;
  for (auto [first, last] : tidy(std::move(ranges))) {
    if (first < firstSurrogate)
      out.push_back({first, std::min(last, firstSurrogate - 1)});
    if (last > lastSurrogate)
      out.push_back({std::max(first, lastSurrogate + 1), last});
  }
  return add({.kind = Kind::Characters, .characters = std::move(out)});
}

int Grammar::sequence(std::vector<int> parts) {
  return parts.size() == 1 ? parts[0] : add({.kind = Kind::Sequence, .parts = std::move(parts)});
}

int Grammar::choice(std::vector<int> parts) {
  return parts.size() == 1 ? parts[0] : add({.kind = Kind::Choice, .parts = std::move(parts)});
}

int Grammar::repeat(int part, int64_t least, int64_t most) {
  return add({.kind = Kind::Repeat, .parts = {part}, .least = least, .most = most});
}

int Grammar::call(int rule) { return add({.kind = Kind::Rule, .rule = rule}); }

int Grammar::declare(std::string name) {
  rules.push_back({std::move(name)});
  return static_cast<int>(rules.size()) - 1;
}

std::vector<CharacterRange> otherCharacters(std::vector<CharacterRange> ranges) {
  std::vector<CharacterRange> out;
  int32_t next = 0;
  for (auto [first, last] : tidy(std::move(ranges))) {
    if (first > next)
      out.push_back({next, first - 1});
    next = last + 1;
  }
  if (next <= lastCharacter)
    out.push_back({next, lastCharacter});
  return out;
}

std::string utf8Of(int32_t character) {
  std::string out;
  auto add = [&](int32_t byte) { out += static_cast<char>(byte); };
  auto tail = [&](int shift) { add(0x80 | (character >> shift & 0x3F)); };
  if (character < 0x80) {
    add(character);
  } else if (character < 0x800) {
    add(0xC0 | character >> 6);
    tail(0);
  } else if (character < 0x10000) {
    add(0xE0 | character >> 12);
    tail(6);
    tail(0);
  } else {
    add(0xF0 | character >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
  return out;
}

} // namespace qkv::rt

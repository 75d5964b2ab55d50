// In: text as it came. Out: text as a vocabulary was made from.
#include "runtime/tokenize/Normalize.h"

#include <cstring>

namespace qkv::rt {

bool Pattern::find(std::string_view in, size_t from, size_t &begin, size_t &end,
                   std::string &why) const {
  if (!regex) {
    begin = text.empty() ? in.npos : in.find(text, from);
    end = begin + text.size();
    return begin != in.npos;
  }
  Regex::Result result = regex->find(in, from, begin, end);
  if (result == Regex::Failed)
    why = "a regular expression of the tokenizer takes too many steps for this text";
  return result == Regex::Found;
}

bool NormalizeAll::normalize(std::string &text, std::string &why) const {
  for (auto &step : steps)
    if (!step->normalize(text, why))
      return false;
  return true;
}

bool UnicodeForm::normalize(std::string &text, std::string &) const {
  text = normalForm(text, form);
  return true;
}

/// What machine translation leaves out, and what it takes for a space.
static void appendNmt(std::string &out, int32_t c) {
  bool dropped = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
                 c == 0x8F || c == 0x9F;
  bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
               (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
               c == 0xFEFF || c == 0xFFFD;
  if (!dropped)
    appendCharacter(out, space ? ' ' : c);
}

bool EachCharacter::normalize(std::string &text, std::string &) const {
  std::string out;
  if (what == Lowercase) {
    out = lowercase(text);
  } else if (what == ByteCharacters) {
    for (unsigned char byte : text)
      out += byteCharacter(byte);
  } else {
    for (size_t at = 0; at < text.size();) {
      int32_t c = nextCharacter(text, at);
      if (what == Nmt)
        appendNmt(out, c);
      else if (!isMark(c))
        appendCharacter(out, c);
    }
  }
  text = std::move(out);
  return true;
}

static bool isIdeograph(int32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool BertNormalizer::normalize(std::string &text, std::string &) const {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    int32_t c = nextCharacter(text, at);
    bool blank = c == '\t' || c == '\n' || c == '\r';
    if (clean && (c == 0 || c == 0xFFFD || (!blank && isOther(c))))
      continue;
    if (clean && (blank || isSpace(c)))
      c = ' ';
    bool apart = spaceIdeographs && isIdeograph(c);
    out += apart ? " " : "";
    appendCharacter(out, c);
    out += apart ? " " : "";
  }
  if (strip) {
    std::string parts = normalForm(out, NormalForm::D);
    out.clear();
    for (size_t at = 0; at < parts.size();)
      if (int32_t c = nextCharacter(parts, at); !isNonSpacingMark(c))
        appendCharacter(out, c);
  }
  text = lower ? lowercase(out) : out;
  return true;
}

bool StripSpaces::normalize(std::string &text, std::string &) const {
  size_t begin = 0, end = 0;
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    size_t before = at;
    if (isSpace(nextCharacter(text, at)))
      continue;
    if (!any)
      begin = before;
    any = true;
    end = at;
  }
  if (!any && (left || right)) {
    text.clear();
    return true;
  }
  if (right)
    text.resize(end);
  if (left)
    text.erase(0, begin);
  return true;
}

bool Prepend::normalize(std::string &in, std::string &) const {
  if (!in.empty())
    in.insert(0, text);
  return true;
}

bool Replace::normalize(std::string &text, std::string &why) const {
  std::string out;
  size_t from = 0, search = 0, begin, end;
  why.clear();
  while (search <= text.size() && pattern.find(text, search, begin, end, why)) {
    out.append(text, from, begin - from);
    out += content;
    from = search = end;
    if (begin == end) { // an empty match: go on behind the next character
      if (search < text.size())
        nextCharacter(text, search);
      else
        break;
    }
  }
  out.append(text, from);
  text = std::move(out);
  return why.empty();
}

bool CharacterMap::read(std::string_view bytes) {
  if (bytes.size() < 4)
    return false;
  uint32_t size;
  memcpy(&size, bytes.data(), 4);
  if (size > bytes.size() - 4 || size % 4 || size == 0)
    return false;
  trie.resize(size / 4);
  memcpy(trie.data(), bytes.data() + 4, size);
  texts = bytes.substr(4 + size);
  return true;
}

bool CharacterMap::lookUp(std::string_view text, std::string_view &found) const {
  auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & 1 << 9) >> 6); };
  size_t node = offset(trie[0]);
  for (unsigned char byte : text) {
    if (byte == 0)
      return false;
    node ^= byte;
    if (node >= trie.size())
      return false;
    uint32_t unit = trie[node];
    if ((unit & 0x800000FF) != byte)
      return false;
    node ^= offset(unit);
    if (node >= trie.size())
      return false;
    if (unit >> 8 & 1) { // The shortest text counts, as the reference has it.
      size_t start = trie[node] & 0x7FFFFFFF;
      if (start > texts.size())
        return false;
      found = std::string_view(texts).substr(start);
      found = found.substr(0, found.find('\0'));
      return true;
    }
  }
  return false;
}

bool CharacterMap::normalize(std::string &text, std::string &) const {
  std::string out;
  std::string_view found, all = text;
  for (size_t at = 0; at < text.size();) {
    size_t end = graphemeEnd(all, at);
    std::string_view grapheme = all.substr(at, end - at);
    if (grapheme.size() < 6 && lookUp(grapheme, found)) {
      out += found;
      at = end;
      continue;
    }
    while (at < end) {
      size_t begin = at;
      nextCharacter(text, at);
      std::string_view one = all.substr(begin, at - begin);
      out += lookUp(one, found) ? found : one;
    }
  }
  text = std::move(out);
  return true;
}

bool SqueezeSpaces::normalize(std::string &text, std::string &) const {
  std::string out;
  for (char c : text)
    if (c != ' ' || (!out.empty() && out.back() != ' '))
      out += c;
  if (!out.empty() && out.back() == ' ')
    out.pop_back();
  text = std::move(out);
  return true;
}

} // namespace qkv::rt

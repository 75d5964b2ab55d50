// In: a normalised text. Out: the words that a model sees, one by one.
#include "runtime/tokenize/PreTokenize.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// A part of a piece, between matches or one of them.
struct Part {
  size_t begin, end;
  bool match;
};

/// Joins parts as the behaviour wants it; those that are to go are empty.
std::vector<Part> arrange(std::vector<Part> parts, Behavior behavior) {
  std::vector<Part> out;
  bool before = false; // whether the part before was a match
  auto joins = [&](const Part &part) {
    return behavior == Behavior::Contiguous ? part.match == before : part.match && !before;
  };
  switch (behavior) {
  case Behavior::Isolated:
    return parts;
  case Behavior::Removed:
    for (const Part &part : parts)
      if (!part.match)
        out.push_back(part);
    return out;
  case Behavior::Contiguous:
  case Behavior::MergedWithPrevious:
    for (const Part &part : parts) {
      if (!out.empty() && joins(part))
        out.back().end = part.end;
      else
        out.push_back(part);
      before = part.match;
    }
    return out;
  case Behavior::MergedWithNext:
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (!out.empty() && joins(*part))
        out.back().begin = part->begin;
      else
        out.push_back(*part);
      before = part->match;
    }
    std::reverse(out.begin(), out.end());
    return out;
  }
  return out;
}

/// Cuts a piece into arranged parts behind those that are there.
void cut(const Piece &piece, std::vector<Part> parts, Behavior behavior, std::vector<Piece> &out) {
  for (const Part &part : arrange(std::move(parts), behavior))
    if (part.begin < part.end)
      out.push_back(
          {piece.text.substr(part.begin, part.end - part.begin), piece.first && part.begin == 0});
}

} // namespace

bool SplitAll::split(std::vector<Piece> &pieces, std::string &why) const {
  for (auto &step : steps)
    if (!step->split(pieces, why))
      return false;
  return true;
}

bool SplitAt::split(std::vector<Piece> &pieces, std::string &why) const {
  std::vector<Piece> out;
  why.clear();
  for (const Piece &piece : pieces) {
    std::vector<Part> parts;
    size_t from = 0, search = 0, begin, end;
    while (search <= piece.text.size() && pattern.find(piece.text, search, begin, end, why)) {
      if (from < begin)
        parts.push_back({from, begin, invert});
      parts.push_back({begin, end, !invert});
      from = search = end;
      if (begin == end) { // an empty match: go on behind the next character
        if (search >= piece.text.size())
          break;
        nextCharacter(piece.text, search);
      }
    }
    if (!why.empty())
      return false;
    if (from < piece.text.size())
      parts.push_back({from, piece.text.size(), invert});
    cut(piece, std::move(parts), behavior, out);
  }
  pieces = std::move(out);
  return true;
}

bool SplitCharacters::split(std::vector<Piece> &pieces, std::string &) const {
  std::vector<Piece> out;
  for (const Piece &piece : pieces) {
    std::vector<Part> parts;
    size_t from = 0;
    for (size_t at = 0; at < piece.text.size();) {
      size_t begin = at;
      if (!kind(nextCharacter(piece.text, at)))
        continue;
      if (from < begin)
        parts.push_back({from, begin, false});
      parts.push_back({begin, at, true});
      from = at;
    }
    if (from < piece.text.size())
      parts.push_back({from, piece.text.size(), false});
    cut(piece, std::move(parts), behavior, out);
  }
  pieces = std::move(out);
  return true;
}

bool Whitespace::split(std::vector<Piece> &pieces, std::string &) const {
  std::vector<Piece> out;
  enum { Space, Word, Other };
  auto kindOf = [](int32_t c) { return isSpace(c) ? Space : isWordPart(c) ? Word : Other; };
  for (const Piece &piece : pieces)
    for (size_t at = 0; at < piece.text.size();) {
      size_t begin = at, end;
      auto kind = kindOf(nextCharacter(piece.text, at));
      for (end = at; end < piece.text.size(); at = end)
        if (kindOf(nextCharacter(piece.text, end)) != kind)
          break;
      if (kind != Space)
        out.push_back({piece.text.substr(begin, at - begin), piece.first && begin == 0});
    }
  pieces = std::move(out);
  return true;
}

const char *ByteLevel::wordsPattern() {
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

bool ByteLevel::split(std::vector<Piece> &pieces, std::string &why) const {
  for (Piece &piece : pieces)
    if (addPrefixSpace && !piece.text.starts_with(' '))
      piece.text.insert(0, " ");
  if (words && !words->split(pieces, why))
    return false;
  for (Piece &piece : pieces) {
    std::string text;
    for (unsigned char byte : piece.text)
      text += byteCharacter(byte);
    piece.text = std::move(text);
  }
  return true;
}

bool Metaspace::split(std::vector<Piece> &pieces, std::string &why) const {
  for (Piece &piece : pieces) {
    std::string text;
    for (char c : piece.text)
      if (c == ' ')
        text += replacement;
      else
        text += c;
    bool wanted = prefix == Prefix::Always || (prefix == Prefix::First && piece.first);
    if (wanted && !text.starts_with(replacement))
      text.insert(0, replacement);
    piece.text = std::move(text);
  }
  if (!splits)
    return true;
  SplitAt at;
  at.pattern.text = replacement;
  at.behavior = Behavior::MergedWithNext;
  return at.split(pieces, why);
}

} // namespace qkv::rt

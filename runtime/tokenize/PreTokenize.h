// In: a normalised text. Out: the words that a model sees, one by one.
#pragma once

#include "runtime/tokenize/Normalize.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::rt {

struct Piece {
  std::string text;
  bool first = false; ///< it begins where the whole text does
};

class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  /// Replaces pieces by their parts. False with `why` set.
  virtual bool split(std::vector<Piece> &pieces, std::string &why) const = 0;
};

/// What becomes of a match of a pattern.
enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

class SplitAll : public PreTokenizer {
public:
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  bool split(std::vector<Piece> &pieces, std::string &why) const override;
};

class SplitAt : public PreTokenizer {
public:
  Pattern pattern;
  Behavior behavior = Behavior::Isolated;
  bool invert = false;
  bool split(std::vector<Piece> &pieces, std::string &why) const override;
};

/// At characters of a kind.
class SplitCharacters : public PreTokenizer {
public:
  using Kind = bool (*)(int32_t character);
  SplitCharacters(Kind kind, Behavior behavior) : kind(kind), behavior(behavior) {}
  bool split(std::vector<Piece> &pieces, std::string &why) const override;

private:
  Kind kind;
  Behavior behavior;
};

/// Words, and runs of what is neither word nor space.
class Whitespace : public PreTokenizer {
public:
  bool split(std::vector<Piece> &pieces, std::string &why) const override;
};

/// Bytes as characters, GPT-2's words before that.
class ByteLevel : public PreTokenizer {
public:
  bool addPrefixSpace = true;
  std::unique_ptr<SplitAt> words; ///< null: the pieces stay whole
  static const char *wordsPattern();
  bool split(std::vector<Piece> &pieces, std::string &why) const override;
};

/// Spaces as characters that are seen.
class Metaspace : public PreTokenizer {
public:
  enum class Prefix { Always, First, Never };
  std::string replacement = "\xE2\x96\x81";
  Prefix prefix = Prefix::Always;
  bool splits = true;
  bool split(std::vector<Piece> &pieces, std::string &why) const override;
};

} // namespace qkv::rt

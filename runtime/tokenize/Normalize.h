// In: text as it came. Out: text as a vocabulary was made from.
#pragma once

#include "runtime/tokenize/Regex.h"
#include "runtime/tokenize/Unicode.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

class Normalizer {
public:
  virtual ~Normalizer() = default;
  /// False with `why` set.
  virtual bool normalize(std::string &text, std::string &why) const = 0;
};

/// A text, or an expression, that is looked for.
struct Pattern {
  std::string text;
  std::unique_ptr<Regex> regex; ///< null: the text itself
  /// The first match from `from` on. False: none, or a failed search with `why` set.
  bool find(std::string_view in, size_t from, size_t &begin, size_t &end, std::string &why) const;
};

using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

class NormalizeAll : public Normalizer {
public:
  Normalizers steps;
  bool normalize(std::string &text, std::string &why) const override;
};

class UnicodeForm : public Normalizer {
public:
  explicit UnicodeForm(NormalForm form) : form(form) {}
  bool normalize(std::string &text, std::string &why) const override;

private:
  NormalForm form;
};

/// What does one thing with each character.
class EachCharacter : public Normalizer {
public:
  enum What { Lowercase, StripAccents, Nmt, ByteCharacters };
  explicit EachCharacter(What what) : what(what) {}
  bool normalize(std::string &text, std::string &why) const override;

private:
  What what;
};

class BertNormalizer : public Normalizer {
public:
  bool clean = true, spaceIdeographs = true, lower = true, strip = true;
  bool normalize(std::string &text, std::string &why) const override;
};

class StripSpaces : public Normalizer {
public:
  bool left = true, right = true;
  bool normalize(std::string &text, std::string &why) const override;
};

class Prepend : public Normalizer {
public:
  std::string text;
  bool normalize(std::string &in, std::string &why) const override;
};

class Replace : public Normalizer {
public:
  Pattern pattern;
  std::string content;
  bool normalize(std::string &text, std::string &why) const override;
};

/// SentencePiece's compiled map: a trie of texts, and what stands in their place.
class CharacterMap : public Normalizer {
public:
  /// False: the bytes are no such map.
  bool read(std::string_view bytes);
  bool normalize(std::string &text, std::string &why) const override;

private:
  bool lookUp(std::string_view text, std::string_view &found) const;
  std::vector<uint32_t> trie; ///< a double array as darts-clone writes it
  std::string texts;          ///< each ends in a zero
};

/// SentencePiece's way with spaces: none at the ends, one of several in a row.
class SqueezeSpaces : public Normalizer {
public:
  bool normalize(std::string &text, std::string &why) const override;
};

} // namespace qkv::rt

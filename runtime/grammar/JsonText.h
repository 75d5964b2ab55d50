// In: what a JSON schema says of texts and numbers. Out: rules for how JSON writes them.
#pragma once

#include "runtime/grammar/Grammar.h"

#include <optional>
#include <string_view>

namespace qkv::rt {

/// The forms of JSON in a grammar: each rule is made when it is first asked for.
class JsonText {
public:
  explicit JsonText(Grammar &grammar) : grammar(grammar) {}

  int space();     ///< little whitespace, or none
  int value();     ///< any
  int anyText();   ///< a text
  int anyNumber(); ///< of at most 16 digits before and behind the point
  int anyWhole();  ///< of at most 16 digits
  int anyList();
  int anyObject();
  /// A text of so many characters; most -1: any number.
  int text(int64_t least, int64_t most);
  /// A text that a regular expression (ECMA 262) matches, anywhere unless it has ^ and $. None with
  /// `why` set where it has what is not supported.
  std::optional<int> textLike(std::string_view pattern, std::string &why);
  /// A text in a format; none where that is not known.
  std::optional<int> formatted(const std::string &format);
  /// A whole number within bounds.
  int whole(std::optional<int64_t> least, std::optional<int64_t> most);
  /// Any number within them.
  int number(std::optional<int64_t> least, bool leastItself, std::optional<int64_t> most,
             bool mostItself);
  /// A whole number within bounds that `step` divides. None where the bounds would need too many
  /// rules.
  std::optional<int> multiples(int64_t step, std::optional<int64_t> least,
                               std::optional<int64_t> most);
  /// A text of none of these, without escapes: the name of another property.
  int otherName(const std::vector<std::string> &names);
  /// One of these characters as a text of JSON has it.
  int inText(const std::vector<CharacterRange> &characters);
  /// `"`, what is between, `"`.
  int quoted(int inner);
  int list(int item, int64_t least, int64_t most);

private:
  int named(const char *name, int (JsonText::*make)());
  int makeSpace();
  int makeValue();
  int makeCharacter();
  int makeNumber();
  int makeWhole();
  int makeList();
  int makeObject();
  int character();
  int digits(std::string_view least, std::string_view most);
  int digitsFrom(uint64_t least, uint64_t most);
  int fraction();
  int multiplesAbove0(int64_t step);
  int text(const char *bytes) { return grammar.bytes(bytes); }

  Grammar &grammar;
  std::vector<std::pair<std::string, int>> rules;
};

/// A regular expression over the characters of a text of JSON. None with `why` set.
std::optional<int> readPattern(std::string_view pattern, Grammar &grammar, JsonText &json,
                               std::string &why);

/// Whether a name of JSON is one that a regular expression matches; true where that cannot be told.
bool patternFits(const std::string &pattern, const std::string &name);

} // namespace qkv::rt

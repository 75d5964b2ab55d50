// In: rules, as a reader found them. Out: their expressions, which Automaton compiles. Holds: an
// expression is a number and stands behind those that it is made of; what a rule's name stands for
// may be said later.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qkv::rt {

/// Characters from the first to the second.
using CharacterRange = std::pair<int32_t, int32_t>;

class Grammar {
public:
  enum class Kind { Bytes, Characters, Sequence, Choice, Repeat, Rule };
  struct Expression {
    Kind kind;
    std::string bytes{};                      ///< Bytes
    std::vector<CharacterRange> characters{}; ///< Characters: sorted, apart from one another
    std::vector<int> parts{};                 ///< Sequence, Choice; Repeat: one
    int64_t least = 0, most = -1;             ///< Repeat; most -1: any number
    int rule = -1;                            ///< Rule
  };
  struct Rule {
    std::string name;
    int expression = -1; ///< -1: not said yet
  };

  int bytes(std::string text);
  /// One character of these, in UTF-8; surrogates are none.
  int characters(std::vector<CharacterRange> ranges);
  int sequence(std::vector<int> parts);
  int choice(std::vector<int> parts); ///< of none: nothing matches
  int repeat(int part, int64_t least, int64_t most);
  int optional(int part) { return repeat(part, 0, 1); }
  int call(int rule);
  /// A rule of its own, which is called by its number.
  int declare(std::string name);
  void define(int rule, int expression) { rules[rule].expression = expression; }

  const Expression &operator[](int expression) const { return expressions[expression]; }
  std::vector<Rule> rules;
  int root = -1; ///< the rule that a whole text is

private:
  int add(Expression expression);
  std::vector<Expression> expressions;
};

/// All characters but these.
std::vector<CharacterRange> otherCharacters(std::vector<CharacterRange> ranges);

/// The bytes of a character.
std::string utf8Of(int32_t character);

} // namespace qkv::rt

// GBNF to rules (ReadGrammar.h).
#include "runtime/Error.h"
#include "runtime/grammar/ReadGrammar.h"

#include <cstring>
#include <unordered_map>

namespace qkv::rt {
namespace {

class GbnfReader {
public:
  GbnfReader(std::string_view text, GrammarError &error) : text(text), error(error) {}

  std::optional<Grammar> read() {
    space(/*lines=*/true);
    while (good && at < text.size())
      readRule();
    for (size_t rule = 0; good && rule < grammar.rules.size(); ++rule)
      if (grammar.rules[rule].expression < 0)
        wrong("rule " + quote(grammar.rules[rule].name) + " is not defined", firstUse[rule],
              grammar.rules[rule].name.size());
    if (good && !names.count("root"))
      wrong("there is no rule root, which says what a whole text is", 0, 0);
    if (!good)
      return std::nullopt;
    grammar.root = names["root"];
    return std::move(grammar);
  }

private:
  int wrong(const std::string &what, size_t begin, size_t length = 1) {
    if (!good)
      return -1;
    good = false;
    error.text = what;
    error.line = 1;
    size_t line = 0;
    for (size_t i = 0; i < begin; ++i)
      if (text[i] == '\n') {
        ++error.line;
        line = i + 1;
      }
    error.column = static_cast<int>(begin - line) + 1;
    error.length = static_cast<int>(length);
    return -1;
  }
  char here(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : '\0'; }
  std::string found() const {
    if (at >= text.size())
      return "the end of the file";
    return here() == '\n' ? "the end of the line" : quote(text.substr(at, 1));
  }

  void space(bool lines) {
    for (; at < text.size(); ++at)
      if (here() == '#')
        for (; at + 1 < text.size() && here(1) != '\n';)
          ++at;
      else if (here() != ' ' && here() != '\t' && here() != '\r' && !(lines && here() == '\n'))
        return;
  }

  static bool inName(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }
  std::string name() {
    size_t begin = at;
    while (inName(here()))
      ++at;
    return std::string(text.substr(begin, at - begin));
  }
  int ruleNamed(const std::string &name, size_t place) {
    auto [found, fresh] = names.try_emplace(name, static_cast<int>(grammar.rules.size()));
    if (fresh) {
      grammar.declare(name);
      firstUse.push_back(place);
    }
    return found->second;
  }

  void readRule() {
    size_t begin = at;
    std::string own = name();
    if (own.empty())
      return static_cast<void>(wrong("expected a rule, name ::= ..., found " + found(), at));
    space(false);
    if (text.substr(at, 3) != "::=")
      return static_cast<void>(
          wrong("expected ::= behind the name of a rule, found " + found(), at));
    at += 3;
    int rule = ruleNamed(own, begin);
    if (grammar.rules[rule].expression >= 0)
      return static_cast<void>(
          wrong("rule " + quote(own) + " is defined twice", begin, own.size()));
    space(true);
    grammar.define(rule, alternatives(/*nested=*/false, 0));
    if (good && at < text.size() && here() != '\n')
      wrong("expected the end of the rule, found " + found(), at);
    space(true);
  }

  /// Whether a bar follows; outside of brackets it may begin the next line.
  bool bar(bool nested) {
    space(nested);
    size_t before = at;
    space(true);
    if (here() == '|') {
      ++at;
      space(true);
      return true;
    }
    at = before;
    return false;
  }

  int alternatives(bool nested, int depth) {
    if (depth > mostGrammarDepth)
      return wrong(format("more than %d brackets inside of each other", mostGrammarDepth), at);
    std::vector<int> all;
    do
      all.push_back(oneAlternative(nested, depth));
    while (good && bar(nested));
    return good ? grammar.choice(std::move(all)) : -1;
  }

  int oneAlternative(bool nested, int depth) {
    std::vector<int> parts;
    while (good) {
      int part = element(depth);
      if (part == none)
        break;
      if (good)
        parts.push_back(repeated(part));
      space(nested);
    }
    return good ? grammar.sequence(std::move(parts)) : -1;
  }

  int element(int depth) {
    size_t begin = at;
    if (inName(here())) {
      std::string other = name();
      size_t behind = at;
      space(false);
      bool next = text.substr(at, 3) == "::=";
      at = behind;
      if (next) // (a rule that begins on the line of another, or without a line between)
        return wrong("expected the end of the rule before the next one, " + quote(other), begin,
                     other.size());
      return grammar.call(ruleNamed(other, begin));
    }
    switch (here()) {
    case '"':
      return literal();
    case '[':
      return characterClass();
    case '.':
      ++at;
      return grammar.characters({{0, 0x10FFFF}});
    case '(': {
      ++at;
      space(true);
      int inner = alternatives(/*nested=*/true, depth + 1);
      if (good && here() != ')')
        return wrong("this bracket is not closed", begin);
      ++at;
      return inner;
    }
    case '<':
    case '!':
      return wrong("tokens by name or number are not supported: write their text", at);
    default:
      return none;
    }
  }

  /// A character, or an escaped one; `end` ends the text around it.
  int32_t character(char end) {
    size_t begin = at;
    if (at >= text.size() || here() == end || here() == '\n')
      return wrong(std::string("expected ") + end + ", found " + found(), at);
    if (here() == '\\') {
      char kind = here(1);
      at += 2;
      switch (kind) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hexadecimal(begin, 2);
      case 'u':
        return hexadecimal(begin, 4);
      case 'U':
        return hexadecimal(begin, 8);
      default:
        if (kind && std::strchr("\\\"[]-^.'/", kind))
          return kind;
        return wrong("unknown escape, expected \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH or "
                     "\\UHHHHHHHH",
                     begin, 2);
      }
    }
    return utf8();
  }

  int32_t utf8() {
    auto first = static_cast<unsigned char>(here());
    int length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    int32_t value = length == 1 ? first : first & (0xFF >> (length + 1));
    for (int i = 1; i < length; ++i) {
      auto next = static_cast<unsigned char>(here(static_cast<size_t>(i)));
      if ((next & 0xC0) != 0x80)
        length = 0;
      value = value << 6 | (next & 0x3F);
    }
    if (length == 0 || value > 0x10FFFF ||
        utf8Of(value) != text.substr(at, static_cast<size_t>(length)))
      return wrong("a byte that is no UTF-8", at);
    at += static_cast<size_t>(length);
    return value;
  }

  int32_t hexadecimal(size_t begin, int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at) {
      char c = here();
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0)
        return wrong(format("expected %d hexadecimal digits", digits), begin, at - begin + 1);
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      return wrong("this is no character", begin, at - begin);
    return static_cast<int32_t>(value);
  }

  int literal() {
    std::string bytes;
    ++at;
    while (good && here() != '"')
      if (int32_t one = character('"'); good)
        bytes += utf8Of(one);
    ++at;
    return good ? grammar.bytes(std::move(bytes)) : -1;
  }

  int characterClass() {
    std::vector<CharacterRange> ranges;
    ++at;
    bool other = here() == '^';
    at += other;
    while (good && here() != ']') {
      size_t begin = at;
      int32_t first = character(']'), last = first;
      if (good && here() == '-' && here(1) != ']') {
        ++at;
        last = character(']');
      }
      if (good && last < first)
        wrong("this range is empty", begin, at - begin);
      ranges.push_back({first, last});
    }
    ++at;
    if (!good)
      return -1;
    return grammar.characters(other ? otherCharacters(std::move(ranges)) : std::move(ranges));
  }

  int repeated(int part) {
    for (int repeats = 0;;) {
      space(false);
      size_t begin = at;
      switch (here()) {
      case '*':
        part = grammar.repeat(part, 0, -1);
        break;
      case '+':
        part = grammar.repeat(part, 1, -1);
        break;
      case '?':
        part = grammar.repeat(part, 0, 1);
        break;
      case '{': {
        ++at;
        int64_t least = count(), most = least;
        if (here() == ',') {
          ++at;
          space(false);
          most = here() == '}' ? -1 : count();
        }
        if (good && here() != '}')
          return wrong("expected }, found " + found(), at);
        if (good && most >= 0 && most < least)
          return wrong("the first number is larger than the second", begin, at - begin + 1);
        part = grammar.repeat(part, least, most);
        break;
      }
      default:
        return part;
      }
      if (!good)
        return -1;
      if (++repeats > 8)
        return wrong("too many repetitions of a repetition", begin);
      ++at;
    }
  }
  int64_t count() {
    space(false);
    size_t begin = at;
    int64_t value = 0;
    for (; here() >= '0' && here() <= '9'; ++at)
      if ((value = value * 10 + (here() - '0')) > 1000000000)
        return wrong("too many", begin, at - begin + 1);
    if (at == begin)
      return wrong("expected a number, found " + found(), at);
    space(false);
    return value;
  }

  static constexpr int none = -2;
  std::string_view text;
  GrammarError &error;
  Grammar grammar;
  std::unordered_map<std::string, int> names;
  std::vector<size_t> firstUse; ///< by rule
  size_t at = 0;
  bool good = true;
};

} // namespace

std::optional<Grammar> readGbnf(std::string_view text, GrammarError &error) {
  return GbnfReader(text, error).read();
}

} // namespace qkv::rt

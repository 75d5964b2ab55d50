// Regular expressions of JSON schemas as rules (JsonText.h). Holds: what looks around, back or
// ahead is an error that says so.
#include "runtime/Error.h"
#include "runtime/grammar/JsonSchema.h"
#include "runtime/grammar/JsonText.h"
#include "runtime/grammar/Positions.h"
#include "runtime/grammar/ReadGrammar.h"

#include <cstring>

namespace qkv::rt {
namespace {

using Ranges = std::vector<CharacterRange>;

class PatternReader {
public:
  PatternReader(std::string_view text, Grammar &grammar, JsonText &json, std::string &why)
      : text(text), grammar(grammar), json(json), why(why) {}

  /// Alternatives, each with what may stand before and behind it.
  std::optional<int> read() {
    why.clear();
    int all = alternatives(0);
    if (at < text.size())
      wrong("unexpected " + quote(text.substr(at, 1)));
    return why.empty() ? std::optional(all) : std::nullopt;
  }

private:
  int wrong(const std::string &what) {
    if (why.empty())
      why = format("%s at character %zu of the pattern", what.c_str(), at + 1);
    at = text.size();
    return 0;
  }
  char here(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : '\0'; }
  bool take(char c) {
    bool is = at < text.size() && here() == c;
    at += is;
    return is;
  }
  int anything() { return grammar.repeat(json.inText(otherCharacters({})), 0, -1); }

  int alternatives(int depth) {
    if (depth > mostGrammarDepth)
      return wrong("too many brackets inside of each other");
    std::vector<int> all;
    do {
      std::vector<int> parts;
      if (depth == 0 && !take('^'))
        parts.push_back(anything());
      bool ended = false;
      while (at < text.size() && here() != '|' && here() != ')') {
        if (depth == 0 && here() == '$' && (at + 1 == text.size() || here(1) == '|')) {
          ++at;
          ended = true;
          break;
        }
        parts.push_back(repeated(element(depth)));
      }
      if (depth == 0 && !ended)
        parts.push_back(anything());
      all.push_back(grammar.sequence(std::move(parts)));
    } while (take('|'));
    return grammar.choice(std::move(all));
  }

  int element(int depth) {
    switch (here()) {
    case '(': {
      ++at;
      if (here() == '?' && !text.substr(at).starts_with("?:"))
        return wrong("only plain groups and (?: ) are supported, found (?");
      at += here() == '?' ? 2 : 0;
      int inner = alternatives(depth + 1);
      return take(')') ? inner : wrong("a bracket is not closed");
    }
    case '[':
      return characterClass();
    case '.':
      ++at;
      return json.inText(otherCharacters({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
    case '^':
    case '$':
      return wrong("^ and $ are supported at the ends alone, found one");
    case '*':
    case '+':
    case '?':
    case '{':
    case '}':
    case ']':
      return wrong("unexpected " + quote(text.substr(at, 1)));
    default:
      return json.inText(one());
    }
  }

  /// A character, an escape, or the class that it names.
  Ranges one() {
    if (!take('\\')) {
      size_t begin = at;
      do
        ++at;
      while (at < text.size() && (here() & 0xC0) == 0x80);
      int32_t value = static_cast<unsigned char>(text[begin]);
      if (value >= 0x80)
        value &= value >= 0xF0 ? 7 : value >= 0xE0 ? 15 : 31;
      for (size_t i = begin + 1; i < at; ++i)
        value = value << 6 | (text[i] & 0x3F);
      return {{value, value}};
    }
    char kind = here();
    ++at;
    auto single = [](int32_t value) { return Ranges{{value, value}}; };
    Ranges digit{{'0', '9'}}, word{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
        space{{9, 13},          {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
              {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
              {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    switch (kind) {
    case 'd':
      return digit;
    case 'D':
      return otherCharacters(digit);
    case 'w':
      return word;
    case 'W':
      return otherCharacters(word);
    case 's':
      return space;
    case 'S':
      return otherCharacters(space);
    case 'n':
      return single('\n');
    case 'r':
      return single('\r');
    case 't':
      return single('\t');
    case 'f':
      return single('\f');
    case 'v':
      return single('\v');
    case 'x':
      return single(hexadecimal(2));
    case 'u':
      return single(hexadecimal(4));
    default:
      if (kind && std::strchr("^$\\.*+?()[]{}|/-\"'#&~@!%,:;<>=`", kind))
        return single(kind);
      wrong("this escape is not supported");
      return single(0);
    }
  }
  int32_t hexadecimal(int digits) {
    int32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at) {
      char c = here();
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0)
        return wrong("hexadecimal digits are missing");
      value = value << 4 | digit;
    }
    return value >= 0xD800 && value < 0xE000 ? wrong("half of a pair of surrogates") : value;
  }

  int characterClass() {
    ++at;
    bool other = take('^');
    Ranges ranges;
    while (at < text.size() && here() != ']') {
      Ranges first = one();
      if (here() == '-' && here(1) != ']' && at + 1 < text.size()) {
        ++at;
        Ranges last = one();
        if (first.size() > 1 || last.size() > 1 || last[0].second < first[0].first)
          return wrong("this range is none");
        first[0].second = last[0].second;
      }
      ranges.insert(ranges.end(), first.begin(), first.end());
    }
    if (!take(']'))
      return wrong("a class is not closed");
    if (other)
      ranges = otherCharacters(std::move(ranges));
    return json.inText(ranges);
  }

  int repeated(int part) {
    if (take('*'))
      part = grammar.repeat(part, 0, -1);
    else if (take('+'))
      part = grammar.repeat(part, 1, -1);
    else if (take('?'))
      part = grammar.repeat(part, 0, 1);
    else if (take('{')) {
      int64_t least = count(), most = least;
      if (take(','))
        most = here() == '}' ? -1 : count();
      if (!take('}') || (most >= 0 && most < least))
        return wrong("this number of times is none");
      part = grammar.repeat(part, least, most);
    } else {
      return part;
    }
    take('?'); // what is tried first makes no difference to what fits
    return part;
  }
  int64_t count() {
    int64_t value = 0;
    size_t begin = at;
    for (; here() >= '0' && here() <= '9' && value < 100000000; ++at)
      value = value * 10 + (here() - '0');
    return at == begin ? wrong("a number is missing") : value;
  }

  std::string_view text;
  Grammar &grammar;
  JsonText &json;
  std::string &why;
  size_t at = 0;
};

} // namespace

std::optional<int> readPattern(std::string_view pattern, Grammar &grammar, JsonText &json,
                               std::string &why) {
  return PatternReader(pattern, grammar, json, why).read();
}

std::optional<int> JsonText::textLike(std::string_view pattern, std::string &why) {
  std::optional<int> inner = readPattern(pattern, grammar, *this, why);
  return inner ? std::optional(quoted(*inner)) : std::nullopt;
}

bool patternFits(const std::string &pattern, const std::string &name) {
  Grammar names;
  JsonText text(names);
  std::string why;
  names.root = names.declare("root");
  std::optional<int> form = text.textLike(pattern, why);
  if (!form)
    return true;
  names.define(names.root, *form);
  std::unique_ptr<Automaton> automaton = Automaton::make(names, why);
  if (!automaton)
    return true;
  Positions positions(*automaton);
  int at = positions.begin();
  for (char byte : OrderedJson(name).dump())
    at = positions.step(at, automaton->classOf(static_cast<unsigned char>(byte)));
  return positions.mayEnd(at);
}

} // namespace qkv::rt

// JSON's texts, numbers, lists and objects as rules (JsonText.h).
#include "runtime/grammar/JsonText.h"

#include <algorithm>

namespace qkv::rt {

/// What stands in a text as it is.
static std::vector<CharacterRange> plainCharacters() {
  return otherCharacters({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
}

int JsonText::named(const char *name, int (JsonText::*make)()) {
  for (auto &[known, rule] : rules)
    if (known == name)
      return grammar.call(rule);
  int rule = grammar.declare(name);
  rules.emplace_back(name, rule);
  grammar.define(rule, (this->*make)());
  return grammar.call(rule);
}

int JsonText::space() { return named("space", &JsonText::makeSpace); }
int JsonText::value() { return named("value", &JsonText::makeValue); }
int JsonText::character() { return named("character", &JsonText::makeCharacter); }
int JsonText::anyNumber() { return named("number", &JsonText::makeNumber); }
int JsonText::anyWhole() { return named("whole", &JsonText::makeWhole); }
int JsonText::anyList() { return named("list", &JsonText::makeList); }
int JsonText::anyObject() { return named("object", &JsonText::makeObject); }

/// (Bounded, so that a text does not go on with spaces alone.)
int JsonText::makeSpace() {
  int indent = grammar.repeat(grammar.characters({{' ', ' '}, {'\t', '\t'}}), 0, 20);
  return grammar.choice({grammar.bytes(""), text(" "), grammar.sequence({text("\n"), indent})});
}

int JsonText::makeValue() {
  return grammar.choice(
      {anyObject(), anyList(), anyText(), anyNumber(), text("true"), text("false"), text("null")});
}

/// (Half of a pair of surrogates alone is no character.)
int JsonText::makeCharacter() {
  auto hex = [&](std::vector<CharacterRange> ranges) {
    return grammar.characters(std::move(ranges));
  };
  int any = hex({{'0', '9'}, {'a', 'f'}, {'A', 'F'}});
  int low =
      grammar.sequence({hex({{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}}), any});
  int middle = grammar.sequence({hex({{'d', 'd'}, {'D', 'D'}}), hex({{'0', '7'}})});
  int escape =
      grammar.choice({grammar.characters({{'"', '"'},
                                          {'\\', '\\'},
                                          {'/', '/'},
                                          {'b', 'b'},
                                          {'f', 'f'},
                                          {'n', 'n'},
                                          {'r', 'r'},
                                          {'t', 't'}}),
                      grammar.sequence({text("u"), grammar.choice({low, middle}), any, any})});
  return grammar.choice(
      {grammar.characters(plainCharacters()), grammar.sequence({text("\\"), escape})});
}

int JsonText::makeWhole() {
  int digit = grammar.characters({{'0', '9'}});
  return grammar.sequence(
      {grammar.optional(text("-")),
       grammar.choice({text("0"), grammar.sequence({grammar.characters({{'1', '9'}}),
                                                    grammar.repeat(digit, 0, 15)})})});
}

int JsonText::makeNumber() {
  int digit = grammar.characters({{'0', '9'}});
  int exponent = grammar.sequence({grammar.characters({{'e', 'e'}, {'E', 'E'}}),
                                   grammar.optional(grammar.characters({{'+', '+'}, {'-', '-'}})),
                                   grammar.repeat(digit, 1, 2)});
  return grammar.sequence(
      {anyWhole(), grammar.optional(grammar.sequence({text("."), grammar.repeat(digit, 1, 16)})),
       grammar.optional(exponent)});
}

int JsonText::list(int item, int64_t least, int64_t most) {
  int more = grammar.sequence({space(), text(","), space(), item});
  std::vector<int> forms;
  if (least <= 0)
    forms.push_back(grammar.sequence({text("["), space(), text("]")}));
  if (most != 0)
    forms.push_back(grammar.sequence(
        {text("["), space(), item,
         grammar.repeat(more, std::max<int64_t>(least - 1, 0), most < 0 ? -1 : most - 1), space(),
         text("]")}));
  return grammar.choice(std::move(forms));
}

int JsonText::makeList() { return list(value(), 0, -1); }

int JsonText::makeObject() {
  int member = grammar.sequence({anyText(), space(), text(":"), space(), value()});
  int more = grammar.sequence({space(), text(","), space(), member});
  return grammar.choice({grammar.sequence({text("{"), space(), text("}")}),
                         grammar.sequence({text("{"), space(), member, grammar.repeat(more, 0, -1),
                                           space(), text("}")})});
}

int JsonText::quoted(int inner) { return grammar.sequence({text("\""), inner, text("\"")}); }
int JsonText::anyText() { return text(0, -1); }
int JsonText::text(int64_t least, int64_t most) {
  return quoted(grammar.repeat(character(), least, most));
}

int JsonText::inText(const std::vector<CharacterRange> &characters) {
  std::vector<CharacterRange> plain;
  std::vector<int> forms;
  for (auto [first, last] : characters) {
    for (auto [from, to] : plainCharacters())
      if (std::max(first, from) <= std::min(last, to))
        plain.push_back({std::max(first, from), std::min(last, to)});
    for (int32_t one = first; one <= std::min<int32_t>(last, '\\'); ++one) {
      constexpr std::string_view escaped = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
      if (size_t at = escaped.find(static_cast<char>(one)); at != escaped.npos) {
        forms.push_back(grammar.bytes(std::string("\\") + letters[at]));
      } else if (one < 0x20) {
        constexpr std::string_view digits = "0123456789abcdef";
        forms.push_back(grammar.bytes(std::string("\\u00") + digits[static_cast<size_t>(one >> 4)] +
                                      digits[static_cast<size_t>(one & 15)]));
      }
    }
  }
  if (!plain.empty() || forms.empty())
    forms.push_back(grammar.characters(std::move(plain)));
  return grammar.choice(std::move(forms));
}

/// Where the letters so far are those of one of the names, the next is another or the text goes on.
int JsonText::otherName(const std::vector<std::string> &names) {
  std::vector<CharacterRange> plain = plainCharacters();
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  int rest = grammar.repeat(grammar.characters(plain), 0, -1);
  // Behind `begin`, which some names have: ends[begin..] of them, from the longest beginnings up.
  // Letters are characters of UTF-8; names that need an escape never stand here as they are.
  struct Branch {
    std::string begin;
    std::vector<std::pair<int32_t, int>> next; // character, expression of what is behind it
    bool isName = false;
  };
  std::vector<Branch> open{{"", {}, false}};
  auto close = [&]() {
    Branch done = std::move(open.back());
    open.pop_back();
    std::vector<int> forms;
    std::vector<CharacterRange> taken{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
    for (auto [character, behind] : done.next) {
      taken.push_back({character, character});
      forms.push_back(grammar.sequence({grammar.characters({{character, character}}), behind}));
    }
    forms.push_back(grammar.sequence({grammar.characters(otherCharacters(taken)), rest}));
    if (!done.isName)
      forms.push_back(grammar.bytes(""));
    // (As a rule of its own: names may be long.)
    int rule = grammar.declare("other name");
    grammar.define(rule, grammar.choice(std::move(forms)));
    return grammar.call(rule);
  };
  auto lastCharacter = [](const std::string &text) {
    size_t at = text.size() - 1;
    while (at > 0 && (text[at] & 0xC0) == 0x80)
      --at;
    int32_t value = static_cast<unsigned char>(text[at]);
    if (value >= 0x80)
      value &= value >= 0xF0 ? 7 : value >= 0xE0 ? 15 : 31;
    for (size_t i = at + 1; i < text.size(); ++i)
      value = value << 6 | (text[i] & 0x3F);
    return value;
  };
  auto closeOne = [&]() {
    int32_t character = lastCharacter(open.back().begin);
    int behind = close();
    open.back().next.emplace_back(character, behind);
  };
  for (const std::string &name : sorted) {
    while (!name.starts_with(open.back().begin))
      closeOne();
    for (size_t at = open.back().begin.size(); at < name.size();) {
      size_t end = at + 1;
      while (end < name.size() && (name[end] & 0xC0) == 0x80)
        ++end;
      open.push_back({name.substr(0, end), {}, false});
      at = end;
    }
    open.back().isName = true;
  }
  while (open.size() > 1)
    closeOne();
  return quoted(close());
}

} // namespace qkv::rt

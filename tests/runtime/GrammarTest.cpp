// Grammars: which tokens may come next, against a recogniser that tries everything.
#include "runtime/grammar/Constraint.h"
#include "runtime/grammar/ReadGrammar.h"

#include <ctime>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <set>

using namespace qkv::rt;

namespace {

std::unique_ptr<Automaton> automatonOf(const std::optional<Grammar> &grammar, GrammarError &error) {
  return grammar ? Automaton::make(*grammar, error.text) : nullptr;
}

std::unique_ptr<Automaton> gbnf(const std::string &text, std::string *why = nullptr) {
  GrammarError error;
  auto out = automatonOf(readGbnf(text, error), error);
  if (why)
    *why = error.text +
           (error.line ? " at " + std::to_string(error.line) + ":" + std::to_string(error.column)
                       : "");
  else
    EXPECT_TRUE(out) << text << "\n" << error.text;
  return out;
}

/// 0: the text does not fit, 1: it is the beginning of one that does, 2: it fits, 3: and may go on.
int fits(const Automaton &automaton, std::string_view text) {
  Positions positions(automaton);
  int at = positions.begin();
  for (char byte : text)
    at = positions.step(at, automaton.classOf(static_cast<unsigned char>(byte)));
  return (positions.mayEnd(at) ? 2 : 0) + (positions.goesOn(at) ? 1 : 0);
}

/// Where a text that an expression matches from `at` on may end, by the definition.
std::set<size_t> endsOf(const Grammar &grammar, int number, const std::string &text, size_t at) {
  const Grammar::Expression &e = grammar[number];
  std::set<size_t> ends;
  auto behind = [&](const std::set<size_t> &starts, int part) {
    std::set<size_t> out;
    for (size_t start : starts)
      out.merge(endsOf(grammar, part, text, start));
    return out;
  };
  switch (e.kind) {
  case Grammar::Kind::Bytes:
    if (text.compare(at, e.bytes.size(), e.bytes) == 0)
      ends.insert(at + e.bytes.size());
    return ends;
  case Grammar::Kind::Characters: // (letters of one byte)
    for (auto [first, last] : e.characters)
      if (at < text.size() && text[at] >= first && text[at] <= last)
        ends.insert(at + 1);
    return ends;
  case Grammar::Kind::Sequence:
    ends = {at};
    for (int part : e.parts)
      ends = behind(ends, part);
    return ends;
  case Grammar::Kind::Choice:
    for (int part : e.parts)
      ends.merge(endsOf(grammar, part, text, at));
    return ends;
  case Grammar::Kind::Repeat: {
    std::set<size_t> here{at};
    for (int64_t i = 0; i < e.least; ++i)
      here = behind(here, e.parts[0]);
    ends = here;
    for (int64_t i = e.least; (e.most < 0 ? i < 12 : i < e.most) && !here.empty(); ++i) {
      here = behind(here, e.parts[0]);
      ends.insert(here.begin(), here.end());
    }
    return ends;
  }
  case Grammar::Kind::Rule:
    return endsOf(grammar, grammar.rules[static_cast<size_t>(e.rule)].expression, text, at);
  }
  return ends;
}

/// All texts of some letters up to a length.
std::vector<std::string> allTexts(const std::string &letters, size_t most) {
  std::vector<std::string> out{""};
  for (size_t i = 0; i < out.size(); ++i)
    for (char letter : letters)
      if (out[i].size() < most)
        out.push_back(out[i] + letter);
  return out;
}

/// Compares with the definition: every text up to 5 letters, and the masks behind each of up to 2.
void compare(const std::string &source) {
  GrammarError error;
  std::optional<Grammar> grammar = readGbnf(source, error);
  ASSERT_TRUE(grammar) << source << error.text;
  auto automaton = gbnf(source);
  ASSERT_TRUE(automaton);
  std::set<std::string> fit, beginnings;
  for (const std::string &text : allTexts("ab", 11))
    if (endsOf(*grammar, grammar->rules[static_cast<size_t>(grammar->root)].expression, text, 0)
            .count(text.size())) {
      fit.insert(text);
      for (size_t i = 0; i < text.size(); ++i)
        beginnings.insert(text.substr(0, i));
    }
  for (const std::string &text : allTexts("ab", 5))
    ASSERT_EQ(fits(*automaton, text), fit.count(text) * 2 + beginnings.count(text))
        << source << "\n"
        << text;
  std::vector<std::string> tokens = allTexts("ab", 3);
  tokens.push_back("");
  auto end = static_cast<int64_t>(tokens.size()) - 1;
  auto trie = std::make_shared<const TokenTrie>(tokens);
  Constraint constraint(std::move(automaton), trie, trie, {end});
  for (const std::string &before : allTexts("ab", 2)) {
    Constraint::Place place;
    bool good = constraint.take(place, before);
    ASSERT_EQ(good, fit.count(before) || beginnings.count(before)) << source << "\n" << before;
    if (!good)
      continue;
    std::shared_ptr<const TokenMask> mask = constraint.next(place, false);
    ASSERT_TRUE(mask);
    EXPECT_EQ(isIn(*mask, end), fit.count(before) == 1);
    for (int64_t token = 1; token < end; ++token) {
      std::string after = before + tokens[static_cast<size_t>(token)];
      ASSERT_EQ(isIn(*mask, token), fit.count(after) || beginnings.count(after))
          << source << "\n"
          << before << " + " << tokens[static_cast<size_t>(token)];
    }
  }
}

TEST(Grammar, FitsWhatItsDefinitionFits) {
  for (const char *source :
       {"root ::= \"a\" \"b\"", "root ::= \"a\"* \"b\"", "root ::= (\"a\" | \"ab\") \"b\"?",
        "root ::= \"a\" root \"b\" | \"\"", "root ::= \"a\" root | \"a\" root root | \"b\"",
        "root ::= x y\nx ::= \"a\"*\ny ::= (x \"b\")*", "root ::= [a-b]{2,4}",
        "root ::= (\"a\"? \"b\"?)*",
        "root ::= x*\nx ::= \"a\" | x2 | \"\"\nx2 ::= \"b\" \"a\" | \"\"", "root ::= [^a] .{1,2}",
        "root ::= (\"a\"{2}){1,2} (\"b\" | (\"a\" \"b\"){2})",
        "root ::= p | q\np ::= \"a\" p \"a\" | \"b\"\nq ::= \"a\" q | \"bb\"",
        "root ::= \"a\" s \"a\" | \"b\" s \"b\"\ns ::= t t\nt ::= \"ab\" | \"\" | \"b\"",
        "root ::= dead \"a\" | \"b\" (dead | \"a\")\ndead ::= \"a\" dead"})
    compare(source);
}

/// Rules made at random: a rule calls later ones anywhere, itself and earlier ones behind a letter.
TEST(Grammar, FitsWhatRandomDefinitionsFit) {
  std::mt19937 random(1);
  auto below = [&](size_t count) { return random() % count; };
  std::function<std::string(int, int, bool)> expression = [&](int rule, int depth, bool behind) {
    switch (depth > 2 ? below(2) : below(6)) {
    case 0:
      return std::string(below(2) ? "\"a\"" : "\"b\"");
    case 1:
      if (behind || rule < 2)
        return "r" + std::to_string(behind ? below(3) : 2u);
      return std::string("[ab]");
    case 2:
      return "(" + expression(rule, depth + 1, behind) + " | " +
             expression(rule, depth + 1, behind) + ")";
    case 3:
      return expression(rule, depth + 1, behind) + "?";
    case 4:
      return "\"b\" " + expression(rule, depth + 1, true);
    default:
      return expression(rule, depth + 1, behind) + " " + expression(rule, depth + 1, behind);
    }
  };
  int compared = 0;
  for (int i = 0; i < 60; ++i) {
    std::string source = "root ::= r0 | \"aa\"\n";
    // (Each has a short text.)
    for (int rule = 0; rule < 3; ++rule)
      source += "r" + std::to_string(rule) + " ::= " + expression(rule, 0, false) + " | \"" +
                (rule == 1 ? "" : "a") + "\"\n";
    std::string why;
    if (!gbnf(source, &why))
      continue;
    GrammarError error;
    std::optional<Grammar> grammar = readGbnf(source, error);
    auto automaton = gbnf(source);
    for (const std::string &text : allTexts("ab", 6))
      ASSERT_EQ(
          fits(*automaton, text) >= 2,
          endsOf(*grammar, grammar->rules[static_cast<size_t>(grammar->root)].expression, text, 0)
                  .count(text.size()) == 1)
          << source << text;
    ++compared;
  }
  EXPECT_GT(compared, 30);
}

TEST(Grammar, CharactersAreCutAnywhere) {
  auto automaton = gbnf("root ::= [é-€𝄞] \"x\" [^a-z\\U00010000-\\U0010FFFF]");
  EXPECT_EQ(fits(*automaton, "é"), 1);
  EXPECT_EQ(fits(*automaton, "\xC3"), 1);
  EXPECT_EQ(fits(*automaton, "\xC3\xA8"), 0); // è
  EXPECT_EQ(fits(*automaton, "€xZ"), 2);
  EXPECT_EQ(fits(*automaton, "€x\xE2\x82"), 1);
  EXPECT_EQ(fits(*automaton, "₭xZ"), 0);
  EXPECT_EQ(fits(*automaton, "\xF0\x9D"), 1);
  EXPECT_EQ(fits(*automaton, "𝄞x𝄞"), 0);
  EXPECT_EQ(fits(*automaton, "𝄞x\xED\xA0"), 0); // a surrogate
  // Each character by itself, at borders of lengths.
  for (int32_t first :
       {0x0, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF})
    for (int32_t last : {0x41, 0x82, 0x7FF, 0x801, 0xFFFD, 0x10000, 0x3FFFF, 0x10FFFF}) {
      if (last < first)
        continue;
      char source[80];
      snprintf(source, sizeof source, "root ::= [\\U%08X-\\U%08X]", first, last);
      auto range = gbnf(source);
      for (int32_t one : {0x0,    0x40,   0x41,    0x42,    0x7F,    0x80,    0x81,    0x82,
                          0x83,   0x7FF,  0x800,   0x801,   0x802,   0xD7FF,  0xE000,  0xFFFD,
                          0xFFFE, 0xFFFF, 0x10000, 0x10001, 0x3FFFF, 0x40000, 0x10FFFF})
        ASSERT_EQ(fits(*range, utf8Of(one)), one >= first && one <= last ? 2 : 0)
            << source << " " << one;
    }
}

TEST(Grammar, WhatIsWrongIsSaid) {
  auto says = [](const std::string &source, const std::string &wanted) {
    std::string why;
    EXPECT_FALSE(gbnf(source, &why)) << source;
    EXPECT_NE(why.find(wanted), why.npos) << source << "\n" << why;
  };
  says("", "no rule root");
  says("root ::= \"a", "expected \", found the end of the file at 1:12");
  says("a ::= \"b\"", "no rule root");
  says("root ::= x", "rule \"x\" is not defined at 1:10");
  says("root ::= \"a\"\nroot ::= \"b\"", "defined twice at 2:1");
  says("root ::= (\"a\"", "not closed at 1:10");
  says("root ::= [b-a]", "range is empty at 1:11");
  says("root ::= \"\\q\"", "unknown escape");
  says("root ::= \"\\uD800\"", "no character");
  says("root ::= \"a\"{3,2}", "larger");
  says("root ::= \"\xC3\"", "no UTF-8");
  says("root ::= <think>", "not supported");
  says("root := \"a\"", "expected ::=");
  says("root ::= root \"a\" | \"b\"", "left recursion");
  says("root ::= a\na ::= \"\"? b\nb ::= (\"x\"* a) | \"c\"", "left recursion");
  says("root ::= \"a\" root", "never comes to an end");
  says("root ::= []", "never comes to an end");
}

/// Each ends in bounded time, with a message or with masks.
TEST(Grammar, HostileOnesEnd) {
  clock_t start = clock();
  std::string why, deep(100000, '('), nested;
  EXPECT_FALSE(gbnf("root ::= " + deep, &why));
  EXPECT_NE(why.find("brackets"), why.npos);
  EXPECT_FALSE(gbnf("root ::= \"ab\"{1000000000}", &why));
  EXPECT_NE(why.find("too large"), why.npos);
  EXPECT_FALSE(gbnf("root ::= (\"\"{0,1000000000}){1000000000}", &why));
  EXPECT_FALSE(gbnf("root ::= ((((\"a\"{100}){100}){100}){100}){100}", &why));
  EXPECT_FALSE(gbnf("root ::= \"a\"" + std::string(100000, '?'), &why));
  for (int i = 0; i < 20000; ++i)
    nested += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + " r" +
              std::to_string(i + 1) + "? | \"\"\n";
  std::vector<std::string> tokens = allTexts("ab", 8);
  tokens.push_back("[[[[[[[[[[[[[[[[");
  auto trie = std::make_shared<const TokenTrie>(tokens);
  for (const std::string &source :
       {"root ::= r0\n" + nested + "r20000 ::= \"a\" | \"b\"",
        std::string("root ::= \"a\" root | \"a\" root root | \"b\" root \"b\" root | \"b\""),
        std::string("root ::= (\"a\" root? \"b\"? | \"b\" root root? \"a\"? | \"\")"),
        std::string("root ::= (\"a\"*)* (\"b\"* \"a\"*)* ((\"a\" | \"b\")* (\"a\" | \"b\")*)*"),
        std::string("root ::= \"[\" root \"]\" | \"\"")}) {
    Constraint constraint(gbnf(source), trie, trie, {});
    Constraint::Place place;
    for (int step = 0; step < 50; ++step) {
      std::shared_ptr<const TokenMask> mask = constraint.next(place, false);
      if (!mask)
        break;
      int64_t token = static_cast<int64_t>(tokens.size());
      while (--token > 0 && !isIn(*mask, token))
        ;
      if (token <= 0)
        break;
      ASSERT_TRUE(constraint.take(place, tokens[static_cast<size_t>(token)]));
    }
  }
  // (Half a second where nothing slows it down.)
  EXPECT_LT(clock() - start, 60 * CLOCKS_PER_SEC);
}

} // namespace

// Arbitrary bytes: nothing crashes, hangs or loops; what still parses, formats to the same tree.
#include "Support.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <utf8proc.h>

namespace qkv::test {
namespace {

const std::vector<std::string> &seeds() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> result;
    for (const char *name : {"attention", "everything", "ladder"}) {
      std::ifstream file(std::string(QKV_ROOT) + "/tests/parse/snippets/" + name + ".qkv",
                         std::ios::binary);
      std::ostringstream text;
      text << file.rdbuf();
      result.push_back(text.str());
    }
    return result;
  }();
  return texts;
}

bool isUtf8(const std::string &text) {
  for (size_t i = 0; i < text.size();) {
    Character c = characterAt(text, i);
    if (c.code < 0)
      return false;
    i += c.length;
  }
  return true;
}

/// Parses, renders, formats. Returns whether the file was sound.
bool survives(const std::string &text) {
  Parsed parsed(text);
  std::string said = parsed.rendered();
  EXPECT_TRUE(isUtf8(said));
  EXPECT_EQ(said.find("boost"), std::string::npos) << said;
  for (char c : said)
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_EQ(said.empty(), parsed.diagnostics.all().empty());
  if (parsed.diagnostics.hasErrors())
    return false;
  std::string once = formatted(text);
  EXPECT_EQ(treeOf(once), tree(parsed.file)) << text;
  EXPECT_EQ(formatted(once), once) << text;
  return true;
}

TEST(Bytes, Truncated) {
  for (const std::string &text : seeds()) {
    ASSERT_TRUE(survives(text));
    for (size_t length = 0; length < text.size(); length += 3)
      survives(text.substr(0, length));
  }
}

TEST(Bytes, Mutated) {
  // Pieces that matter to the grammar, and some that belong nowhere.
  const std::vector<std::string> pieces = {
      "(",     ")",    "[",       "]",       "{",
      "}",     ";",    "\n",      " ",       ",",
      "=",     "->",   "+",       "-",       "^",
      "//",    "not ", " where ", " if ",    "else",
      "then",  "from", "\"",      "#",       "_",
      "1e9",   "0.5",  "x",       "sum[j](", "√",
      "Σ",     "·",    "\xFF",    "\t",      "\r",
      ":",     "fn ",  "size ",   "param ",  "repeat ",
      "\\",    "'",    "!",       "&&",      "max(",
      "max[",  "\xE2", "<",       "e\u0301", "999999999999999999999",
      "index "};
  std::mt19937 random(20240607);
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int sound = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = seeds()[below(seeds().size())];
    size_t begin = below(text.size()), length = 1 + below(400);
    text = text.substr(begin, length);
    for (size_t change = below(4); change > 0; --change) {
      size_t at = below(text.size() + 1);
      switch (below(4)) {
      case 0:
        text.insert(at, pieces[below(pieces.size())]);
        break;
      case 1:
        text.erase(at, 1 + below(10));
        break;
      case 2:
        text.insert(at, text.substr(below(text.size() + 1), below(40)));
        break;
      default:
        if (at < text.size())
          text[at] = static_cast<char>(random());
        break;
      }
    }
    sound += survives(text);
    if (HasFailure())
      FAIL() << text;
  }
  EXPECT_GT(sound, 20); // some of it must get as far as the formatter
}

TEST(Bytes, LinesOfThisAndThat) {
  // Whole lines in any order, with their spaces changed: mostly sound, for the formatter.
  std::mt19937 random(7);
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  std::vector<std::string> lines = {"a = 1",
                                    "bcd   = 2 # x",
                                    "e[i,j]= f[2*i+r,c]",
                                    "",
                                    "# alone",
                                    "x = 1; y = 2",
                                    "z = a +\n  b",
                                    "   q = f(a,\n b)",
                                    "repeat l < 2 {\n x = y\n}",
                                    "c  = 2",
                                    "dd = 3 # y",
                                    "w = a\n  - b # z",
                                    "ee = x^2^-y",
                                    "k   = h[i , j - 1]"};
  for (int round = 0; round < 1500; ++round) {
    std::string text;
    for (size_t count = below(8); count > 0; --count) {
      std::string line = lines[below(lines.size())];
      for (char c : line) {
        text += c;
        if (c == ' ' && below(4) == 0)
          text += ' ';
      }
      text += below(10) ? "\n" : "\r\n";
    }
    ASSERT_TRUE(survives(text)) << text;
    if (HasFailure())
      FAIL() << text;
  }
}

TEST(Bytes, Noise) {
  std::mt19937 random(99);
  for (int round = 0; round < 1000; ++round) {
    std::string text(random() % 300, '\0');
    int kind = static_cast<int>(random() % 3);
    for (char &c : text)
      c = kind == 0   ? static_cast<char>(random())
          : kind == 1 ? static_cast<char>(32 + random() % 95)
                      : "()[]{}=+-*/^<>,;:\n ax1\"#_"[random() % 25];
    survives(text);
  }
}

TEST(Bytes, LongRuns) {
  for (const char *piece :
       {"(",           ")",           "[",     "]",    "{",      "}",     "-",     "^",
        "not ",        "if ",         "a ",    "a,",   "\"",     "'",     "#",     ";",
        "\n",          "\xFF",        "\xFF ", "$ ",   "1",      "1 ",    "a=1\n", "a=\n",
        "fn f(x)->y{", "repeat i<2{", "x=(",   "x=a[", "\"a\" ", "then ", "}{"}) {
    std::string text;
    for (int i = 0; i < 20000; ++i)
      text += piece;
    Parsed parsed(text);
    EXPECT_LT(parsed.diagnostics.errorCount(), 200u) << piece;
    EXPECT_LT(parsed.rendered().size(), 200000u) << piece;
  }
}

} // namespace
} // namespace qkv::test

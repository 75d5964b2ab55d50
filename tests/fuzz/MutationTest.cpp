// Models with mistakes: every .qkv file there is, with tokens and lines deleted, doubled and
// swapped, numbers and names changed, the end cut off. Whatever comes of it, the checker says
// where in the file and why, in little time, or makes a program that can be run in some order.
#include "tests/fuzz/Guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <sys/resource.h>

namespace qkv::test {
namespace {

namespace fs = std::filesystem;

struct Text {
  std::string name, text;
};

/// Files with several cases are taken apart.
std::vector<Text> corpus() {
  std::vector<Text> out;
  for (const char *folder : {"dsl/std", "examples", "tests"})
    for (auto &entry : fs::recursive_directory_iterator(fs::path(QKV_SOURCE) / folder)) {
      if (entry.path().extension() != ".qkv")
        continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::string name = fs::relative(entry.path(), QKV_SOURCE).string(), line, text;
      while (std::getline(file, line)) {
        if (line == "# ---") {
          out.push_back({name, text});
          text.clear();
        } else {
          text += line + "\n";
        }
      }
      out.push_back({name, text});
    }
  std::sort(out.begin(), out.end(),
            [](auto &a, auto &b) { return std::tie(a.name, a.text) < std::tie(b.name, b.text); });
  return out;
}

/// Pieces that put together again are the text: names, numbers, strings, signs, white space.
std::vector<std::string> tokens(const std::string &text) {
  std::vector<std::string> out;
  auto word = [](unsigned char c) { return std::isalnum(c) || c == '_' || c >= 0x80; };
  for (size_t i = 0; i < text.size();) {
    size_t j = i + 1;
    if (word(text[i]))
      while (j < text.size() && (word(text[j]) || (text[j] == '.' && std::isdigit(text[i]))))
        ++j;
    else if (std::isspace(static_cast<unsigned char>(text[i])))
      while (j < text.size() && std::isspace(static_cast<unsigned char>(text[j])) &&
             text[j - 1] != '\n')
        ++j;
    else if (text[i] == '"' || text[i] == '#') {
      while (j < text.size() && text[j] != '\n' && (text[i] == '#' || text[j] != '"'))
        ++j;
      if (text[i] == '"' && j < text.size() && text[j] == '"')
        ++j;
    }
    out.push_back(text.substr(i, j - i));
    i = j;
  }
  return out;
}

class Mutator {
public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string operator()(const std::string &text) {
    std::string out = text;
    for (size_t n = 1 + below(3); n > 0; --n)
      out = below(4) == 0 ? lines(out) : words(out);
    if (below(20) == 0)
      out.resize(below(out.size() + 1));
    return out;
  }

private:
  size_t below(size_t n) { return n ? (random_() >> 11) % n : 0; }
  template <class T> const T &any(const std::vector<T> &from) { return from[below(from.size())]; }

  std::string lines(const std::string &text) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
      all.push_back(line + "\n");
    change(all);
    return put(all);
  }

  std::string words(const std::string &text) {
    std::vector<std::string> all = tokens(text);
    std::vector<size_t> solid, names, numbers;
    for (size_t i = 0; i < all.size(); ++i) {
      unsigned char c = all[i][0];
      if (std::isspace(c) || c == '#')
        continue;
      solid.push_back(i);
      if (std::isdigit(c))
        numbers.push_back(i);
      else if (std::isalpha(c))
        names.push_back(i);
    }
    if (solid.empty())
      return text;
    switch (below(8)) {
    case 0:
      if (!numbers.empty())
        all[any(numbers)] = any(numbers_);
      break;
    case 1: // one place, or everywhere
      if (!names.empty()) {
        std::string from = all[any(names)], to = all[any(names)];
        bool all_ = below(2) == 0;
        for (size_t i : names)
          if (all[i] == from && (all_ || below(3) == 0))
            all[i] = to;
      }
      break;
    case 2:
      all[any(solid)] = any(signs_);
      break;
    case 3:
      all.insert(all.begin() + static_cast<long>(any(solid)), any(signs_));
      break;
    case 4:
      std::swap(all[any(solid)], all[any(solid)]);
      break;
    case 5:
      all.erase(all.begin() + static_cast<long>(any(solid)));
      break;
    case 6: {
      size_t i = any(solid);
      all.insert(all.begin() + static_cast<long>(i), all[i]);
      break;
    }
    default: { // a stretch, copied elsewhere
      size_t from = any(solid), to = std::min(all.size(), from + 1 + below(12));
      std::vector<std::string> stretch(all.begin() + static_cast<long>(from),
                                       all.begin() + static_cast<long>(to));
      all.insert(all.begin() + static_cast<long>(any(solid)), stretch.begin(), stretch.end());
    }
    }
    return put(all);
  }

  void change(std::vector<std::string> &all) {
    if (all.empty())
      return;
    size_t i = below(all.size()), j = below(all.size());
    switch (below(3)) {
    case 0:
      all.erase(all.begin() + static_cast<long>(i));
      break;
    case 1: {
      std::string copy = all[i];
      all.insert(all.begin() + static_cast<long>(j), copy);
      break;
    }
    default:
      std::swap(all[i], all[j]);
    }
  }

  static std::string put(const std::vector<std::string> &all) {
    std::string out;
    for (auto &s : all)
      out += s;
    return out;
  }

  std::mt19937_64 random_;
  const std::vector<std::string> numbers_ = {"0",
                                             "1",
                                             "2",
                                             "3",
                                             "7",
                                             "100",
                                             "4096",
                                             "100000",
                                             "1099511627776",
                                             "4611686018427387904",
                                             "9223372036854775807",
                                             "9223372036854775808",
                                             "0.5",
                                             "1e308",
                                             "1e-308",
                                             "-1"};
  const std::vector<std::string> signs_ = {"+",
                                           "-",
                                           "*",
                                           "/",
                                           "//",
                                           "%",
                                           "^",
                                           "<",
                                           "<=",
                                           "==",
                                           "!=",
                                           "and",
                                           "or",
                                           "not",
                                           "if",
                                           "then",
                                           "else",
                                           "where",
                                           "(",
                                           ")",
                                           "[",
                                           "]",
                                           "{",
                                           "}",
                                           ",",
                                           ":",
                                           "=",
                                           "->",
                                           ";",
                                           "\n",
                                           "\"",
                                           "_",
                                           "0",
                                           "sum[",
                                           "softmax[",
                                           "argmax[",
                                           "extent(",
                                           "repeat",
                                           "param",
                                           "index",
                                           "size",
                                           "const",
                                           "from",
                                           "dynamic(max: 3)",
                                           "stream(max: 3)",
                                           "model",
                                           "fn",
                                           "block",
                                           "use",
                                           "Σ",
                                           "√",
                                           "\xff",
                                           "é"};
};

// A share of the mutants each, so that they run side by side.
class Mutants : public testing::TestWithParam<int> {};

TEST_P(Mutants, AreCheckedOrSaidToBeWrong) {
  constexpr int shares = 4, each = 5;
  std::vector<Text> texts = corpus();
  ASSERT_GT(texts.size(), 100u);
  Guarded g = guarded(60, [&]() -> std::string {
    for (size_t t = GetParam(); t < texts.size(); t += shares)
      for (int n = 0; n < each; ++n) {
        // Large files have more to change, and take longer.
        if (n > 0 && texts[t].text.size() > 10000)
          break;
        std::string text = Mutator(t * 1000 + n)(texts[t].text);
        noteForCrash("a mutant of " + texts[t].name + ":\n" + text);
        rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        std::string wrong = problemsOf(text);
        getrusage(RUSAGE_SELF, &after);
        if (after.ru_utime.tv_sec - before.ru_utime.tv_sec > 2 * slowdown)
          wrong = "more than 2 seconds";
        if (!wrong.empty())
          return wrong + "\na mutant of " + texts[t].name + ":\n" + text;
      }
    return "";
  });
  EXPECT_EQ(g.died, "");
  EXPECT_EQ(g.said, "");
  if (slowdown == 1) // a sanitizer keeps what was freed
    EXPECT_LT(g.peak, int64_t(1) << 30);
}

INSTANTIATE_TEST_SUITE_P(Corpus, Mutants, testing::Range(0, 4));

} // namespace
} // namespace qkv::test

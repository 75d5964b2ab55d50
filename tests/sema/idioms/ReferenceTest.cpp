// The models that stand in the language reference and in the front page check.
#include "tests/sema/idioms/IdiomModels.h"

#include <gtest/gtest.h>

#include <sstream>

namespace qkv::test {
namespace {

struct Snippet {
  std::string file;
  int line; ///< of its first line
  std::string text;
};
void PrintTo(const Snippet &s, std::ostream *out) { *out << s.file << ":" << s.line; }

/// What stands between ```qkv and ``` and has a model in it.
std::vector<Snippet> snippets() {
  std::vector<Snippet> out;
  for (const char *name : {"dsl/README.md", "README.md"}) {
    std::istringstream in(textOf(QKV_SOURCE "/" + std::string(name)));
    std::string line;
    bool inside = false;
    for (int n = 1; std::getline(in, line); ++n) {
      if (!inside && line == "```qkv") {
        inside = true;
        out.push_back({name, n + 1, ""});
      } else if (inside && line == "```") {
        inside = false;
        if (("\n" + out.back().text).find("\nmodel ") == std::string::npos)
          out.pop_back();
      } else if (inside) {
        out.back().text += line + "\n";
      }
    }
  }
  return out;
}

class Reference : public testing::TestWithParam<Snippet> {};

TEST_P(Reference, Checks) {
  auto checked = checkText("snippet.qkv", GetParam().text);
  EXPECT_TRUE(checked->program);
  EXPECT_EQ(checked->said, "");
}

INSTANTIATE_TEST_SUITE_P(Snippets, Reference, testing::ValuesIn(snippets()), [](auto &info) {
  std::string name = info.param.file + "_" + std::to_string(info.param.line);
  for (char &c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)))
      c = '_';
  return name;
});

TEST(Reference, HasSnippets) { EXPECT_GT(snippets().size(), 7u); }

} // namespace
} // namespace qkv::test

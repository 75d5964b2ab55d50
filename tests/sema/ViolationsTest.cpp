// Each rule that forbids: files of cases between lines "# ---", with the errors they expect.
//
//   # expected-error @+1 {{part of the message, with [RULE]}}
//
// Every error must be expected on its line, and every expected one must come.
#include "dsl/check/Checker.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace qkv {
namespace {

struct Case {
  std::string file;
  int line; ///< where it begins
  std::string text;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (auto &entry : std::filesystem::directory_iterator(QKV_RULES)) {
    std::ifstream in(entry.path());
    std::string line;
    Case c{entry.path().stem().string(), 1, ""};
    int number = 0;
    while (std::getline(in, line)) {
      ++number;
      if (line == "# ---") {
        out.push_back(c);
        c = {entry.path().stem().string(), number + 1, ""};
        continue;
      }
      c.text += line + "\n";
    }
    out.push_back(c);
  }
  std::sort(out.begin(), out.end(),
            [](auto &a, auto &b) { return std::tie(a.file, a.line) < std::tie(b.file, b.line); });
  return out;
}

struct Expected {
  int line;
  std::string text;
  bool met = false;
};

class Violations : public testing::TestWithParam<Case> {};

TEST_P(Violations, AreReported) {
  const Case &c = GetParam();
  std::vector<Expected> expected;
  std::istringstream lines(c.text);
  std::string line;
  for (int n = 1; std::getline(lines, line); ++n) {
    size_t at = line.find("# expected-error @+1 {{");
    if (at == std::string::npos)
      continue;
    size_t open = line.find("{{", at) + 2, close = line.rfind("}}");
    expected.push_back({n + 1, line.substr(open, close - open)});
  }
  ASSERT_FALSE(expected.empty());
  Sources sources;
  const Source *source = sources.add("case.qkv", c.text);
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  EXPECT_EQ(program, nullptr);
  for (auto &d : diagnostics.all()) {
    std::string text = d.message + (d.rule.empty() ? "" : " [" + d.rule + "]");
    bool known = false;
    for (auto &e : expected)
      if (static_cast<int>(d.span.line()) == e.line && text.find(e.text) != std::string::npos)
        known = e.met = true;
    EXPECT_TRUE(known) << "unexpected, line " << d.span.line() << ": " << text;
  }
  for (auto &e : expected)
    EXPECT_TRUE(e.met) << "did not come, line " << e.line << ": " << e.text;
}

INSTANTIATE_TEST_SUITE_P(Rules, Violations, testing::ValuesIn(cases()), [](auto &info) {
  std::string name = info.param.file + "_" + std::to_string(info.param.line);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

} // namespace
} // namespace qkv

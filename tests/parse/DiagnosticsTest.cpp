// Places and their rendering.
#include "dsl/syntax/Diagnostics.h"

#include <gtest/gtest.h>
#include <sstream>

namespace qkv {
namespace {

std::string rendered(const Diagnostics &diagnostics, bool color = false) {
  std::ostringstream out;
  diagnostics.render(out, color);
  return out.str();
}

TEST(Positions, ColumnsCountCharacters) {
  Source source("a", "x = é\n\xFF\xFEy\r\n\tz");
  EXPECT_EQ(source.position(4).column, 5u);
  EXPECT_EQ(source.position(6).column, 6u);
  EXPECT_EQ(source.position(7).line, 2u);
  EXPECT_EQ(source.position(9).column, 3u);
  EXPECT_EQ(source.line(2), "\xFF\xFEy");
  EXPECT_EQ(source.position(1000).line, 3u);
  EXPECT_EQ(source.line(3), "\tz");
  EXPECT_EQ(source.line(0), "");
  EXPECT_EQ(source.line(4), "");
  Source marked("a", "\xEF\xBB\xBFx = 1");
  EXPECT_EQ(marked.position(3).column, 1u);
  EXPECT_EQ(marked.line(1), "x = 1");
  EXPECT_EQ(Source("a", "").position(0).column, 1u);
}

TEST(Rendering, AsTheReferenceShowsIt) {
  std::string text;
  for (int i = 1; i < 14; ++i)
    text += "\n";
  text += "  q[h,i,d] = sum[c](Wq[h,d,c] * x[i,c])\n";
  Source source("gpt2.qkv", text);
  Diagnostics diagnostics;
  uint32_t at = static_cast<uint32_t>(text.find("x[i,c]"));
  diagnostics.error({&source, at, at + 6},
                    "x[i,c] is read with 2 indices here, but it was defined with 1 (line 9)", "E2");
  EXPECT_EQ(rendered(diagnostics),
            "gpt2.qkv:14:33: error: x[i,c] is read with 2 indices here, but it was defined with 1 "
            "(line 9) [E2]\n"
            "   14 |   q[h,i,d] = sum[c](Wq[h,d,c] * x[i,c])\n"
            "      |                                 ^~~~~~\n");
}

TEST(Rendering, HintsNotesOrder) {
  Source source("m", "a = 1\nb = 2\n");
  Diagnostics diagnostics;
  diagnostics.error({&source, 6, 7}, "second").hint("do this").note({&source, 0, 1}, "first");
  diagnostics.warning({&source, 0, 1}, "careful");
  diagnostics.error({&source, 6, 7}, "second").hint("a repeat is not shown");
  EXPECT_EQ(diagnostics.errorCount(), 1u);
  EXPECT_EQ(rendered(diagnostics), "m:1:1: warning: careful\n"
                                   "    1 | a = 1\n"
                                   "      | ^\n"
                                   "m:2:1: error: second\n"
                                   "    2 | b = 2\n"
                                   "      | ^\n"
                                   "      = hint: do this\n"
                                   "m:1:1: note: first\n"
                                   "    1 | a = 1\n"
                                   "      | ^\n");
  EXPECT_NE(rendered(diagnostics, true).find("\033["), std::string::npos);
}

TEST(Rendering, OddCharacters) {
  Source source("m", "\tx\xFF\x1B[0m\x01 = é$\n");
  Diagnostics diagnostics;
  diagnostics.error({&source, 1, 2}, "tab");
  diagnostics.error({&source, 13, 14}, "dollar \x1B");
  std::string out = rendered(diagnostics);
  EXPECT_EQ(out, "m:1:2: error: tab\n"
                 "    1 |     x\uFFFD?[0m? = é$\n"
                 "      |     ^\n"
                 "m:1:13: error: dollar ?\n"
                 "    1 |     x\uFFFD?[0m? = é$\n"
                 "      |                ^\n");
}

TEST(Rendering, LongLinesAreCut) {
  std::string text = std::string(500, 'a') + " $ " + std::string(500, 'b');
  Source source("m", text);
  Diagnostics diagnostics;
  diagnostics.error({&source, 501, 502}, "here");
  std::istringstream out(rendered(diagnostics));
  std::string head, line, mark;
  std::getline(out, head), std::getline(out, line), std::getline(out, mark);
  EXPECT_EQ(head, "m:1:502: error: here");
  EXPECT_LT(line.size(), 140u);
  ASSERT_NE(mark.find('^'), std::string::npos);
  EXPECT_EQ(line.at(mark.find('^')), '$');
}

TEST(Rendering, SpansOfSeveralLinesAndNone) {
  Source source("m", "ab\ncd");
  Diagnostics diagnostics;
  diagnostics.error({&source, 1, 5}, "both");
  diagnostics.error({}, "nowhere").note({}, "and that is all");
  EXPECT_EQ(rendered(diagnostics), "m:1:2: error: both\n"
                                   "    1 | ab\n"
                                   "      |  ^\n"
                                   "error: nowhere\n"
                                   "      = note: and that is all\n");
}

TEST(Nearest, ByEditDistance) {
  EXPECT_EQ(nearest("atention", {"softmax", "attention"}), "attention");
  EXPECT_EQ(nearest("scroe", {"score", "alpha"}), "score");
  EXPECT_EQ(nearest("x", {"alpha", "y"}), "");
  EXPECT_EQ(nearest("Wq", {"Wk", "wpe"}), "Wk");
  EXPECT_EQ(nearest("layer", {"embedding"}), "");
  EXPECT_EQ(nearest("", {"a"}), "");
}

} // namespace
} // namespace qkv

// Texts that are made to be hard: each gives a program or errors, in little time and memory.
#include "tests/fuzz/Guard.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace qkv::test {
namespace {

struct Case {
  std::string name, text;
  std::string expect; ///< part of what is said; empty: nothing is said; "*": anything
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

const std::string kHead = "size T = dynamic(max: 64)\nindex t < T, j < T\n";

std::string model(const std::string &body, const std::string &result = "y[t]") {
  return kHead + "model m(x[t]) -> " + result + " {\n" + body + "\n}\n";
}

std::string times(int n, const std::string &text) {
  std::string out;
  out.reserve(n * text.size());
  for (int i = 0; i < n; ++i)
    out += text;
  return out;
}

/// `#` in `text` becomes i, `@` i - 1.
std::string lines(int n, const std::string &text) {
  std::string out;
  for (int i = 1; i <= n; ++i)
    for (char c : text)
      if (c == '#')
        out += std::to_string(i);
      else if (c == '@')
        out += std::to_string(i - 1);
      else
        out += c;
  return out;
}

std::vector<Case> cases() {
  std::vector<Case> out;
  auto add = [&](std::string name, std::string text, std::string expect = "") {
    out.push_back({std::move(name), std::move(text), std::move(expect)});
  };
  auto nested = [&](const std::string &name, const std::string &open, const std::string &inner,
                    const std::string &close, int legal) {
    add(name + "Legal", model("y[t] = " + times(legal, open) + inner + times(legal, close)));
    add(name + "Deep", model("y[t] = " + times(100000, open) + inner + times(100000, close)),
        "[G9]");
  };
  nested("Parentheses", "(", "x[t]", ")", 250);
  nested("Negations", "-", "x[t]", "", 250);
  nested("Ifs", "if x[t] > 0 then 1 else ", "x[t]", "", 250);
  nested("Calls", "exp(", "x[t]", ")", 200);
  nested("Powers", "x[t] ^ ", "x[t]", "", 200);
  add("DeepIndices", model("y[t] = " + times(100000, "x[") + "0" + times(100000, "]")), "[G9]");
  add("DeepBraces", "model m() -> y {" + times(100000, "repeat l < 1 {") + times(100000, "}") + "}",
      "[G9]");
  add("OpenOnly", times(100000, "("), "*");
  add("CloseOnly", times(100000, "}"), "*");
  add("LongName", model("y[t] = " + times(100000, "a")), "*");
  add("LongString", model("param w = \"" + times(1000000, "a") + "\"\n  y[t] = w + x[t]"));
  add("Noughts", std::string(10000, '\0'), "*");

  add("LongSum", model("y[t] = x[t]" + times(100000, " + x[t]")), "*");
  add("LongProduct", model("y[t] = x[t]" + times(100000, " * 2")), "*");
  add("LongAnd", model("y[t] = if x[t] > 0" + times(100000, " and x[t] > 0") + " then 1 else 0"),
      "*");
  add("LongOr", model("y[t] = sum[j](x[j] where j < 1" + times(100000, " or j > 5") + ")"), "*");
  add("LongComparison", model("y[t] = if 0" + times(100000, " < x[t]") + " then 1 else 0"), "*");
  add("LongMaximum", model("y[t] = max(x[t]" + times(100000, ", x[t]") + ")"), "*");
  add("LongIndex", model("y[t] = x[t" + times(100000, " + 1 - 1") + "]"), "*");
  add("LongWholeSum", model("y = x" + times(100000, " + x")), "*");
  add("LongSizeSum", "size A = 1" + times(100000, " + 1") + "\n" + model("y[t] = x[t] + A"));
  add("LongRangeSum",
      "size B = dynamic(max: 4), A = B" + times(100000, " + B") + "\n" + model("y[t] = x[t] + A"),
      "*");
  add("SumAtTheLimit", model("y[t] = x[t]" + times(1900, " + x[t]")));
  add("AndAtTheLimit",
      model("y[t] = if x[t] > 0" + times(1900, " and x[t] > 0") + " then 1 else 0"));

  add("ManySteps", model("repeat l < 100000 { x = x + 1 }\n  y = x"), "*");
  add("ManyStepsOfNothing", model("repeat l < 100000 { a = x + 1 }\n  y = x"), "*");
  add("ManyStepsCollected",
      model("s[0,t] = x[t]\n  repeat l < 5000 { s[l+1,t] = s[l,t] + 1 }\n  y[t] = s[3,t]"), "*");
  add("ThousandSteps", model("repeat l < 1000 { x = x + l }\n  y = x"));
  add("StepsOfSteps", model("repeat l < 100000 { repeat k < 100000 { x = x + 1 } }\n  y = x"),
      "[F5]");
  add("StepsOfStepsOfSteps",
      model("repeat a < 1000 { repeat b < 1000 { repeat c < 1000 { x = x } } }\n  y = x"), "[F5]");
  add("TooManySteps", model("repeat l < 100000000 { x = x + 1 }\n  y = x"), "[F5]");
  add("NegativeSteps", model("repeat l < 0 - 5 { x = x + 1 }\n  y = x"), "[F5]");
  add("ManyStepsOfCalls",
      kHead + "fn f(x[t]) -> y[t] { y[t] = x[t] + 1 }\nmodel m(x[t]) -> y[t] {\n"
              "  repeat l < 20000 { x = f(x) }\n  y = x\n}",
      "*");

  const std::string big = "4611686018427387904";
  add("HugeLetter", "index a < " + big + "\nmodel m(x[a]) -> y[a] { y[a] = x[a] }", "*");
  add("HugeProduct",
      "size A = " + big +
          ", B = A * A, C = A * 4\nindex b < B, c < C\n"
          "model m(x[b,c]) -> y[b] { y[b] = x[b,0] }",
      "*");
  add("HugeTensor",
      "index a < " + big + ", b < " + big + ", c < " + big +
          "\nmodel m(x[a]) -> y { y = sum[a,b,c](x[a] * b * c) }",
      "*");
  add("HugePower", "size A = 10 ^ 400, B = 2 ^ 63, C = 7 ^ 7 ^ 7\nmodel m(x) -> y { y = x + A }",
      "*");
  add("HugeNegative",
      "size A = 0 - 9223372036854775807 - 1\nindex a < A\n"
      "model m(x[a]) -> y { y = sum[a](x[a]) }",
      "*");
  add("LeastByMinusOne",
      "size A = (0 - 9223372036854775807 - 1) // (0 - 1), B = (0 - "
      "9223372036854775807 - 1) % (0 - 1), C = A / (0 - 1)\n"
      "model m(x) -> y { y = x + A + B + C }",
      "*");
  add("AbsOfLeast", "size A = abs(0 - 9223372036854775807 - 1)\nmodel m(x) -> y { y = x + A }",
      "*");
  add("NoughtDivided", "size A = 1 // 0, B = 1 % 0, C = 1 / 0\nmodel m(x) -> y { y = x + A }", "*");
  add("NoughtExtent", "index a < 0\nmodel m(x[a]) -> y { y = sum[a](x[a]) }", "*");
  add("HugeParam",
      "index a < 9223372036854775807, b < 9223372036854775807\nmodel m(x) -> y {\n  "
      "param w[a,b] = \"w\"\n  y = x + w[0,0]\n}",
      "*");
  add("HugeStack",
      "index a < 100000, b < 100000\nmodel m(x) -> y {\n  param w[a,b] = "
      "\"w.{a}.{b}\"\n  y = x + w[0,0]\n}",
      "*");
  add("OverflowingStack",
      "index a < 4, b < " + big +
          "\nmodel m(x) -> y {\n  param w[b,a] = "
          "\"w.{a}.{b}\"\n  y = x + w[0,0]\n}",
      "*");
  add("LongStackedNames",
      "index a < 50000\nmodel m(x) -> y {\n  param w[a] = \"" + times(10000, "n") +
          "{a}\"\n  y = x + w[0]\n}",
      "*");
  add("StartFarOutside", model("y[-9223372036854775807] = 0\n  y[t] = x[t]"), "*");
  add("StartFarBehind", model("y[T + 9223372036854775807] = 0\n  y[t] = x[t]"), "*");
  add("ConstantFarInside", model("p[1000000000] = 1\n  p[0] = 2\n  y[t] = x[t] + p[0]"), "*");
  add("ConstantAtTheEnd", model("p[9223372036854775807] = 1\n  y[t] = x[t]"), "*");
  add("ManyPieces", model(lines(2000, "  p[@] = x[0]\n") + "  y[t] = x[t] + p[7]"));
  add("ManyPiecesOfTwo",
      "size T = dynamic(max: 64), N = 40\nindex t < T, n < N\n"
      "model m(x[t]) -> y[t] {\n" +
          lines(400, "  p[@ // 20, @ % 20] = #\n") + "  y[t] = x[t] + p[1,1]\n}",
      "*");
  add("ManyPiecesAndTheRest",
      "size N = 4000\nindex n < N\nmodel m(x[n]) -> p[n] {\n" + lines(1500, "  p[# + #] = x[0]\n") +
          "  p[n] = x[n] + (if n > 3 then p[1] else 0)\n}",
      "*");
  add("HugeIndex", model("y[t] = x[t + 9223372036854775807]"), "*");
  add("HugeFactor", model("y[t] = x[t * 4611686018427387904 * 4]"), "*");
  add("HugeDivisor", model("y[t] = x[t // 9223372036854775807 + t % 9223372036854775807]"), "*");

  add("ManyEquations",
      model("a0[t] = x[t]\n" + lines(5000, "  a#[t] = a@[t] + 1\n") + "  y[t] = a5000[t]"));
  add("ManyWholeEquations", model("a0 = x\n" + lines(5000, "  a#  = a@ + 1\n") + "  y = a5000"),
      "*");
  add("ManyBackward",
      model("y[t] = a1[t]\n" + lines(5000, "  a@[t] = a#[t] + 1\n") + "  a5000[t] = x[t]"));
  add("ManyWholeBackward", model("y = a1\n" + lines(5000, "  a@ = a# + 1\n") + "  a5000 = x"), "*");
  add("ManyRebindings", model(times(5000, "  x = x + 1\n") + "  y = x"), "*");
  add("ManyCalls",
      kHead + "fn f(x[t]) -> y[t] { y[t] = 2 * x[t] }\nmodel m(x[t]) -> y[t] {\n" + "  a0 = x\n" +
          lines(3000, "  a# = f(a@)\n") + "  y = a3000\n}",
      "*");
  add("ManySlices", kHead + "fn f(x[t]) -> y { y = sum[t](x[t]) }\nmodel m(x[t,j]) -> y[t] {\n" +
                        lines(2000, "  a#[t] = f(x[t])\n") + "  y[t] = a1[t] + a2000[t]\n}");
  add("LongRecurrence",
      model("a1[-1] = 0\n  a1[t] = a600[t-1] + x[t]\n" + lines(599, "  b#[t] = 0\n") +
                "  y[t] = a1[t]",
            "y[t]"),
      "*");
  {
    std::string text = "a0[-1] = 0\n  a0[t] = a800[t-1] + x[t]\n";
    add("RecurrenceOfMany",
        model(text + lines(800, "  a#[t] = a@[t] + 1\n") + "  a800[-1] = 0\n" + "  y[t] = a0[t]"),
        "*");
  }
  add("CycleOfMany",
      model("a0[t] = a800[t] + x[t]\n" + lines(800, "  a#[t] = a@[t] + 1\n") + "  y[t] = a0[t]"),
      "[R1]");
  {
    // Axes that do not tell, and one that is wrong in the end.
    std::string letters;
    add("AxesWithoutEnd",
        "size T = dynamic(max: 9)\nindex t < T, a < 2, b < 2, c < 2, d < 2, e < 2\n"
        "model m(x[t]) -> y[t] {\n" +
            lines(40, "  z#[t,a,b,c,d,e] = z@[t,a,b,c,d,e] + 1\n") +
            "  z0[t,a,b,c,d,e] = z40[t,a,b,c,d,e] + x[t]\n  y[t] = z0[t,0,0,0,0,0]\n}",
        "[R1]");
  }

  const std::string twice = "fn d(x) -> y { y = x + x }\n";
  add("SharedElements",
      "use nn\n" + model("y[t] = " + times(60, "silu(") + "x[t]" + times(60, ")")));
  add("SharedDoubles", twice + model("y[t] = " + times(60, "d(") + "x[t]" + times(60, ")")));
  add("SharedWhole", twice + model("y = " + times(60, "d(") + "x" + times(60, ")")));
  add("SharedInts",
      twice + model("y[t] = x[min(" + times(60, "d(") + "t" + times(60, ")") + ", 0)]"), "*");
  add("SharedIndex", twice + model("y[t] = x[" + times(60, "d(") + "t" + times(60, ")") + "]"),
      "*");
  add("SharedGuards",
      "fn b(x) -> y { y = x and x or not x }\n" +
          model("y[t] = sum[j](x[j] where " + times(60, "b(") + "j <= t" + times(60, ")") + ")"));
  add("SharedIfs",
      "fn f(x) -> y { y = if x > 3 then x - 1 else x + 1 }\n" +
          model("y[t] = x[" + times(40, "f(") + "t" + times(40, ")") + "]"),
      "*");
  add("SharedExtremes",
      "fn f(x) -> y { y = max(min(x, 5), x - 1) }\n" +
          model("y[t] = x[" + times(60, "f(") + "t" + times(60, ")") + "]"),
      "*");
  add("DoubledTensors", model("a0 = x\n" + lines(60, "  a# = a@ + a@\n") + "  y = a60"));
  add("DoubledRebindings", model(times(60, "  x = x + x\n") + "  y = x"));
  add("DoubledInts",
      model("a0[t] = t\n" + lines(60, "  a#[t] = a@[t] + a@[t]\n") + "  y[t] = x[a60[t]]"), "*");
  add("DoubledBools",
      model("a0[t] = t > 0\n" + lines(60, "  a#[t] = a@[t] and (a@[t] or t > 1)\n") +
            "  y[t] = if a60[t] then x[t-1] else 0"),
      "*");
  add("DoubledShifts",
      model("a0[t] = t\n" + lines(60, "  a#[t] = if t > 0 then a@[t-1] + a@[t] else a@[t]\n") +
            "  y[t] = x[a60[t]]"),
      "*");
  add("DoublingCalls",
      kHead + "fn f0(x[t]) -> y[t] { y[t] = x[t] }\n" +
          lines(40, "fn f#(x[t]) -> y[t] {\n  a = f@(x)\n  y = f@(a)\n}\n") +
          "model m(x[t]) -> y[t] { y = f40(x) }",
      "*");
  add("DoublingElements",
      kHead + "fn f0(x) -> y { y = x * x }\n" + lines(40, "fn f#(x) -> y { y = f@(f@(x)) }\n") +
          "model m(x[t]) -> y[t] { y = f40(x) }",
      "*");
  add("DeepCalls",
      kHead + "fn f0(x[t]) -> y[t] { y[t] = x[t] }\n" +
          lines(1500, "fn f#(x[t]) -> y[t] { y = f@(x) }\n") +
          "model m(x[t]) -> y[t] { y = f1500(x) }",
      "*");
  add("DeepElements",
      kHead + "fn f0(x) -> y { y = x * x }\n" + lines(1500, "fn f#(x) -> y { y = f@(x) + 1 }\n") +
          "model m(x[t]) -> y[t] { y = f1500(x) }",
      "*");
  add("ManyConjuncts", model("y[t] = sum[j](x[j] where " + lines(300, "j != # and ") + "j <= t)"));
  add("ManyCases",
      model("y[t] = x[" + lines(100, "(if t == # then @ else ") + "t" + times(100, ")") + "]"),
      "*");
  add("ManyQuotients", model("y[t] = x[t - " + lines(60, "t // # - t % # + ") + "0]"), "*");
  add("ManyLetters", "index " + lines(3000, "a# < 2, ") + "z < 2\nmodel m(x[z]) -> y[z] { y = x }");
  add("ManyAxes",
      "index " + lines(300, "a# < 2, ") + "z < 2\nmodel m(x[" + lines(300, "a#,") +
          "z]) -> y[z] { y[z] = x[" + times(300, "0,") + "z] }",
      "[E5]");
  add("ManyResults", kHead + "fn f(x[t]) -> (" + lines(1000, "a#, ") + "z) {\n" +
                         lines(1000, "  a# = x[0]\n") + "  z = x[0]\n}\nmodel m(x[t]) -> y {\n  " +
                         lines(1000, "b#, ") + "y = f(x)\n}");
  add("SizesOfSizes",
      "size a0 = dynamic(max: 4), " + lines(40, "a# = a@ * a@ + 1, ") + "z = 1\n" +
          model("y[t] = x[t] + a40"),
      "*");
  add("QuotientsOfSizes",
      "size a0 = dynamic(max: 1000), " + lines(300, "a# = (a@ + a0) // 3, ") + "z = 1\n" +
          model("y[t] = x[t] + a300"),
      "*");
  add("SizesInCircles", "size A = B + 1, B = C + 1, C = A + 1\n" + model("y[t] = x[t] + A"), "*");
  add("LongChainOfSizes",
      lines(20000, "size a@ = a# + 1\n") + "size a20000 = 1\n" + model("y[t] = x[t] + a0"), "*");
  add("UnknownEverything",
      "use nothing\nuse nowhere\nindex a < Q, b < extent(z), c < f(3)\nsize S = W, R = config(1)\n"
      "model m(x[q,r] : double, size Z, fn g) -> (y[s], z) {\n  y[s] = f(x) + g(h[1]) * "
      "K[L[M[N]]]\n"
      "  z, w = u(v: 3) from \"{p}\"\n  repeat k < K { a[k] = b[k+l] }\n  param P[t,t] = "
      "\"{z}\"\n}",
      "*");
  add("NothingButNames", times(20000, "a b c\n"), "*");
  add("ManyErrors", model(lines(20000, "  a#[t] = q#[t]\n") + "  y[t] = x[t]"), "*");
  add("SelfUse", "use fuzz\n" + model("y = x"), "does not use itself");
  add("SameUses", "use nn\nuse nn\n" + model("y = x"));
  return out;
}

class Pathological : public testing::TestWithParam<Case> {};

TEST_P(Pathological, IsCheckedInLittleTimeAndMemory) {
  const Case &c = GetParam();
  Guarded g = guarded(6, [&] {
    std::string says, wrong = problemsOf(c.text, &says);
    return wrong.empty() ? says : "WRONG: " + wrong;
  });
  ASSERT_EQ(g.died, "");
  EXPECT_LT(g.seconds, 2);
  if (slowdown == 1) // a sanitizer keeps what was freed
    EXPECT_LT(g.peak, int64_t(1) << 30);
  EXPECT_EQ(g.said.find("WRONG"), std::string::npos) << g.said;
  if (c.expect.empty())
    EXPECT_EQ(g.said, "");
  else if (c.expect != "*")
    EXPECT_NE(g.said.find(c.expect), std::string::npos) << g.said;
}

INSTANTIATE_TEST_SUITE_P(Texts, Pathological, testing::ValuesIn(cases()),
                         [](auto &info) { return info.param.name; });

// Two files that use each other, and one that uses itself.
TEST(Uses, InCircles) {
  std::string folder = testing::TempDir() + "/qkv-uses-" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/a.qkv") << "use b\nfn f(x) -> y { y = g(x) }\n";
  std::ofstream(folder + "/b.qkv") << "use a\nfn g(x) -> y { y = f(x) }\n";
  std::string says;
  EXPECT_EQ(problemsOf("use a\nuse b\nmodel m(x) -> y { y = f(x) }", &says, folder + "/m.qkv"), "");
  EXPECT_NE(says.find("[F1]"), std::string::npos) << says;
  std::filesystem::remove_all(folder);
}

} // namespace
} // namespace qkv::test

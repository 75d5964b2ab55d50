// Corners of rules that are easily got wrong, one by one.
#include "tests/sema/idioms/IdiomModels.h"

#include <gtest/gtest.h>

namespace qkv::test {
namespace {

const std::string kHead = "size T = dynamic(max: 64)\nindex t < T, j < T\n";

/// The results for generated x; nothing, and a failure, if it does not check.
Trial run(const std::string &text, int64_t size = 5) {
  auto checked = checkText("corner.qkv", kHead + text);
  EXPECT_TRUE(checked->program) << checked->said;
  Trial t;
  if (checked->program)
    t = runGenerated(*checked->program, size, Precision::Double, 1);
  EXPECT_EQ(t.failure, "");
  return t;
}

std::string said(const std::string &text) { return checkText("corner.qkv", kHead + text)->said; }

TEST(F3, AFunctionOfElementsWorksOnWholeTensors) {
  Trial t = run("fn f(x, const a = 2) -> y { y = if x > 0 then a * x else x }\n"
                "model m(x[t,j]) -> (y[t,j], z[t,j]) {\n  y = f(abs(x) - 0.5, a: 3)\n"
                "  z[t,j] = f(abs(x[t,j]) - 0.5, a: 3)\n}");
  EXPECT_EQ(t.results["y"].floats, t.results["z"].floats);
}

TEST(E2, AStartAndAnEndAreDifferentPositions) {
  Trial t = run("model m(x[t]) -> y[t] {\n  p[-1] = 1\n  p[T] = 2\n  p[t] = x[t]\n"
                "  y[t] = p[t-1] + 10 * p[t+1]\n}",
                1);
  EXPECT_EQ(t.results["y"].floats, std::vector<double>{21});
}

TEST(E2, PositionsThatSomeSizesMakeOne) {
  EXPECT_NE(
      said("model m(x[t]) -> y[t] {\n  y[0] = 1\n  y[T-1] = 2\n  y[t] = x[t]\n}").find("[E2]"),
      std::string::npos);
}

TEST(P4, EdgesOutsideOnTwoAxesDoNotOverlap) {
  Trial t = run("model m(x[t,j]) -> d[t,j] {\n  d[-1,-1] = 0\n  d[-1,j] = j\n  d[t,-1] = 10\n"
                "  d[t,j] = d[t-1,j-1] + 1\n}",
                3);
  EXPECT_EQ(t.results["d"].ints, (std::vector<int64_t>{1, 1, 2, 11, 2, 2, 11, 12, 3}));
}

TEST(P4, ALetterDoesNotTakeThePositionOutside) {
  EXPECT_NE(said("model m(x[t,j]) -> d[t,j] {\n  d[-1,j] = 0\n  d[t,j] = (if j > 0 then d[t-1,j-1] "
                 "else d[t-1,-1]) + x[t,j]\n}")
                .find("[A1]"),
            std::string::npos);
}

TEST(R1, APositionMayNeedAnotherConstantOne) {
  Trial t = run("model m(x[t]) -> y[t] {\n  p[t,0] = x[t]\n  p[t,1] = 2 * p[t,0]\n"
                "  p[t,2] = p[t,1] + p[t,0]\n  y[t] = p[t,2] - 3 * x[t]\n}");
  EXPECT_EQ(t.results["y"].floats, std::vector<double>(5, 0.0));
}

TEST(R1, AHundredTensorsInOneRecurrence) {
  std::string text = "model m(x[t]) -> y[t] {\n  a500[-1] = 0\n  a0[t] = a500[t-1] + x[t]\n";
  for (int i = 1; i <= 500; ++i)
    text += "  a" + std::to_string(i) + "[t] = a" + std::to_string(i - 1) + "[t] + 1\n";
  Trial t = run(text + "  y[t] = a500[t] - 500 * (t + 1)\n}", 2);
  const std::vector<double> &x = t.inputs["x"].floats;
  EXPECT_EQ(t.results["y"].floats, (std::vector<double>{x[0], x[0] + x[1]}));
}

TEST(R4, ATableThatGoesBothWaysAlongEachAxisIsNone) {
  std::string starts = "model m(x[t,j]) -> d[t,j] {\n  d[-1,j] = 0\n  d[t,-1] = 0\n";
  EXPECT_EQ(said(starts + "  d[t,j] = max(d[t-1,j], d[t,j-1]) + x[t,j]\n}"), "");
  EXPECT_NE(said(starts + "  d[T,j] = 0\n  d[t,extent(j)] = 0\n"
                          "  d[t,j] = d[t-1,j] + d[t+1,j] + d[t,j-1] + d[t,j+1] + x[t,j]\n}")
                .find("[R1]"),
            std::string::npos);
}

TEST(Sizes, BeyondSixtyFourBits) {
  EXPECT_NE(
      said("size A = 4611686018427387904, B = A * 2\nmodel m(x[t]) -> y[t] { y[t] = x[t] + B }")
          .find("64 bits"),
      std::string::npos);
  EXPECT_NE(said("size S = dynamic(max: 1099511627776), B = S * S\n"
                 "model m(x[t]) -> y[t] { y[t] = x[t] + B }")
                .find("64 bits"),
            std::string::npos);
}

TEST(A1, APositionOutsideTakesNothingFromAProof) {
  // The start at -1 leaves the letter's whole range to the general piece.
  Trial t = run("model m(x[t]) -> h[t] {\n  h[-1] = 0\n  h[t] = h[t-1] + x[T - 1 - t]\n}", 2);
  const std::vector<double> &x = t.inputs["x"].floats;
  EXPECT_EQ(t.results["h"].floats, (std::vector<double>{x[1], x[1] + x[0]}));
}

} // namespace
} // namespace qkv::test

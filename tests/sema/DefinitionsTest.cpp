// Each rule that defines: a small model whose result would differ without it.
#include "tests/sema/Evaluate.h"

#include <cmath>

namespace qkv {
namespace {

TEST(L2, ABodysNameHidesTheFiles) {
  EXPECT_EQ(run("size W = 10\nmodel m(x[t]) -> y[t] {\n  W = sum[t](x[t])\n  y[t] = x[t] + W\n}"),
            (V{9, 7, 8}));
}
TEST(L2, TheFilesFunctionsHideTheLibrarys) {
  EXPECT_EQ(
      run("use nn\nfn relu(x) -> y { y = x + 100 }\nmodel m(x[t]) -> y[t] { y[t] = relu(x[t]) }"),
      (V{103, 101, 102}));
}
TEST(L4, AReductionBindsALetterAnew) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = x[t] / sum[t](x[t]) }", {3, 1, 4}),
            (V{3.0 / 8, 1.0 / 8, 4.0 / 8}));
  // Each t is the nearest reduction's: (3 + 1 + 2) * x summed, not x^2.
  EXPECT_EQ(run("model m(x[t]) -> y { y = sum[t](x[t] * sum[t](x[t])) }"), V{36});
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = t + max[t](x[t] where t >= 1) }"), (V{2, 3, 4}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = sum[t,j](x[t] where j <= t) * 100 + x[t] }"),
            (V{1103, 1101, 1102}));
}
TEST(L4, ASoftmaxBindsItsLetterInside) {
  V y = run("model m(x[t]) -> y[t] { y[t] = softmax[t](0 * x[t] - max[t](x[t])) * x[t] }");
  EXPECT_NEAR(y.at(0), 1, 1e-12);
  EXPECT_NEAR(y.at(1), 1.0 / 3, 1e-12);
}
TEST(L4, GuardsOfOneLetterSayNothingOfTheOther) {
  // x[t-1] is guarded for the inner t; the outer one begins at 0.
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = sum[t](x[t-1] where t >= 1) + 10 * t }"),
            (V{4, 14, 24}));
}
TEST(L5, SoftmaxDoesNotBindItsLetter) {
  V y = run("model m(x[t]) -> y { y = sum[t](softmax[t](0 * x[t]) * x[t]) }");
  EXPECT_NEAR(y.at(0), 2, 1e-12);
}
TEST(L6, ExtentIsTheNumberOfValues) {
  EXPECT_EQ(run("model m(x[t]) -> y { y = sum[t](x[t]) / extent(t) }"), V{2});
}
TEST(E1, LinesAboveARebindingSeeTheOldOne) {
  EXPECT_EQ(run("model m(x[t]) -> (a[t], b[t]) {\n  a = x + 1\n  x = x * 10\n  b = x + 1\n}"),
            (V{4, 2, 3, 31, 11, 21}));
}
TEST(E1, EquationsHaveNoOrder) {
  EXPECT_EQ(run("model m(x[t]) -> a[t] {\n  a[t] = b[t] + 1\n  b[t] = x[t] * 2\n}"), (V{7, 3, 5}));
}
TEST(E3, ARank0ValueMeetsAnyShape) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  s = sum[t](x[t])\n  y = x + s\n}"), (V{9, 7, 8}));
}
TEST(E3, AnElementsIfMayDependOnData) {
  EXPECT_EQ(
      run("fn f(a) -> y { y = if a > 1.5 then a else 0 }\nmodel m(x[t]) -> y[t] { y = f(x) }"),
      (V{3, 0, 2}));
}
TEST(E4, EqualPolynomialsAreEqualExtents) {
  EXPECT_EQ(run("size U = (T + 1) // 2, W = (1 + T) // 2\nindex u < U, w < W\n"
                "fn half(x[t]) -> y[u] {\n  index u < (extent(t) + 1) // 2\n  y[u] = x[u]\n}\n"
                "model m(x[t]) -> y[w] {\n  a = half(x)\n  b[u] = 1\n  y = a + b\n}"),
            (V{4, 2}));
}
TEST(P1, ThePieceWithMoreConstantsWins) {
  EXPECT_EQ(evaluate("index i < 2, j < 2\nmodel m(x[i,j]) -> y[i,j] {\n  y[i,j] = 1\n  y[0,j] = 2\n"
                     "  y[0,1] = 3\n}",
                     Inputs().floats("x", {2, 2}, {0, 0, 0, 0})),
            (V{2, 3, 1, 1}));
}
TEST(P2, AnAxisOfConstantsSpansFromZero) {
  EXPECT_EQ(
      run("model m(x[t]) -> y {\n  p[0] = x[0]\n  p[1] = 5\n  index k < 2\n  y = sum[k](p[k])\n}"),
      V{8});
}
TEST(P3, ALetterLeavesOutPositionsWithAnEquation) {
  // x[t - 1] is inside because position 0 is not the letter's.
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  y[0] = 10\n  y[t] = x[t - 1] + y[t - 1]\n}"),
            (V{10, 13, 14}));
}
TEST(P4, PositionsOutsideStartARecurrence) {
  EXPECT_EQ(run("model m(x[t]) -> h[t] {\n  h[-1] = 100\n  h[t] = h[t-1] + x[t]\n}"),
            (V{103, 104, 106}));
  EXPECT_EQ(run("model m(x[t]) -> h[t] {\n  h[T] = 100\n  h[t] = h[t+1] + x[t]\n}"),
            (V{106, 103, 102}));
}
TEST(P5, PiecesStandSideBySide) {
  const std::string sizes = "size N = 2\nindex n < N, e < T + 2, i < 2 * T\n";
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[e] {\n  y[T+n] = 10 + n\n  y[t] = x[t]\n}"),
            (V{3, 1, 2, 10, 11}));
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[i] {\n  y[2*t+1] = -x[t]\n  y[t*2] = x[t]\n}"),
            (V{3, -3, 1, -1, 2, -2}));
}
TEST(P5, SeveralLettersCountOneAxis) {
  const std::string sizes = "size H = 2\nindex h < H, i < H * T, k < T * H\n";
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[i] { y[(h,t)] = 10 * h + x[t] }"),
            (V{3, 1, 2, 13, 11, 12}));
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[k] { y[(t,h)] = 10 * h + x[t] }"),
            (V{3, 13, 1, 11, 2, 12}));
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[t] {\n  a[(h,t)] = 10 * h + x[t]\n"
                        "  y[t] = sum[h](a[(h,t)])\n}"),
            (V{16, 12, 14}));
}
TEST(P5, TheInnerPieceWins) {
  const std::string sizes = "index n < 2, i < 6\n";
  // Also where the outer one could not be read.
  EXPECT_EQ(
      run(sizes + "model m(x[t]) -> y[i] {\n  y[i] = i\n  y[2*n+1] = 10 * x[n]\n  y[3] = 7\n}"),
      (V{0, 30, 2, 7, 4, 5}));
}
TEST(P5, ARecurrenceMayStandInIt) {
  const std::string sizes = "index s < T + 1, i < 2 * T\n";
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[s] {\n  y[0] = 1\n  y[t+1] = 2 * y[t] + x[t]\n}"),
            (V{1, 5, 11, 24}));
  EXPECT_EQ(run(sizes + "model m(x[t]) -> y[i] {\n  y[2*t] = if t == 0 then 1 else y[2*t-1] + 1\n"
                        "  y[2*t+1] = y[2*t] * x[t]\n}"),
            (V{1, 3, 4, 4, 5, 10}));
}
TEST(P5, APieceIsReadWhereItStands) {
  // x[t+1] is no position of x at the last t, which is another piece's.
  EXPECT_EQ(run("index k < T - 1, n < 1\n"
                "model m(x[t]) -> y[t] {\n  y[k] = x[k+1]\n  y[T-1+n] = 9\n}"),
            (V{1, 2, 9}));
}
TEST(R1, AllEarlierPositionsAreARecurrence) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = x[t] + sum[j](y[j] where j < t) }"), (V{3, 4, 9}));
}
TEST(R1, TheAxisNeedNotHaveTheSameLetter) {
  EXPECT_EQ(
      run("model m(x[t]) -> a[t] {\n  a[-1] = 1\n  a[t] = b[t] + x[t]\n  b[j] = 2 * a[j-1]\n}"),
      (V{5, 11, 24}));
}
TEST(R1, ACallAtEachPositionMayRecur) {
  // A cell that is a recurrence over its own letter, inside of one over t.
  EXPECT_EQ(evaluate("size T = dynamic(max: 8)\nindex t < T, c < 3\n"
                     "fn run(x[c], s) -> h[c] {\n  h[-1] = s\n  h[c] = h[c-1] + x[c]\n}\n"
                     "model m(x[t,c]) -> y[t] {\n  y[-1] = 0\n  y[t] = run(x[t], y[t-1])[2]\n}",
                     Inputs().floats("x", {2, 3}, {1, 2, 3, 4, 5, 6})),
            (V{6, 21}));
}
TEST(R4, ARecurrenceAlongTwoAxes) {
  std::string sizes = "index i < 2, j < 3\n";
  EXPECT_EQ(
      evaluate(sizes + "model m(x[i,j]) -> y[i,j] {\n  y[-1,j] = 0\n  y[i,-1] = 0\n  y[-1,-1] = 1\n"
                       "  y[i,j] = y[i-1,j] + y[i,j-1] + y[i-1,j-1] + x[i,j]\n}",
               Inputs().floats("x", {2, 3}, {0, 0, 0, 0, 0, 1})),
      (V{1, 1, 1, 1, 3, 6}));
}
TEST(R4, AnAxisMayGoBackInsideOfOneThatGoesForward) {
  EXPECT_EQ(
      evaluate("index i < 2, j < 3\nmodel m(x[i,j]) -> y[i,j] {\n  y[-1,j] = 0\n  y[i,3] = 1\n"
               "  y[i,j] = 2 * y[i,j+1] + y[i-1,j] + x[i,j]\n}",
               Inputs().floats("x", {2, 3}, {0, 0, 0, 1, 0, 0})),
      (V{8, 4, 2, 33, 12, 4}));
}
TEST(R4, TheOuterAxisIsTheOneThatAllowsTheOther) {
  // Along i reads are on both sides, along j none is later.
  EXPECT_EQ(
      evaluate("index i < 2, j < 3\nmodel m(x[i,j]) -> y[i,j] {\n  y[2,j] = 0\n  y[-1,j] = 0\n"
               "  y[i,0] = x[i,0]\n  y[-1,0] = 0\n  y[2,0] = 0\n"
               "  y[i,j] = y[i+1,j-1] + y[i-1,j]\n}",
               Inputs().floats("x", {2, 3}, {1, 9, 9, 2, 9, 9})),
      (V{1, 2, 2, 2, 2, 2}));
}
TEST(A1, AGuardProvesAnIndex) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = sum[j](x[t - j] where j <= t) }"), (V{3, 4, 6}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = if t + 1 < T then x[t + 1] else 0 }"),
            (V{1, 2, 0}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = x[2 * (t // 2)] }"), (V{3, 3, 2}));
}
TEST(A1, AValueIsCheckedWhenItRuns) {
  std::string model =
      "size T = dynamic(max: 64)\nindex t < T, v < 5\n"
      "model m(x[t] : int, w[v]) -> y[t] { y[t] = if x[t] < 9 then w[x[t]] else -1 }";
  auto in = [](std::vector<int64_t> x) {
    return Inputs().ints("x", {2}, std::move(x)).floats("w", {5}, {0, 10, 20, 30, 40});
  };
  EXPECT_EQ(evaluate(model, in({4, 9})), (V{40, -1})); // only elements that take part
  std::string wrong;
  evaluate(model, in({4, 5}), &wrong);
  EXPECT_NE(wrong.find("is 5"), std::string::npos) << wrong;
  EXPECT_NE(wrong.find("[A1]"), std::string::npos) << wrong;
}
TEST(A2, ALetterMayRangeOverLess) {
  EXPECT_EQ(evaluate("index p < 2, v < 4\nmodel m(x[v]) -> y[p] { y[p] = x[p] }",
                     Inputs().floats("x", {4}, {1, 2, 3, 4})),
            (V{1, 2}));
}
TEST(A3, OnlyWhatIsNeededIsRead) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = if t > 0 and x[t - 1] > 2 then x[t - 1] else 0 }"),
            (V{0, 3, 0}));
}
TEST(A5, AnalysisLooksThroughDefinitions) {
  EXPECT_EQ(run("fn windowed(x[i], ok[i,j]) -> y[i] { y[i] = sum[j](x[i - j] where ok[i,j]) }\n"
                "model m(x[t]) -> y[t] {\n  ok[t,j] = 0 <= t - j\n  y = windowed(x, ok)\n}"),
            (V{3, 4, 6}));
}
// What stands beside a 0 of a guard is not read: not where it is NaN, not where there is nothing.
TEST(A6, AProductDoesNotReadBesideAGuard) {
  const V inputs{1, 2, 3, std::nan("")};
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  m[t] = if t < 3 then 2 else 0\n"
                "  y[t] = x[t] * m[t]\n}",
                inputs),
            (V{2, 4, 6, 0}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  a[t,j] = softmax[j](0 * t where j <= t)\n"
                "  y[t] = if t < 3 then sum[j](a[t,j] * x[j]) else 0\n}",
                inputs),
            (V{1, 1.5, 2, 0}));
  EXPECT_EQ(run("model m(x[t]) -> y {\n"
                "  s[t] = (if t > 2 then log(0 * t) else 0) + 1\n"
                "  y = sum[t](softmax[t](s[t]) / 2 * x[t])\n}",
                inputs),
            (V{1}));
  // Sums are 0 by a guard where all they add is; data that is 0 is none.
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  m[t] = if t < 3 then 1 else 0\n"
                "  n[t] = if t > 0 and t < 3 then 1 else 0\n  y[t] = (m[t] + n[t]) * x[t]\n}",
                inputs),
            (V{1, 4, 6, 0}));
  EXPECT_TRUE(std::isnan(run("model m(x[t]) -> y { y = (x[0] - 1) * sum[t](x[t]) }", inputs)[0]));
}
TEST(A6, ProofsCountNoReadBesideAGuard) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  m[t] = if t > 0 then 2 else 0\n"
                "  y[t] = m[t] * x[t-1]\n}"),
            (V{0, 6, 2}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n"
                "  a[t,j] = softmax[j](0 * x[j] where j <= t)\n"
                "  y[t] = sum[j](a[t,j] * x[t-j])\n}"),
            (V{3, 2, 2}));
  // A recurrence (R1): what the softmax leaves out is not computed yet.
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n"
                "  a[t,j] = softmax[j](0 * t where j < t)\n"
                "  y[t] = x[t] + sum[j](a[t,j] * y[j])\n}"),
            (V{3, 4, 5.5}));
}
TEST(S1, EmptyRows) {
  double inf = INFINITY;
  EXPECT_EQ(run("model m(x[t]) -> (a, b, c, d, e, f, g) {\n"
                "  a = sum[t](x[t] where x[t] > 9)\n  b = prod[t](x[t] where x[t] > 9)\n"
                "  c = mean[t](x[t] where x[t] > 9)\n  d = max[t](x[t] where x[t] > 9)\n"
                "  e = min[t](x[t] where x[t] > 9)\n  f = logsumexp[t](x[t] where x[t] > 9)\n"
                "  g = argmax[t](x[t] where x[t] > 9)\n}"),
            (V{0, 1, 0, -inf, inf, -inf, -1}));
}
TEST(S1, AScoreOfMinusInfinityTakesNoPart) {
  V y = run("model m(x[t]) -> (w[t], n[t]) {\n  w[t] = softmax[t](if x[t] > 1 then 0 * x[t] else "
            "log(0 * x[t]))\n"
            "  n[t] = softmax[t](log(0 * x[t]))\n}");
  EXPECT_EQ(y, (V{0.5, 0, 0.5, 0, 0, 0}));
}
TEST(S1, SoftmaxIsZeroWhereItsGuardLeavesOut) {
  V y = run("model m(x[t]) -> w[t] { w[t] = softmax[t](0 * x[t] where t != 1) }");
  EXPECT_EQ(y, (V{0.5, 0, 0.5}));
}
TEST(S4, ANegativeRangeIsEmpty) {
  const char *text = "size T = dynamic(max: 9)\nindex t < T, u < T - 2\n"
                     "model m(x[t]) -> (y[u], a, b, c, d, e, n) {\n  y[u] = x[u+2] - x[u]\n"
                     "  a = sum[u](y[u])\n  b = max[u](y[u])\n  c = mean[u](y[u])\n"
                     "  d = prod[u](y[u])\n  e = argmax[u](y[u])\n  n = extent(u)\n}";
  double inf = INFINITY;
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {1}, {5})), (V{0, -inf, 0, 1, -1, 0}));
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {2}, {5, 6})), (V{0, -inf, 0, 1, -1, 0}));
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {3}, {5, 6, 9})), (V{4, 4, 4, 4, 4, 0, 1}));
}
TEST(S4, SoIsOneOfKnownSizes) {
  EXPECT_EQ(run("index u < 3 - 5\nmodel m(x[t]) -> (a, n) { a = sum[u](x[0])\n  n = extent(u) }"),
            (V{0, 0}));
}
TEST(S4, WhereARangeIsEmptyItHasNoPositionsOfItsOwn) {
  const char *text = "size T = dynamic(max: 9)\nindex t < T, u < T - 2\n"
                     "model m(x[t]) -> (y[u], h[u], z[t], k) {\n  y[0] = 7\n  y[u] = x[u]\n"
                     "  h[T-2] = 1\n  h[u] = h[u+1] + x[u]\n  z[T-2] = 8\n  z[t] = x[t]\n"
                     "  k = h[extent(u)]\n}";
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {1}, {5})), (V{5, 1}));
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {2}, {5, 6})), (V{8, 6, 1}));
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {4}, {5, 6, 9, 2})),
            (V{7, 6, 12, 7, 5, 6, 8, 2, 1}));
}
TEST(S4, AQuotientOfSizesIsAtMostWhatItIsOf) {
  const char *text = "size S = dynamic(max: 9), T = dynamic(max: 9)\n"
                     "index s < S, t < T, w < T // S, p < T % S\n"
                     "model m(x[t], z[s]) -> (y[w], r[p]) { y[w] = x[w]\n  r[p] = z[p] }";
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {5}, {1, 2, 3, 4, 5}).floats("z", {2}, {8, 9})),
            (V{1, 2, 8}));
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {1}, {1}).floats("z", {2}, {8, 9})), (V{8}));
}
TEST(S2, ArgminIsTheFirstOfTheLeast) {
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmin[t](x[t]) }", {7, 1, 1}), V{1});
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmin[t](x[t] where x[t] > 9) }", {7, 1, 1}), V{-1});
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmin[t](floor(x[t]) % 4) }", {7, 5, 4}), V{2});
}
TEST(S2, WhatIsNotANumberTakesNoPart) {
  EXPECT_EQ(run("model m(x[t]) -> (y, z) { y = argmax[t](log(x[t])); z = argmin[t](log(x[t])) }",
                {-1, 2, 3}),
            (V{2, 1}));
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmax[t](log(x[t])) }", {-1, -2}), V{-1});
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmax[t](log(x[t])) }", {-1, 0}), V{1}); // -inf is one
}
TEST(S3, RankCountsTheGreaterAndTheEqualBefore) {
  const double left = 9223372036854775807.;
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = rank[t](x[t]) }", {3, 7, 3, 9}), (V{2, 1, 3, 0}));
  EXPECT_EQ(
      run("model m(x[t]) -> y[t] { y[t] = rank[t](floor(x[t]) where x[t] < 8) }", {3, 7, 3, 9}),
      (V{1, 0, 2, left}));
}
TEST(S3, WhatIsNoNumberComesFirst) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = rank[t](log(x[t] - 5)) }", {3, 7, 2, 9}),
            (V{0, 3, 1, 2}));
}
TEST(S3, ARankBelowANumberIsOfWhatTakesPart) {
  // So t - j is a position of x: the guard of the rank says it (A1).
  EXPECT_EQ(run("model m(x[t]) -> y[t] {\n  r[t,j] = rank[j](x[j] where j <= t)\n"
                "  y[t] = sum[j](x[t-j] where 1 > r[t,j])\n}"),
            (V{3, 1, 2}));
}
TEST(S3, RankOfSeveralLettersIsInRowMajorOrder) {
  EXPECT_EQ(evaluate("index i < 2, j < 2\nmodel m(x[i,j]) -> y[i,j] { y[i,j] = rank[i,j](x[i,j]) }",
                     Inputs().floats("x", {2, 2}, {1, 5, 5, 1})),
            (V{2, 0, 1, 3}));
}
TEST(S3, AConditionOnItChoosesTheGreatest) {
  V y = run("model m(x[t]) -> (y, z) {\n  y = sum[t](x[t] where rank[t](x[t]) < 2)\n"
            "  z = sum[t](softmax[t](0 * x[t] where rank[t](x[t]) < 2) * x[t])\n}",
            {3, 7, 3, 9});
  EXPECT_NEAR(y.at(0), 16, 1e-12);
  EXPECT_NEAR(y.at(1), 8, 1e-12);
}
TEST(A4, ASizeBelowItsMinIsAnError) {
  const char *text = "size T = dynamic(min: 3, max: 9)\nindex t < T\n"
                     "model m(x[t]) -> y { y = x[2] }";
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {3}, {1, 2, 3})), V{3});
  std::string wrong;
  evaluate(text, Inputs().floats("x", {2}, {1, 2}), &wrong);
  EXPECT_NE(wrong.find("size T is between 3 and 9"), std::string::npos) << wrong;
}
TEST(E4, MaxAndMinOfSizesAreSizes) {
  const char *text = "size A = dynamic(max: 9), B = dynamic(max: 9), M = max(A, B), N = min(A, B)\n"
                     "index a < A, b < B, m < M, n < N, k < max(B, A)\n"
                     "model f(x[a], y[b]) -> (u[m], v[n], s, c) {\n"
                     "  u[m] = (if m < A then x[m] else 0) + (if m < B then y[m] else 0)\n"
                     "  v[n] = x[n] * y[n]\n  w[k] = 2\n  r = u + w\n  s = sum[m](r[m])\n"
                     "  c = max(3, min(4, 5)) + max(extent(n), 1)\n}";
  EXPECT_EQ(evaluate(text, Inputs().floats("x", {3}, {1, 2, 3}).floats("y", {2}, {10, 20})),
            (V{11, 22, 3, 10, 40, 42, 6}));
}
TEST(T1, InfinityIsANumber) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(run("const most = inf\nmodel m(x[t]) -> (a, b, c[t]) {\n  a = most\n  b = -inf\n"
                "  c[t] = min(x[t], if t == 1 then -inf else inf)\n}"),
            (V{inf, -inf, 3, -inf, 2}));
  EXPECT_EQ(run("model m(x[t]) -> y { y = sum[t](softmax[t](if t == 0 then -inf else 0) * x[t]) }"),
            V{1.5});
}
TEST(T2, Log1pAndExpm1KeepWhatIsSmall) {
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = log1p(x[t]) + expm1(2 * x[t]) }", {1e-300, -1}),
            (V{3e-300, std::log1p(-1) + std::expm1(-2)}));
  EXPECT_EQ(run("const a = log1p(1e-20) / expm1(1e-20)\nmodel m(x[t]) -> y { y = a }"), V{1});
}
TEST(S2, TiesOfArgmaxGoToTheSmallest) {
  EXPECT_EQ(run("model m(x[t]) -> y { y = argmax[t](x[t]) }", {1, 7, 7}), V{1});
}
TEST(S2, SeveralLettersAreOneJointRange) {
  V y = run("model m(x[t]) -> y { y = mean[t,j](x[t] where j <= t) }");
  EXPECT_DOUBLE_EQ(y.at(0), (3 + 1 + 1 + 2 + 2 + 2) / 6.0);
}
TEST(T1, IntsStayInts) {
  EXPECT_EQ(evaluate("size T = dynamic(max: 9)\nindex t < T\n"
                     "model m(x[t] : int) -> y[t] { y[t] = x[t] * 4611686018427387905 // "
                     "4611686018427387905 }",
                     Inputs().ints("x", {2}, {1, -1})),
            (V{1, -1}));
  EXPECT_EQ(run("model m(x[t]) -> y[t] { y[t] = x[t] + t / 2 }"), (V{3, 1.5, 3}));
}
TEST(T2, DivisionRoundsDownAndRoundGoesToEven) {
  EXPECT_EQ(
      run("model m(x[t]) -> (q[t], r[t], e[t]) {\n  q[t] = (t - 3) // 2\n  r[t] = (t - 3) % 2\n"
          "  e[t] = round(t + 0.5)\n}"),
      (V{-2, -1, -1, 1, 0, 1, 0, 2, 2}));
}
TEST(T2, AZeroDivisorIsAnError) {
  std::string wrong;
  evaluate("size T = dynamic(max: 9)\nindex t < T\nmodel m(x[t] : int) -> y[t] { y[t] = 7 % x[t] }",
           Inputs().ints("x", {2}, {1, 0}), &wrong);
  EXPECT_NE(wrong.find("[T2]"), std::string::npos) << wrong;
}
TEST(T3, ConstantsAreExactUntilTheyMeetData) {
  // 16777216 + 1 - 16777216 is 1 in double precision and 0 in f32.
  V y = evaluate(std::string(head) + "model m(x[t]) -> y[t] {\n  big[t] = 16777216.0 + t\n"
                                     "  y[t] = x[t] * (big[t] - 16777216.0)\n}",
                 Inputs().floats("x", {3}, {1, 1, 1}), nullptr, "", Precision::Single);
  EXPECT_EQ(y, (V{0, 1, 2}));
}
TEST(F1, DefaultsAndNamedArguments) {
  EXPECT_EQ(run("fn f(x, const a = 2, size W = 5) -> y { y = a * x + W }\n"
                "model m(x[t]) -> (p[t], q[t]) {\n  p = f(x)\n  q = f(x, W: 0, a: 10)\n}"),
            (V{11, 7, 9, 30, 10, 20}));
}
TEST(F1, AFunctionOfTheLanguageIsAnArgumentToo) {
  EXPECT_EQ(run("fn twice(x[t], fn f) -> y[t] { y[t] = 2 * f(x[t]) }\n"
                "fn negative(x) -> y { y = -x }\n"
                "model m(x[t]) -> (p[t], q[t]) {\n  p = twice(x, f: abs)\n  q = twice(x, f: "
                "negative)\n}"),
            (V{6, 2, 4, -6, -2, -4}));
}
TEST(F2, PrefixesConcatenate) {
  Sources sources;
  const Source *source = sources.add(
      "m.qkv",
      "index c < 2\nblock inner(x[c]) -> y[c] {\n  param w[c] = \"w.{1+1}\"\n  y[c] = x[c] * "
      "w[c]\n}\n"
      "block outer(x[c]) -> y[c] { y = inner(x) from \"in.\" }\n"
      "model m(x[c]) -> y[c] { repeat l < 2 { x = outer(x) from \"h.{l}.\" }\n  y[c] = x[c] }");
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  ASSERT_TRUE(program);
  std::vector<std::string> names;
  for (auto &t : program->tensors)
    if (t.kind == Tensor::Kind::Param)
      names.push_back(t.param.stored.at(0).names.at(0));
  EXPECT_EQ(names, (std::vector<std::string>{"h.0.in.w.2", "h.1.in.w.2"}));
}
TEST(F4, SlicesMapAFunctionOverLetters) {
  EXPECT_EQ(evaluate("index h < 2, c < 2\nfn norm(x[c]) -> (y[c], n) {\n  n = sum[c](x[c])\n  y[c] "
                     "= x[c] / n\n}\n"
                     "model m(x[h,c]) -> (y[h,c], n[h]) { y[h], n[h] = norm(x[h]) }",
                     Inputs().floats("x", {2, 2}, {1, 3, 4, 4})),
            (V{0.25, 0.75, 0.5, 0.5, 4, 8}));
}
// A long row of definitions is looked through; a recurrence of ints ends the search.
TEST(A5, LooksThroughLongRowsOfDefinitions) {
  std::string text = "size T = dynamic(max: 8)\nindex t < T, s < T\nmodel m(x[t]) -> y[t] {\n"
                     "  b0[t,s] = 0 <= t - s\n";
  for (int i = 1; i <= 16; ++i)
    text += "  b" + std::to_string(i) + "[t,s] = b" + std::to_string(i - 1) + "[t,s] and s < t + " +
            std::to_string(i) + "\n";
  text += "  y[t] = sum[s](x[t - s] where b16[t,s])\n}\n";
  Inputs inputs;
  inputs.floats("x", {3}, {1, 10, 100});
  EXPECT_EQ(evaluate(text, inputs), (std::vector<double>{1, 11, 111}));
  EXPECT_EQ(evaluate("size T = dynamic(max: 8)\nindex t < T\nmodel m(x[t]) -> y[t] {\n"
                     "  f[t] = if t < 2 then 1 else f[t-1] + f[t-2]\n  y[t] = x[f[t] % 2]\n}\n",
                     inputs.floats("x", {6}, {1, 2, 3, 4, 5, 6})),
            (std::vector<double>{2, 2, 1, 2, 2, 1}));
}

TEST(A1, ProvesPositionsWithinBlocks) {
  std::string head = "size T = dynamic(max: 8), B = 3\nindex t < T, j < T, a < B\n";
  Inputs inputs;
  inputs.floats("x", {5}, {1, 2, 3, 4, 5});
  // The sum of a block up to t; the quotient and remainder of what only a guard keeps from being
  // negative.
  EXPECT_EQ(evaluate(head + "model m(x[t]) -> y[t] { y[t] = sum[a](x[t // B * B + a] where a <= t "
                            "% B) }",
                     inputs),
            (std::vector<double>{1, 3, 6, 4, 9}));
  EXPECT_EQ(evaluate(head + "model m(x[t]) -> y[t] {\n  y[t] = sum[j,a](x[(t - j) // B * B + a] "
                            "where j <= t and a == (t - j) % B)\n}",
                     inputs),
            (std::vector<double>{1, 3, 6, 10, 15}));
}

// A step's own tensor may have the name of one outside where something reads it, also where only
// a branch that is not taken would.
TEST(R6, AStepsOwnTensorThatIsRead) {
  std::string text = "size T = dynamic(max: 8), L = 3\nindex t < T\nmodel m(x[t]) -> y[t] {\n"
                     "  a[t] = x[t] + 1\n  b = x\n  repeat l < L {\n    a[t] = b[t] * 2\n"
                     "    b = if l > L then a else TAKEN\n  }\n  y[t] = a[t] + b[t]\n}\n";
  Inputs inputs;
  inputs.floats("x", {2}, {1, 10});
  auto with = [&](const std::string &taken) {
    std::string t = text;
    return t.replace(t.find("TAKEN"), 5, taken);
  };
  EXPECT_EQ(evaluate(with("b"), inputs), (std::vector<double>{2 + 1, 11 + 10}));
  EXPECT_EQ(evaluate(with("a"), inputs), (std::vector<double>{2 + 8, 11 + 80}));
}

/// What is wrong with a model of `axes` axes and a sum over `others`; empty if nothing is.
std::string withLetters(int axes, int others, bool sums) {
  std::string letters, outer, all;
  for (int i = 0; i < axes + others; ++i) {
    std::string letter = "a" + std::to_string(i);
    letters += (i ? ", " : "index ") + letter + " < 1";
    (i < axes ? outer : all) += (i && i != axes ? "," : "") + letter;
  }
  std::string y = axes ? "y[" + outer + "]" : "y", value = "1.0";
  if (sums)
    value = "sum[" + all + "](1.0)";
  std::string wrong;
  evaluate(letters + "\nmodel m() -> " + y + " { " + y + " = " + value + " }", {}, &wrong);
  return wrong;
}
TEST(E5, LettersThatAreBoundAtOnce) {
  EXPECT_EQ(withLetters(32, 0, false), "");
  EXPECT_NE(withLetters(33, 0, false).find("y has 33 axes, at most 32 are possible [E5]"),
            std::string::npos);
  EXPECT_NE(withLetters(65, 0, false).find("y has 65 axes"), std::string::npos);
  EXPECT_EQ(withLetters(16, 16, true), "");
  EXPECT_NE(withLetters(16, 17, true).find("this equation has 33 letters"), std::string::npos);
  EXPECT_NE(withLetters(0, 65, true).find("this equation has 65 letters"), std::string::npos);
}

TEST(F5, StepsHandOnAndCollect) {
  EXPECT_EQ(
      run("model m(x[t]) -> (y[t], s[k,t]) {\n  index k < 4\n  s[0,t] = x[t]\n  repeat l < 3 {\n"
          "    x = x + l\n    s[l+1,t] = x[t]\n  }\n  y = x\n}",
          {0, 5}),
      (V{3, 8, 0, 5, 0, 5, 1, 6, 3, 8}));
}
TEST(C1, ADynamicSizeIsBoundByItsAxes) {
  EXPECT_EQ(run("size U = (T + 1) // 2\nindex u < U\nmodel m(x[t]) -> y[u] { y[u] = x[u] }"),
            (V{3, 1}));
}
TEST(C2, ConfigurationReadsPathsListsAndBooleans) {
  std::string model =
      "size C = config(\"a.n\", 9), D = config(\"l.1\"), E = config(\"none\", 5)\n"
      "const b = config(\"a.flag\", false)\nindex c < 1\n"
      "model m(x[c]) -> y[c] { y[c] = x[c] + C + 10 * D + 100 * E + (if b then 1000 else 0) }";
  EXPECT_EQ(evaluate(model, Inputs().floats("x", {1}, {0}), nullptr,
                     R"({"a": {"n": 3, "flag": true}, "l": [1, 2], "none": null})"),
            V{1523});
}
TEST(C4, WhatIsGuardedIsNotRead) {
  EXPECT_EQ(
      run("model m(x[t]) -> y { y = sum[t](x[t] * (if t > 0 then 1 else 0) where x[t] < 3) }"),
      V{3});
}

} // namespace
} // namespace qkv

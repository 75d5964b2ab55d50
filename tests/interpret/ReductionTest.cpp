// S1, S2, L5: reductions, their guards and their empty rows.
#include "tests/interpret/Run.h"

#include <cmath>

using namespace qkv;
using namespace qkv::test;

namespace {

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kGreatest = std::numeric_limits<int64_t>::max();

// y[i] = r[j](x[i,j] where j < i): row 0 is empty.
struct Triangle {
  ProgramBuilder b;
  ProgramBuilder::Index i = b.letter("i", 3), j = b.letter("j", 4), p = b.letter("p", 4);
  int x = b.input("x", Type::Float, {i, j});
  int n = b.input("n", Type::Int, {i, j});
  std::map<int, Values> inputs = {{x, floats({3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})},
                                  {n, ints({3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, -10, 11, 12})}};

  int of(Reduction r) {
    return b.equation("y" + std::to_string(b.program.tensors.size()),
                      r == Reduction::ArgMax ? Type::Int : Type::Float, {i},
                      b.reduce(r, {j}, b.read(x, {i, j}), j < i));
  }
  int ofInts(Reduction r) {
    return b.equation("y" + std::to_string(b.program.tensors.size()), Type::Int, {i},
                      b.reduce(r, {j}, b.read(n, {i, j}), j < i));
  }
};

using Floats = std::vector<double>;
using Ints = std::vector<int64_t>;

TEST(Reduction, EmptyRowsOfFloats) {
  Triangle t;
  EXPECT_EQ(runFloats(t.b, t.of(Reduction::Sum), t.inputs), (Floats{0, 5, 19}));
  EXPECT_EQ(runFloats(t.b, t.of(Reduction::Prod), t.inputs), (Floats{1, 5, 90}));
  EXPECT_EQ(runFloats(t.b, t.of(Reduction::Mean), t.inputs), (Floats{0, 5, 9.5}));
  EXPECT_EQ(runFloats(t.b, t.of(Reduction::Max), t.inputs), (Floats{-kInfinity, 5, 10}));
  EXPECT_EQ(runFloats(t.b, t.of(Reduction::Min), t.inputs), (Floats{kInfinity, 5, 9}));
  EXPECT_EQ(runInts(t.b, t.of(Reduction::ArgMax), t.inputs), (Ints{-1, 0, 1}));
  Floats l = runFloats(t.b, t.of(Reduction::LogSumExp), t.inputs);
  EXPECT_EQ(l[0], -kInfinity);
  EXPECT_DOUBLE_EQ(l[1], 5);
  EXPECT_DOUBLE_EQ(l[2], std::log(std::exp(9.0) + std::exp(10.0)));
}

TEST(Reduction, EmptyRowsOfInts) {
  Triangle t;
  EXPECT_EQ(runInts(t.b, t.ofInts(Reduction::Sum), t.inputs), (Ints{0, 5, -1}));
  EXPECT_EQ(runInts(t.b, t.ofInts(Reduction::Prod), t.inputs), (Ints{1, 5, -90}));
  EXPECT_EQ(runInts(t.b, t.ofInts(Reduction::Max), t.inputs), (Ints{kLeast, 5, 9}));
  EXPECT_EQ(runInts(t.b, t.ofInts(Reduction::Min), t.inputs), (Ints{kGreatest, 5, -10}));
  EXPECT_EQ(runInts(t.b, t.ofInts(Reduction::ArgMax), t.inputs), (Ints{-1, 0, 0}));
}

// alpha[i,p] = softmax[j](x[i,j] where j < i) at p
TEST(Reduction, SoftmaxLeavesOutWhatItsGuardDoes) {
  Triangle t;
  int y = t.b.equation("y", Type::Float, {t.i, t.p},
                       t.b.softmax({t.j}, t.b.read(t.x, {t.i, t.j}), {t.p}, t.j < t.i));
  for (Precision p : {Precision::Double, Precision::Single}) {
    Floats a = runFloats(t.b, y, t.inputs, p);
    EXPECT_EQ(Floats(a.begin(), a.begin() + 8), (Floats{0, 0, 0, 0, 1, 0, 0, 0}));
    double e = 1 / (1 + std::exp(1.0));
    EXPECT_NEAR(a[8], e, 1e-7);
    EXPECT_NEAR(a[9], 1 - e, 1e-7);
    EXPECT_EQ(a[10], 0);
    EXPECT_EQ(a[11], 0);
  }
}

TEST(Reduction, ScoreOfMinusInfinityTakesNoPart) {
  ProgramBuilder b;
  auto i = b.letter("i", 3), j = b.letter("j", 3), p = b.letter("p", 3);
  int x = b.input("x", Type::Float, {i, j});
  int y = b.equation("y", Type::Float, {i, p}, b.softmax({j}, b.read(x, {i, j}), {p}));
  int l = b.equation("l", Type::Float, {i}, b.reduce(Reduction::LogSumExp, {j}, b.read(x, {i, j})));
  std::map<int, Values> in = {{x, floats({3, 3}, {-kInfinity, 7, 7, -kInfinity, -kInfinity,
                                                  -kInfinity, -1e300, 1e300, -kInfinity})}};
  EXPECT_EQ(runFloats(b, y, in), (Floats{0, 0.5, 0.5, 0, 0, 0, 0, 1, 0}));
  Floats s = runFloats(b, l, in);
  EXPECT_DOUBLE_EQ(s[0], 7 + std::log(2.0));
  EXPECT_EQ(s[1], -kInfinity);
  EXPECT_EQ(s[2], 1e300);
}

TEST(Reduction, ArgMaxTakesTheSmallestOfEquals) {
  ProgramBuilder b;
  auto j = b.letter("j", 5);
  int x = b.input("x", Type::Float, {j});
  int y = b.equation("y", Type::Int, {}, b.reduce(Reduction::ArgMax, {j}, b.read(x, {j})));
  EXPECT_EQ(runInts(b, y, {{x, floats({5}, {1, 3, 2, 3, 3})}}), Ints{1});
  EXPECT_EQ(runInts(b, y, {{x, floats({5}, Floats(5, -kInfinity))}}), Ints{0});
}

TEST(Reduction, SeveralLettersAreOneJointRange) {
  ProgramBuilder b;
  auto i = b.letter("i", 2), j = b.letter("j", 3), p = b.letter("p", 2), q = b.letter("q", 3);
  int x = b.input("x", Type::Float, {i, j});
  int y =
      b.equation("y", Type::Float, {p, q}, b.softmax({i, j}, b.read(x, {i, j}), {p, q}, i != j));
  int m = b.equation("m", Type::Float, {},
                     b.reduce(Reduction::Mean, {i, j}, b.read(x, {i, j}), i != j));
  std::map<int, Values> in = {{x, floats({2, 3}, {9, 1, 1, 1, 9, 1})}};
  EXPECT_EQ(runFloats(b, y, in), (Floats{0, 0.25, 0.25, 0.25, 0, 0.25}));
  EXPECT_EQ(runFloats(b, m, in), Floats{1});
}

// L5: sum[j](softmax[j](s[i,j]) * v[j]); the letter of the row may be the one around it.
TEST(Reduction, SoftmaxInsideASumOverTheSameLetter) {
  ProgramBuilder b;
  auto i = b.letter("i", 2), j = b.letter("j", 3), k = b.letter("k", 3);
  int s = b.input("s", Type::Float, {i, j}), v = b.input("v", Type::Float, {j});
  int y = b.equation("y", Type::Float, {i},
                     b.sum({j}, b.softmax({k}, b.read(s, {i, k}), {j}) * b.read(v, {j})));
  int z = b.equation("z", Type::Float, {i},
                     b.sum({j}, b.softmax({j}, b.read(s, {i, j}), {j}) * b.read(v, {j})));
  std::map<int, Values> in = {{s, floats({2, 3}, {0, 0, 0, 800, 0, 0})},
                              {v, floats({3}, {3, 6, 9})}};
  Floats c = runFloats(b, y, in);
  EXPECT_DOUBLE_EQ(c[0], 6);
  EXPECT_DOUBLE_EQ(c[1], 3);
  EXPECT_EQ(runFloats(b, z, in), c);
}

// A guard that changes within a row, over more elements than are evaluated together.
TEST(Reduction, StretchesOfAGuard) {
  ProgramBuilder b;
  auto j = b.letter("j", 1000);
  int x = b.input("x", Type::Float, {j});
  E third = apply(Op::Mod, {j, 3}) != 0;
  int y = b.equation("y", Type::Float, {}, b.sum({j}, b.read(x, {j}), third));
  int z = b.equation("z", Type::Float, {}, b.sum({j}, b.read(x, {j}), both(j >= 10, j < 900)));
  Floats values(1000);
  double expected = 0, middle = 0;
  for (int k = 0; k < 1000; ++k) {
    values[k] = k;
    expected += k % 3 ? k : 0;
    middle += k >= 10 && k < 900 ? k : 0;
  }
  EXPECT_EQ(runFloats(b, y, {{x, floats({1000}, values)}}), Floats{expected});
  EXPECT_EQ(runFloats(b, z, {{x, floats({1000}, values)}}), Floats{middle});
}

// A row that is the same for all its elements is reduced once: 3000 x 3000 in no time.
TEST(Reduction, RowsAreRemembered) {
  ProgramBuilder b;
  auto i = b.letter("i", 20), j = b.letter("j", 3000), k = b.letter("k", 3000);
  int x = b.input("x", Type::Float, {j});
  E mean = b.reduce(Reduction::Mean, {k}, b.read(x, {k}) * i);
  int y = b.equation("y", Type::Float, {j, i}, b.read(x, {j}) * i - mean);
  int z = b.equation("z", Type::Float, {j, i}, b.softmax({k}, b.read(x, {k}) * i, {j}));
  Floats values(3000);
  for (int n = 0; n < 3000; ++n)
    values[n] = n % 2;
  Floats d = runFloats(b, y, {{x, floats({3000}, values)}});
  EXPECT_EQ(d[0 * 20 + 1], -0.5);
  EXPECT_EQ(d[1 * 20 + 4], 2);
  Floats s = runFloats(b, z, {{x, floats({3000}, values)}});
  EXPECT_DOUBLE_EQ(s[0], 1.0 / 3000);
}

} // namespace

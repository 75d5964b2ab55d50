// T2, T3: what operations on ints and floats mean, and where f32 begins.
#include "tests/interpret/Run.h"

#include <cmath>

using namespace qkv;
using namespace qkv::test;

namespace {

using Floats = std::vector<double>;
using Ints = std::vector<int64_t>;

double single(double x) { return static_cast<float>(x); }

TEST(Arithmetic, IntsDivideDown) {
  ProgramBuilder b;
  auto i = b.letter("i", 6);
  int x = b.input("x", Type::Int, {i}), y = b.input("y", Type::Int, {i});
  int q = b.equation("q", Type::Int, {i}, apply(Op::FloorDiv, {b.read(x, {i}), b.read(y, {i})}));
  int r = b.equation("r", Type::Int, {i}, apply(Op::Mod, {b.read(x, {i}), b.read(y, {i})}));
  int64_t least = std::numeric_limits<int64_t>::min();
  std::map<int, Values> in = {{x, ints({6}, {7, -7, 7, -7, 6, least})},
                              {y, ints({6}, {2, 2, -2, -2, 3, -1})}};
  EXPECT_EQ(runInts(b, q, in), (Ints{3, -4, -4, 3, 2, least}));
  EXPECT_EQ(runInts(b, r, in), (Ints{1, 1, -1, -1, 0, 0}));
}

TEST(Arithmetic, FloatsDivideDown) {
  ProgramBuilder b;
  auto i = b.letter("i", 4);
  int x = b.input("x", Type::Float, {i}), y = b.input("y", Type::Float, {i});
  int q = b.equation("q", Type::Float, {i}, apply(Op::FloorDiv, {b.read(x, {i}), b.read(y, {i})}));
  int r = b.equation("r", Type::Float, {i}, apply(Op::Mod, {b.read(x, {i}), b.read(y, {i})}));
  std::map<int, Values> in = {{x, floats({4}, {7.5, -7.5, 7.5, -7.5})},
                              {y, floats({4}, {2, 2, -2, -2})}};
  EXPECT_EQ(runFloats(b, q, in), (Floats{3, -4, -4, 3}));
  EXPECT_EQ(runFloats(b, r, in), (Floats{1.5, 0.5, -0.5, -1.5}));
}

TEST(Arithmetic, ZeroDivisorIsAnError) {
  Source source("m.qkv", "y = 1 // x");
  for (Op op : {Op::FloorDiv, Op::Mod})
    for (Type type : {Type::Int, Type::Float}) {
      ProgramBuilder b;
      int x = b.input("x", type, {});
      E e = apply(op, {1, b.read(x, {})});
      std::const_pointer_cast<Expr>(e.node)->span = {&source, 4, 10};
      int y = b.equation("y", type, {}, e);
      Outcome o = run(b, y, {{x, type == Type::Int ? ints({}, {0}) : floats({}, {0})}});
      EXPECT_FALSE(o.ok);
      EXPECT_EQ(o.error.rule, "T2");
      EXPECT_EQ(o.error.message,
                op == Op::Mod ? "the divisor of % is 0" : "the divisor of // is 0");
      EXPECT_EQ(o.error.span.begin, 4u);
    }
}

TEST(Arithmetic, RoundingToInts) {
  ProgramBuilder b;
  auto i = b.letter("i", 10);
  int x = b.input("x", Type::Float, {i});
  int f = b.equation("f", Type::Int, {i}, apply(Op::Floor, {b.read(x, {i})}));
  int c = b.equation("c", Type::Int, {i}, apply(Op::Ceil, {b.read(x, {i})}));
  int r = b.equation("r", Type::Int, {i}, apply(Op::Round, {b.read(x, {i})}));
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t greatest = std::numeric_limits<int64_t>::max();
  std::map<int, Values> in = {
      {x, floats({10}, {0.5, 1.5, 2.5, -0.5, -1.5, 2.4, kInfinity, -1e30, NAN, -2.6})}};
  EXPECT_EQ(runInts(b, f, in), (Ints{0, 1, 2, -1, -2, 2, greatest, least, 0, -3}));
  EXPECT_EQ(runInts(b, c, in), (Ints{1, 2, 3, 0, -1, 3, greatest, least, 0, -2}));
  EXPECT_EQ(runInts(b, r, in), (Ints{0, 2, 2, 0, -2, 2, greatest, least, 0, -3}));
}

TEST(Arithmetic, FunctionsFollowIeee) {
  ProgramBuilder b;
  int x = b.input("x", Type::Float, {});
  std::map<int, Values> in = {{x, floats({}, {0})}};
  auto value = [&](E e) {
    int y = b.equation("y" + std::to_string(b.program.tensors.size()), Type::Float, {}, e);
    return runFloats(b, y, in)[0];
  };
  E zero = b.read(x, {});
  EXPECT_EQ(value(1.0 / zero), kInfinity);
  EXPECT_EQ(value(apply(Op::Log, {zero})), -kInfinity);
  EXPECT_EQ(value(apply(Op::Rsqrt, {zero})), kInfinity);
  EXPECT_TRUE(std::isnan(value(zero / zero)));
  EXPECT_EQ(value(apply(Op::Sigmoid, {zero})), 0.5);
  EXPECT_EQ(value(apply(Op::Sigmoid, {zero - 1e4})), 0);
  EXPECT_EQ(value(apply(Op::Pow, {zero, 0})), 1);
  EXPECT_EQ(value(apply(Op::Erf, {zero})), 0);
  EXPECT_TRUE(std::isnan(value(apply(Op::Max, {zero / zero, 1.0}))));
  EXPECT_TRUE(std::isnan(value(apply(Op::Max, {1.0, zero / zero}))));
}

TEST(Single, EveryOperationRounds) {
  ProgramBuilder b;
  int x = b.input("x", Type::Float, {});
  int y = b.equation("y", Type::Float, {}, (b.read(x, {}) + 1.0) - 1.0);
  std::map<int, Values> in = {{x, floats({}, {1e-8})}};
  EXPECT_NEAR(runFloats(b, y, in)[0], 1e-8, 1e-15);
  EXPECT_EQ(runFloats(b, y, in, Precision::Single)[0], 0);
}

TEST(Single, SumsAccumulateInOrder) {
  ProgramBuilder b;
  auto j = b.letter("j", 400);
  int x = b.input("x", Type::Float, {j});
  int y = b.equation("y", Type::Float, {}, b.sum({j}, b.read(x, {j})));
  Floats v(400, 0.1);
  v[0] = 16777216;
  float expected = 0;
  for (double e : v)
    expected += static_cast<float>(e);
  EXPECT_EQ(runFloats(b, y, {{x, floats({400}, v)}}, Precision::Single)[0], expected);
  EXPECT_EQ(expected, 16777216);
}

// T3: 2^24 + 1 - 2^24 is 1 in double; rounded early it would be 0.
TEST(Single, ConstantsRoundWhereTheyMeetData) {
  ProgramBuilder b;
  auto i = b.letter("i", 2);
  int x = b.input("x", Type::Float, {i});
  E big = toFloat(i) + 16777217.0;
  int c = b.equation("c", Type::Float, {i}, big);
  int y = b.equation("y", Type::Float, {i}, b.read(x, {i}) * (b.read(c, {i}) - 16777216.0));
  std::map<int, Values> in = {{x, floats({2}, {3, 3})}};
  EXPECT_EQ(runFloats(b, y, in, Precision::Single), (Floats{3, 6}));
  // As a result a constant is an f32.
  EXPECT_EQ(runFloats(b, c, in, Precision::Single), (Floats{16777216, 16777218}));
  EXPECT_EQ(runFloats(b, c, in, Precision::Double), (Floats{16777217, 16777218}));
}

// The same, where the constant meets data as a stored value, a branch, an operand of a
// comparison, the body of a reduction, and as an element chosen by data.
TEST(Single, WhereConstantsMeetData) {
  ProgramBuilder b;
  auto i = b.letter("i", 2), j = b.letter("j", 2);
  int x = b.input("x", Type::Float, {i}), n = b.input("n", Type::Int, {i});
  E third = 1.0 / 3.0;
  E data = b.read(x, {i});
  int table = b.equation("table", Type::Float, {i}, third + i);
  int stored = b.declare("stored", Type::Float, {i});
  b.piece(stored, {0}, third);
  b.piece(stored, {i}, data);
  int branch = b.equation("branch", Type::Float, {i}, choose(data > 0.0, third, data));
  int equal = b.equation("equal", Type::Bool, {i}, data == third);
  int chosen = b.equation("chosen", Type::Float, {i}, b.read(table, {b.read(n, {i})}));
  int sum = b.equation("sum", Type::Float, {i}, b.sum({j}, third + j, b.read(n, {j}) >= 0));
  int share = b.equation("share", Type::Float, {i}, b.read(stored, {0}) - third);
  std::map<int, Values> in = {{x, floats({2}, {1.0 / 3, 2})}, {n, ints({2}, {1, 0})}};
  auto S = Precision::Single;
  double t = single(1.0 / 3), u = single(1.0 / 3 + 1);
  EXPECT_EQ(runFloats(b, stored, in, S), (Floats{t, 2}));
  EXPECT_EQ(runFloats(b, branch, in, S), (Floats{t, t}));
  EXPECT_EQ(run(b, equal, in, S).values.ints, (Ints{1, 0}));
  EXPECT_EQ(runFloats(b, chosen, in, S), (Floats{u, t}));
  EXPECT_EQ(runFloats(b, sum, in, S), Floats(2, single(t + u)));
  EXPECT_EQ(runFloats(b, share, in, S), (Floats{0, 0}));
  EXPECT_EQ(runFloats(b, table, in), (Floats{1.0 / 3, 1.0 / 3 + 1}));
}

// Every operation rounded up gives at least the exact value, rounded down at most.
TEST(Single, DirectionsBracketTheExactValue) {
  ProgramBuilder b;
  auto i = b.letter("i", 200), j = b.letter("j", 50);
  int x = b.input("x", Type::Float, {i, j});
  int s = b.equation("s", Type::Float, {i}, b.sum({j}, b.read(x, {i, j}) * b.read(x, {i, j})));
  int r = b.equation("r", Type::Float, {i}, apply(Op::Sqrt, {b.read(s, {i})}));
  int q = b.equation("q", Type::Float, {i}, b.read(s, {i}) / 3.0);
  int e = b.equation("e", Type::Float, {i}, apply(Op::Tanh, {b.read(s, {i})}) + b.read(q, {i}));
  Floats v;
  uint32_t state = 1;
  for (int k = 0; k < 200 * 50; ++k) {
    state = state * 1664525u + 1013904223u;
    v.push_back(single((static_cast<double>(state) / 4294967296.0 - 0.5) * std::pow(2, k % 7)));
  }
  std::map<int, Values> in = {{x, floats({200, 50}, v)}};
  for (int t : {s, r, q, e}) {
    Floats exact = runFloats(b, t, in), nearest = runFloats(b, t, in, Precision::Single);
    Floats up = runFloats(b, t, in, Precision::SingleUp);
    Floats down = runFloats(b, t, in, Precision::SingleDown);
    for (size_t k = 0; k < exact.size(); ++k) {
      EXPECT_LE(down[k], exact[k]);
      EXPECT_GE(up[k], exact[k]);
      EXPECT_LE(down[k], nearest[k]);
      EXPECT_GE(up[k], nearest[k]);
      EXPECT_LT(up[k] - down[k], 1e-4 * std::fabs(exact[k]));
      for (double z : {up[k], down[k], nearest[k]})
        EXPECT_EQ(z, single(z));
    }
  }
}

TEST(Single, DirectedOperationsAreTheNeighbours) {
  ProgramBuilder b;
  int x = b.input("x", Type::Float, {}), y = b.input("y", Type::Float, {});
  int s = b.equation("s", Type::Float, {}, b.read(x, {}) + b.read(y, {}));
  int p = b.equation("p", Type::Float, {}, b.read(x, {}) * b.read(y, {}));
  auto values = [&](int t, double u, double v) {
    std::map<int, Values> in = {{x, floats({}, {u})}, {y, floats({}, {v})}};
    return Floats{runFloats(b, t, in, Precision::SingleDown)[0],
                  runFloats(b, t, in, Precision::Single)[0],
                  runFloats(b, t, in, Precision::SingleUp)[0]};
  };
  float one = 1, above = std::nextafter(one, 2.0f), below = std::nextafter(one, 0.0f);
  EXPECT_EQ(values(s, 1, 1e-30f), (Floats{1, 1, above}));
  EXPECT_EQ(values(s, 1, -1e-30f), (Floats{below, 1, 1}));
  EXPECT_EQ(values(s, 1, 2), (Floats{3, 3, 3}));
  float most = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(values(s, most, most), (Floats{most, kInfinity, kInfinity}));
  EXPECT_EQ(values(p, -most, most), (Floats{-kInfinity, -kInfinity, -most}));
  EXPECT_EQ(values(p, tiny, tiny), (Floats{0, 0, tiny}));
}

} // namespace

// A1, A3, P1, P3, P4 and parameters: which elements are read, and what reading outside says.
#include "tests/interpret/Run.h"

using namespace qkv;
using namespace qkv::test;

namespace {

using Floats = std::vector<double>;
using Ints = std::vector<int64_t>;

struct Lookup {
  Source source{"m.qkv", "x[i,c] = wte[tokens[i], c]"};
  ProgramBuilder b;
  ProgramBuilder::Index i = b.letter("i", 3), c = b.letter("c", 2), v = b.letter("v", 4);
  int tokens = b.input("tokens", Type::Int, {i});
  int wte = b.input("wte", Type::Float, {v, c});
  E read = b.read(wte, {b.read(tokens, {i}), c}, {&source, 9, 26});
  std::map<int, Values> with(Ints t) {
    return {{tokens, ints({3}, std::move(t))}, {wte, floats({4, 2}, {0, 1, 2, 3, 4, 5, 6, 7})}};
  }
};

TEST(Read, OutsideNamesValueAndBound) {
  Lookup l;
  int x = l.b.equation("x", Type::Float, {l.i, l.c}, l.read);
  EXPECT_EQ(runFloats(l.b, x, l.with({3, 0, 1})), (Floats{6, 7, 0, 1, 2, 3}));
  for (int64_t bad : {int64_t(4), int64_t(-1), std::numeric_limits<int64_t>::max(),
                      std::numeric_limits<int64_t>::min()}) {
    Outcome o = run(l.b, x, l.with({0, bad, 0}));
    EXPECT_FALSE(o.ok);
    EXPECT_EQ(o.error.message,
              "index of wte along v is " + std::to_string(bad) + ", outside 0 <= index < 4");
    EXPECT_EQ(o.error.rule, "A1");
    EXPECT_EQ(o.error.span.begin, 9u);
    EXPECT_EQ(o.error.span.end, 26u);
  }
}

TEST(Read, OneElementNeedsNoOther) {
  Lookup l;
  int x = l.b.equation("x", Type::Float, {l.i, l.c}, l.read);
  Interpreter interpreter(l.b.program, l.with({0, 9, 1}), nullptr);
  double value = 0;
  RunError error;
  EXPECT_TRUE(interpreter.element(x, {2, 1}, value, error));
  EXPECT_EQ(value, 3);
  EXPECT_FALSE(interpreter.element(x, {1, 0}, value, error));
  EXPECT_EQ(error.rule, "A1");
  EXPECT_TRUE(interpreter.element(x, {0, 1}, value, error));
  EXPECT_FALSE(interpreter.element(x, {3, 0}, value, error));
  EXPECT_EQ(error.message, "index of x along i is 3, outside 0 <= index < 3");
  EXPECT_FALSE(interpreter.element(x, {0}, value, error));
}

// Only what takes part is read: `if`, `and`, `or`, a guard, each protects its read (A3).
TEST(Read, OnlyWhatIsNeeded) {
  Lookup l;
  E token = l.b.read(l.tokens, {l.i});
  E inside = both(token >= 0, token < 4);
  int chosen = l.b.equation("chosen", Type::Float, {l.i, l.c}, choose(inside, l.read, -1.0));
  int conjunction = l.b.equation("conjunction", Type::Bool, {l.i, l.c}, both(inside, l.read > 2.0));
  int disjunction = l.b.equation("disjunction", Type::Bool, {l.i, l.c},
                                 either(apply(Op::Not, {inside}), l.read > 2.0));
  int sum = l.b.equation("sum", Type::Float, {l.c}, l.b.sum({l.i}, l.read, inside));
  auto k = l.b.letter("k", 2);
  int share =
      l.b.equation("share", Type::Float, {l.i, k}, l.b.softmax({l.c}, l.read * 0.0, {k}, inside));
  int guarded = l.b.equation("guarded", Type::Float, {l.i, l.c}, l.read, inside);
  auto in = l.with({3, 9, 1});
  EXPECT_EQ(runFloats(l.b, chosen, in), (Floats{6, 7, -1, -1, 2, 3}));
  EXPECT_EQ(runInts(l.b, conjunction, in), (Ints{1, 1, 0, 0, 0, 1}));
  EXPECT_EQ(runInts(l.b, disjunction, in), (Ints{1, 1, 1, 1, 0, 1}));
  EXPECT_EQ(runFloats(l.b, sum, in), (Floats{8, 10}));
  EXPECT_EQ(runFloats(l.b, share, in), (Floats{0.5, 0.5, 0, 0, 0.5, 0.5}));
  EXPECT_EQ(runFloats(l.b, guarded, in), (Floats{6, 7, 0, 0, 2, 3}));
}

// P1: the piece with more constants wins. P3: a letter does not take their positions.
TEST(Pieces, MoreConstantsWin) {
  ProgramBuilder b;
  auto i = b.letter("i", 3), j = b.letter("j", 3);
  int x = b.declare("x", Type::Int, {i, j}, true);
  b.piece(x, {0, 0}, -1);
  b.piece(x, {0, j}, j * 10);
  b.piece(x, {i, j}, i * 100 + j);
  EXPECT_EQ(runInts(b, x), (Ints{-1, 10, 20, 100, 101, 102, 200, 201, 202}));
}

// Positions of sizes: y[T] is beside y[t], t < T, on an axis of T + 1 positions.
TEST(Pieces, PositionsMayBeSizes) {
  ProgramBuilder b;
  int T = b.dynamic("T", 8);
  auto t = b.letter("t", Size::atom(T)), u = b.letter("u", Size::atom(T) + 1);
  int x = b.input("x", Type::Float, {t});
  int y = b.declare("y", Type::Float, {u});
  b.piece(y, {Size::atom(T)}, toFloat(b.size(Size::atom(T))));
  b.piece(y, {t}, b.read(x, {t}) * 2.0);
  EXPECT_EQ(runFloats(b, y, {{x, floats({3}, {1, 2, 3})}}), (Floats{2, 4, 6, 3}));
}

// P4: h[-1] and h[T] are read in the body and are no part of the tensor.
TEST(Pieces, PositionsOutsideAreNoPartOfTheTensor) {
  ProgramBuilder b;
  auto t = b.letter("t", 3), i = b.letter("i", 4);
  int h = b.declare("h", Type::Int, {t});
  b.widen(h, 0, 1, 1);
  b.piece(h, {-1}, 100);
  b.piece(h, {3}, 7);
  b.piece(h, {t}, b.read(h, {t - 1}) + 1);
  int ends = b.equation("ends", Type::Int, {i}, choose(i == 0, b.read(h, {-1}), b.read(h, {E(i)})));
  EXPECT_EQ(runInts(b, h), (Ints{101, 102, 103}));
  EXPECT_EQ(runInts(b, ends), (Ints{100, 102, 103, 7}));
  auto k = b.letter("k", 9);
  int far = b.equation("far", Type::Int, {k}, b.read(h, {E(k)}));
  Outcome o = run(b, far);
  EXPECT_EQ(o.error.message, "index of h along t is 4, outside 0 <= index < 3");
}

TEST(Params, AreAskedForWhenFirstRead) {
  ProgramBuilder b;
  auto i = b.letter("i", 2);
  int w = b.param("w", {i}), unread = b.param("unread", {i});
  int y = b.equation("y", Type::Float, {i}, b.read(w, {i}) * b.read(w, {i}));
  Values values = floats({2}, {3, 4});
  int asked = 0;
  Interpreter interpreter(b.program, {}, [&](int t) {
    EXPECT_NE(t, unread);
    ++asked;
    return &values;
  });
  EXPECT_EQ(asked, 0);
  Values out;
  RunError error;
  EXPECT_TRUE(interpreter.evaluate(y, out, error));
  EXPECT_EQ(out.floats, (Floats{9, 16}));
  EXPECT_EQ(asked, 1);
}

TEST(Params, FallBack) {
  ProgramBuilder b;
  auto i = b.letter("i", 2);
  int w = b.param("w", {i}), tied = b.param("tied", {i}), bias = b.param("bias", {i});
  int gone = b.param("gone", {i});
  b.program.tensors[tied].param.fallback = ParamSource::Fallback::Tensor;
  b.program.tensors[tied].param.tensor = w;
  b.program.tensors[bias].param.fallback = ParamSource::Fallback::Number;
  b.program.tensors[bias].param.number = 0.5;
  int y = b.equation("y", Type::Float, {i}, b.read(tied, {i}) + b.read(bias, {i}));
  std::map<int, Values> params = {{w, floats({2}, {3, 4})}};
  EXPECT_EQ(run(b, y, {}, Precision::Double, params).values.floats, (Floats{3.5, 4.5}));
  EXPECT_EQ(run(b, gone, {}, Precision::Double, params).error.message, "parameter gone is missing");
  params[w] = floats({3}, {1, 2, 3});
  EXPECT_EQ(run(b, w, {}, Precision::Double, params).error.message,
            "parameter w has 3 float values, expected 2");
}

} // namespace

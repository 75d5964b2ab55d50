// Recurrences, shared nodes, deep expressions, large tensors: what must not cost too much.
#include "tests/interpret/Run.h"

using namespace qkv;
using namespace qkv::test;

namespace {

using Floats = std::vector<double>;

// h[t,o] = 0.5 * h[t-1,o] + sum[k](h[t-1,k]) / 8 + x[t]: forwards, or backwards from T.
Floats recurrence(int64_t steps, bool forward, Precision precision, bool lastOnly) {
  ProgramBuilder b;
  auto t = b.letter("t", steps), o = b.letter("o", 4), k = b.letter("k", 4);
  int x = b.input("x", Type::Float, {t});
  int h = b.declare("h", Type::Float, {t, o});
  b.widen(h, 0, forward, !forward);
  E earlier = forward ? t - 1 : t + 1;
  b.piece(h, {forward ? -1 : static_cast<int>(steps), o}, 1.0);
  b.piece(h, {t, o},
          0.5 * b.read(h, {earlier, o}) + b.sum({k}, b.read(h, {earlier, k})) / 8.0 +
              b.read(x, {t}));
  std::map<int, Values> in = {{x, floats({steps}, Floats(steps, 0.25))}};
  InterpretOptions options;
  options.precision = precision;
  Interpreter interpreter(b.program, in, nullptr, options);
  RunError error;
  if (lastOnly) {
    double out = 0;
    EXPECT_TRUE(interpreter.element(h, {forward ? steps - 1 : 0, 3}, out, error)) << error.message;
    return {out};
  }
  Values out;
  EXPECT_TRUE(interpreter.evaluate(h, out, error)) << error.message;
  return {forward ? out.floats.back() : out.floats.front()};
}

TEST(Recurrence, LongOnes) {
  // Each step adds 0.25 to what all elements have.
  for (bool forward : {true, false})
    for (bool last : {true, false})
      EXPECT_EQ(recurrence(8192, forward, Precision::Double, last), Floats{1 + 8192 * 0.25});
  EXPECT_EQ(recurrence(8192, true, Precision::Single, true), Floats{1 + 8192 * 0.25});
  EXPECT_EQ(recurrence(100000, true, Precision::Double, true), Floats{1 + 100000 * 0.25});
}

// Reading all earlier positions is a recurrence too (R1).
TEST(Recurrence, AllEarlierPositions) {
  ProgramBuilder b;
  auto t = b.letter("t", 50), j = b.letter("j", 50);
  int y = b.declare("y", Type::Int, {t});
  b.piece(y, {t}, b.sum({j}, b.read(y, {E(j)}), j < t) + 1);
  std::vector<int64_t> values = runInts(b, y);
  for (int n = 0; n < 50; ++n)
    EXPECT_EQ(values[n], int64_t(1) << n);
}

// Attention inside a recurrence: its row is entered again while it is being computed.
TEST(Recurrence, SoftmaxOverItself) {
  ProgramBuilder b;
  auto t = b.letter("t", 40), j = b.letter("j", 40), k = b.letter("k", 40);
  int y = b.declare("y", Type::Float, {t});
  E share = b.softmax({k}, b.read(y, {E(k)}) * 0.0, {E(j)}, k < t);
  b.piece(y, {t}, choose(t == 0, 1.0, b.sum({j}, share * b.read(y, {E(j)}), j < t)));
  Interpreter interpreter(b.program, {}, nullptr);
  double last = 0;
  RunError error;
  ASSERT_TRUE(interpreter.element(y, {39}, last, error)) << error.message;
  EXPECT_NEAR(last, 1, 1e-12);
}

// An element that needs itself, at once or by way of others, is an error and no crash. (The
// checker lets none through.)
TEST(Recurrence, OnItselfIsAnError) {
  ProgramBuilder b;
  auto t = b.letter("t", 1000);
  int y = b.declare("y", Type::Float, {});
  b.piece(y, {}, b.read(y, {}) + 1.0);
  Outcome o = run(b, y);
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(o.error.message, "an element of y depends on itself");
  int u = b.declare("u", Type::Int, {t}), v = b.declare("v", Type::Int, {t});
  b.piece(u, {t}, b.read(v, {choose(t > 0, t - 1, t)}) + 1);
  b.piece(v, {t}, b.read(u, {choose(t > 0, E(t), t + 20)}) + 1);
  o = run(b, u);
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(o.error.rule, "R1");
}

// n nodes, 2^n paths: directly, below an `if`, and through reductions over other letters.
TEST(Sharing, IsNotExponential) {
  ProgramBuilder b;
  auto i = b.letter("i", 100), j = b.letter("j", 3);
  int x = b.input("x", Type::Float, {i});
  E e = b.read(x, {i}) * 1.0 + 0.0;
  for (int n = 0; n < 60; ++n)
    e = (e + e) * 0.5;
  int y = b.equation("y", Type::Float, {i}, e);
  E m = apply(Op::Mod, {i, 7}) * 2 + i * i;
  for (int n = 0; n < 60; ++n)
    m = choose(m > 3, m - 1, m + 1) + m - m;
  int z = b.equation("z", Type::Int, {i}, m);
  E r = b.read(x, {i}) * 1.0 + 0.0;
  for (int n = 0; n < 60; ++n)
    r = b.sum({j}, r * toFloat(j) + r) / 6.0;
  int w = b.equation("w", Type::Float, {i}, r);
  Floats values(100, 3);
  std::map<int, Values> in = {{x, floats({100}, values)}};
  EXPECT_EQ(runFloats(b, y, in), values);
  EXPECT_EQ(runInts(b, z, in).size(), 100u);
  EXPECT_EQ(runFloats(b, w, in).size(), 100u);
  // Inside a reduction, whose body is evaluated for many letters at a time.
  int s = b.equation("s", Type::Float, {}, b.sum({i}, e));
  EXPECT_EQ(runFloats(b, s, in), Floats{300});
}

TEST(Expression, LongSumsAndDeepNesting) {
  ProgramBuilder b;
  auto i = b.letter("i", 10);
  int x = b.input("x", Type::Float, {i});
  std::vector<E> keep; // unravelled from the end: a chain is not to be freed by recursion
  E e = b.read(x, {i});
  for (int n = 0; n < 100000; ++n) {
    e = e + 1.0;
    keep.push_back(e);
  }
  int y = b.equation("y", Type::Float, {i}, e);
  int s = b.equation("s", Type::Float, {}, b.sum({i}, e));
  std::map<int, Values> in = {{x, floats({10}, Floats(10, 2))}};
  EXPECT_EQ(runFloats(b, y, in), Floats(10, 100002));
  EXPECT_EQ(runFloats(b, s, in), Floats{1000020});
  b.program.tensors.clear();
  e = {};
  while (!keep.empty())
    keep.pop_back();
}

// One element of 10^10, of a chain of such tensors.
TEST(Element, OfAHugeTensor) {
  ProgramBuilder b;
  auto i = b.letter("i", 100000), j = b.letter("j", 100000), k = b.letter("k", 100000);
  int x = b.input("x", Type::Float, {i});
  int s = b.equation("s", Type::Float, {i, j}, b.read(x, {i}) * b.read(x, {j}));
  int a = b.equation("a", Type::Float, {i, j}, b.softmax({k}, b.read(s, {i, k}), {E(j)}, k <= i));
  Floats values(100000, 0.5);
  Interpreter interpreter(b.program, {{x, floats({100000}, values)}}, nullptr);
  double out = 0;
  RunError error;
  ASSERT_TRUE(interpreter.element(a, {49999, 7}, out, error)) << error.message;
  EXPECT_NEAR(out, 1.0 / 50000, 1e-12);
  ASSERT_TRUE(interpreter.element(a, {49999, 50000}, out, error));
  EXPECT_EQ(out, 0);
}

TEST(Evaluate, ReportsProgress) {
  ProgramBuilder b;
  auto i = b.letter("i", 100000);
  int y = b.equation("y", Type::Float, {i}, toFloat(i) * 2.0);
  InterpretOptions options;
  double last = 0;
  options.progress = [&](double share) {
    EXPECT_LE(last, share);
    last = share;
  };
  Interpreter interpreter(b.program, {}, nullptr, options);
  Values out;
  RunError error;
  EXPECT_TRUE(interpreter.evaluate(y, out, error));
  EXPECT_EQ(last, 1);
}

} // namespace

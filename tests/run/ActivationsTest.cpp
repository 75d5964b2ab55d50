// The activations of nn keep their relative accuracy where they are small: compiled, over
// -100 .. 100, against what the standard library's mathematics gives in long double.
//
// What is allowed: some units of the last place of an f32; of a function of exp(u), where u is
// rounded, some more for each unit of u. (gelu is not among them: 1 + erf cancels below 0.)
#include "tests/run/Support.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qkv::test {
namespace {

using Real = long double;

Real sigmoid(Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
Real softplus(Real x) { return std::max<Real>(x, 0) + std::log1p(std::exp(-std::abs(x))); }
Real elu(Real x, Real alpha) { return x > 0 ? x : alpha * std::expm1(x); }
/// Of gelu's approximation: what its sigmoid is of.
Real inner(Real x) { return 1.5957691216057308L * (x + 0.044715L * x * x * x); }

struct Activation {
  const char *call;
  Real (*exact)(Real x);
  Real (*exponent)(Real x); ///< a rounded one, of the exp that it is as x goes to -infinity
};

Real none(Real) { return 0; }

const Activation activations[] = {
    {"relu(x[i])", [](Real x) { return std::max<Real>(x, 0); }, none},
    {"squared_relu(x[i])", [](Real x) { return x > 0 ? x * x : 0; }, none},
    {"leaky_relu(x[i])", [](Real x) { return x > 0 ? x : Real(0.01f) * x; }, none},
    {"elu(x[i])", [](Real x) { return elu(x, 1); }, none},
    {"selu(x[i])", [](Real x) { return Real(1.0507009873554805L) * elu(x, 1.6732632423543772L); },
     none},
    {"gelu_tanh(x[i])", [](Real x) { return x * sigmoid(inner(x)); }, inner},
    {"quick_gelu(x[i])", [](Real x) { return x * sigmoid(1.702L * x); },
     [](Real x) { return 1.702L * x; }},
    {"silu(x[i])", [](Real x) { return x * sigmoid(x); }, none},
    {"softplus(x[i])", softplus, none},
    {"log_sigmoid(x[i])", [](Real x) { return -softplus(-x); }, none},
    {"mish(x[i])", [](Real x) { return x * std::tanh(softplus(x)); }, none},
    {"soft_cap(x[i])", [](Real x) { return 50 * std::tanh(x / 50); }, none},
    {"sigmoid(x[i])", sigmoid, none},
    {"tanh(x[i])", [](Real x) { return std::tanh(x); }, none},
    {"expm1(x[i])", [](Real x) { return std::expm1(x); }, none},
    {"log1p(x[i] + 101)", [](Real x) { return std::log1p(Real(float(x) + 101.0f)); }, none},
};

std::vector<double> points() {
  std::vector<double> x;
  for (int i = -3200; i <= 3200; ++i)
    x.push_back(static_cast<float>(i / 32.0));
  for (int exponent = -40; exponent < 6; ++exponent)
    for (double sign : {-1.1, 1.1})
      x.push_back(static_cast<float>(std::ldexp(sign, exponent)));
  return x;
}

TEST(Activations, keepTheirRelativeAccuracy) {
  std::string text = "use nn\nsize T = dynamic(max: 10000)\nindex i < T\nmodel m(x[i]) -> (";
  std::string body;
  for (size_t a = 0; a < std::size(activations); ++a) {
    const std::string name = "y" + std::to_string(a) + "[i]";
    text += (a ? ", " : "") + name;
    body += "  " + name + " = " + activations[a].call + "\n";
  }
  auto checked = checkText(text + ") {\n" + body + "}\n", "activations.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  const std::vector<double> x = points();
  TrialOptions options;
  options.sizes["T"] = static_cast<int64_t>(x.size());
  Trial trial = makeTrial(program, options);
  trial.inputs.begin()->second.floats = x;
  const Computed computed = compute(model->model(), program, trial);
  ASSERT_EQ(computed.results.size(), std::size(activations));
  for (size_t a = 0; a < std::size(activations); ++a) {
    const Activation &activation = activations[a];
    for (size_t i = 0; i < x.size(); ++i) {
      const Real want = activation.exact(x[i]);
      const double got = computed.results[a].floats[i];
      // (Below the normal numbers of f32 a result may be 0, and so may a factor of x.)
      const Real least = 0x1p-125L * std::max<Real>(1, std::abs(x[i]));
      if (std::abs(want) < least) {
        EXPECT_LE(std::abs(got), 2 * least) << activation.call << " at " << x[i];
        continue;
      }
      if (std::abs(want) > 0x1.fffffep127L) {
        EXPECT_TRUE(std::isinf(got)) << activation.call << " at " << x[i];
        continue;
      }
      const Real units = 8 + 4 * std::max<Real>(0, -activation.exponent(x[i]));
      ASSERT_LE(std::abs(got - want), units * std::abs(want) * 0x1p-24L)
          << activation.call << " at " << x[i] << " is " << got << ", not "
          << static_cast<double>(want);
    }
  }
}

// x * y is 1 + 2^-11 + 2^-24, the last of which f32 rounds away: a product that is an equation's
// element is rounded, also where it is computed in the loop that adds it to something.
TEST(Activations, productsThatAreElementsAreRounded) {
  auto checked = checkText(R"(size T = dynamic(max: 70)
index i < T, c < 2
model m(x[i], y[i], w[i]) -> (a[i], b[i], s[i]) {
  p[i] = x[i] * y[i]
  n[i] = -x[i] * y[i]
  a[i] = p[i] + w[i]
  b[i] = w[i] - n[i]
  q[i,c] = (if c == 0 then w[i] else x[i]) * (if c == 0 then 1 else y[i])
  s[i] = sum[c](q[i,c])
}
)",
                           "products.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  for (int64_t count : {1, 16, 67}) {
    TrialOptions options;
    options.sizes["T"] = count;
    Trial trial = makeTrial(program, options);
    double values[] = {1 + 0x1p-12, 1 + 0x1p-12, -1 - 0x1p-11};
    for (int at = 0; int input : program.inputs)
      trial.inputs.at(input).floats.assign(static_cast<size_t>(count), values[at++]);
    const Computed computed = compute(model->model(), program, trial);
    ASSERT_EQ(computed.results.size(), 3u) << computed.failure;
    for (const Values &result : computed.results)
      for (double value : result.floats)
        EXPECT_EQ(value, 0) << count;
  }
}

// In f32 0.1 and 0.3 are other numbers: 3 * 0.1 - 0.3 is 0 but for 1e-16 of double precision.
TEST(Activations, numbersOfTablesAreDoubles) {
  auto checked = checkText(R"(size T = dynamic(max: 70)
index i < T
model m(x[i]) -> y[i] {
  t[i] = (0.1 * (i % 4) - 0.3) * 1000000
  y[i] = x[i] + t[i]
}
)",
                           "numbers.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  TrialOptions options;
  options.sizes["T"] = 20;
  Trial trial = makeTrial(program, options);
  for (int input : program.inputs)
    trial.inputs.at(input).floats.assign(20, 0);
  const Computed computed = compute(model->model(), program, trial);
  ASSERT_EQ(computed.results.size(), 1u) << computed.failure;
  for (size_t i = 0; i < 20; ++i)
    EXPECT_EQ(computed.results[0].floats[i],
              static_cast<float>((0.1 * static_cast<double>(i % 4) - 0.3) * 1000000));
}

} // namespace
} // namespace qkv::test

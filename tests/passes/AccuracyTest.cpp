// The expansions of functions of f32 against the C library in double precision, over every
// exponent and sign: what compiler/passes/README.md states holds, and no function is stated to be
// much worse than it is.
#include "Harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <sstream>

using namespace qkv::test;

namespace {

constexpr float smallest = 0x1p-126f; // below it results may be flushed to 0, and operands are

double unitsOff(float got, double want) {
  int exponent;
  std::frexp(want, &exponent);
  return std::abs(got - want) / std::ldexp(1.0, exponent - 24);
}

/// The README's table, `| name | with fma | without |` a line.
std::map<std::string, std::array<double, 2>> statedErrors() {
  std::map<std::string, std::array<double, 2>> out;
  std::stringstream text(readFile(QKV_PASSES_README));
  for (std::string line; std::getline(text, line);) {
    char name[16];
    double with, without;
    if (std::sscanf(line.c_str(), "| `%15[a-z0-9]` | %lf | %lf |", name, &with, &without) == 3)
      out[name] = {with, without};
  }
  return out;
}

struct Function {
  const char *name;
  double (*exact)(double x, double y);
};

const Function functions[] = {
    {"exp", [](double x, double) { return std::exp(x); }},
    {"log", [](double x, double) { return std::log(x); }},
    {"tanh", [](double x, double) { return std::tanh(x); }},
    {"sigmoid", [](double x, double) { return 1 / (1 + std::exp(-x)); }},
    {"erf", [](double x, double) { return std::erf(x); }},
    {"sin", [](double x, double) { return std::sin(x); }},
    {"cos", [](double x, double) { return std::cos(x); }},
    {"sqrt", [](double x, double) { return std::sqrt(x); }},
    {"rsqrt", [](double x, double) { return 1 / std::sqrt(x); }},
    {"pow", [](double x, double y) { return std::pow(x, y); }},
    {"power", [](double x, double) { return std::pow(x, double(-0.7f)); }},
    {"expm1", [](double x, double) { return std::expm1(x); }},
    {"log1p", [](double x, double) { return std::log1p(x); }},
};

class Accuracy : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (std::string(GetParam()) != "native" && !hostRuns(GetParam()))
      GTEST_SKIP() << "this processor does not run code for " << GetParam();
    module_ = std::make_unique<Module>(readFile(std::string(QKV_MODULES) + "accuracy.mlir"),
                                       Lowering::Pipeline, GetParam());
  }

  /// Runs all functions; `worst` takes for each the largest error in units in the last place.
  void measure(const std::vector<float> &x, const std::vector<float> &y,
               std::map<std::string, double> &worst) {
    int64_t count = x.size();
    std::vector<Buffer> inputs = module_->inputs({count});
    inputs[0].floats = x;
    inputs[1].floats = y;
    std::vector<Buffer> results = module_->run({count}, inputs);
    for (size_t f = 0; f < std::size(functions); ++f)
      for (int64_t i = 0; i < count; ++i) {
        if ((x[i] != 0 && std::abs(x[i]) < smallest) || (y[i] != 0 && std::abs(y[i]) < smallest))
          continue;
        double want = functions[f].exact(x[i], y[i]);
        float got = results[f].floats[i], rounded = static_cast<float>(want);
        auto where = [&] {
          std::ostringstream out;
          out << functions[f].name << "(" << x[i] << ", " << y[i] << ")";
          return out.str();
        };
        if (std::isnan(want))
          EXPECT_TRUE(std::isnan(got)) << where() << " = " << got;
        else if (std::isinf(rounded) || want == 0) // (of zeros only a power's sign is looked at)
          EXPECT_TRUE(got == rounded && (std::strcmp(functions[f].name, "pow") != 0 ||
                                         std::signbit(got) == std::signbit(rounded)))
              << where() << " = " << got << ", not " << rounded;
        else if (std::abs(want) < smallest)
          EXPECT_LE(std::abs(got), smallest) << where();
        else
          worst[functions[f].name] = std::max(worst[functions[f].name], unitsOff(got, want));
        if (testing::Test::HasFailure())
          return;
      }
  }

  std::unique_ptr<Module> module_;
};

TEST_P(Accuracy, isWhatTheReadmeStates) {
  const int64_t count = 1 << 20;
  std::vector<float> x(count), y(count);
  std::mt19937_64 random(1);
  std::map<std::string, double> worst;
  for (int part = 0; part < 2; ++part) {
    for (int64_t i = 0; i < count; ++i) {
      uint32_t bits = static_cast<uint32_t>((i * 2 + part) * 2045 + 7); // through all of them
      std::memcpy(&x[i], &bits, 4);
      // Exponents with which powers stay in range, and some with which they do not.
      double reach = 130 / std::max(std::abs(std::log2(std::abs(double(x[i])))), 1e-4);
      y[i] = reach * std::uniform_real_distribution<double>(-1.05, 1.05)(random);
      if (i % 8 == 0)
        y[i] = std::round(y[i]);
    }
    measure(x, y, worst);
  }
  // Where angles come closest to multiples of pi/2, and around the ends of the branches.
  x = {0x1.91715ep+89f, -0x1.ddc85p+60f, 0x1.6ac5b2p+18f, 0x1.921fb6p+0f, 0x1.921fb4p+1f};
  for (int exponent = -20; exponent < 128; ++exponent)
    for (double quarter : {1., 2., 3., 5., 11., 1001.})
      x.push_back(std::ldexp(std::round(std::ldexp(quarter * M_PI_2, 20)), exponent - 20));
  for (float x0 : {0x1p17f, -0x1p17f, 0x1p23f, 0x1.fffffep127f})
    for (float end : {-INFINITY, INFINITY})
      x.push_back(x0), x.push_back(std::nextafter(x0, end));
  y.assign(x.size(), 0.5f);
  measure(x, y, worst);

  auto stated = statedErrors();
  bool fma = std::string(GetParam()) != "x86-64";
  for (const Function &function : functions) {
    std::printf("  %s %.2f\n", function.name, worst[function.name]);
    ASSERT_TRUE(stated.count(function.name)) << function.name;
    EXPECT_LE(worst[function.name], stated[function.name][fma ? 0 : 1]) << function.name;
  }
}

TEST_P(Accuracy, specialCasesAreThoseOfIeee) {
  const float infinity = INFINITY, nan = NAN, most = std::numeric_limits<float>::max();
  std::vector<float> values;
  for (float value : {0.0f,           0.5f,           1.0f,     1.5f,       2.0f,
                      3.0f,           4.0f,           1e-30f,   0x1p23f,    0x1p24f,
                      0x1.000002p23f, 0x1.fffffep23f, 0x1p25f,  33.0f,      127.0f,
                      128.0f,         most,           infinity, nan,        smallest,
                      0.99999994f,    1.0000001f,     2.5f,     8388607.5f, 4194303.5f})
    values.insert(values.end(), {value, -value});
  std::vector<float> x, y;
  for (float a : values)
    for (float b : values) {
      x.push_back(a);
      y.push_back(b);
    }
  std::map<std::string, double> worst;
  measure(x, y, worst);
  EXPECT_LE(worst["pow"], 2);
}

INSTANTIATE_TEST_SUITE_P(Processors, Accuracy, testing::Values("native", "x86-64"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace

// The expansions of functions of f32 against the C library in double precision, over every
// exponent and sign: at most two units in the last place.
#include "Harness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

using namespace qkv::test;

namespace {

double unitsOff(float got, double want) {
  int exponent;
  std::frexp(want, &exponent);
  return std::abs(got - want) / std::ldexp(1.0, exponent - 24);
}

TEST(Accuracy, functionsAreWithinTwoUnits) {
  Module module(readFile(std::string(QKV_MODULES) + "functions.mlir"), Lowering::Pipeline);
  const int64_t count = 1 << 20;
  std::vector<Buffer> inputs = module.inputs({count});
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits = static_cast<uint32_t>(i * 4095 + 7); // through all of them
    std::memcpy(&inputs[0].floats[i], &bits, 4);
  }
  std::vector<float> x = inputs[0].floats;
  std::vector<Buffer> results = module.run({count}, inputs);
  struct {
    const char *name;
    double (*exact)(double);
  } functions[] = {
      {"exp", [](double v) { return std::exp(v); }},
      {"log", [](double v) { return std::log(std::abs(v)); }},
      {"tanh", [](double v) { return std::tanh(v); }},
      {"erf", [](double v) { return std::erf(v); }},
      {"sin", [](double v) { return std::sin(v); }},
      {"cos", [](double v) { return std::cos(v); }},
  };
  for (size_t f = 0; f < std::size(functions); ++f) {
    double worst = 0;
    float at = 0;
    for (int64_t i = 0; i < count; ++i) {
      // Below the normal numbers results may be flushed, and operands are when the runtime runs.
      if (std::isnan(x[i]) || (x[i] != 0 && std::abs(x[i]) < 1.2e-38f))
        continue;
      double want = functions[f].exact(x[i]);
      float got = results[f].floats[i];
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(got)) << functions[f].name << "(" << x[i] << ")";
        continue;
      }
      if (std::isinf(static_cast<float>(want))) {
        EXPECT_EQ(got, static_cast<float>(want)) << functions[f].name << "(" << x[i] << ")";
        continue;
      }
      if (std::abs(want) < 1.3e-38) {
        EXPECT_LE(std::abs(got), 1.4e-38) << functions[f].name << "(" << x[i] << ")";
        continue;
      }
      double off = unitsOff(got, want);
      if (!(off <= worst)) {
        worst = off;
        at = x[i];
      }
    }
    EXPECT_LE(worst, 2) << functions[f].name << "(" << at << ")";
  }
}

} // namespace

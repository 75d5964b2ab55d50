// What compiled code allocates: no more for more steps, and nothing in a step.
#include "Harness.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace qkv::test;

namespace {

Counts countsOf(Module &module, const std::vector<int64_t> &sizes) {
  Module::counts() = {};
  module.run(sizes, module.inputs(sizes));
  EXPECT_EQ(Module::counts().live, 0);
  return Module::counts();
}

TEST(Buffers, stepsOfARecurrenceAllocateNothing) {
  for (const char *file : {"rnn", "recurrences"}) {
    Module module(readFile(std::string(QKV_MODULES) + file + ".mlir"), Lowering::Pipeline);
    EXPECT_EQ(countsOf(module, {3}).allocations, countsOf(module, {300}).allocations) << file;
  }
}

TEST(Buffers, aRunAllocatesOnce) {
  const std::pair<const char *, std::vector<int64_t>> cases[] = {
      {"attention", {17, 33, 64}},
      {"contractions", {17, 33, 64}},
      {"convolution", {17, 33}},
      {"gathers", {17, 33}},
      {"guards", {17, 33}},
      {"layers", {17}},
      {"recurrences", {17}},
      {"reductions", {17, 33}},
      {"rnn", {17}},
      {"tables", {17, 33}},
      {"writes", {17}},
  };
  for (const auto &[file, sizes] : cases) {
    Module module(readFile(std::string(QKV_MODULES) + file + ".mlir"), Lowering::Pipeline);
    EXPECT_LE(countsOf(module, sizes).allocations, 1) << file;
  }
}

TEST(Buffers, aRecurrenceHoldsItsTensorsOnce) {
  Module module(readFile(std::string(QKV_MODULES) + "rnn.mlir"), Lowering::Pipeline);
  // Per step: the product taken out of the loop and the state.
  EXPECT_LE(countsOf(module, {1000}).peak, 1000 * 2 * 32 * 4 + 4096);
}

TEST(Buffers, layersHoldNoMoreThanAFew) {
  Module module(readFile(std::string(QKV_MODULES) + "layers.mlir"), Lowering::Pipeline);
  // Eight calls: the first result (kept), a step's input and output, its product.
  EXPECT_LE(countsOf(module, {1000}).peak, 4 * 1000 * 16 * 4 + 8 * 16 * 16 * 4);
}

TEST(Buffers, inputsStayAsTheyAre) {
  Module module(readFile(std::string(QKV_MODULES) + "writes.mlir"), Lowering::Pipeline);
  std::vector<Buffer> inputs = module.inputs({9});
  std::vector<float> before = inputs[0].floats;
  module.run({9}, std::move(inputs));
  EXPECT_EQ(std::memcmp(module.lastInputs()[0].floats.data(), before.data(),
                        before.size() * sizeof(float)),
            0);
}

} // namespace

// Modules through the whole pipeline against plain loops: values, failed checks, and the bits
// that must not depend on how many other elements there are.
#include "Harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

using namespace qkv::test;

namespace {

/// Differences of at most `tolerance` of the largest element; other types exactly.
void expectClose(const Buffer &got, const Buffer &want, const std::string &what,
                 double tolerance = 2e-6) {
  EXPECT_EQ(got.shape, want.shape) << what;
  EXPECT_EQ(got.ints, want.ints) << what;
  EXPECT_EQ(got.bools, want.bools) << what;
  double largest = 0;
  for (float value : want.floats)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(double(value)));
  for (size_t i = 0; i < want.floats.size(); ++i) {
    float a = got.floats[i], b = want.floats[i];
    if (std::isnan(b) || a == b)
      continue;
    EXPECT_LE(std::abs(double(a) - b), tolerance * largest) << what << ", element " << i;
    if (!(std::abs(double(a) - b) <= tolerance * largest))
      return;
  }
}

template <typename T> std::set<T> distinct(const std::vector<T> &values) {
  return {values.begin(), values.end()};
}

struct Case {
  const char *file;
  std::vector<std::vector<int64_t>> sizes;
};

const std::vector<std::vector<int64_t>> one = {{1}, {2}, {15}, {16}, {17}, {63}, {64}, {65}, {101}};
const std::vector<std::vector<int64_t>> two = {{1, 1},   {1, 17},  {15, 16}, {16, 15},
                                               {17, 33}, {64, 63}, {7, 101}, {65, 128}};
const std::vector<std::vector<int64_t>> three = {{1, 1, 1},    {1, 16, 64},  {16, 15, 16},
                                                 {17, 33, 64}, {63, 65, 5},  {7, 101, 130},
                                                 {65, 64, 17}, {5, 200, 31}, {260, 300, 1}};

const Case cases[] = {
    {"accuracy", one},    {"attention", three}, {"contractions", three},
    {"convolution", two}, {"functions", one},   {"gathers", two},
    {"guards", two},      {"layers", one},      {"recurrences", one},
    {"reductions", two},  {"rnn", one},         {"tables", two},
    {"writes", one},
};

class Numerics : public testing::TestWithParam<std::tuple<Case, const char *>> {};

TEST_P(Numerics, equalPlainLoops) {
  const auto &[example, cpu] = GetParam();
  if (std::strcmp(cpu, "native") != 0 && !hostRuns(cpu))
    GTEST_SKIP() << "this processor does not run code for " << cpu;
  std::string text = readFile(std::string(QKV_MODULES) + example.file + ".mlir");
  Module module(text, Lowering::Pipeline, cpu), plain(text, Lowering::Plain, cpu);
  for (const std::vector<int64_t> &sizes : example.sizes) {
    std::string what = example.file;
    for (int64_t size : sizes)
      what += " " + std::to_string(size);
    std::vector<Buffer> inputs = module.inputs(sizes), given = inputs;
    Counts &counts = Module::counts();
    counts = {};
    std::vector<Buffer> got = module.run(sizes, given);
    EXPECT_EQ(counts.live, 0) << what;
    auto failed = counts.failed;
    counts = {};
    std::vector<Buffer> want = plain.run(sizes, inputs);
    // What all lanes share is checked once.
    EXPECT_EQ(distinct(failed), distinct(counts.failed)) << what;
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      expectClose(got[i], want[i], what + ", result " + std::to_string(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Modules, Numerics,
                         testing::Combine(testing::ValuesIn(cases),
                                          testing::Values("native", "x86-64", "x86-64-v3",
                                                          "skylake-avx512")),
                         [](const auto &info) {
                           std::string name = std::string(std::get<0>(info.param).file) + "_" +
                                              std::get<1>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// The first rows of the first `count` results, for I rows of all, are the same bits for every I.
void expectRowsAlone(const char *file, std::vector<int64_t> sizes, size_t count = 99) {
  std::string text = readFile(std::string(QKV_MODULES) + file + ".mlir");
  Module module(text, Lowering::Pipeline);
  sizes[0] = 70;
  std::vector<Buffer> all = module.run(sizes, module.inputs(sizes));
  for (int64_t rows : {1, 2, 3, 4, 5, 15, 16, 17, 33, 64, 69}) {
    sizes[0] = rows;
    std::vector<Buffer> some = module.run(sizes, module.inputs(sizes));
    for (size_t i = 0; i < std::min(some.size(), count); ++i) {
      if (some[i].shape.empty() || some[i].shape[0] != rows)
        continue;
      size_t bytes = some[i].floats.size() * sizeof(float);
      EXPECT_EQ(std::memcmp(some[i].floats.data(), all[i].floats.data(), bytes), 0)
          << file << ", " << rows << " rows, result " << i;
      EXPECT_TRUE(std::equal(some[i].ints.begin(), some[i].ints.end(), all[i].ints.begin()));
    }
  }
}

TEST(Rows, doNotDependOnTheirNumber) {
  expectRowsAlone("attention", {0, 37, 40});
  expectRowsAlone("contractions", {0, 37, 43}, 2); // (the others have I inside)
  expectRowsAlone("functions", {0});
  expectRowsAlone("accuracy", {0});
  expectRowsAlone("reductions", {0, 37});
  expectRowsAlone("rnn", {0});
  expectRowsAlone("recurrences", {0}, 1); // (the other is chosen by the number)
  expectRowsAlone("layers", {0});
}

TEST(Replay, everyStageParsesBackAndGoesOn) {
  for (const Case &example : cases) {
    std::string text = readFile(std::string(QKV_MODULES) + example.file + ".mlir");
    const std::vector<int64_t> &sizes = example.sizes[4];
    Module whole(text, Lowering::Pipeline), replayed(text, Lowering::Replayed);
    std::vector<Buffer> a = whole.run(sizes, whole.inputs(sizes));
    std::vector<Buffer> b = replayed.run(sizes, whole.inputs(sizes));
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(std::memcmp(a[i].data(), b[i].data(), a[i].floats.size() * sizeof(float)), 0)
          << example.file;
  }
}

} // namespace

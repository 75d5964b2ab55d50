// What a rank chooses, in compiled runs: a row has the same bits whatever rows are with it, and of
// what no row chose nothing is read.
#include "tests/run/Support.h"

#include "compiler/Compilation.h"
#include "compiler/native/Jit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace qkv::test {
namespace {

struct Form {
  const char *name, *cpu;
  int32_t element;
};
void PrintTo(const Form &form, std::ostream *out) { *out << form.name; }

class Chosen : public testing::TestWithParam<Form> {
protected:
  void compile(const std::string &text) {
    checked = checkText(text, "chosen.qkv");
    ASSERT_TRUE(checked->program) << checked->diagnostics;
    std::string error;
    auto compilation = Compilation::begin(*checked->program, GetParam().cpu, error,
                                          {.element = GetParam().element});
    auto native = compilation ? compilation->native(error) : nullptr;
    jit = native ? JitModel::create(std::move(native), GetParam().cpu, error) : nullptr;
    ASSERT_TRUE(jit) << error;
  }

  /// One of the trial's rows, by itself.
  static Trial row(const Trial &trial, int64_t at) {
    Trial out = trial;
    out.sizes = {1};
    for (auto &[tensor, values] : out.inputs) {
      auto each = static_cast<int64_t>(values.floats.size()) / values.shape[0];
      values.shape[0] = 1;
      values.floats = {values.floats.begin() + at * each, values.floats.begin() + (at + 1) * each};
    }
    return out;
  }

  std::unique_ptr<Checked> checked;
  std::unique_ptr<JitModel> jit;
};

const char *const experts =
    "size T = dynamic(max: 64)\n"
    "index i < T, e < 24, f < 80, c < 72, o < 72\n"
    "model m(x[i,c], g[i,e]) -> y[i,o] {\n"
    "  param Wg[e,f,c] = \"g\", Wu[e,f,c] = \"u\", Wd[e,o,f] = \"d\", b[e,o] = \"b\"\n"
    "  h[e,i,f] = tanh(sum[c](Wg[e,f,c] * x[i,c])) * sum[c](Wu[e,f,c] * x[i,c])\n"
    "  w[i,e]   = softmax[e](g[i,e] where rank[e](g[i,e]) < 5)\n"
    "  y[i,o]   = sum[e](w[i,e] * (sum[f](Wd[e,o,f] * h[e,i,f]) + b[e,o]))\n}\n";

TEST_P(Chosen, aRowHasTheBitsThatItHasAlone) {
  compile(experts);
  ASSERT_TRUE(jit);
  const Program &program = *checked->program;
  for (int64_t rows : {2, 7, 33}) {
    TrialOptions options;
    options.sizes["T"] = rows;
    Trial trial = makeTrial(program, options);
    Computed all = compute(jit->model(), program, trial);
    for (int64_t at = 0; at < rows; ++at) {
      Computed one = compute(jit->model(), program, row(trial, at));
      const std::vector<double> &few = one.results[0].floats, &many = all.results[0].floats;
      ASSERT_EQ(std::memcmp(few.data(), many.data() + at * static_cast<int64_t>(few.size()),
                            few.size() * sizeof(double)),
                0)
          << "row " << at << " of " << rows;
    }
  }
}

TEST_P(Chosen, whatNoRowChoseIsNotRead) {
  compile(experts);
  ASSERT_TRUE(jit);
  const Program &program = *checked->program;
  TrialOptions options;
  options.sizes["T"] = 19;
  Trial trial = makeTrial(program, options);
  // The first nine experts alone are chosen: the others' weights are no numbers.
  for (auto &[tensor, values] : trial.inputs)
    if (program.tensors[tensor].name == "g")
      for (size_t at = 0; at < values.floats.size(); ++at)
        values.floats[at] += at % 24 < 9 ? 100 : 0;
  for (auto &[tensor, values] : trial.params) {
    const size_t each = values.floats.size() / 24;
    std::fill(values.floats.begin() + static_cast<std::ptrdiff_t>(9 * each), values.floats.end(),
              std::nan(""));
  }
  roundParams(jit->model(), trial);
  Oracle oracle = expect(program, trial, resultTensors(program));
  Computed computed = compute(jit->model(), program, trial);
  EXPECT_EQ(differs(program, oracle, computed), "");
  for (double x : computed.results[0].floats)
    ASSERT_TRUE(std::isfinite(x));
}

// Of 2,000 keys 8 are chosen: those that are not may hold anything, and no score of theirs is made.
TEST_P(Chosen, keysThatAreNotChosenAreNotRead) {
  compile("size T = dynamic(max: 2000), N = dynamic(max: 4)\n"
          "index n < N, j < T, d < 24, m < 16\n"
          "model m(q[n,d], p[n,j], k[j,d], v[j,m]) -> o[n,m] {\n"
          "  s[n,j] = sum[d](q[n,d] * k[j,d])\n"
          "  a[n,j] = softmax[j](s[n,j] where rank[j](p[n,j]) < 8)\n"
          "  o[n,m] = sum[j](a[n,j] * v[j,m])\n}\n");
  ASSERT_TRUE(jit);
  const Program &program = *checked->program;
  TrialOptions options;
  options.sizes["T"] = 1777;
  options.sizes["N"] = 3;
  Trial trial = makeTrial(program, options);
  std::vector<char> open(1777);
  for (auto &[tensor, values] : trial.inputs)
    if (program.tensors[tensor].name == "p")
      for (size_t at = 0; at < values.floats.size(); ++at)
        if (at % 1777 % 90 == 7) {
          values.floats[at] += 50;
          open[at % 1777] = 1;
        }
  for (auto &[tensor, values] : trial.inputs)
    if (const std::string &name = program.tensors[tensor].name; name == "k" || name == "v") {
      const size_t width = values.floats.size() / 1777;
      for (size_t at = 0; at < values.floats.size(); ++at)
        if (!open[at / width])
          values.floats[at] = std::nan("");
    }
  Oracle oracle = expect(program, trial, resultTensors(program));
  Computed computed = compute(jit->model(), program, trial);
  EXPECT_EQ(differs(program, oracle, computed), "");
  for (double x : computed.results[0].floats)
    ASSERT_TRUE(std::isfinite(x));
}

INSTANTIATE_TEST_SUITE_P(Forms, Chosen,
                         testing::Values(Form{"native", "native", QKV_F32},
                                         Form{"haswell", "haswell", QKV_F32},
                                         Form{"bf16", "native", QKV_BF16}),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace qkv::test

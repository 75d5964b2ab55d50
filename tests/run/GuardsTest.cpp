// What a guard leaves out is not read (A6): no number that stands there reaches a result, in any
// compiled form; and what scores are that are no number, or the least one (S4).
#include "tests/run/Support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qkv::test {
namespace {

struct Form {
  const char *name, *cpu;
  bool fuse;
};
void PrintTo(const Form &form, std::ostream *out) { *out << form.name; }

class Guards : public testing::TestWithParam<Form> {
protected:
  std::unique_ptr<JitModel> compiled(const Program &program) {
    return test::compiled(program, GetParam().cpu, {.fuse = GetParam().fuse});
  }

  /// Keys and values from `n` on are NaN and infinities by turns; both forms of the interpreter
  /// give a number everywhere.
  void isNotRead(const std::string &body) {
    auto checked = checkText("size T = dynamic(max: 200)\n"
                             "index g < 2, h < 2, i < T, j < T, d < 8, e < 19\n"
                             "model m(q[h,i,d], k[h,j,d], v[h,j,e], n : int) -> (" +
                                 body,
                             "guards.qkv");
    ASSERT_TRUE(checked->program) << checked->diagnostics;
    const Program &program = *checked->program;
    auto model = compiled(program);
    ASSERT_TRUE(model);
    const double infinity = std::numeric_limits<double>::infinity();
    const double wild[] = {std::nan(""), infinity, -infinity};
    for (int64_t size : {7, 65}) {
      TrialOptions options;
      options.sizes["T"] = size;
      Trial trial = makeTrial(program, options);
      const int64_t used = size - size / 3;
      for (auto &[tensor, values] : trial.inputs) {
        const std::string &name = program.tensors[tensor].name;
        if (name == "n")
          values.ints[0] = used;
        if (name != "k" && name != "v")
          continue;
        const int64_t width = values.shape[2];
        for (int64_t at = 0; at < static_cast<int64_t>(values.floats.size()); ++at)
          if (at / width % size >= used)
            values.floats[static_cast<size_t>(at)] = wild[at % 3];
      }
      Oracle oracle = expect(program, trial, resultTensors(program));
      Computed computed = compute(model->model(), program, trial);
      EXPECT_EQ(differs(program, oracle, computed), "") << "T = " << size << "\n" << body;
      for (const Values &result : computed.results)
        for (double x : result.floats)
          ASSERT_TRUE(std::isfinite(x)) << "T = " << size << "\n" << body;
    }
  }

  std::vector<double> run(const std::string &text, const std::map<std::string, Values> &inputs) {
    auto checked = checkText(text, "guards.qkv");
    EXPECT_TRUE(checked->program) << checked->diagnostics;
    auto model = compiled(*checked->program);
    if (!model)
      return {};
    Trial trial = makeTrial(*checked->program, {});
    for (auto &[tensor, values] : trial.inputs)
      values = inputs.at(checked->program->tensors[tensor].name);
    trial.sizes = {inputs.begin()->second.shape[0]};
    std::vector<double> out;
    for (const Values &result : compute(model->model(), *checked->program, trial).results)
      out.insert(out.end(), result.floats.begin(), result.floats.end());
    return out;
  }
};

TEST_P(Guards, ofASoftmax) {
  isNotRead("c[h,i,e], l[h,i]) {\n"
            "  a[h,i,j] = softmax[j](sum[d](q[h,i,d] * k[h,j,d]) where j < n)\n"
            "  c[h,i,e] = sum[j](a[h,i,j] * v[h,j,e])\n"
            "  l[h,i] = logsumexp[j](sum[d](q[h,i,d] * k[h,j,d]) where j < n)\n}\n");
}
TEST_P(Guards, ofItsScore) {
  isNotRead("c[h,i,e], b[h,i,e]) {\n"
            "  s[h,i,j] = if j < n then sum[d](q[h,i,d] * k[h,j,d]) else log(0 * i)\n"
            "  a[h,i,j] = softmax[j](s[h,i,j] + i)\n"
            "  c[h,i,e] = sum[j](a[h,i,j] * v[h,j,e])\n"
            "  b[h,i,e] = sum[j](v[h,j,e] * a[h,i,j] * q[h,i,0])\n}\n");
}
TEST_P(Guards, ofTheSum) {
  isNotRead("c[h,i,e], b[h,i,e]) {\n"
            "  a[h,i,j] = softmax[j](sum[d](q[h,i,d] * q[h,j,d]) where j <= i)\n"
            "  c[h,i,e] = sum[j](a[h,i,j] * v[h,j,e] where j < n)\n"
            "  b[h,i,e] = sum[j](1 / (1 + exp(-sum[d](q[h,i,d] * k[h,j,d]))) * v[h,j,e] "
            "where j < n)\n}\n");
}
TEST_P(Guards, ofWeightsThatAreNotFused) {
  isNotRead("c[g,i,e], b[h,i,e], w[h,i,j]) {\n"
            "  param M[g,h] = \"mix\"\n"
            "  w[h,i,j] = softmax[j](sum[d](q[h,i,d] * k[h,j,d]) where j < n)\n"
            "  m[g,i,j] = sum[h](M[g,h] * w[h,i,j])\n"
            "  c[g,i,e] = sum[j](m[g,i,j] * v[g,j,e])\n"
            "  b[h,i,e] = sum[j](w[h,i,j] ^ 2 * w[h,i,j] * v[h,j,e])\n}\n");
}
TEST_P(Guards, ofAMask) {
  isNotRead("y[h,j,e], c[h,e], b[h,d,e], z[h,e]) {\n"
            "  m[j] = if j < n then 2 else 0\n"
            "  y[h,j,e] = v[h,j,e] * m[j]\n"
            "  c[h,e] = sum[j](v[h,j,e] * m[j])\n"
            "  b[h,d,e] = sum[j](q[h,j,d] * v[h,j,e] * m[j])\n"
            "  z[h,e] = mean[j](m[j] * (v[h,j,e] + 1))\n}\n");
}
TEST_P(Guards, ofASoftmaxOverSeveralLetters) {
  isNotRead("c[i,e]) {\n"
            "  a[i,h,j] = softmax[h,j](sum[d](q[h,i,d] * k[h,j,d]) where j < n)\n"
            "  c[i,e] = sum[h,j](a[i,h,j] * v[h,j,e])\n}\n");
}

constexpr double least = -3.4028234663852886e38;
const char *rows = "size T = dynamic(max: 200)\nindex i < T, j < T\n"
                   "model m(s[i,j], v[j]) -> (c[i], l[i]) {\n"
                   "  x[i,j] = s[i,j] + 0 * i\n"
                   "  c[i] = sum[j](softmax[j](x[i,j]) * v[j])\n  l[i] = logsumexp[j](x[i,j])\n}\n";

// The least float is a score like any other.
TEST_P(Guards, leaveNoLeastScoreOut) {
  std::vector<double> out = run(rows, {{"s", {Type::Float, {2, 2}, {least, least, least, 1}, {}}},
                                       {"v", {Type::Float, {2}, {2, 4}, {}}}});
  EXPECT_EQ(out, (std::vector<double>{3, 4, least, 1}));
}
TEST_P(Guards, leaveOutWhatIsMinusInfinity) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> out =
      run(rows, {{"s", {Type::Float, {2, 2}, {least, -infinity, -infinity, -infinity}, {}}},
                 {"v", {Type::Float, {2}, {2, std::nan("")}, {}}}});
  EXPECT_EQ(out, (std::vector<double>{2, 0, least, -infinity}));
}
// A score that is no number makes its row none, and no other.
TEST_P(Guards, showAScoreThatIsNoNumber) {
  std::vector<double> out = run(rows, {{"s", {Type::Float, {2, 2}, {1, std::nan(""), 1, 1}, {}}},
                                       {"v", {Type::Float, {2}, {2, 4}, {}}}});
  ASSERT_EQ(out.size(), 4u);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(out[2]));
  EXPECT_EQ(out[1], 3);
}

INSTANTIATE_TEST_SUITE_P(Forms, Guards,
                         testing::Values(Form{"fused", "native", true},
                                         Form{"unfused", "native", false},
                                         Form{"narrow", "x86-64", true}),
                         [](auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace qkv::test

// Attention over a grid of scores and guards, at the edges of tiles: compiled against the
// interpreter; and the bits of a row, which must not depend on what else is computed.
#include "tests/run/Support.h"

#include <gtest/gtest.h>

#include <cstring>
#include <ostream>

namespace qkv::test {
namespace {

struct Part {
  const char *name, *text;
};
void PrintTo(const Part &part, std::ostream *out) { *out << part.name; }

const Part scores[] = {
    {"dot", "s[h,r,i,j] = sum[d](q[h,r,i,d] * k[h,j,d]) / sqrt(D)"},
    {"capped", "s[h,r,i,j] = 5 * tanh(sum[d](q[h,r,i,d] * k[h,j,d]) / 5)"},
    {"alibi", "s[h,r,i,j] = sum[d](q[h,r,i,d] * k[h,j,d]) - abs(i - j) * 2 ^ (-(h + r + 1))"},
    {"relative", "s[h,r,i,j] = sum[d](q[h,r,i,d] * (k[h,j,d] + near[min(abs(i - j), 8),d]))"},
    {"additive", "s[h,r,i,j] = sum[a](w[a] * tanh(sum[d](A[a,d] * q[h,r,i,d]) + "
                 "sum[d](B[a,d] * k[h,j,d])))"},
    {"two", "s[h,r,i,j] = sum[d](q[h,r,i,d] * k[h,j,d]) + sum[d](q[h,r,i,d] * p[j,d])"},
    {"huge", "s[h,r,i,j] = 10000 * sum[d](q[h,r,i,d] * k[h,j,d])"},
};
const Part guards[] = {
    {"none", ""},
    {"causal", " where j <= i"},
    {"window", " where 0 <= i - j < 37"},
    {"prefix", " where j <= i or j < 9"},
    {"document", " where doc[i] == doc[j]"},
    {"lengths", " where j < length and j != i"},
};
struct Shape {
  int heads, groups, d, e;
};
const Shape shapes[] = {{1, 1, 32, 64}, {3, 1, 7, 16}, {2, 2, 16, 100}, {1, 4, 256, 5}};

std::string modelText(const Part &score, const Part &guard, const Shape &s) {
  auto n = [](int v) { return std::to_string(v); };
  return "size T = dynamic(max: 300), D = " + n(s.d) + "\nindex h < " + n(s.heads) + ", r < " +
         n(s.groups) + ", i < T, j < T, d < D, e < " + n(s.e) +
         ", a < 11, u < 9\n"
         "model m(q[h,r,i,d], k[h,j,d], v[h,j,e], p[j,d], doc[i] : int, length : int) -> "
         "c[h,r,i,e] {\n"
         "  param w[a] = \"w\", A[a,d] = \"A\", B[a,d] = \"B\", near[u,d] = \"near\"\n  " +
         score.text + "\n  c[h,r,i,e] = sum[j](softmax[j](s[h,r,i,j]" + guard.text +
         ") * v[h,j,e])\n}\n";
}

/// Documents of a few positions each; a length that leaves something out.
void setGuards(const Program &program, Trial &trial) {
  for (auto &[tensor, values] : trial.inputs) {
    const std::string &name = program.tensors[tensor].name;
    for (size_t i = 0; i < values.ints.size(); ++i)
      if (name == "doc")
        values.ints[i] = static_cast<int64_t>(i) / 23;
      else if (name == "length")
        values.ints[i] = trial.sizes[0] * 2 / 3;
  }
}

void agreesAtTheEdges(const std::string &text) {
  auto checked = checkText(text, "attention.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  for (int64_t size : {1, 5, 63, 64, 65, 131}) {
    TrialOptions options;
    options.sizes["T"] = size;
    options.seed = static_cast<uint64_t>(size);
    Trial trial = makeTrial(program, options);
    setGuards(program, trial);
    EXPECT_EQ(differs(program, expect(program, trial, resultTensors(program)),
                      compute(model->model(), program, trial)),
              "")
        << "T = " << size << "\n"
        << text;
  }
}

class Attention : public testing::TestWithParam<std::tuple<Part, Part>> {};

TEST_P(Attention, agreesAtTheEdgesOfTiles) {
  auto &[score, guard] = GetParam();
  agreesAtTheEdges(
      modelText(score, guard, shapes[(std::strlen(score.name) + std::strlen(guard.name)) % 4]));
}

INSTANTIATE_TEST_SUITE_P(Grid, Attention,
                         testing::Combine(testing::ValuesIn(scores), testing::ValuesIn(guards)),
                         [](auto &info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::get<1>(info.param).name;
                         });

// One kernel: several values, one of them read at a place, one with a factor; the sum's logarithm.
class AttentionValues : public testing::TestWithParam<Part> {};

TEST_P(AttentionValues, agreeAtTheEdgesOfTiles) {
  const std::string guard = GetParam().text;
  agreesAtTheEdges(
      "size T = dynamic(max: 300)\n"
      "index h < 2, i < T, j < T, d < 16, e < 40, f < 3, u < 31\n"
      "model m(q[h,i,d], k[h,j,d], v[h,j,e], w[j,f], doc[i] : int, length : int) -> "
      "(a[h,i,e], b[i,h,f], l[h,i]) {\n"
      "  param r[u,e] = \"r\"\n"
      "  s[h,i,j] = sum[d](q[h,i,d] * k[h,j,d])\n"
      "  x[h,i,j] = softmax[j](s[h,i,j]" +
      guard +
      ")\n"
      "  a[h,i,e] = sum[j](x[h,i,j] * (v[h,j,e] + r[max(min(i - j, 15), -15) + 15,e]))\n"
      "  b[i,h,f] = sum[j](x[h,i,j] * w[j,f] where (i + j) % 3 != 0)\n"
      "  l[h,i] = logsumexp[j](s[h,i,j]" +
      guard + ")\n}\n");
}

INSTANTIATE_TEST_SUITE_P(Guards, AttentionValues, testing::ValuesIn(guards),
                         [](auto &info) { return std::string(info.param.name); });

// Weights that are no softmax: a function of the score, a decay; their sum beside the values.
class PlainWeights : public testing::TestWithParam<Part> {};

TEST_P(PlainWeights, agreeAtTheEdgesOfTiles) {
  const std::string guard = GetParam().text;
  agreesAtTheEdges("size T = dynamic(max: 300)\n"
                   "index h < 2, i < T, j < T, d < 16, e < 40, f < 3\n"
                   "model m(q[h,i,d], k[h,j,d], v[h,j,e], w[j,f], doc[i] : int, length : int) -> "
                   "(a[h,i,e], b[i,h,f], c[h,i,e]) {\n"
                   "  s[h,i,j] = sum[d](q[h,i,d] * k[h,j,d])\n"
                   "  a[h,i,e] = sum[j](1 / (1 + exp(-s[h,i,j])) * v[h,j,e]" +
                   guard +
                   ")\n"
                   "  g[h,i,j] = max(s[h,i,j], 0) ^ 2\n"
                   "  n[h,i] = sum[j](g[h,i,j]" +
                   guard +
                   ")\n"
                   "  b[i,h,f] = sum[j](g[h,i,j] * w[j,f]" +
                   guard +
                   ") / (1 + n[h,i])\n"
                   "  c[h,i,e] = sum[j](s[h,i,j] * 0.9 ^ abs(i - j) * v[h,j,e]" +
                   guard + ")\n}\n");
}

INSTANTIATE_TEST_SUITE_P(Guards, PlainWeights, testing::ValuesIn(guards),
                         [](auto &info) { return std::string(info.param.name); });

// The first rows of a longer sequence are those of a shorter one, bit for bit. A long sum of a
// score is made of parts, whatever tile it is in.
class AttentionBits : public testing::TestWithParam<int> {};

TEST_P(AttentionBits, ofARowDoNotDependOnHowManyThereAre) {
  auto checked = checkText("size T = dynamic(max: 300)\nindex i < T, j < T, d < " +
                               std::to_string(GetParam()) +
                               ", e < 33, u < 16\n"
                               "model m(q[i,d], k[j,d], v[j,e]) -> (c[i,e], l[i]) {\n"
                               "  param r[u,e] = \"r\"\n"
                               "  s[i,j] = sum[d](q[i,d] * k[j,d])\n"
                               "  c[i,e] = sum[j](softmax[j](s[i,j] where j <= i) * "
                               "(v[j,e] + r[max(min(i - j, 15), 0),e]))\n"
                               "  l[i] = logsumexp[j](s[i,j] where j <= i)\n}\n",
                           "bits.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  TrialOptions options;
  options.sizes["T"] = 200;
  Trial whole = makeTrial(program, options);
  Computed all = compute(model->model(), program, whole);
  for (int64_t size = 1; size < 200; size += size < 70 ? 1 : 13) {
    Trial part = whole;
    part.sizes[0] = size;
    for (auto &[tensor, values] : part.inputs) {
      values.shape[0] = size;
      values.floats.resize(static_cast<size_t>(size * values.shape[1]));
    }
    Computed computed = compute(model->model(), program, part);
    for (size_t r : {0, 1}) {
      const std::vector<double> &some = computed.results.at(r).floats;
      ASSERT_EQ(some.size(), static_cast<size_t>(size * (r == 0 ? 33 : 1)));
      EXPECT_EQ(
          std::memcmp(some.data(), all.results.at(r).floats.data(), some.size() * sizeof(double)),
          0)
          << "result " << r << ", T = " << size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, AttentionBits, testing::Values(20, 128, 192, 256),
                         [](auto &info) { return "d" + std::to_string(info.param); });

// The same where heads share keys, and positions come before heads, as a stream keeps them: of few
// rows those of several heads are taken together.
class SharedKeys : public testing::TestWithParam<Part> {};

TEST_P(SharedKeys, giveTheBitsOfManyRows) {
  auto checked = checkText(std::string("size T = dynamic(max: 300), G = 5, R = 3\n"
                                       "index i < T, j < T, d < 24, e < 17, g < G, r < R\n"
                                       "model m(q[i,g,r,d], k[j,g,d], v[j,g,e]) -> c[i,g,r,e] {\n"
                                       "  s[g,r,i,j] = sum[d](q[i,g,r,d] * k[j,g,d])\n"
                                       "  c[i,g,r,e] = sum[j](softmax[j](s[g,r,i,j] where ") +
                               GetParam().text + ") * v[j,g,e])\n}\n",
                           "bits.qkv");
  ASSERT_TRUE(checked->program) << checked->diagnostics;
  const Program &program = *checked->program;
  auto model = compiled(program);
  ASSERT_TRUE(model);
  TrialOptions options;
  options.sizes["T"] = 140;
  Trial whole = makeTrial(program, options);
  Computed all = compute(model->model(), program, whole);
  for (int64_t size : {1, 2, 3, 4, 5, 8, 20, 21, 22, 63, 64, 65, 139}) {
    Trial part = whole;
    part.sizes[0] = size;
    for (auto &[tensor, values] : part.inputs) {
      size_t row = values.floats.size() / static_cast<size_t>(values.shape[0]);
      values.shape[0] = size;
      values.floats.resize(static_cast<size_t>(size) * row);
    }
    Computed computed = compute(model->model(), program, part);
    const std::vector<double> &some = computed.results.at(0).floats;
    ASSERT_EQ(some.size(), static_cast<size_t>(size * 5 * 3 * 17));
    EXPECT_EQ(
        std::memcmp(some.data(), all.results.at(0).floats.data(), some.size() * sizeof(double)), 0)
        << "T = " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Guards, SharedKeys,
                         testing::Values(Part{"causal", "j <= i"},
                                         Part{"windowOfEachHead", "j <= i and i - j < 3 + 20 * r"}),
                         [](auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace qkv::test

// Some of the models against loops written out by hand.
#include "tests/sema/idioms/IdiomModels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace qkv::test {
namespace {

using V = std::vector<double>;

struct Loops : testing::Test {
  Trial trial;
  std::unique_ptr<Checked> checked;
  void run(const std::string &name, int64_t size) {
    std::string path = QKV_IDIOMS "/" + name + ".qkv";
    checked = checkText(path, textOf(path));
    ASSERT_TRUE(checked->program) << checked->said;
    trial = runGenerated(*checked->program, size, Precision::Double, 3);
    ASSERT_EQ(trial.failure, "");
  }
  const V &in(const std::string &name) { return trial.inputs.at(name).floats; }
  const V &param(const std::string &name) { return trial.params.at(name).floats; }
  const std::vector<int64_t> &whole(const std::string &name) { return trial.inputs.at(name).ints; }
  void expect(const std::string &name, const V &expected) {
    const V &got = trial.results.at(name).floats;
    ASSERT_EQ(got.size(), expected.size()) << name;
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], 1e-12) << name << " " << i;
  }
  void expect(const std::string &name, const std::vector<int64_t> &expected) {
    EXPECT_EQ(trial.results.at(name).ints, expected) << name;
  }
};

TEST_F(Loops, Convolution2d) {
  run("convolution-2d", 1);
  const V &x = in("x"), &w = param("weight"), &bias = param("bias");
  V y;
  for (int a = 0; a < 5; ++a)
    for (int b = 0; b < 6; ++b)
      for (int o = 0; o < 3; ++o) {
        double s = bias[o];
        for (int u = 0; u < 3; ++u)
          for (int v = 0; v < 3; ++v)
            for (int c = 0; c < 2; ++c) {
              int p = a + u - 1, q = b + v - 1;
              if (p >= 0 && p < 5 && q >= 0 && q < 6)
                s += w[((o * 3 + u) * 3 + v) * 2 + c] * x[(p * 6 + q) * 2 + c];
            }
        y.push_back(s);
      }
  expect("y", y);
}

TEST_F(Loops, EditDistance) {
  run("edit-distance", 9);
  const auto &a = whole("a"), &b = whole("b");
  std::vector<std::vector<int64_t>> d(a.size() + 1, std::vector<int64_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0)
        d[i][j] = static_cast<int64_t>(i + j);
      else
        d[i][j] = std::min(
            {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
    }
  expect("d", std::vector<int64_t>{d.back().back()});
}

TEST_F(Loops, Viterbi) {
  run("viterbi", 7);
  const V &score = in("score"), &trans = param("transitions");
  // Every path there is.
  V best;
  std::vector<int64_t> bestPath, path(7);
  for (int n = 0; n < 16384; ++n) {
    double s = 0;
    for (int t = 0, rest = n; t < 7; ++t, rest /= 4) {
      path[t] = rest % 4;
      s += score[t * 4 + path[t]] + (t ? trans[path[t - 1] * 4 + path[t]] : 0);
    }
    // Before the first position the states are scored 0: the best transition into path[0].
    double into = -INFINITY;
    for (int p = 0; p < 4; ++p)
      into = std::max(into, trans[p * 4 + path[0]]);
    s += into;
    if (best.empty() || s > best[0]) {
      best = {s};
      bestPath = path;
    }
  }
  expect("best", best);
  double s = 0;
  const auto &found = trial.results.at("path").ints;
  for (int t = 0; t < 7; ++t)
    s += score[t * 4 + found[t]] + (t ? trans[found[t - 1] * 4 + found[t]] : 0);
  double into = -INFINITY;
  for (int p = 0; p < 4; ++p)
    into = std::max(into, trans[p * 4 + found[0]]);
  EXPECT_NEAR(s + into, best[0], 1e-12);
}

TEST_F(Loops, CrfForward) {
  run("crf-forward", 5);
  const V &score = in("score"), &trans = param("transitions"), &begin = param("start"),
          &end = param("end");
  double total = 0;
  for (int n = 0; n < 1024; ++n) {
    double s = 0;
    int before = -1;
    for (int t = 0, rest = n; t < 5; ++t, rest /= 4) {
      int k = rest % 4;
      s += score[t * 4 + k] + (t ? trans[before * 4 + k] : begin[k]);
      before = k;
    }
    total += std::exp(s + end[before]);
  }
  expect("z", V{std::log(total)});
}

TEST_F(Loops, SelectiveScan) {
  run("selective-scan", 6);
  const int T = 6, C = 4, N = 3;
  const V &x = in("x"), &A = param("A_log"), &Wd = param("dt.weight"), &bd = param("dt.bias"),
          &B = param("B"), &S = param("C"), &D = param("D");
  V h(C * N), y;
  for (int t = 0; t < T; ++t)
    for (int c = 0; c < C; ++c) {
      double p = bd[c], out = D[c] * x[t * C + c];
      for (int k = 0; k < C; ++k)
        p += Wd[c * C + k] * x[t * C + k];
      double delta = std::log1p(std::exp(p));
      for (int n = 0; n < N; ++n) {
        double b = 0, s = 0;
        for (int k = 0; k < C; ++k) {
          b += B[n * C + k] * x[t * C + k];
          s += S[n * C + k] * x[t * C + k];
        }
        double &state = h[c * N + n];
        state = std::exp(-delta * std::exp(A[c * N + n])) * state + delta * b * x[t * C + c];
        out += state * s;
      }
      y.push_back(out);
    }
  expect("y", y);
}

TEST_F(Loops, TwoStartsAtEachEnd) {
  run("two-back", 8);
  const V &x = in("x");
  V f(8), g(8);
  for (int t = 0; t < 8; ++t)
    f[t] = ((t > 0 ? f[t - 1] : 1) + (t > 1 ? f[t - 2] : t == 1 ? 1 : 0)) / 2 + x[t];
  for (int t = 7; t >= 0; --t)
    g[t] = 0.5 * (t < 7 ? g[t + 1] : 1) - 0.25 * (t < 6 ? g[t + 2] : t == 6 ? 1 : -1) + x[t];
  expect("f", f);
  expect("g", g);
}

TEST_F(Loops, Buckets) {
  run("relative-buckets", 20);
  const V &x = in("x"), &bias = param("relative_attention_bias.weight");
  V a;
  for (int h = 0; h < 2; ++h)
    for (int i = 0; i < 20; ++i) {
      V row(20);
      double sum = 0;
      for (int j = 0; j <= i; ++j) {
        int back = i - j;
        int bucket = back < 4 ? back
                              : std::min(7, 4 + static_cast<int>(std::floor(std::log(back / 4.0) /
                                                                            std::log(4.0) * 4)));
        sum += row[j] = std::exp(x[(h * 20 + i) * 20 + j] + bias[bucket * 2 + h]);
      }
      for (double r : row)
        a.push_back(r / sum);
    }
  expect("a", a);
}

TEST_F(Loops, ExpertsTopTwo) {
  run("experts-top-two", 5);
  const V &x = in("x"), &G = param("gate"), &W = param("experts.0");
  const int C = 4, E = 5;
  V y;
  for (int t = 0; t < 5; ++t) {
    std::vector<std::pair<double, int>> gates;
    for (int e = 0; e < E; ++e) {
      double g = 0;
      for (int c = 0; c < C; ++c)
        g += G[e * C + c] * x[t * C + c];
      gates.push_back({-g, e});
    }
    std::sort(gates.begin(), gates.end());
    double first = 1 / (1 + std::exp(gates[0].first - gates[1].first));
    for (int o = 0; o < C; ++o) {
      double out = 0;
      for (int k = 0; k < 2; ++k)
        for (int c = 0; c < C; ++c)
          out += (k ? 1 - first : first) * W[(gates[k].second * C + o) * C + c] * x[t * C + c];
      y.push_back(out);
    }
  }
  expect("y", y);
}

} // namespace
} // namespace qkv::test

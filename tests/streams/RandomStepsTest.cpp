// Random models of what streams are made of (recurrences, lags, reductions so far, windows,
// attention, rows that are rewritten, blocks, values at the end), each reading what stands before
// it: their steps, interpreted and compiled, in chunks of any lengths and among other sequences,
// give what the model gives, and the same bytes. Nothing is NaN: of that any value would be right
// (C4).
//
// QKV_RANDOM_COUNT: how many (default 16); QKV_RANDOM_SEED: the first seed (default 1).
#include "compiler/streams/DeriveStream.h"
#include "compiler/verify/Trial.h"
#include "compiler/verify/Verify.h"
#include "dsl/check/Checker.h"
#include "tests/streams/Setting.h"

#include <gtest/gtest.h>
#include <random>

namespace qkv {
namespace {

/// Writes one model, an equation or a few behind the other.
class Writer {
public:
  explicit Writer(uint64_t seed) : random_(seed) {}

  std::string text() {
    rows_ = {"x"};
    int count = 2 + pick(4);
    for (int i = 0; i < count; ++i)
      equation();
    // The last one is a result, and perhaps others.
    std::string results;
    for (size_t i = 1; i < rows_.size(); ++i)
      if (i + 1 == rows_.size() || pick(3) == 0)
        results += (results.empty() ? "" : ", ") + rows_[i] + "[t,c]";
    if (pick(2) == 0)
      results += ", " + closing() + "[c]";
    return "size T = stream(max: 200), C = 3\n"
           "index t < T, j < T, c < C, d < C, p < 3, b < T // 3\n\n"
           "model m(x[t,c], y[t]) -> (" +
           results + ") {\n" + body_ + "}\n";
  }

private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  template <class... Ts> std::string one(Ts... texts) {
    std::vector<std::string> all{texts...};
    return all[static_cast<size_t>(pick(static_cast<int>(all.size())))];
  }
  std::string before() { return rows_[static_cast<size_t>(pick(static_cast<int>(rows_.size())))]; }
  std::string fresh() { return "a" + std::to_string(number_++); }
  void line(const std::string &text) { body_ += "  " + text + "\n"; }

  /// A guard on the key j beside the row t.
  std::string guard(const std::string &of) {
    std::string order = one("j <= t", "j < t", "t >= j"),
                data = one("", "", of + "[j,c] > 0", "y[j] < 0.4");
    return data.empty() ? order : pick(2) ? order + " and " + data : data + " and " + order;
  }

  void equation() {
    std::string f = before(), g = before(), a = fresh(), at = a + "[t,c]";
    switch (pick(10)) {
    case 0: { // the position before, or the first
      std::string k = std::to_string(1 + pick(3));
      line(at + " = " +
           one("if t >= " + k + " then " + f + "[t-" + k + ",c] else 0.25",
               f + "[max(t - " + k + ", 0),c]", f + "[min(t, 2),c] + " + g + "[t,c]"));
      break;
    }
    case 1: { // a recurrence
      std::string start = one("-1", "-1", "0");
      line(a + "[" + start + ",c] = " + (start == "0" ? f + "[0,c]" : one("0", "0.5 * c", "1")));
      line(at + " = " +
           one("0.5 * " + a + "[t-1,c] + " + f + "[t,c]", "max(" + a + "[t-1,c], " + f + "[t,c])",
               "tanh(" + f + "[t,c] + sum[d](" + a + "[t-1,d] * 0.3 * " + g + "[t,d]))",
               "if y[t] > 0 then " + a + "[t-1,c] else " + f + "[t,c]"));
      break;
    }
    case 2: // of two positions before
      line(a + "[-2,c] = 0.5");
      line(a + "[-1,c] = c");
      line(at + " = 0.5 * " + a + "[t-1,c] - 0.25 * " + a + "[t-2,c] + " + f + "[t,c]");
      break;
    case 3: // a reduction so far
      line(at + " = " + one("max", "min", "sum", "mean", "logsumexp", "argmax", "argmin") + "[j](" +
           one(f + "[j,c]", "floor(2 * " + f + "[j,c])", "log(abs(" + f + "[j,c]) + 0.25)",
               "2 * " + f + "[j,c] - y[j]") +
           " where " + guard(f) + ")" + one("", " * 0.5"));
      // (The least of nothing is no number to go on with.)
      line(a + "f[t,c] = if abs(" + at + ") < 1000 then " + at + " else " + f + "[t,c]");
      a += "f";
      break;
    case 4: { // a sum with weights that fall
      std::string w = one("", "0.8 ^ (t - j) * ", "(0.5 + 0.1 * c) ^ (t - j) * ");
      line(at + " = sum[j](" + w + f + "[j,c] * " + one("y[j]", g + "[j,c]", g + "[t,c]") +
           " where " + guard(f) + ")");
      break;
    }
    case 5: // a window
      line(at + " = " + one("max", "sum", "mean", "logsumexp") + "[j](" + f + "[j,c] where t - " +
           one("3", "20", "70") + " < j and j <= t)");
      break;
    case 6: { // attention
      std::string reach =
          one("", " and t - j < 5", " and (j < 2 or t - j < 70)", " and y[j] > -0.5");
      line(a + "w[t,j] = softmax[j](sum[d](" + f + "[t,d] * " + g + "[j,d])" +
           one("", " - 0.1 * (t - j)", " + y[j]") + " where j <= t" + reach + ")");
      line(at + " = sum[j](" + a + "w[t,j] * " + one(f, g, "x") + "[j,c])");
      break;
    }
    case 7: // what was looked at so far
      line(a + "r[0,j] = " + one("0", "0.5"));
      line(a + "r[t,j] = if j < t then 0.9 * " + a + "r[t-1,j] + " + f + "[t,0] * " + g +
           "[j,1] else 0");
      line(at + " = sum[j](" + a + "r[t,j] * x[j,c] where j <= t) / (t + 1)");
      break;
    case 8: // blocks of three
      line(a + "b[b,c] = sum[p](" + f + "[3 * b + p,c])");
      line(at + " = " + f + "[t,c] + (if t >= 3 then " + a + "b[t // 3 - 1,c] else 0)");
      break;
    default:
      line(at + " = " +
           one("tanh(" + f + "[t,c] * 2)", f + "[t,c] * " + g + "[t,c]",
               f + "[t,2 - c] + sum[d](" + g + "[t,d]) * 0.1"));
    }
    rows_.push_back(a);
  }

  /// A value of all positions.
  std::string closing() {
    std::string f = before(), a = fresh();
    line(a + "[c] = " +
         one("mean[j](" + f + "[j,c])", "max[j](" + f + "[j,c])", "logsumexp[j](" + f + "[j,c])",
             "argmax[j](" + f + "[j,c])", f + "[T-1,c]",
             "sum[j](softmax[j](" + f + "[j,c]) * y[j])"));
    return a;
  }

  std::mt19937_64 random_;
  std::vector<std::string> rows_; // tensors over t and c
  std::string body_;
  int number_ = 0;
};

class RandomSteps : public testing::TestWithParam<int> {};

TEST_P(RandomSteps, chunksAndMixturesGiveTheWhole) {
  constexpr int groups = 4;
  int count = setting("QKV_RANDOM_COUNT", 16), first = setting("QKV_RANDOM_SEED", 1), stepped = 0;
  for (int i = GetParam(); i < count; i += groups) {
    uint64_t seed = static_cast<uint64_t>(first + i);
    std::string text = Writer(seed).text();
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    Sources sources;
    const Source *source = sources.add("random.qkv", text);
    Diagnostics diagnostics;
    auto program = check(*source, sources, {}, diagnostics);
    ASSERT_TRUE(program) << (diagnostics.all().empty() ? "" : diagnostics.all()[0].message);
    auto derived = streams::deriveStream(*program);
    if (auto *why = std::get_if<streams::Obstacle>(&derived)) {
      ADD_FAILURE() << why->text;
      continue;
    }
    std::vector<Trial> trials;
    for (int64_t length : {1, 3, 11, 70}) {
      TrialOptions wanted;
      wanted.seed = seed;
      wanted.sizes["T"] = length;
      trials.push_back(makeTrial(*program, wanted));
    }
    StageReport stage = verifySteps(*program, trials, {});
    ASSERT_TRUE(stage.same) << stage.failure << (stage.difference ? stage.difference->text : "");
    ++stepped;
  }
  EXPECT_GT(stepped, 0);
}

INSTANTIATE_TEST_SUITE_P(Random, RandomSteps, testing::Range(0, 4));

} // namespace
} // namespace qkv

// Random running sums, large enough to go by pages, in both spellings: the equations of a step,
// interpreted in chunks of any lengths, give what the model's give, at lengths around the borders
// of pages.
//
// QKV_RANDOM_COUNT: how many (default 24); QKV_RANDOM_SEED: the first seed (default 1).
#include "compiler/streams/Chunks.h"
#include "compiler/verify/Trial.h"
#include "dsl/check/Checker.h"
#include "tests/streams/Setting.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace qkv {
namespace {

/// One model: how keys are weighed, what falls, which letters what has.
std::string model(std::mt19937_64 &random) {
  auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  bool heads = pick(2), shared = heads && pick(2), written = pick(2), strict = !written && pick(2);
  std::string h = heads ? "h," : "", k = shared ? "" : h;
  int fall = pick(5);
  std::string text = "size T = stream(max: 256), H = 2, D = " + std::to_string(40 + pick(5)) +
                     ", E = " + std::to_string(40 + pick(3)) +
                     "\nindex i < T, j < T, m < T, h < H, d < D, e < E\n\nmodel m(q[" + k +
                     "i,d], k[" + k + "j,d], v[" + h + "j,e], a[" + h + "i]) -> y[" + h +
                     "i,e] {\n";
  // Two heads fall by different numbers; a gate of 0 is a product.
  std::string constant = heads ? "(0.5 + 0.4 * h)" : "0.9", step, between;
  std::string gate = fall == 2 ? "exp(-abs(a[" + h + "i]))" : "sigmoid(a[" + h + "i])";
  switch (fall) {
  case 0:
    break;
  case 1:
    step = constant;
    between = constant + " ^ (i - j)";
    break;
  case 2:
  case 3:
    text += "  g[" + h + "i] = " + gate + "\n";
    step = "g[" + h + "i]";
    text += "  c[" + h + "-1] = 0\n  c[" + h + "i] = c[" + h + "i-1] + log(g[" + h + "i])\n";
    between = "exp(c[" + h + "i] - c[" + h + "j])";
    break;
  default:
    text += "  g[" + h + "i] = max(sin(3 * a[" + h + "i]), 0)\n";
    step = "g[" + h + "i]";
    between = "prod[m](g[" + h + "m] where j < m and m <= i)";
  }
  std::string key = "k[" + k + "i,d] * v[" + h + "i,e]";
  if (written) {
    text += "  s[" + h + "-1,d,e] = 0\n  s[" + h +
            "i,d,e] = " + (step.empty() ? "" : step + " * ") + "s[" + h + "i-1,d,e] + " + key +
            "\n  y[" + h + "i,e] = sum[d](q[" + k + "i,d] * s[" + h + "i,d,e])\n}\n";
  } else {
    text += "  y[" + h + "i,e] = sum[j](sum[d](q[" + k + "i,d] * k[" + k + "j,d]) * " +
            (between.empty() ? "" : between + " * ") + "v[" + h + "j,e] where j " +
            (strict ? "<" : "<=") + " i)\n}\n";
  }
  return text;
}

bool close(const Values &a, const Values &b) {
  if (a.shape != b.shape || a.floats.size() != b.floats.size())
    return false;
  double largest = 1;
  for (double v : b.floats)
    largest = std::max(largest, std::fabs(v));
  for (size_t i = 0; i < a.floats.size(); ++i)
    if (!(std::fabs(a.floats[i] - b.floats[i]) <= 1e-9 * largest))
      return false;
  return true;
}

void judge(const std::string &text, uint64_t seed, std::mt19937_64 &random) {
  SCOPED_TRACE(text);
  Sources sources;
  const Source *source = sources.add("random.qkv", text);
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  ASSERT_TRUE(program) << diagnostics.all()[0].message;
  auto derived = streams::deriveStream(*program);
  const auto *stream = std::get_if<streams::Stream>(&derived);
  ASSERT_TRUE(stream);
  bool keepsSum = false;
  for (const streams::State &state : stream->states) {
    keepsSum = keepsSum || state.kind == streams::State::Sum || state.kind == streams::State::Last;
    EXPECT_NE(state.kind, streams::State::History) << state.name;
  }
  EXPECT_TRUE(keepsSum);
  const int64_t lengths[] = {63, 64, 65, 127, 128, 130, 200};
  TrialOptions options;
  options.seed = seed;
  int64_t length = lengths[random() % 7];
  options.sizes["T"] = length;
  Trial trial = makeTrial(*program, options);
  std::vector<int> results{program->results[0].tensor};
  std::vector<Values> whole;
  ASSERT_TRUE(interpret(*program, trial, results, whole).empty());
  std::vector<int64_t> sizes(program->atoms.count(), 0);
  sizes[program->stream] = length;
  for (int64_t most : {int64_t(7), int64_t(64), int64_t(1000)}) {
    std::vector<int64_t> chunks;
    for (int64_t left = length; left > 0; left -= chunks.back())
      chunks.push_back(std::min<int64_t>(
          left, 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(most))));
    streams::ChunkedRun run = streams::runInChunks(
        *program, *stream, trial.inputs, sizes, chunks,
        [&](const Program &part, const std::map<int, Values> &inputs,
            const std::vector<int> &tensors, std::vector<Values> &out) {
          auto failures = interpret(part, {{}, inputs, trial.params}, tensors, out);
          return failures.empty() ? std::nullopt : std::optional(failures.begin()->second);
        });
    ASSERT_FALSE(run.failure) << run.failure->message;
    ASSERT_TRUE(close(run.results[0], whole[0])) << "T = " << length << ", chunks up to " << most;
  }
}

TEST(RandomSums, chunksGiveTheWhole) {
  int count = setting("QKV_RANDOM_COUNT", 24), first = setting("QKV_RANDOM_SEED", 1);
  for (int i = 0; i < count && !HasFatalFailure(); ++i) {
    uint64_t seed = static_cast<uint64_t>(first + i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    judge(model(random), seed, random);
  }
}

} // namespace
} // namespace qkv

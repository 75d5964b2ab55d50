// Random programs with one of their sizes a stream: the equations of a step, interpreted chunk by
// chunk, give what the model's give.
//
// QKV_RANDOM_COUNT: how many (default 200); QKV_RANDOM_SEED: the first seed (default 1).
#include "compiler/streams/Chunks.h"
#include "compiler/verify/Trial.h"
#include "dsl/check/Checker.h"
#include "tests/run/RandomProgram.h"
#include "tests/streams/Setting.h"

#include <cmath>
#include <gtest/gtest.h>

namespace qkv {
namespace {

/// The model with the `which`-th of its dynamic sizes a stream; empty where there are fewer.
std::string withStream(std::string text, int which) {
  size_t at = 0;
  for (int i = 0; (at = text.find("dynamic(max", at)) != std::string::npos; ++at)
    if (i++ == which)
      return text.replace(at, 7, "stream");
  return "";
}

bool close(const Values &a, const Values &b) {
  if (a.shape != b.shape || a.ints != b.ints || a.floats.size() != b.floats.size())
    return false;
  double largest = 1;
  for (double v : b.floats)
    if (std::isfinite(v))
      largest = std::max(largest, std::fabs(v));
  for (size_t i = 0; i < a.floats.size(); ++i) {
    double x = a.floats[i], y = b.floats[i];
    if (std::isfinite(y) ? !(std::fabs(x - y) <= 1e-9 * largest) : std::isinf(y) && x != y)
      return false;
  }
  return true;
}

struct Tally {
  int models = 0, stepped = 0;
};

void judge(const std::string &text, uint64_t seed, Tally &tally) {
  SCOPED_TRACE(text);
  Sources sources;
  const Source *source = sources.add("random.qkv", text);
  Diagnostics diagnostics;
  auto program = check(*source, sources, {}, diagnostics);
  if (!program)
    return; // (a stream is more than a size in some rule)
  ++tally.models;
  auto derived = streams::deriveStream(*program);
  const auto *stream = std::get_if<streams::Stream>(&derived);
  if (!stream)
    return;
  TrialOptions options;
  options.seed = seed;
  for (int64_t length : {1, 2, 7}) {
    options.sizes[program->atoms[program->stream].name] =
        std::min<int64_t>(length, program->atoms[program->stream].max);
    Trial trial = makeTrial(*program, options);
    std::vector<int> results;
    for (const Result &r : program->results)
      results.push_back(r.tensor);
    std::vector<Values> whole;
    if (!interpret(*program, trial, results, whole).empty())
      continue;
    std::vector<int64_t> sizes(program->atoms.count(), 0);
    for (size_t i = 0; i < program->dynamicSizes.size(); ++i)
      sizes[program->dynamicSizes[i]] = trial.sizes[i];
    for (int64_t most : {int64_t(1), int64_t(3), int64_t(1000)}) {
      std::vector<int64_t> chunks;
      for (int64_t left = sizes[program->stream], i = 0; left > 0; left -= chunks.back(), ++i)
        chunks.push_back(std::min(left, most == 3 ? 1 + i % 3 : most));
      streams::ChunkedRun run = streams::runInChunks(
          *program, *stream, trial.inputs, sizes, chunks,
          [&](const Program &part, const std::map<int, Values> &inputs,
              const std::vector<int> &tensors, std::vector<Values> &out) {
            auto failures = interpret(part, {{}, inputs, trial.params}, tensors, out);
            return failures.empty() ? std::nullopt : std::optional(failures.begin()->second);
          });
      ASSERT_FALSE(run.failure) << run.failure->message;
      for (size_t r = 0; r < results.size(); ++r)
        ASSERT_TRUE(close(run.results[r], whole[r]))
            << program->results[r].name << ", T = " << sizes[program->stream] << ", chunks of "
            << most;
    }
  }
  ++tally.stepped;
}

class RandomStreams : public testing::TestWithParam<int> {};

TEST_P(RandomStreams, chunksGiveTheWhole) {
  constexpr int groups = 4;
  int count = setting("QKV_RANDOM_COUNT", 200), first = setting("QKV_RANDOM_SEED", 1);
  Tally tally;
  for (int i = GetParam(); i < count && !HasFatalFailure(); i += groups) {
    uint64_t seed = static_cast<uint64_t>(first + i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::string text = random::Program(seed).text(), model;
    for (int which = 0; !HasFatalFailure() && !(model = withStream(text, which)).empty(); ++which)
      judge(model, seed, tally);
  }
  EXPECT_GT(tally.stepped, 0) << "of " << tally.models;
}

INSTANTIATE_TEST_SUITE_P(Random, RandomStreams, testing::Range(0, 4));

} // namespace
} // namespace qkv

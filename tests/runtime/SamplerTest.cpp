// In: logits. Out: tokens drawn by the chain of samplers, against figures of its definition.
#include "Support.h"

#include "runtime/text/SamplerChain.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <sstream>

using namespace qkv::rt;

namespace {

std::unique_ptr<SamplerChain> make(const SamplerOptions &options) {
  std::string why;
  auto chain = SamplerChain::make(options, why);
  EXPECT_TRUE(chain) << why;
  return chain;
}

int64_t choose(const SamplerChain &chain, const std::vector<float> &logits,
               const std::vector<int64_t> &tokens = {}, size_t prompt = 0, uint64_t sequence = 0) {
  return chain.choose(
      {logits.data(), static_cast<int64_t>(logits.size()), tokens, prompt, sequence});
}

/// figures/make_draws.py.
TEST(Sampler, DrawsAreThoseOfTheDefinition) {
  std::vector<float> logits;
  for (int i = 0; i < 50; ++i)
    logits.push_back(static_cast<float>(i * 7919 % 1000) / 128 - 4);
  std::ifstream file(QKV_FIGURES "/draws.txt");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    std::istringstream in(line);
    SamplerOptions o;
    in >> o.topK >> o.topP >> o.minP >> o.temperature >> o.repetition >> o.presence >>
        o.frequency >> o.seed;
    auto chain = make(o);
    std::vector<int64_t> tokens{7, 7}; // a prompt, which no penalty counts
    for (int64_t wanted; in >> wanted;) {
      tokens.push_back(choose(*chain, logits, tokens, 2, 3));
      ASSERT_EQ(tokens.back(), wanted) << line << "\nafter " << tokens.size() - 3;
    }
    EXPECT_EQ(tokens.size(), 42u);
  }
  EXPECT_EQ(lines, 8);
}

/// The same: typical sampling and DRY.
TEST(Sampler, RepeatsAreThoseOfTheDefinition) {
  std::vector<float> logits;
  for (int i = 0; i < 12; ++i)
    logits.push_back(static_cast<float>(i * 7919 % 1000) / 500);
  std::vector<bool> breakers(12);
  breakers[3] = breakers[11] = true;
  std::ifstream file(QKV_FIGURES "/repeats.txt");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    std::istringstream in(line);
    SamplerOptions o;
    in >> o.typical >> o.topP >> o.dry >> o.dryBase >> o.dryLength >> o.temperature >> o.seed;
    auto chain = make(o);
    chain->breakAt(breakers);
    std::vector<int64_t> tokens{7, 7};
    for (int64_t wanted; in >> wanted;) {
      tokens.push_back(choose(*chain, logits, tokens, 2, 3));
      ASSERT_EQ(tokens.back(), wanted) << line << "\nafter " << tokens.size() - 3;
    }
    EXPECT_EQ(tokens.size(), 62u);
  }
  EXPECT_EQ(lines, 5);
}

/// What is masked is never chosen, whatever speaks for it.
TEST(Sampler, OnlyWhatIsAllowed) {
  std::vector<float> logits{5, 1, 2, std::numeric_limits<float>::quiet_NaN()};
  std::vector<int64_t> tokens;
  TokenMask some{0b0110}, nothingElse{0b1000};
  for (double temperature : {0.0, 1.0})
    for (bool greedy : {false, true}) {
      SamplerOptions options;
      options.temperature = temperature;
      options.topK = 1;
      auto chain = make(options);
      Greedy likeliest;
      const Sampler &sampler = greedy ? static_cast<const Sampler &>(likeliest) : *chain;
      EXPECT_EQ(sampler.choose({logits.data(), 4, tokens, 0, 0, &some}), 2);
      EXPECT_EQ(sampler.choose({logits.data(), 4, tokens, 0, 0, &nothingElse}), 3);
    }
}

TEST(Sampler, ExpIsWithinTwoUnitsOfTheLastPlace) {
  for (double x = 0; x > -740; x -= 0.0137) {
    double wanted = std::exp(x);
    EXPECT_LE(std::fabs(sameExp(x) - wanted), std::max(wanted * 0x1p-51, 0x1p-1074)) << x;
  }
  EXPECT_EQ(sameExp(-1e9), 0);
  EXPECT_EQ(sameExp(-INFINITY), 0);
}

/// Of 20000 draws each token has its share.
TEST(Sampler, SharesAreThoseOfTheSoftmax) {
  std::vector<float> logits{0, 1, 2, -1};
  std::vector<double> counts(4);
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    SamplerOptions options;
    options.seed = seed;
    counts[choose(*make(options), logits)] += 1;
  }
  double all = std::exp(0) + std::exp(1) + std::exp(2) + std::exp(-1);
  for (int token = 0; token < 4; ++token)
    EXPECT_NEAR(counts[token] / 20000, std::exp(logits[token]) / all, 0.01) << token;
}

TEST(Sampler, SeedSequenceAndPositionDecide) {
  std::vector<float> logits(1000, 0.5f);
  SamplerOptions options;
  std::set<int64_t> seen;
  for (uint64_t seed : {0, 1})
    for (uint64_t sequence : {0, 1})
      for (size_t position : {0, 1}) {
        options.seed = seed;
        std::vector<int64_t> tokens(position, 3);
        int64_t token = choose(*make(options), logits, tokens, 0, sequence);
        EXPECT_EQ(token, choose(*make(options), logits, tokens, 0, sequence));
        seen.insert(token);
      }
  EXPECT_EQ(seen.size(), 8u);
}

TEST(Sampler, BiasAndThePromptsPenalty) {
  std::vector<float> logits{1, 2, 3};
  SamplerOptions options;
  options.temperature = 0;
  EXPECT_EQ(choose(*make(options), logits), 2);
  options.bias = {{2, -INFINITY}, {100, 5}};
  EXPECT_EQ(choose(*make(options), logits), 1);
  options.presence = 5;
  EXPECT_EQ(choose(*make(options), logits, {1}, 1), 1);
  options.penaltyPrompt = true;
  EXPECT_EQ(choose(*make(options), logits, {1}, 1), 0);
}

TEST(Sampler, LogitsThatAreNoNumbers) {
  float nan = std::numeric_limits<float>::quiet_NaN(),
        large = std::numeric_limits<float>::infinity();
  for (double temperature : {0.0, 1.0}) {
    SamplerOptions options;
    options.temperature = temperature;
    options.topP = 0.9;
    auto chain = make(options);
    EXPECT_EQ(choose(*chain, {nan, -large, 3, nan}), 2);
    EXPECT_EQ(choose(*chain, {nan, 1, large, large}), 2);
    EXPECT_EQ(choose(*chain, {nan, nan}), 0);
    EXPECT_EQ(choose(*chain, {-large, -large}), 0);
  }
}

TEST(Sampler, OptionsOutOfRange) {
  auto fails = [](auto change, const char *expected) {
    SamplerOptions options;
    std::string why;
    change(options);
    EXPECT_FALSE(SamplerChain::make(options, why));
    EXPECT_NE(why.find(expected), std::string::npos) << why;
  };
  fails([](auto &o) { o.temperature = -1; }, "temperature is -1, expected 0 to 1000");
  fails([](auto &o) { o.temperature = NAN; }, "temperature is");
  fails([](auto &o) { o.topK = -1; }, "top-k is -1");
  fails([](auto &o) { o.topP = 1.5; }, "top-p is 1.5");
  fails([](auto &o) { o.typical = 2; }, "typical is 2");
  fails([](auto &o) { o.dry = -1; }, "the DRY penalty is -1");
  fails([](auto &o) { o.dryBase = 0.5; }, "the base of the DRY penalty is 0.5");
  fails([](auto &o) { o.dryLength = 0; }, "lets pass is 0");
  fails([](auto &o) { o.minP = -0.5; }, "min-p is -0.5");
  fails([](auto &o) { o.repetition = 0; }, "the repetition penalty is 0");
  fails([](auto &o) { o.bias = {{-1, 0}}; }, "a token with a bias is -1");
  fails([](auto &o) { o.bias = {{1, NAN}}; }, "the bias of token 1 is not a number");
}

TEST(Sampler, TheChainSaysWhatItDoes) {
  SamplerOptions options;
  EXPECT_EQ(make(options)->text(), "draw");
  options.topK = 40;
  options.topP = 0.9;
  options.temperature = 0.7;
  options.repetition = 1.1;
  EXPECT_EQ(make(options)->text(),
            "repetition penalty 1.1, top-k 40, top-p 0.9, temperature 0.7, draw");
  options.dry = 0.8;
  options.typical = 0.5;
  EXPECT_EQ(make(options)->text(),
            "repetition penalty 1.1, DRY 0.8 x 1.75^(n - 2), top-k 40, typical 0.5, "
            "top-p 0.9, temperature 0.7, draw");
  options.temperature = options.dry = 0;
  EXPECT_EQ(make(options)->text(), "repetition penalty 1.1, the likeliest");
}

} // namespace

// In: the logits of the next token and what a person asked for. Out: a token drawn by chance.
#include "runtime/text/SamplerChain.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cmath>

// A multiplication and an addition are two roundings on every machine.
#pragma STDC FP_CONTRACT OFF

namespace qkv::rt {

double sameExp(double x) {
  if (!(x > -745))
    return 0;
  // e^x = 2^n e^r with |r| <= ln(2) / 2; ln(2) in two parts, the first with zeros at its end.
  constexpr double high = 0x1.62e42feep-1, low = 0x1.a39ef35793c76p-33,
                   perLn2 = 0x1.71547652b82fep0;
  double n = std::nearbyint(x * perLn2);
  double r = (x - n * high) - n * low;
  double sum = 1; // 1 + r (1 + r/2 (1 + r/3 (...)))
  for (int k = 13; k > 0; --k)
    sum = 1 + r / k * sum;
  return std::ldexp(sum, static_cast<int>(n));
}

/// Mixes 64 bits so that each depends on all (the finalizer of SplitMix64; Steele et al., 2014).
static uint64_t mix(uint64_t bits) {
  bits += 0x9E3779B97F4A7C15u;
  bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
  return bits ^ bits >> 31;
}

double sameRandom(uint64_t seed, uint64_t sequence, uint64_t position) {
  return static_cast<double>(mix(mix(mix(seed) ^ sequence) ^ position) >> 11) * 0x1p-53;
}

std::unique_ptr<SamplerChain> SamplerChain::make(const SamplerOptions &options, std::string &why) {
  auto within = [&](const char *name, double value, double least, double most) {
    if (!(value >= least && value <= most) && why.empty())
      why = format("%s is %g, expected %g to %g", name, value, least, most);
  };
  why.clear();
  within("temperature", options.temperature, 0, 1000);
  within("top-k", static_cast<double>(options.topK), 0, 1e9);
  within("top-p", options.topP, 0, 1);
  within("typical", options.typical, 0, 1);
  within("min-p", options.minP, 0, 1);
  within("the repetition penalty", options.repetition, 0.01, 100);
  within("the presence penalty", options.presence, -100, 100);
  within("the frequency penalty", options.frequency, -100, 100);
  within("the DRY penalty", options.dry, 0, 1000);
  within("the base of the DRY penalty", options.dryBase, 1, 100);
  within("the length that the DRY penalty lets pass", static_cast<double>(options.dryLength), 1,
         1e9);
  for (auto &[token, bias] : options.bias) {
    within("a token with a bias", static_cast<double>(token), 0, 1e9);
    if (std::isnan(bias) && why.empty())
      why = format("the bias of token %lld is not a number", static_cast<long long>(token));
  }
  return why.empty() ? std::unique_ptr<SamplerChain>(new SamplerChain(options)) : nullptr;
}

std::vector<SamplerChain::Candidate> SamplerChain::penalized(const Choice &choice) const {
  std::vector<double> logits(choice.logits, choice.logits + choice.count);
  for (auto &[token, bias] : options.bias)
    if (token < choice.count)
      logits[token] += bias;
  std::vector<int64_t> seen(
      choice.tokens.begin() +
          static_cast<std::ptrdiff_t>(
              options.penaltyPrompt ? 0 : std::min(choice.prompt, choice.tokens.size())),
      choice.tokens.end());
  std::vector<double> lowered; // by DRY, whose penalty comes behind the others
  if (options.dry > 0) {
    lowered.resize(logits.size());
    lowerRepeats(seen.data(), seen.size(), lowered);
  }
  std::sort(seen.begin(), seen.end());
  for (size_t at = 0, end; at < seen.size(); at = end) {
    for (end = at; end < seen.size() && seen[end] == seen[at];)
      ++end;
    if (seen[at] < 0 || seen[at] >= choice.count)
      continue;
    double &logit = logits[seen[at]];
    logit = logit > 0 ? logit / options.repetition : logit * options.repetition;
    logit -= options.presence + options.frequency * static_cast<double>(end - at);
  }
  for (size_t token = 0; token < lowered.size(); ++token)
    logits[token] += lowered[token];
  // What is not a number, and what can never be, is no candidate.
  std::vector<Candidate> candidates;
  for (int64_t token = 0; token < choice.count; ++token)
    if (logits[token] > -INFINITY && choice.mayBe(token))
      candidates.push_back({logits[token], token});
  return candidates;
}

/// DRY: a token that came behind a stretch which the text now ends with is lowered by
/// dry * dryBase^(stretch - dryLength), by its longest stretch. (p-e-w, 2024)
void SamplerChain::lowerRepeats(const int64_t *seen, size_t count,
                                std::vector<double> &logits) const {
  auto breaks = [&](int64_t token) {
    return token < 0 || static_cast<size_t>(token) >= logits.size() ||
           (static_cast<size_t>(token) < breakers.size() && breakers[static_cast<size_t>(token)]);
  };
  auto back = [&](size_t i) { return seen[count - 1 - i]; };
  size_t limit = 0;
  while (limit < count && !breaks(back(limit)))
    ++limit;
  // same[i]: how long what ends i tokens before the end is the same as the end (Gusfield's Z, from
  // the end).
  std::vector<size_t> same(count), longest(logits.size());
  size_t begin = 0, end = 0;
  for (size_t i = 1; i < count; ++i) {
    size_t length = i < end ? std::min(end - i, same[i - begin]) : 0;
    while (i + length < count && back(i + length) == back(length))
      ++length;
    same[i] = length;
    if (i + length > end) {
      begin = i;
      end = i + length;
    }
    // (What stands behind a stretch may be a breaker itself: no stretch has it.)
    if (size_t stretch = std::min(length, limit); stretch > 0 && !breaks(back(i - 1))) {
      size_t &known = longest[static_cast<size_t>(back(i - 1))];
      known = std::max(known, stretch);
    }
  }
  for (size_t token = 0; token < logits.size(); ++token) {
    if (longest[token] < static_cast<size_t>(options.dryLength))
      continue;
    double penalty = options.dry;
    for (auto more = longest[token] - static_cast<size_t>(options.dryLength);
         more > 0 && penalty < 1e30 && options.dryBase > 1; --more)
      penalty *= options.dryBase;
    logits[token] -= penalty;
  }
}

/// Those whose surprise -log p is nearest to its expectation H = -sum(p log p), until they have the
/// probability `typical` together (Meister et al., 2022). log p = logit - log sum(exp(logits)), so
/// |-log p - H| = |logit - sum(p logit)|.
void SamplerChain::keepTypical(std::vector<Candidate> &candidates) const {
  double largest = -INFINITY, all = 0, expected = 0, some = 0;
  for (const Candidate &one : candidates)
    largest = std::max(largest, one.logit);
  for (const Candidate &one : candidates) {
    double weight = sameExp(one.logit - largest);
    all += weight;
    expected += weight * (one.logit - largest);
  }
  expected /= all;
  auto away = [&](const Candidate &one) { return std::fabs(one.logit - largest - expected); };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate &a, const Candidate &b) {
    return away(a) != away(b) ? away(a) < away(b) : a.token < b.token;
  });
  size_t count = 0;
  while (count < candidates.size() && (count == 0 || some < options.typical * all))
    some += sameExp(candidates[count++].logit - largest);
  candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end());
}

/// top-k, typical, top-p, min-p.
void SamplerChain::keepLikeliest(std::vector<Candidate> &candidates) const {
  auto likelier = [](const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  auto cut = [&](size_t count) {
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end());
  };
  if (options.topK > 0 && static_cast<size_t>(options.topK) < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + options.topK, candidates.end(),
                     likelier);
    cut(options.topK);
  }
  if (options.typical < 1)
    keepTypical(candidates);
  std::sort(candidates.begin(), candidates.end(), likelier);
  double largest = candidates[0].logit;
  if (options.topP < 1) {
    double all = 0, some = 0;
    for (const Candidate &one : candidates)
      all += sameExp(one.logit - largest);
    size_t count = 0;
    while (count < candidates.size() && (count == 0 || some < options.topP * all))
      some += sameExp(candidates[count++].logit - largest);
    cut(count);
  }
  if (options.minP > 0) {
    size_t count = 1;
    while (count < candidates.size() && sameExp(candidates[count].logit - largest) >= options.minP)
      ++count;
    cut(count);
  }
}

int64_t SamplerChain::choose(const Choice &choice) const {
  std::vector<Candidate> candidates = penalized(choice);
  if (candidates.empty())
    return choice.firstAllowed();
  auto largest =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const Candidate &a, const Candidate &b) { return a.logit < b.logit; });
  if (options.temperature == 0 || largest->logit == INFINITY)
    return largest->token;
  keepLikeliest(candidates);
  double all = 0, some = 0, first = candidates[0].logit;
  for (Candidate &one : candidates)
    all += one.logit = sameExp((one.logit - first) / options.temperature);
  double wanted = all * sameRandom(options.seed, choice.sequence, choice.tokens.size());
  for (const Candidate &one : candidates)
    if ((some += one.logit) > wanted)
      return one.token;
  return candidates[0].token; // (rounding left nothing of the last one)
}

bool SamplerChain::greedy() const {
  return options.temperature == 0 && options.bias.empty() && options.repetition == 1 &&
         options.presence == 0 && options.frequency == 0 && options.dry == 0;
}

std::string SamplerChain::text() const {
  std::string text;
  auto add = [&](bool does, const std::string &step) {
    if (does)
      text += (text.empty() ? "" : ", ") + step;
  };
  add(!options.bias.empty(), format("bias of %zu tokens", options.bias.size()));
  add(options.repetition != 1, format("repetition penalty %g", options.repetition));
  add(options.presence != 0, format("presence penalty %g", options.presence));
  add(options.frequency != 0, format("frequency penalty %g", options.frequency));
  add(options.dry != 0, format("DRY %g x %g^(n - %lld)", options.dry, options.dryBase,
                               static_cast<long long>(options.dryLength)));
  if (options.temperature == 0) {
    add(true, "the likeliest");
    return text;
  }
  add(options.topK > 0, format("top-k %lld", static_cast<long long>(options.topK)));
  add(options.typical < 1, format("typical %g", options.typical));
  add(options.topP < 1, format("top-p %g", options.topP));
  add(options.minP > 0, format("min-p %g", options.minP));
  add(options.temperature != 1, format("temperature %g", options.temperature));
  add(true, "draw");
  return text;
}

} // namespace qkv::rt

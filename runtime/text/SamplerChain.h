// In: the logits of the next token and what a person asked for. Out: a token drawn by chance, the
// same on every machine. Holds: the draw depends on the seed, the sequence and the position alone,
// so what else is computed in the same batch changes nothing.
#pragma once

#include "runtime/text/Sampler.h"

#include <memory>
#include <string>
#include <utility>

namespace qkv::rt {

struct SamplerOptions {
  uint64_t seed = 0;
  double temperature = 1; ///< 0: the largest logit's token
  int64_t topK = 0;       ///< so many of the likeliest; 0: all
  double topP = 1;        ///< the likeliest that together have this probability
  double typical = 1;     ///< those nearest to the expected surprise that together have this
  double minP = 0;        ///< those at least this times as likely as the likeliest
  double repetition = 1;  ///< what was generated: a positive logit divided, a negative multiplied
  double presence = 0;    ///< and lowered by this once,
  double frequency = 0;   ///< and by this each time that it was
  double dry = 0;         ///< what would go on with a repeated stretch is lowered by this,
  double dryBase = 1.75;  ///< times this for each token more than
  int64_t dryLength = 2;  ///< so many that were repeated; of fewer none is
  std::vector<std::string> dryBreakers{}; ///< no stretch goes over these; none: usualBreakers
  bool penaltyPrompt = false;             ///< the prompt's tokens count as generated
  std::vector<std::pair<int64_t, double>> bias{}; ///< token, what is added to its logit
};

/// What stands between stretches where nothing else is said.
constexpr const char *usualBreakers[] = {"\n", ":", "\"", "*"};

/// Bias, penalties, DRY, top-k, typical, top-p, min-p, temperature, draw: in this order.
/// Probabilities before the temperature are those of the logits as they are then, among the tokens
/// that are left.
class SamplerChain : public Sampler {
public:
  /// Null with `why` set where an option is out of its range.
  static std::unique_ptr<SamplerChain> make(const SamplerOptions &options, std::string &why);
  int64_t choose(const Choice &choice) const override;
  /// Whether it does what Greedy does.
  bool greedy() const;
  /// Tokens whose text has one of options.dryBreakers in it.
  void breakAt(std::vector<bool> tokens) { breakers = std::move(tokens); }
  /// The steps that do something, in their order: "top-k 40, top-p 0.9, temperature 0.7, draw".
  std::string text() const;

private:
  struct Candidate {
    double logit;
    int64_t token;
  };
  explicit SamplerChain(const SamplerOptions &options) : options(options) {}
  std::vector<Candidate> penalized(const Choice &choice) const;
  void lowerRepeats(const int64_t *seen, size_t count, std::vector<double> &logits) const;
  void keepTypical(std::vector<Candidate> &candidates) const;
  void keepLikeliest(std::vector<Candidate> &candidates) const;

  SamplerOptions options;
  std::vector<bool> breakers; ///< by token; what is behind its end is none
};

/// e^x for x up to 0 in plain arithmetic, so that it has the same bits everywhere (a library's
/// differs by the machine). Within 2 units of the last place.
double sameExp(double x);

/// A number from 0 to below 1 for a position of a sequence.
double sameRandom(uint64_t seed, uint64_t sequence, uint64_t position);

} // namespace qkv::rt

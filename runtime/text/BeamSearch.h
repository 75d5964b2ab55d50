// Beam search: of all continuations the likeliest few go on, and the likeliest whole text is taken.
//
// In: a stream whose tokens were begun; the logits of each step. Out: the sequences to compute
// next, at the end the best text. Holds: a text is as good as the sum of its tokens'
// log-probabilities, divided by their number to the power of the length penalty (Wu et al. 2016,
// with alpha alone); ties go to the one found first, so that the same input gives the same text.
#pragma once

#include "runtime/grammar/Constraint.h"
#include "runtime/text/Sequence.h"
#include "runtime/text/TextOut.h"
#include "runtime/text/TokenText.h"
#include "runtime/text/Tokenizer.h"

#include <string>
#include <vector>

namespace qkv::rt {

struct BeamOptions {
  int64_t width = 1; ///< 1: no search
  double lengthPenalty = 1;
};

class BeamSearch {
public:
  /// `words` goes on from the prompt. `choices`: tokens below that are chosen. `stops` as of
  /// TextOut. `constraint`: what the text must be; null: any.
  BeamSearch(const Tokenizer &tokenizer, const TokenText &words, int64_t choices,
             const BeamOptions &options, const std::vector<std::string> *stops,
             const Constraint *constraint, std::unique_ptr<TokenSequence> first);

  /// The sequences whose logits take() wants: equally long.
  std::vector<TokenSequence *> open() const;
  /// How many tokens each has beyond the prompt.
  int64_t generated() const { return made; }
  /// Chooses what goes on. False where nothing that is open can become the best.
  bool take();
  /// The best sequence and its text, of what has ended and what is open; `ended` says which it is.
  std::unique_ptr<TokenSequence> best(std::string &text, bool &ended);

private:
  struct Beam {
    std::unique_ptr<TokenSequence> sequence;
    double score = 0; ///< the sum of the log-probabilities
    TokenText words;
    TextOut text;
    std::string out;
    Constraint::Place place;
  };
  double normalised(double score, int64_t tokens) const;
  void extend(Beam beam, int64_t token, double score);
  void keepEnded(Beam beam);

  const Tokenizer &tokenizer;
  const int64_t choices;
  const BeamOptions &options;
  const Constraint *constraint;
  int64_t made = 0;
  std::vector<Beam> beams;
  std::vector<std::pair<double, Beam>> ended; ///< at most `width`, the best first
};

} // namespace qkv::rt

// The choice of the beams that go on (BeamSearch.h).
#include "runtime/text/BeamSearch.h"

#include <algorithm>
#include <cmath>

namespace qkv::rt {
namespace {

/// A beam with one token more.
struct Candidate {
  double score;
  size_t beam;
  int64_t token;
};

bool better(const Candidate &a, const Candidate &b) {
  return a.score != b.score ? a.score > b.score
         : a.beam != b.beam ? a.beam < b.beam
                            : a.token < b.token;
}

/// log(sum[v](exp(logits[v]))).
double logSum(const float *logits, int64_t count) {
  double most = -INFINITY, sum = 0;
  for (int64_t v = 0; v < count; ++v)
    most = std::max<double>(most, logits[v]);
  if (!std::isfinite(most))
    return most;
  for (int64_t v = 0; v < count; ++v)
    sum += std::exp(logits[v] - most);
  return most + std::log(sum);
}

} // namespace

BeamSearch::BeamSearch(const Tokenizer &tokenizer, const TokenText &words, int64_t choices,
                       const BeamOptions &options, const std::vector<std::string> *stops,
                       const Constraint *constraint, std::unique_ptr<TokenSequence> first)
    : tokenizer(tokenizer), choices(choices), options(options), constraint(constraint) {
  beams.push_back({std::move(first), 0, words, TextOut(stops), "", {}});
}

std::vector<TokenSequence *> BeamSearch::open() const {
  std::vector<TokenSequence *> out;
  for (const Beam &beam : beams)
    out.push_back(beam.sequence.get());
  return out;
}

double BeamSearch::normalised(double score, int64_t tokens) const {
  return score / std::pow(static_cast<double>(std::max<int64_t>(tokens, 1)), options.lengthPenalty);
}

void BeamSearch::keepEnded(Beam beam) {
  double score = normalised(beam.score, made);
  beam.out += beam.text.finish();
  auto at = std::find_if(ended.begin(), ended.end(),
                         [&](const auto &other) { return other.first < score; });
  ended.insert(at, {score, std::move(beam)});
  if (static_cast<int64_t>(ended.size()) > options.width)
    ended.pop_back();
}

void BeamSearch::extend(Beam beam, int64_t token, double score) {
  beam.score = score;
  if (tokenizer.ends(token))
    return keepEnded(std::move(beam));
  beam.sequence->append(token);
  bool first = beam.words.atBeginning();
  std::string text = beam.words.push(token);
  if (constraint && (text != constraint->text(token, first) || !constraint->take(beam.place, text)))
    return; // (a text that is written otherwise here than elsewhere)
  beam.out += beam.text.push(text);
  if (beam.text.stopped() || (constraint && !constraint->goesOn(beam.place)))
    return keepEnded(std::move(beam));
  beams.push_back(std::move(beam));
}

bool BeamSearch::take() {
  ++made;
  size_t width = static_cast<size_t>(options.width);
  std::vector<Candidate> all;
  for (size_t b = 0; b < beams.size(); ++b) {
    const float *logits = beams[b].sequence->logits();
    double total = logSum(logits, choices);
    std::vector<Candidate> own;
    std::shared_ptr<const TokenMask> allowed;
    if (constraint && !(allowed = constraint->next(beams[b].place, beams[b].words.atBeginning())))
      continue;
    for (int64_t token = 0; token < choices; ++token)
      if (double score = beams[b].score + logits[token] - total;
          score > -INFINITY && (!allowed || isIn(*allowed, token)))
        own.push_back({score, b, token});
    // Tokens that end a text leave room: of twice as many there are enough that go on.
    size_t most = std::min(own.size(), 2 * width);
    std::partial_sort(own.begin(), own.begin() + static_cast<ptrdiff_t>(most), own.end(), better);
    all.insert(all.end(), own.begin(), own.begin() + static_cast<ptrdiff_t>(most));
  }
  std::sort(all.begin(), all.end(), better);
  size_t going = 0, taken = 0;
  std::vector<size_t> uses(beams.size());
  for (; taken < all.size() && going < width; ++taken) {
    going += !tokenizer.ends(all[taken].token);
    ++uses[all[taken].beam];
  }
  std::vector<Beam> before = std::move(beams);
  beams.clear();
  for (size_t i = 0; i < taken; ++i) {
    const Candidate &chosen = all[i];
    Beam &from = before[chosen.beam];
    bool last = --uses[chosen.beam] == 0;
    Beam beam{last ? std::move(from.sequence) : from.sequence->copy(),
              0,
              from.words,
              from.text,
              from.out,
              from.place};
    extend(std::move(beam), chosen.token, chosen.score);
  }
  return !beams.empty() && (static_cast<int64_t>(ended.size()) < options.width ||
                            normalised(beams[0].score, made) > ended.back().first);
}

std::unique_ptr<TokenSequence> BeamSearch::best(std::string &text, bool &hasEnded) {
  hasEnded = !ended.empty();
  double score = hasEnded ? ended[0].first : -INFINITY;
  Beam *found = hasEnded ? &ended[0].second : nullptr;
  for (Beam &beam : beams)
    if (double own = normalised(beam.score, made); !found || own > score) {
      found = &beam;
      score = own;
      hasEnded = false;
    }
  if (!found) { // no token has a probability
    text.clear();
    return nullptr;
  }
  text = found->out + found->text.finish();
  return std::move(found->sequence);
}

} // namespace qkv::rt

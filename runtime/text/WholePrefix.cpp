// In: a compiled model. Out: sequences whose tokens are all computed with at every step.
#include "runtime/text/WholePrefix.h"

#include "runtime/tensors/Batch.h"

namespace qkv::rt {

PrefixSequence::PrefixSequence(const qkv_model &model, int64_t vocabulary,
                               std::vector<int64_t> source, std::vector<int64_t> tokens)
    : model(model), source(std::move(source)), stream(std::move(tokens)),
      sizes(model.size_count, 1), inputs(model.input_count, nullptr),
      results(model.result_count, nullptr), last(vocabulary) {
  error.size = sizeof error;
  results[0] = last.data();
  if (model.generator_source >= 0) {
    sizes[sizeOfTokens(model, model.generator_source)] = static_cast<int64_t>(this->source.size());
    inputs[model.generator_source] = this->source.data();
  }
}

std::unique_ptr<TokenSequence> PrefixSequence::copy() const {
  auto out =
      std::make_unique<PrefixSequence>(model, static_cast<int64_t>(last.size()), source, stream);
  out->last = last;
  out->failed = failed;
  return out;
}

std::unique_ptr<TokenSequence> WholePrefix::begin(std::vector<int64_t> source,
                                                  std::vector<int64_t> tokens) const {
  return std::make_unique<PrefixSequence>(model, vocabulary, std::move(source), std::move(tokens));
}

void WholePrefix::advance(const std::vector<TokenSequence *> &sequences) const {
  std::vector<Sequence> runs;
  for (TokenSequence *one : sequences) {
    auto *sequence = static_cast<PrefixSequence *>(one);
    sequence->sizes[sizeOfTokens(model, model.generator_input)] =
        static_cast<int64_t>(sequence->stream.size());
    sequence->inputs[model.generator_input] = sequence->stream.data();
    runs.push_back({sequence->sizes.data(), sequence->inputs.data(), sequence->results.data(),
                    &sequence->error});
  }
  runTogether(model, QKV_LAST, weights, runs);
  for (size_t i = 0; i < runs.size(); ++i)
    static_cast<PrefixSequence *>(sequences[i])->failed = runs[i].failed;
}

} // namespace qkv::rt

// Streams token by token. Holds: the same bytes in give the same bytes out, whatever the batch and
// the threads.
#include "runtime/text/Generator.h"

#include "runtime/Error.h"
#include "runtime/tensors/Inputs.h"
#include "runtime/text/Stepped.h"
#include "runtime/text/WholePrefix.h"

#include <algorithm>

namespace qkv::rt {

/// The vocabulary is the extent of the logits' last axis.
bool Generator::prepare(qkv_error *error) {
  for (int32_t i = 0; i < model.input_count; ++i)
    if (i != model.generator_input && i != model.generator_source)
      return fail(error, format("model %s has input %s beside its text: give all inputs with "
                                "--input FILE",
                                model.name, model.inputs[i].name));
  if (streamSize < 0 || (model.generator_source >= 0 && sourceSize < 0))
    return fail(error, format("model %s does not say which sizes its text has", model.name));
  std::vector<int64_t> sizes(model.size_count, 1);
  std::vector<std::vector<int64_t>> inputs, results;
  if (!shapesOf(model, sizes, inputs, results, error))
    return false;
  vocabulary = results[0].empty() ? 0 : results[0].back();
  if (vocabulary <= 0)
    return fail(error, format("model %s has no vocabulary", model.name));
  tokenizer = std::make_unique<ByteTokenizer>(vocabulary);
  sampler = std::make_unique<Greedy>();
  if (steps)
    sequences = std::make_unique<Stepped>(*steps);
  else
    sequences = std::make_unique<WholePrefix>(model, weights, vocabulary);
  return true;
}

bool Generator::tokensOf(std::string_view source, std::string_view prompt,
                         std::vector<int64_t> &sourceTokens, std::vector<int64_t> &tokens,
                         qkv_error *error) const {
  std::string why;
  // (A source is what the model's own table of tokens reads: it is checked when it runs.)
  if (sourceSize >= 0 && static_cast<int64_t>(source.size()) > model.sizes[sourceSize].max)
    return fail(error, format("%zu bytes, %s holds at most %lld", source.size(),
                              model.sizes[sourceSize].name,
                              static_cast<long long>(model.sizes[sourceSize].max)));
  if (sourceSize >= 0 && static_cast<int64_t>(source.size()) < model.sizes[sourceSize].min)
    return fail(error, format("%zu bytes, %s holds at least %lld", source.size(),
                              model.sizes[sourceSize].name,
                              static_cast<long long>(model.sizes[sourceSize].min)));
  for (unsigned char byte : source)
    sourceTokens.push_back(byte);
  if (!tokenizer->encode(prompt, SpecialAround, tokens, why))
    return fail(error, "the prompt has " + why);
  if (tokens.empty())
    return fail(error, format("a vocabulary of %lld has no start token (256): the stream needs a "
                              "prompt, at least one byte",
                              static_cast<long long>(vocabulary)));
  int64_t streamMax = model.sizes[streamSize].max;
  if (static_cast<int64_t>(tokens.size()) > streamMax)
    return fail(error, format("the prompt makes a stream of %zu tokens, %s holds at most %lld",
                              tokens.size(), model.sizes[streamSize].name,
                              static_cast<long long>(streamMax)));
  return true;
}

void Generator::begin(std::string_view source, std::string_view prompt, Stream &stream) const {
  std::vector<int64_t> sourceTokens, tokens;
  stream.failed = stream.done = !tokensOf(source, prompt, sourceTokens, tokens, &stream.error);
  stream.prompt = tokens.size();
  stream.sequence = sequences->begin(std::move(sourceTokens), std::move(tokens));
}

/// The next token of a stream whose logits were computed.
void Generator::take(Stream &stream) const {
  TokenSequence &sequence = *stream.sequence;
  int64_t token =
      sampler->choose({sequence.logits(), vocabulary, sequence.tokens(), stream.prompt, 0});
  if (tokenizer->ends(token)) {
    stream.done = true;
    return;
  }
  sequence.append(token);
  std::string text = tokenizer->decode({token}, /*special=*/false);
  stream.done = !text.empty() && !stream.emit(stream.to, text);
}

void Generator::run(std::vector<Stream *> streams) const {
  for (int64_t made = 0; maxTokens < 0 || made < maxTokens; ++made) {
    // Those that have not ended are the rows of the next run.
    streams.erase(std::remove_if(streams.begin(), streams.end(),
                                 [&](Stream *s) { return s->done || s->sequence->full(); }),
                  streams.end());
    if (streams.empty())
      return;
    std::vector<TokenSequence *> rows;
    for (Stream *stream : streams)
      rows.push_back(stream->sequence.get());
    sequences->advance(rows);
    for (Stream *stream : streams) {
      if (const qkv_error *failure = stream->sequence->failure()) {
        stream->error = *failure;
        stream->failed = stream->done = true;
      } else {
        take(*stream);
      }
    }
  }
}

} // namespace qkv::rt

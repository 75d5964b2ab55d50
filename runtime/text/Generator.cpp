// Streams token by token. Holds: the same bytes in give the same bytes out, whatever the batch and
// the threads.
#include "runtime/text/Generator.h"

#include "runtime/Error.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>

namespace qkv::rt {

constexpr int64_t startToken = 256, endToken = 257, specialTokens = 258;

static std::vector<int64_t> tokensOf(std::string_view text) {
  std::vector<int64_t> tokens;
  tokens.reserve(text.size());
  for (unsigned char byte : text)
    tokens.push_back(byte);
  return tokens;
}

bool Generator::special() const { return vocabulary >= specialTokens; }

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
  return vocabulary > 0 || fail(error, format("model %s has no vocabulary", model.name));
}

/// The largest logit's token, the smallest of several; what is not a number is never the largest.
static int64_t greedy(const float *logits, int64_t count) {
  int64_t best = -1;
  for (int64_t token = 0; token < count; ++token)
    if (best < 0 ? logits[token] == logits[token] : logits[token] > logits[best])
      best = token;
  return best < 0 ? 0 : best;
}

bool Generator::fits(std::string_view source, std::string_view prompt, Stream &stream) const {
  qkv_error *error = &stream.error;
  if (sourceSize >= 0 && static_cast<int64_t>(source.size()) > model.sizes[sourceSize].max)
    return fail(error, format("%zu bytes, %s holds at most %lld", source.size(),
                              model.sizes[sourceSize].name,
                              static_cast<long long>(model.sizes[sourceSize].max)));
  stream.source = tokensOf(source);
  stream.tokens = tokensOf(prompt);
  for (int64_t token : stream.tokens)
    if (token >= vocabulary)
      return fail(error, format("the prompt has byte %lld, outside the vocabulary of %lld",
                                static_cast<long long>(token), static_cast<long long>(vocabulary)));
  if (special())
    stream.tokens.insert(stream.tokens.begin(), startToken);
  if (stream.tokens.empty())
    return fail(error, format("a vocabulary of %lld has no start token (256): the stream needs a "
                              "prompt, at least one byte",
                              static_cast<long long>(vocabulary)));
  int64_t streamMax = model.sizes[streamSize].max;
  if (static_cast<int64_t>(stream.tokens.size()) > streamMax)
    return fail(error, format("the prompt makes a stream of %zu tokens, %s holds at most %lld",
                              stream.tokens.size(), model.sizes[streamSize].name,
                              static_cast<long long>(streamMax)));
  return true;
}

void Generator::begin(std::string_view source, std::string_view prompt, Stream &stream) const {
  stream.failed = stream.done = !fits(source, prompt, stream);
  stream.sizes.assign(model.size_count, 1);
  stream.inputs.assign(model.input_count, nullptr);
  stream.results.assign(model.result_count, nullptr);
  stream.logits.resize(vocabulary);
  stream.results[0] = stream.logits.data();
  if (sourceSize >= 0) {
    stream.sizes[sourceSize] = static_cast<int64_t>(stream.source.size());
    stream.inputs[model.generator_source] = stream.source.data();
  }
}

/// The next token of a stream whose logits were computed.
void Generator::take(Stream &stream) const {
  int64_t token = greedy(stream.logits.data(), vocabulary);
  if (special() && token == endToken) {
    stream.done = true;
    return;
  }
  stream.tokens.push_back(token);
  stream.done = token < startToken && !stream.emit(stream.to, static_cast<char>(token));
}

void Generator::run(std::vector<Stream *> streams) const {
  for (int64_t made = 0; maxTokens < 0 || made < maxTokens; ++made) {
    // Those that have not ended are the rows of the next run.
    streams.erase(std::remove_if(streams.begin(), streams.end(),
                                 [&](Stream *s) { return s->done || isFull(*s); }),
                  streams.end());
    if (streams.empty())
      return;
    std::vector<Sequence> sequences;
    for (Stream *stream : streams) {
      stream->sizes[streamSize] = static_cast<int64_t>(stream->tokens.size());
      stream->inputs[model.generator_input] = stream->tokens.data();
      sequences.push_back(
          {stream->sizes.data(), stream->inputs.data(), stream->results.data(), &stream->error});
    }
    runTogether(model, QKV_LAST, weights, sequences);
    for (size_t at = 0; at < streams.size(); ++at)
      if (sequences[at].failed)
        streams[at]->failed = streams[at]->done = true;
      else
        take(*streams[at]);
  }
}

} // namespace qkv::rt

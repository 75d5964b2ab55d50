// Streams token by token. Holds: the same bytes in give the same bytes out, whatever the batch and
// the threads.
#include "runtime/text/Generator.h"

#include "runtime/Error.h"
#include "runtime/tensors/Inputs.h"
#include "runtime/text/Stepped.h"
#include "runtime/text/WholePrefix.h"

#include <algorithm>

namespace qkv::rt {

const char *endingText(Ending ending) {
  switch (ending) {
  case Ending::None:
    return "not ended";
  case Ending::EndToken:
    return "the end token";
  case Ending::StopString:
    return "a stop string";
  case Ending::MaxTokens:
    return "--max-tokens";
  case Ending::Full:
    return "the context is full";
  case Ending::Reader:
    return "nobody reads on";
  case Ending::Failed:
    return "an error";
  }
  return "";
}

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
  std::string why;
  if (!(chain = SamplerChain::make(options.sampling, why)))
    return fail(error, why);
  if (options.beams.width > 1 && !chain->greedy())
    return fail(error, "--beams looks for the likeliest text: it goes with no option that changes "
                       "how a token is drawn (" +
                           chain->text() + ")");
  sampler = chain->greedy() ? static_cast<const Sampler *>(&greedy) : chain.get();
  if (options.context > model.sizes[streamSize].max)
    return fail(error, format("--context is %lld, %s holds at most %lld",
                              static_cast<long long>(options.context), model.sizes[streamSize].name,
                              static_cast<long long>(model.sizes[streamSize].max)));
  if (stepsText(model))
    sequences = std::make_unique<Stepped>(model, weights, vocabulary, options.promptChunk);
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
  if (static_cast<int64_t>(tokens.size()) > positions())
    return fail(error, format("the prompt makes a stream of %zu tokens, %s holds at most %lld",
                              tokens.size(),
                              options.context > 0 ? "--context" : model.sizes[streamSize].name,
                              static_cast<long long>(positions())));
  return true;
}

void Generator::begin(std::string_view source, std::string_view prompt, Stream &stream) const {
  std::vector<int64_t> sourceTokens, tokens;
  stream.failed = stream.done = !tokensOf(source, prompt, sourceTokens, tokens, &stream.error);
  if (stream.failed)
    stream.ending = Ending::Failed;
  stream.prompt = tokens.size();
  stream.text = TextOut(&options.stops);
  stream.sequence = sequences->begin(std::move(sourceTokens), std::move(tokens));
  if (options.beams.width > 1 && !stream.failed)
    stream.search = std::make_unique<BeamSearch>(*tokenizer, vocabulary, options.beams,
                                                 &options.stops, std::move(stream.sequence));
}

int64_t Generator::positions() const {
  return options.context > 0 ? options.context : model.sizes[streamSize].max;
}

std::string Generator::samplingText() const {
  return options.beams.width > 1
             ? format("the likeliest of %lld beams, length penalty %g",
                      static_cast<long long>(options.beams.width), options.beams.lengthPenalty)
             : chain->text();
}

/// What is still held back comes out.
void Generator::end(Stream &stream, Ending ending) const {
  stream.done = true;
  stream.ending = ending;
  if (stream.search) {
    bool ended;
    std::string text;
    stream.sequence = stream.search->best(text, ended);
    stream.search.reset();
    stream.ending = ended ? Ending::EndToken : ending;
    if (!text.empty() && !stream.emit(stream.to, text))
      stream.ending = Ending::Reader;
    return;
  }
  if (std::string rest = stream.text.finish(); !rest.empty() && ending != Ending::Reader)
    stream.emit(stream.to, rest);
}

/// The next token of a stream whose logits were computed.
void Generator::take(Stream &stream) const {
  if (stream.search) {
    bool goesOn = stream.search->take();
    stream.generated = stream.search->generated();
    if (!goesOn)
      end(stream, Ending::EndToken);
    return;
  }
  TokenSequence &sequence = *stream.sequence;
  int64_t token = sampler->choose(
      {sequence.logits(), vocabulary, sequence.tokens(), stream.prompt, stream.number});
  if (tokenizer->ends(token))
    return end(stream, Ending::EndToken);
  sequence.append(token);
  ++stream.generated;
  std::string text = stream.text.push(tokenizer->decode({token}, /*special=*/false));
  if (!text.empty() && !stream.emit(stream.to, text))
    return end(stream, Ending::Reader);
  if (stream.text.stopped())
    end(stream, Ending::StopString);
}

/// Whether computing a stream failed: then it is over.
bool Generator::failed(Stream &stream) const {
  for (TokenSequence *one :
       stream.search ? stream.search->open() : std::vector<TokenSequence *>{stream.sequence.get()})
    if (const qkv_error *failure = one->failure()) {
      stream.error = *failure;
      stream.failed = stream.done = true;
      stream.ending = Ending::Failed;
      return true;
    }
  return false;
}

/// One token more for each; those that have ended are left out.
void Generator::step(std::vector<Stream *> &streams) const {
  std::vector<Stream *> open;
  std::vector<TokenSequence *> rows;
  for (Stream *stream : streams) {
    if (stream->done)
      continue;
    bool full = static_cast<int64_t>(stream->prompt) + stream->generated >= positions();
    if (options.maxTokens >= 0 && stream->generated >= options.maxTokens) {
      end(*stream, Ending::MaxTokens);
    } else if (full) {
      end(*stream, Ending::Full);
    } else {
      open.push_back(stream);
      if (stream->search)
        for (TokenSequence *one : stream->search->open())
          rows.push_back(one);
      else
        rows.push_back(stream->sequence.get());
    }
  }
  streams = std::move(open);
  if (streams.empty())
    return;
  sequences->advance(rows);
  for (Stream *stream : streams)
    if (!failed(*stream))
      take(*stream);
}

void Generator::run(std::vector<Stream *> streams) const {
  while (!streams.empty())
    step(streams);
}

void Generator::run(Waiting &waiting, size_t most) const {
  for (std::vector<Stream *> streams;;) {
    std::erase_if(streams, [](const Stream *stream) { return stream->done; });
    while (streams.size() < most)
      if (Stream *stream = waiting.next(streams.empty()))
        streams.push_back(stream);
      else
        break;
    if (streams.empty())
      return;
    step(streams);
  }
}

} // namespace qkv::rt

// Streams token by token. Holds: the same bytes in give the same bytes out, whatever the batch and
// the threads.
#include "runtime/text/Generator.h"

#include "runtime/Error.h"
#include "runtime/tensors/Inputs.h"
#include "runtime/text/SharedBeginning.h"
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
  case Ending::Complete:
    return "the text is complete";
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
  if (!tokenizer)
    tokenizer = (bytes = std::make_unique<ByteTokenizer>(vocabulary)).get();
  choices = tokenizer->size();
  if (choices > vocabulary)
    return fail(error, format("the tokenizer has %lld tokens, model %s has logits for %lld: they "
                              "do not belong together",
                              static_cast<long long>(choices), model.name,
                              static_cast<long long>(vocabulary)));
  std::string why;
  if (!(chain = SamplerChain::make(options.sampling, why)))
    return fail(error, why);
  if (options.sampling.dry > 0) {
    std::vector<std::string> given = options.sampling.dryBreakers;
    if (given.empty())
      given.assign(std::begin(usualBreakers), std::end(usualBreakers));
    std::vector<bool> breakers(static_cast<size_t>(choices));
    for (int64_t token = 0; token < choices; ++token) {
      std::string text = tokenizer->decode({token}, /*special=*/true);
      for (const std::string &breaker : given)
        if (text.find(breaker) != text.npos)
          breakers[static_cast<size_t>(token)] = true;
    }
    chain->breakAt(std::move(breakers));
  }
  if (options.beams.width > 1 && !chain->greedy())
    return fail(error, "--beams looks for the likeliest text: it goes with no option that changes "
                       "how a token is drawn (" +
                           chain->text() + ")");
  if (options.slide >= 0 && (options.beams.width > 1 || hasSource()))
    return fail(error, options.beams.width > 1 ? "--slide is not for beams"
                                               : "--slide is for one text that goes on, not for "
                                                 "what is written of a source");
  sampler = chain->greedy() ? static_cast<const Sampler *>(&greedy) : chain.get();
  if (options.context > model.sizes[streamSize].max)
    return fail(error, format("--context is %lld, %s holds at most %lld",
                              static_cast<long long>(options.context), model.sizes[streamSize].name,
                              static_cast<long long>(model.sizes[streamSize].max)));
  if (options.slide >= positions())
    return fail(error,
                format("--slide keeps %lld tokens, the context has no more than %lld",
                       static_cast<long long>(options.slide), static_cast<long long>(positions())));
  if (options.form.given() && !options.readForm)
    return fail(error, "this program was linked without grammars (qkv_text_main)");
  if (options.form.given() &&
      !(constraint = options.readForm(options.form, *tokenizer, choices, error)))
    return false;
  if (stepsText(model))
    sequences = std::make_unique<Stepped>(model, weights, vocabulary, options.promptChunk,
                                          static_cast<size_t>(options.cacheSize));
  else if (options.cacheSize > 0)
    return fail(error, format("--cache-size is for models that keep what a step needs, %s has no "
                              "steps",
                              model.name));
  else
    sequences = std::make_unique<WholePrefix>(model, weights, vocabulary);
  return true;
}

/// Numbers with spaces between them, each less than `most`.
static bool numbers(std::string_view text, int64_t most, std::vector<int64_t> &tokens,
                    std::string &why) {
  constexpr std::string_view spaces = " \t\r\n";
  for (size_t at = text.find_first_not_of(spaces); at != text.npos;
       at = text.find_first_not_of(spaces, at)) {
    size_t end = std::min(text.find_first_of(spaces, at), text.size());
    int64_t token = 0;
    bool good = end - at < 18;
    for (size_t i = at; i < end && good; ++i) {
      good = text[i] >= '0' && text[i] <= '9';
      token = token * 10 + (text[i] - '0');
    }
    if (!good || token >= most) {
      why = format("%s, which is no token: expected numbers from 0 to %lld with spaces between "
                   "them (--tokens)",
                   quote(text.substr(at, end - at)).c_str(), static_cast<long long>(most - 1));
      return false;
    }
    tokens.push_back(token);
    at = end;
  }
  return true;
}

/// The tokens that a stream begins with.
bool Generator::promptTokens(std::string_view prompt, std::vector<int64_t> &tokens,
                             std::string &why) const {
  if (options.tokens)
    return numbers(prompt, choices, tokens, why);
  // Beside a source a stream may begin otherwise than a text does.
  int64_t start = hasSource() ? tokenizer->sourceStart() : -1;
  if (start >= choices) {
    why = format("the token %lld before it, of %lld", static_cast<long long>(start),
                 static_cast<long long>(choices));
    return false;
  }
  if (start >= 0)
    tokens.push_back(start);
  return tokenizer->encode(prompt, start >= 0 ? SpecialNone : SpecialBefore, tokens, why);
}

bool Generator::tokensOf(std::string_view source, std::string_view prompt,
                         std::vector<int64_t> &sourceTokens, std::vector<int64_t> &tokens,
                         qkv_error *error) const {
  std::string why;
  const char *what = bytes && !options.tokens ? "bytes" : "tokens";
  if (sourceSize >= 0) {
    if (options.tokens ? !numbers(source, INT64_MAX, sourceTokens, why)
                       : !tokenizer->encodeSource(source, sourceTokens, why))
      return fail(error, "the source has " + why);
    const qkv_size &size = model.sizes[sourceSize];
    auto count = static_cast<int64_t>(sourceTokens.size());
    if (count > size.max || count < size.min)
      return fail(error, format("%lld %s, %s holds at %s %lld", static_cast<long long>(count), what,
                                size.name, count > size.max ? "most" : "least",
                                static_cast<long long>(count > size.max ? size.max : size.min)));
  }
  if (!promptTokens(prompt, tokens, why))
    return fail(error, "the prompt has " + why);
  if (tokens.empty())
    return fail(error, bytes ? format("a vocabulary of %lld has no start token (256): the stream "
                                      "needs a prompt, at least one byte",
                                      static_cast<long long>(vocabulary))
                             : "no token stands before a text of this tokenizer: the stream needs "
                               "a prompt, at least one token");
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
  stream.source = sourceTokens.size();
  if (stream.sourceTokens)
    *stream.sourceTokens = sourceTokens;
  stream.prompt = stream.promptNow = tokens.size();
  stream.words = TokenText(*tokenizer, tokens);
  stream.text = TextOut(&options.stops);
  stream.place = {};
  stream.sequence = sequences->begin(std::move(sourceTokens), std::move(tokens));
  if (!stream.failed)
    beginSearch(stream);
}

void Generator::beginSearch(Stream &stream) const {
  if (options.beams.width > 1)
    stream.search =
        std::make_unique<BeamSearch>(*tokenizer, stream.words, choices, options.beams,
                                     &options.stops, constraint.get(), std::move(stream.sequence));
}

void Generator::resume(std::vector<int64_t> tokens, Stream &stream) const {
  stream.generated = 0;
  stream.ending = Ending::None;
  stream.failed = stream.done = false;
  stream.prompt = stream.promptNow = tokens.size();
  stream.text = TextOut(&options.stops);
  stream.words = TokenText(*tokenizer, tokens);
  stream.place = {};
  bool full = static_cast<int64_t>(tokens.size()) > positions();
  if (full || tokens.empty()) {
    fail(&stream.error,
         full ? format("it would be %zu tokens, %s holds at most %lld", tokens.size(),
                       model.sizes[streamSize].name, static_cast<long long>(positions()))
              : "there is no token to begin with");
    stream.failed = stream.done = true;
    stream.ending = Ending::Failed;
    return;
  }
  goBackTo(std::move(tokens), stream);
  beginSearch(stream);
}

void Generator::goOn(std::string_view more, Stream &stream) const {
  std::vector<int64_t> tokens, none;
  std::string why;
  if (stream.sequence)
    tokens = stream.sequence->tokens();
  bool good = tokens.empty()   ? tokensOf("", more, none, tokens, &stream.error)
              : options.tokens ? numbers(more, choices, tokens, why)
                               : tokenizer->encode(more, SpecialNone, tokens, why);
  if (good)
    return resume(std::move(tokens), stream);
  if (!why.empty())
    fail(&stream.error, "the text has " + why);
  stream.failed = stream.done = true;
  stream.ending = Ending::Failed;
}

/// Makes a stream of no source one of these tokens; what was computed of them stays.
void Generator::goBackTo(std::vector<int64_t> tokens, Stream &stream) const {
  // The last token's logits are computed, so at least it is computed anew.
  size_t same = 0;
  if (stream.sequence && !stream.sequence->failure()) {
    const std::vector<int64_t> &old = stream.sequence->tokens();
    while (same < old.size() && same + 1 < tokens.size() && old[same] == tokens[same])
      ++same;
  }
  if (same > 0 && stream.sequence->rewind(same)) {
    for (size_t i = same; i < tokens.size(); ++i)
      stream.sequence->append(tokens[i]);
    return;
  }
  stream.sequence = sequences->begin({}, std::move(tokens));
  if (options.snapshots > 0)
    stream.sequence->snapshots(static_cast<size_t>(options.snapshots));
}

/// Forgets half of what came behind the first tokens, which stay.
void Generator::slide(Stream &stream) const {
  std::vector<int64_t> tokens = stream.sequence->tokens();
  auto first = static_cast<size_t>(options.slide);
  size_t forgotten = (tokens.size() - first + 1) / 2, promptEnd = stream.promptNow;
  stream.promptNow = std::min(promptEnd, first) +
                     (promptEnd > first + forgotten ? promptEnd - first - forgotten : 0);
  tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(first),
               tokens.begin() + static_cast<std::ptrdiff_t>(first + forgotten));
  goBackTo(std::move(tokens), stream);
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
    if (!stream.sequence && constraint)
      return fails(stream, "no token goes on with a text of the grammar");
    if (options.tokens && stream.sequence) {
      text.clear();
      const std::vector<int64_t> &tokens = stream.sequence->tokens();
      for (size_t i = stream.prompt; i < tokens.size(); ++i)
        text += (i > stream.prompt ? " " : "") + std::to_string(tokens[i]);
    }
    if (!text.empty() && !stream.emit(stream.to, text))
      stream.ending = Ending::Reader;
    return;
  }
  std::string rest = stream.text.finish();
  if (!rest.empty() && ending != Ending::Reader && !options.tokens)
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
  std::shared_ptr<const TokenMask> mask;
  if (constraint && !allowed(stream, mask))
    return;
  int64_t token = sampler->choose(
      {sequence.logits(), choices, sequence.tokens(), stream.promptNow, stream.number, mask.get()});
  if (options.snapshots > 0 && stream.generated == 0)
    sequence.snapshots(static_cast<size_t>(options.snapshots)); // of the prompt's end
  if (stream.logits) {
    stream.logits->insert(stream.logits->end(), sequence.logits(), sequence.logits() + vocabulary);
    stream.chosen.push_back(token);
  }
  if (tokenizer->ends(token))
    return end(stream, Ending::EndToken);
  bool first = stream.words.atBeginning();
  std::string text = stream.words.push(token);
  if (constraint &&
      (text != constraint->text(token, first) || !constraint->take(stream.place, text)))
    return fails(stream, format("the tokenizer writes token %lld otherwise here than elsewhere: no "
                                "grammar can be kept",
                                static_cast<long long>(token)));
  sequence.append(token);
  ++stream.generated;
  text = stream.text.push(text);
  if (options.tokens)
    text = (stream.generated > 1 ? " " : "") + std::to_string(token);
  if (!text.empty() && !stream.emit(stream.to, text))
    return end(stream, Ending::Reader);
  if (stream.text.stopped())
    end(stream, Ending::StopString);
  else if (constraint && !constraint->goesOn(stream.place))
    end(stream, Ending::Complete);
}

/// The tokens that a stream may go on with. False: it has ended, or failed.
bool Generator::allowed(Stream &stream, std::shared_ptr<const TokenMask> &mask) const {
  if (!(mask = constraint->next(stream.place, stream.words.atBeginning())))
    fails(stream, "the grammar can be read in too many ways here to be followed");
  else if (std::any_of(mask->begin(), mask->end(), [](uint64_t some) { return some != 0; }))
    return true;
  else if (constraint->mayEnd(stream.place))
    end(stream, Ending::Complete);
  else
    fails(stream, "no token goes on with a text of the grammar");
  return false;
}

void Generator::fails(Stream &stream, const std::string &why) const {
  fail(&stream.error, why);
  stream.failed = stream.done = true;
  stream.ending = Ending::Failed;
}

/// Whether computing a stream failed: then it is over.
bool Generator::failed(Stream &stream) const {
  const qkv_error *failure = nullptr;
  if (!stream.search)
    failure = stream.sequence->failure();
  else
    for (TokenSequence *one : stream.search->open())
      failure = failure ? failure : one->failure();
  if (failure) {
    stream.error = *failure;
    stream.failed = stream.done = true;
    stream.ending = Ending::Failed;
  }
  return failure;
}

/// One token more for each; those that have ended are left out.
void Generator::step(std::vector<Stream *> &streams) const {
  std::vector<Stream *> open;
  std::vector<TokenSequence *> rows;
  open.reserve(streams.size());
  rows.reserve(streams.size());
  for (Stream *stream : streams) {
    if (stream->done)
      continue;
    bool full = stream->search
                    ? static_cast<int64_t>(stream->prompt) + stream->generated >= positions()
                    : static_cast<int64_t>(stream->sequence->tokens().size()) >= positions();
    if (options.maxTokens >= 0 && stream->generated >= options.maxTokens) {
      end(*stream, Ending::MaxTokens);
    } else if (full && options.slide < 0) {
      end(*stream, Ending::Full);
    } else {
      open.push_back(stream);
      if (stream->search)
        for (TokenSequence *one : stream->search->open())
          rows.push_back(one);
      else {
        if (full)
          slide(*stream);
        rows.push_back(stream->sequence.get());
      }
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
  SharedBeginning beginning(*sequences);
  bool shares = stepsText(model) && !hasSource() && options.beams.width == 1;
  for (std::vector<Stream *> streams;;) {
    std::erase_if(streams, [](const Stream *stream) { return stream->done; });
    size_t old = streams.size();
    while (streams.size() < most)
      if (Stream *stream = waiting.next(streams.empty()))
        streams.push_back(stream);
      else
        break;
    if (streams.empty())
      return;
    if (shares) {
      std::vector<std::unique_ptr<TokenSequence> *> fresh;
      for (size_t i = old; i < streams.size(); ++i)
        fresh.push_back(&streams[i]->sequence);
      std::vector<size_t> shared = beginning.share(fresh);
      for (size_t i = old; i < streams.size(); ++i)
        streams[i]->shared = shared[i - old];
    }
    step(streams);
  }
}

} // namespace qkv::rt

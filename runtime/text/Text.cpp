// In: bytes of prompts and source lines. Out: the bytes a generator answers with. Holds: the same
// bytes in give the same bytes out, whatever the batch and the threads; a line that cannot be
// answered does not keep the others from being answered.
#include "runtime/text/Text.h"
#include "runtime/tensors/Batch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace qkv::rt {
namespace {

constexpr int64_t startToken = 256, endToken = 257, specialTokens = 258;

/// One stream that is generated, and its source.
struct Stream {
  std::vector<int64_t> source, tokens;
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
  std::vector<float> logits;
  bool failed = false, done = false;
  qkv_error error = {};
  /// Gets each byte; may end the stream by returning false.
  bool (*emit)(void *to, char byte) = nullptr;
  void *to = nullptr;

  Stream() { error.size = sizeof error; }
};

/// What all streams of a run share.
struct Generator {
  const qkv_model &model;
  const qkv_weights *weights;
  int32_t streamSize, sourceSize; // among model.sizes; sourceSize -1: there is no source
  int64_t vocabulary = 0, maxTokens;

  Generator(const qkv_model &model, const qkv_weights *weights, int64_t maxTokens)
      : model(model), weights(weights),
        streamSize(model.inputs[model.generator_input].axes[0].size),
        sourceSize(model.generator_source < 0 ? -1
                                              : model.inputs[model.generator_source].axes[0].size),
        maxTokens(maxTokens) {}

  bool prepare(qkv_error *error);
  bool special() const { return vocabulary >= specialTokens; }
  /// Whether streams can be computed together.
  bool together() const { return model.entry_last_batch != nullptr; }
  /// Makes a stream ready to run; where it cannot be, it has failed.
  void begin(std::string_view source, std::string_view prompt, Stream &stream) const;
  /// Continues streams whose sources and prompts are equally long, token by token, to their ends.
  void run(std::vector<Stream *> streams) const;

private:
  bool fits(std::string_view source, std::string_view prompt, Stream &stream) const;
  bool isFull(const Stream &stream) const {
    return static_cast<int64_t>(stream.tokens.size()) >= model.sizes[streamSize].max;
  }
  void take(Stream &stream) const;
};

std::vector<int64_t> tokensOf(std::string_view text) {
  std::vector<int64_t> tokens;
  tokens.reserve(text.size());
  for (unsigned char byte : text)
    tokens.push_back(byte);
  return tokens;
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
  return vocabulary > 0 || fail(error, format("model %s has no vocabulary", model.name));
}

/// The largest logit's token, the smallest of several; what is not a number is never the largest.
int64_t greedy(const float *logits, int64_t count) {
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
    runTogether(model, weights, sequences, /*lastOnly=*/true);
    for (size_t at = 0; at < streams.size(); ++at)
      if (sequences[at].failed)
        streams[at]->failed = streams[at]->done = true;
      else
        take(*streams[at]);
  }
}

/// Lines of standard input, as they arrive.
class Lines {
public:
  /// The next line without its end; false at the end of the input.
  bool next(std::string &line) {
    while (!arrived(line))
      if (!more()) {
        line = buffer.substr(start);
        start = searched = buffer.size();
        return !line.empty();
      }
    return true;
  }
  /// The same, if it is here already.
  bool arrived(std::string &line) {
    size_t end = buffer.find('\n', searched);
    if (end == buffer.npos) {
      searched = buffer.size();
      return false;
    }
    line = buffer.substr(start, end - start);
    start = searched = end + 1;
    return true;
  }
  /// Why reading stopped early; empty if it did not.
  const std::string &failure() const { return why; }

private:
  bool more() {
    buffer.erase(0, start);
    searched -= start;
    start = 0;
    char piece[1 << 16];
    ssize_t got;
    do
      got = read(0, piece, sizeof piece);
    while (got < 0 && errno == EINTR);
    if (got < 0)
      why = strerror(errno);
    if (got > 0)
      buffer.append(piece, got);
    return got > 0;
  }
  std::string buffer, why;
  size_t start = 0, searched = 0;
};

struct Answer {
  std::string line, text;
  Stream stream;
};

/// Lines that are sources, or prompts where the model has no source: those of equal length run
/// together, at most `most` of them, others on threads of their own.
void answer(const Generator &generator, const Options &options, size_t most,
            std::vector<Answer> &answers) {
  std::vector<std::pair<size_t, size_t>> order; // length, number
  for (size_t number = 0; number < answers.size(); ++number) {
    Answer &answer = answers[number];
    if (answer.line.empty())
      continue;
    bool isSource = generator.sourceSize >= 0;
    generator.begin(isSource ? answer.line : "", isSource ? options.prompt : answer.line,
                    answer.stream);
    answer.stream.to = &answer.text;
    answer.stream.emit = [](void *to, char byte) {
      *static_cast<std::string *>(to) += byte;
      return true;
    };
    order.push_back({answer.line.size(), number});
  }
  std::sort(order.begin(), order.end());
  std::vector<std::vector<Stream *>> groups;
  for (size_t at = 0; at < order.size(); ++at) {
    bool mate = at > 0 && order[at].first == order[at - 1].first && generator.together() &&
                groups.back().size() < most;
    if (!mate)
      groups.emplace_back();
    groups.back().push_back(&answers[order[at].second].stream);
  }
  auto run = [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group)
      generator.run(groups[group]);
  };
  // A single group has the pool to itself.
  if (groups.size() == 1)
    run(0, 1);
  else
    parallelFor(static_cast<int64_t>(groups.size()), 1, run);
}

bool writeText(std::string_view text, const Options &options) {
  std::string why = writeAll(1, text.data(), text.size());
  if (why.empty())
    return true;
  qkv_error error = {};
  error.size = sizeof error;
  fail(&error, "cannot write standard output: " + why);
  printError(error, options);
  return false;
}

int runLines(const Generator &generator, const Options &options) {
  Lines lines;
  size_t most = options.batch > 0 ? static_cast<size_t>(options.batch) : 1;
  size_t window = generator.together() && most > 1 ? 16 * most : most;
  int64_t number = 0;
  bool failed = false;
  for (bool more = true; more;) {
    std::vector<Answer> answers;
    for (std::string line; answers.size() < most && (more = lines.next(line));)
      answers.emplace_back().line = line;
    // Among more lines there are more of equal length; but no line waits for them.
    for (std::string line; answers.size() < window && lines.arrived(line);)
      answers.emplace_back().line = line;
    answer(generator, options, most, answers);
    std::string text;
    for (Answer &answer : answers) {
      ++number;
      // An empty line in the place of an answer: the n-th line out belongs to the n-th line in.
      qkv_error &error = answer.stream.error;
      text += (answer.stream.failed ? "" : answer.text) + "\n";
      if (!answer.stream.failed)
        continue;
      failed = true;
      std::string before = format("line %lld: ", static_cast<long long>(number));
      failAt(&error, error.file, error.line, error.column, error.length, before + error.text);
      printError(error, options);
    }
    if (!writeText(text, options))
      return ExitFailed;
  }
  if (!lines.failure().empty()) {
    qkv_error error = {};
    error.size = sizeof error;
    fail(&error, "cannot read standard input: " + lines.failure());
    printError(error, options);
    failed = true;
  }
  return failed ? ExitFailed : ExitDone;
}

int runPrompt(const Generator &generator, const Options &options) {
  qkv_error error = {};
  error.size = sizeof error;
  std::string prompt = options.prompt;
  if (!options.hasPrompt && !readAll(0, prompt)) {
    fail(&error, format("cannot read standard input: %s", strerror(errno)));
    printError(error, options);
    return ExitFailed;
  }
  struct Out {
    const Options &options;
    bool written;
  } out{options, true};
  Stream stream;
  generator.begin("", prompt, stream);
  stream.to = &out;
  stream.emit = [](void *to, char byte) {
    auto *out = static_cast<Out *>(to);
    return out->written = writeText({&byte, 1}, out->options);
  };
  generator.run({&stream});
  if (stream.failed)
    printError(stream.error, options);
  return out.written && !stream.failed && writeText("\n", options) ? ExitDone : ExitFailed;
}

} // namespace

int runText(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  Generator generator(model, weights, options.maxTokens);
  qkv_error error = {};
  error.size = sizeof error;
  if (!generator.prepare(&error)) {
    printError(error, options);
    return ExitFailed;
  }
  bool lines = generator.sourceSize >= 0 || (options.batch > 0 && !options.hasPrompt);
  return lines ? runLines(generator, options) : runPrompt(generator, options);
}

} // namespace qkv::rt

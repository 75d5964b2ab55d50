// In: bytes of prompts and source lines. Out: the bytes a generator answers with. Holds: the same
// bytes in give the same bytes out, whatever the batch and the threads; a line that cannot be
// answered does not keep the others from being answered.
#include "runtime/Text.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace qkv::rt {
namespace {

constexpr int64_t startToken = 256, endToken = 257, specialTokens = 258;

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
  template <typename Emit>
  bool run(std::string_view source, std::string_view prompt, Emit emit, qkv_error *error) const;
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

/// Continues a stream token by token; `emit` gets each byte and may end it by returning false.
template <typename Emit>
bool Generator::run(std::string_view source, std::string_view prompt, Emit emit,
                    qkv_error *error) const {
  std::vector<int64_t> sourceTokens = tokensOf(source), stream = tokensOf(prompt);
  for (int64_t token : stream)
    if (token >= vocabulary)
      return fail(error, format("the prompt has byte %lld, outside the vocabulary of %lld",
                                static_cast<long long>(token), static_cast<long long>(vocabulary)));
  if (special())
    stream.insert(stream.begin(), startToken);
  if (stream.empty())
    return fail(error, format("a vocabulary of %lld has no start token (256): the stream needs a "
                              "prompt, at least one byte",
                              static_cast<long long>(vocabulary)));
  int64_t streamMax = model.sizes[streamSize].max;
  if (static_cast<int64_t>(stream.size()) > streamMax)
    return fail(error, format("the prompt makes a stream of %zu tokens, %s holds at most %lld",
                              stream.size(), model.sizes[streamSize].name,
                              static_cast<long long>(streamMax)));
  std::vector<int64_t> sizes(model.size_count, 1);
  std::vector<void *> inputs(model.input_count), results(model.result_count);
  std::vector<float> logits(vocabulary);
  results[0] = logits.data();
  if (sourceSize >= 0) {
    sizes[sourceSize] = static_cast<int64_t>(sourceTokens.size());
    inputs[model.generator_source] = sourceTokens.data();
  }
  for (int64_t made = 0; maxTokens < 0 || made < maxTokens; ++made) {
    if (static_cast<int64_t>(stream.size()) >= streamMax)
      return true;
    sizes[streamSize] = static_cast<int64_t>(stream.size());
    inputs[model.generator_input] = stream.data();
    if (qkv_run(&model, weights, sizes.data(), inputs.data(), results.data(), 1, error) != 0)
      return false;
    int64_t token = greedy(logits.data(), vocabulary);
    if (special() && token == endToken)
      return true;
    stream.push_back(token);
    if (token < startToken && !emit(static_cast<char>(token)))
      return true;
  }
  return true;
}

/// Lines of standard input, as they arrive.
class Lines {
public:
  /// The next line without its end; false at the end of the input.
  bool next(std::string &line) {
    for (;;) {
      size_t end = buffer.find('\n', searched);
      if (end != buffer.npos) {
        line = buffer.substr(start, end - start);
        start = searched = end + 1;
        return true;
      }
      searched = buffer.size();
      if (!more())
        break;
    }
    line = buffer.substr(start);
    start = searched = buffer.size();
    return !line.empty();
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
  bool failed = false;
  qkv_error error = {};
};

/// One line: a source, or a prompt where the model has no source.
void answer(const Generator &generator, const Options &options, Answer &answer) {
  answer.error.size = sizeof answer.error;
  if (answer.line.empty())
    return;
  bool hasSource = generator.sourceSize >= 0;
  auto emit = [&](char byte) {
    answer.text += byte;
    return true;
  };
  if (hasSource) {
    int64_t longest = generator.model.sizes[generator.sourceSize].max;
    if (static_cast<int64_t>(answer.line.size()) > longest) {
      answer.failed =
          !fail(&answer.error, format("%zu bytes, %s holds at most %lld", answer.line.size(),
                                      generator.model.sizes[generator.sourceSize].name,
                                      static_cast<long long>(longest)));
      return;
    }
  }
  answer.failed = hasSource ? !generator.run(answer.line, options.prompt, emit, &answer.error)
                            : !generator.run("", answer.line, emit, &answer.error);
  if (answer.failed)
    answer.text.clear();
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
  int64_t number = 0;
  bool failed = false;
  for (bool more = true; more;) {
    std::vector<Answer> answers;
    int64_t most = options.batch > 0 ? options.batch : 1;
    for (std::string line;
         static_cast<int64_t>(answers.size()) < most && (more = lines.next(line));)
      answers.emplace_back().line = line;
    parallelFor(static_cast<int64_t>(answers.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        answer(generator, options, answers[i]);
    });
    std::string text;
    for (Answer &answer : answers) {
      ++number;
      // An empty line in the place of an answer: the n-th line out belongs to the n-th line in.
      text += answer.text + "\n";
      if (!answer.failed)
        continue;
      failed = true;
      std::string before = format("line %lld: ", static_cast<long long>(number));
      failAt(&answer.error, answer.error.file, answer.error.line, answer.error.column,
             answer.error.length, before + answer.error.text);
      printError(answer.error, options);
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
  bool written = true;
  auto emit = [&](char byte) { return written = writeText({&byte, 1}, options); };
  bool done = generator.run("", prompt, emit, &error);
  if (!done)
    printError(error, options);
  return written && done && writeText("\n", options) ? ExitDone : ExitFailed;
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

// A generator's job on text: a prompt, or the lines of standard input, in; text out. Holds: a line
// that cannot be answered does not keep the others from being answered; the n-th line out belongs
// to the n-th line in.
#include "runtime/program/InputLines.h"
#include "runtime/program/Program.h"
#include "runtime/program/Trace.h"
#include "runtime/text/Generator.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <deque>
#include <iterator>
#include <unistd.h>

namespace qkv::rt {
namespace {

struct Answer {
  std::string line, text;
  Stream stream;
};

/// A line is a source, or a prompt where the model has no source.
void beginAnswer(const Generator &generator, const Options &options, uint64_t number,
                 Answer &answer) {
  bool isSource = generator.hasSource();
  generator.begin(isSource ? answer.line : "", isSource ? options.prompt : answer.line,
                  answer.stream);
  answer.stream.number = number;
  answer.stream.to = &answer.text;
  answer.stream.emit = [](void *to, std::string_view text) {
    *static_cast<std::string *>(to) += text;
    return true;
  };
}

/// Lines that are sources, or prompts where the model has no source: those of equal length run
/// together, at most `most` of them, others on threads of their own. `first` is the number of the
/// first of them.
void answer(const Generator &generator, const Options &options, size_t most, uint64_t first,
            std::vector<Answer> &answers) {
  using Lengths = std::pair<size_t, size_t>;     // of the source, of the prompt
  std::vector<std::pair<Lengths, size_t>> order; // and the number of the line
  for (size_t number = 0; number < answers.size(); ++number) {
    Answer &answer = answers[number];
    if (answer.line.empty())
      continue;
    beginAnswer(generator, options, first + number, answer);
    order.push_back({{answer.stream.source, answer.stream.prompt}, number});
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

/// Text that is written piece by piece as it is made.
struct DirectText {
  const Options &options;
  bool written = true; ///< all of it so far

  explicit DirectText(const Options &options) : options(options) {}
  void take(Stream &stream) {
    stream.to = this;
    stream.emit = [](void *to, std::string_view text) {
      auto *out = static_cast<DirectText *>(to);
      return out->written = out->written && writeText(text, out->options);
    };
  }
};

/// Whether standard input could not be read to its end, after saying so.
bool readFailed(const InputLines &lines, const Options &options) {
  if (lines.failure().empty())
    return false;
  qkv_error error = {};
  error.size = sizeof error;
  fail(&error, "cannot read standard input: " + lines.failure());
  printError(error, options);
  return true;
}

/// What --stats says, of all streams of a run.
class Stats {
public:
  void add(const Stream &stream) {
    if (!stream.sequence)
      return;
    ++streams;
    prompt += static_cast<int64_t>(stream.prompt);
    shared += static_cast<int64_t>(stream.shared);
    generated += stream.generated;
    kept = std::max(kept, stream.sequence->keptBytes());
    ++endings[static_cast<size_t>(stream.ending)];
  }
  void print(const Generator &generator, const Options &options) const {
    if (!options.stats)
      return;
    double seconds = now() - begun;
    std::string text =
        format("tokens: %lld of prompts, %lld generated, %.3f s", static_cast<long long>(prompt),
               static_cast<long long>(generated), seconds);
    if (shared > 0)
      text += format(", %lld of the prompts' computed for several", static_cast<long long>(shared));
    if (seconds > 0)
      text += format(", %.1f tokens/s", static_cast<double>(prompt + generated) / seconds);
    text += format("\nkept of a stream: %zu bytes at its end\ntokenizer: %s\nsampling: %s\nended "
                   "by:",
                   kept, generator.tokenizerText().c_str(), generator.samplingText().c_str());
    const char *comma = " ";
    for (size_t i = 0; i < std::size(endings); ++i)
      if (endings[i]) {
        text += comma + std::string(endingText(static_cast<Ending>(i)));
        if (streams > 1)
          text += format(" (%lld)", static_cast<long long>(endings[i]));
        comma = ", ";
      }
    text += "\n";
    writeAll(2, text.data(), text.size());
  }

private:
  static double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }
  double begun = now();
  int64_t streams = 0, prompt = 0, shared = 0, generated = 0;
  size_t kept = 0;
  int64_t endings[static_cast<size_t>(Ending::Failed) + 1] = {};
};

/// Writes answers in the order of their lines.
class AnswerWriter {
public:
  AnswerWriter(const Options &options, Stats &stats) : options(options), stats(stats) {}

  /// One that has ended lets go of what it kept.
  void ended(Answer &answer) {
    stats.add(answer.stream);
    answer.stream.sequence.reset();
  }
  /// The next line's.
  void write(Answer &answer) {
    ++number;
    ended(answer);
    // An empty line in the place of an answer: the n-th line out belongs to the n-th line in.
    qkv_error &error = answer.stream.error;
    text += (answer.stream.failed ? "" : answer.text) + "\n";
    if (answer.stream.failed) {
      failed = true;
      std::string before = format("line %lld: ", static_cast<long long>(number));
      failAt(&error, error.file, error.line, error.column, error.length, before + error.text);
      printError(error, options);
    }
  }
  /// False where it cannot be written.
  bool flush() {
    bool done = text.empty() || writeText(text, options);
    text.clear();
    return done;
  }
  int64_t written() const { return number; }

  bool failed = false;

private:
  const Options &options;
  Stats &stats;
  std::string text;
  int64_t number = 0;
};

/// Lines that wait for their turn; answers come out as soon as those before them have. Where there
/// are sources, lines of equal length follow one another: what is computed of a source is computed
/// for as many as have equal sizes. They are found among those that are here already.
class LineQueue : public Waiting {
public:
  /// At most `most` lines are answered at a time.
  LineQueue(const Generator &generator, const Options &options, size_t most, InputLines &lines,
            AnswerWriter &out)
      : generator(generator), options(options), lines(lines), out(out), most(most),
        window(generator.hasSource() && most > 1 ? 16 * most : 1) {}

  Stream *next(bool idle) override {
    for (;;) {
      release();
      if (stopped)
        return nullptr;
      lookAhead(idle);
      if (waiting.empty())
        return nullptr;
      Answer &answer = take();
      beginAnswer(generator, options, answer.stream.number, answer);
      begun.push_back(&answer);
      if (!answer.stream.done)
        return &answer.stream;
    }
  }
  /// What is done comes out.
  void release() {
    std::erase_if(begun, [&](Answer *answer) {
      if (answer->stream.done)
        out.ended(*answer);
      return answer->stream.done;
    });
    while (!answers.empty() && answers.front()->stream.done) {
      out.write(*answers.front());
      answers.pop_front();
    }
    stopped = stopped || !out.flush();
  }

  bool stopped = false; ///< nobody reads what is written

private:
  void lookAhead(bool idle) {
    std::string line;
    while (waiting.size() < window &&
           (idle && waiting.empty() ? lines.next(line) : lines.ready(line))) {
      answers.push_back(std::make_unique<Answer>());
      Answer &answer = *answers.back();
      answer.stream.number = arrived++;
      answer.line = std::move(line);
      answer.stream.done = answer.line.empty();
      if (!answer.stream.done)
        waiting.push_back(&answer);
      else if (release(); stopped)
        return;
    }
  }
  /// One as long as the last one, but no more of them in a row than go together: then the oldest.
  Answer &take() {
    auto one = std::find_if(waiting.begin(), waiting.end(),
                            [&](const Answer *answer) { return answer->line.size() == length; });
    if (one == waiting.end() || row == most) {
      row = 0;
      one = waiting.begin();
    }
    Answer &answer = **one;
    length = answer.line.size();
    ++row;
    waiting.erase(one);
    return answer;
  }

  const Generator &generator;
  const Options &options;
  InputLines &lines;
  AnswerWriter &out;
  const size_t most, window;
  std::deque<std::unique_ptr<Answer>> answers; // of lines that are here, in their order
  std::vector<Answer *> waiting, begun;        // those not begun; those not ended
  size_t length = 0, row = 0;                  // of the line that was begun last; so many like it
  uint64_t arrived = 0;
};

/// Groups of equally long lines. False where an answer cannot be written.
bool runGroups(const Generator &generator, const Options &options, size_t most, InputLines &lines,
               AnswerWriter &out) {
  size_t window = generator.together() && most > 1 ? 16 * most : most;
  for (bool more = true; more;) {
    std::vector<Answer> answers;
    for (std::string line; answers.size() < most && (more = lines.next(line));)
      answers.emplace_back().line = line;
    // Among more lines there are more of equal length; but no line waits for them.
    for (std::string line; answers.size() < window && lines.arrived(line);)
      answers.emplace_back().line = line;
    answer(generator, options, most, static_cast<uint64_t>(out.written()), answers);
    for (Answer &one : answers)
      out.write(one);
    if (!out.flush())
      return false;
  }
  return true;
}

int runLines(const Generator &generator, const Options &options) {
  Stats stats;
  InputLines lines;
  AnswerWriter out(options, stats);
  size_t most = options.batch > 0 ? static_cast<size_t>(options.batch) : 1;
  if (most == 1 || generator.mixes()) {
    LineQueue queue(generator, options, most, lines, out);
    generator.run(queue, most);
    queue.release();
    if (queue.stopped)
      return ExitFailed;
  } else if (!runGroups(generator, options, most, lines, out)) {
    return ExitFailed;
  }
  out.failed = readFailed(lines, options) || out.failed;
  stats.print(generator, options);
  return out.failed ? ExitFailed : ExitDone;
}

/// The logarithm of a token's probability, as the model has it.
float logProbability(const float *logits, int64_t vocabulary, int64_t token) {
  double most = *std::max_element(logits, logits + vocabulary), sum = 0;
  for (int64_t v = 0; v < vocabulary; ++v)
    sum += std::exp(static_cast<double>(logits[v]) - most);
  return static_cast<float>(static_cast<double>(logits[token]) - most - std::log(sum));
}

/// The tokens of a stream, and those that were chosen behind the prompt, with their logits and the
/// logarithms of their probabilities (before penalties, temperature and the like).
bool writeLogits(const Generator &generator, const Stream &stream, const std::string &path,
                 qkv_error *error) {
  const std::vector<int64_t> &tokens = stream.sequence->tokens();
  int64_t vocabulary = generator.vocabularySize();
  auto count = static_cast<int64_t>(stream.chosen.size());
  std::vector<float> logs;
  for (int64_t i = 0; i < count; ++i)
    logs.push_back(logProbability(stream.logits->data() + i * vocabulary, vocabulary,
                                  stream.chosen[static_cast<size_t>(i)]));
  return writeSafetensors(
      path,
      {{"tokens", Dtype::I64, {static_cast<int64_t>(tokens.size())}, tokens.data()},
       {"chosen", Dtype::I64, {count}, stream.chosen.data()},
       {"logprobs", Dtype::F32, {count}, logs.data()},
       {"logits", Dtype::F32, {count, vocabulary}, stream.logits->data()}},
      error);
}

/// The source and the stream of a run, and what is traced of them: all positions at once.
bool writeTrace(const qkv_model &model, const qkv_weights *weights, const Options &options,
                const std::vector<int64_t> &source, const Stream &stream, qkv_error *error) {
  std::vector<const std::vector<int64_t> *> inputs(static_cast<size_t>(model.input_count), &source);
  inputs[static_cast<size_t>(model.generator_input)] = &stream.sequence->tokens();
  std::vector<std::vector<int64_t>> shapes;
  std::vector<NewTensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    shapes.push_back({static_cast<int64_t>(inputs[i]->size())});
    tensors.push_back({model.inputs[i].name, Dtype::I64, shapes.back(), inputs[i]->data()});
  }
  Call call;
  if (!bindSizes(model, shapes, call, error))
    return false;
  for (const std::vector<int64_t> *input : inputs)
    call.inputs.push_back(const_cast<int64_t *>(input->data()));
  TraceRun trace;
  if (!trace.run(options, weights, call, error))
    return false;
  tensors.insert(tensors.end(), trace.tensors().begin(), trace.tensors().end());
  return writeSafetensors(options.outputs[0], tensors, error);
}

/// One line of standard input, which is all that may be there.
bool readOneLine(std::string &line, qkv_error *error) {
  if (!readAll(0, line))
    return fail(error, format("cannot read standard input: %s", strerror(errno)));
  if (line.ends_with("\n"))
    line.pop_back();
  return line.find('\n') == line.npos ||
         fail(error, "--trace is for one line, standard input has more");
}

/// One prompt; or, where the model has a source, one line.
int runOne(const qkv_model &model, const qkv_weights *weights, const Generator &generator,
           const Options &options) {
  qkv_error error = {};
  error.size = sizeof error;
  std::string source, prompt = options.prompt;
  bool read = true;
  if (generator.hasSource())
    read = readOneLine(source, &error);
  else if (!options.hasPrompt && !readAll(0, prompt))
    read = fail(&error, format("cannot read standard input: %s", strerror(errno)));
  if (!read) {
    printError(error, options);
    return ExitFailed;
  }
  DirectText out(options);
  Stats stats;
  Stream stream;
  std::vector<float> logits;
  std::vector<int64_t> sourceTokens;
  if (!options.logits.empty())
    stream.logits = &logits;
  stream.sourceTokens = &sourceTokens;
  generator.begin(source, prompt, stream);
  out.take(stream);
  generator.run({&stream});
  if (stream.failed)
    printError(stream.error, options);
  bool done = out.written && !stream.failed && writeText("\n", options);
  if (done && stream.logits && !writeLogits(generator, stream, options.logits, &error)) {
    printError(error, options);
    done = false;
  }
  if (done && !options.trace.empty() &&
      !writeTrace(model, weights, options, sourceTokens, stream, &error)) {
    printError(error, options);
    done = false;
  }
  stats.add(stream);
  stats.print(generator, options);
  return done ? ExitDone : ExitFailed;
}

/// One text that goes on with each line of standard input; what was computed of it is kept. A line
/// that cannot be taken is as if it had not been there.
int runInteractive(const Generator &generator, const Options &options) {
  DirectText out(options);
  Stats stats;
  InputLines lines;
  Stream stream;
  out.take(stream);
  bool failed = false, terminal = isatty(0) && isatty(2);
  auto answer = [&](const std::string &line) {
    generator.goOn(line, stream);
    if (!stream.failed)
      generator.run({&stream});
    stats.add(stream);
    if (stream.failed)
      printError(stream.error, options);
    failed = failed || stream.failed;
    out.written = out.written && writeText("\n", options);
  };
  if (options.hasPrompt)
    answer(options.prompt);
  for (std::string line; out.written;) {
    if (terminal)
      writeAll(2, "> ", 2);
    if (!lines.next(line))
      break;
    answer(line);
  }
  failed = readFailed(lines, options) || failed;
  stats.print(generator, options);
  return out.written && !failed ? ExitDone : ExitFailed;
}

} // namespace

/// The tokenizer of the weights, or of the place that the options name; null: bytes. False with
/// *error set.
static bool findTokenizer(const qkv_weights *weights, const Options &options,
                          std::unique_ptr<Tokenizer> &tokenizer, qkv_error *error) {
  TextFiles files;
  if (!findTextFiles(weights ? weights->place : "", options.tokenizer, files, error))
    return false;
  if (files.empty() || files.find(bytesFile))
    return true;
  if (!options.readTokens)
    return fail(error, "this program was linked without tokenizers (qkv_text_main)");
  tokenizer = options.readTokens(files, error);
  return tokenizer != nullptr;
}

int runText(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  qkv_error error = {};
  error.size = sizeof error;
  std::unique_ptr<Tokenizer> tokenizer;
  bool found = findTokenizer(weights, options, tokenizer, &error);
  Generator generator(model, weights, options.generation, tokenizer.get());
  if (!found || !generator.prepare(&error)) {
    printError(error, options);
    return ExitFailed;
  }
  if (options.interactive)
    return runInteractive(generator, options);
  bool lines = generator.hasSource() || (options.batch > 0 && !options.hasPrompt);
  return lines && options.trace.empty() ? runLines(generator, options)
                                        : runOne(model, weights, generator, options);
}

} // namespace qkv::rt

// Every stage against the interpreter; the first equation that differs.
#include "compiler/verify/Verify.h"
#include "compiler/Compilation.h"
#include "compiler/description/Description.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewritings.h"
#include "compiler/native/Jit.h"
#include "compiler/streams/Chunks.h"
#include "dsl/proof/Schedule.h"
#include "runtime/tensors/Entries.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace qkv {
namespace {

/// The text that a stage prints, read back and compiled on from there, in machine code.
std::unique_ptr<JitModel> modelFrom(const Program &program, const std::string &stage,
                                    const VerifyOptions &options, std::string &error) {
  const std::string &cpu = options.cpu;
  bool text = stage == "ir", code = stage == "asm";
  Stage to = text || code ? Stage::Llvm : *stageByName(stage);
  std::unique_ptr<Compilation> first = Compilation::begin(
      program, cpu, error, {.batch = true, .element = options.element, .fuse = options.fuse});
  if (!first || !first->advance(to, error))
    return nullptr;
  std::unique_ptr<NativeModule> native;
  if (code) {
    native = first->native(error);
  } else {
    std::string printed;
    if (text) {
      std::unique_ptr<NativeModule> module = first->native(error);
      if (!module)
        return nullptr;
      printed = qkv::text(*module);
    } else {
      printed = first->text();
    }
    first.reset();
    std::unique_ptr<Compilation> again =
        Compilation::parse(printed, "stage " + stage, std::nullopt, cpu, error);
    if (!again) {
      error = "the printed module does not read back: " + error;
      return nullptr;
    }
    native = again->native(error);
  }
  if (!native)
    return nullptr;
  return JitModel::create(std::move(native), cpu, error, code ? Effort::Full : Effort::Light);
}

std::string sentence(const Difference &d) {
  char text[300];
  snprintf(text, sizeof text, "%.9g was computed, %.9g is right: off by %.3g, allowed are %.3g",
           d.got, d.expected, d.error, d.bound);
  return d.tensor + d.index + ": " + text;
}

Difference difference(const Program &program, int tensor, const Expected &expected,
                      const Comparison &found) {
  Difference d;
  d.tensor = program.tensors[tensor].name;
  d.span = program.tensors[tensor].span;
  d.index = indexText(expected.exact.shape, found.at);
  d.expected = found.expected;
  d.got = found.got;
  d.error = std::fabs(found.got - found.expected);
  d.bound = found.bound;
  d.text = sentence(d);
  return d;
}

void flatten(const std::vector<ScheduleNode> &nodes, std::vector<int> &order) {
  for (const ScheduleNode &node : nodes) {
    if (node.tensor >= 0)
      order.push_back(node.tensor);
    flatten(node.children, order);
  }
}

/// The equations in the order they are computed, apart from those whose elements are not all
/// needed: these have no value to compare.
std::vector<int> comparable(const Program &program) {
  Diagnostics diagnostics;
  auto nodes = schedule(program, diagnostics);
  std::vector<int> order, out;
  if (nodes)
    flatten(*nodes, order);
  for (int number : order) {
    const Tensor &tensor = program.tensors[number];
    bool whole = tensor.kind == Tensor::Kind::Equation &&
                 std::none_of(tensor.pieces.begin(), tensor.pieces.end(),
                              [](const Piece &piece) { return piece.guard != nullptr; });
    if (whole && std::find(out.begin(), out.end(), number) == out.end())
      out.push_back(number);
  }
  return out;
}

/// The first equation that differs when each is a result of its own.
std::optional<Difference> firstEquation(const Program &program, const Trial &trial,
                                        const std::string &stage, const VerifyOptions &options) {
  Program open = program;
  std::vector<int> tensors = comparable(program);
  open.results.clear();
  for (int tensor : tensors)
    open.results.push_back({program.tensors[tensor].name, tensor});
  open.generatorInput = open.generatorSource = -1;
  std::string error;
  std::unique_ptr<JitModel> model = modelFrom(open, stage, options, error);
  if (!model)
    return std::nullopt;
  Computed computed = compute(model->model(), open, trial);
  Oracle oracle = expect(open, trial, tensors);
  if (oracle.failure || !computed.failure.empty())
    return std::nullopt;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Comparison found = compare(oracle.values[i], computed.results[i]);
    if (!found.same)
      return difference(open, tensors[i], oracle.values[i], found);
  }
  return std::nullopt;
}

/// The expected logits of the last position.
Expected lastOf(const Expected &logits) {
  auto cut = [](const Values &values) {
    Values last;
    last.type = values.type;
    last.shape = {values.shape[1]};
    last.floats.assign(values.floats.end() - values.shape[1], values.floats.end());
    return last;
  };
  Expected last;
  last.exact = cut(logits.exact);
  for (const Values &run : logits.rounded)
    last.rounded.push_back(cut(run));
  return last;
}

/// The compiled parts of a model over a stream, for sequences of any lengths together.
std::unique_ptr<JitModel> stepsOf(const Program &program, const VerifyOptions &options,
                                  std::string &failure) {
  unsigned parts = 1u << QKV_SESSION | 1u << QKV_STEP | 1u << QKV_CLOSING;
  std::unique_ptr<Compilation> compilation = Compilation::begin(program, options.cpu, failure,
                                                                {.whole = false,
                                                                 .parts = parts,
                                                                 .batch = true,
                                                                 .element = options.element,
                                                                 .cache = options.cache,
                                                                 .fuse = options.fuse});
  std::unique_ptr<NativeModule> native = compilation ? compilation->native(failure) : nullptr;
  return native ? JitModel::create(std::move(native), options.cpu, failure, Effort::Light)
                : nullptr;
}

class Verifier {
public:
  Verifier(const Program &program, const Trial &trial, const VerifyOptions &options)
      : program(program), trial(trial), options(options) {
    for (const Result &result : program.results)
      results.push_back(result.tensor);
    auto share = [&](double done) { options.progress("interpreter", done); };
    oracle = expect(program, trial, results,
                    options.progress ? std::function<void(double)>(share) : nullptr);
  }

  StageReport stage(const std::string &name) {
    StageReport report;
    report.stage = name;
    if (name == "equations") {
      report.same = true;
      rewritings(report, program, oracle.values);
      if (program.generatorInput >= 0 && !oracle.failure)
        rewritings(report, equations::lastPosition(program), {lastOf(oracle.values[0])});
      return report;
    }
    if (name == "step") {
      std::unique_ptr<JitModel> steps;
      return step(steps);
    }
    std::unique_ptr<JitModel> model = modelFrom(program, name, options, report.failure);
    if (!model)
      return report;
    Computed computed = compute(model->model(), program, trial);
    std::string batch = batchDiffers(model->model(), program, trial);
    if (!batch.empty()) {
      report.failure = batch;
      return report;
    }
    if (oracle.failure) {
      // The interpreter met a failing check: the code must meet one too.
      report.same = !computed.failure.empty();
      if (!report.same)
        report.failure =
            "the interpreter fails (" + oracle.failure->message + "), the compiled model does not";
      return report;
    }
    if (!computed.failure.empty()) {
      report.failure = computed.failure;
      return report;
    }
    report.same = true;
    for (size_t i = 0; i < results.size() && report.same; ++i)
      check(report, results[i], oracle.values[i], computed.results[i]);
    if (report.same && rt::findEntry(model->model(), QKV_LAST)) {
      Computed last = computeLast(model->model(), program, trial);
      if (!last.failure.empty()) {
        report.same = false;
        report.failure = "the last position alone: " + last.failure;
      } else {
        check(report, results[0], lastOf(oracle.values[0]), last.results[0]);
      }
    }
    return report;
  }

  /// The stage `step`. `steps`: its code, compiled here where it is not there yet.
  StageReport step(std::unique_ptr<JitModel> &steps) {
    StageReport report;
    report.stage = "step";
    report.same = true;
    inChunks(report, steps);
    return report;
  }

private:
  /// The program behind each rewriting of equations means what the model does. (Where the model
  /// fails a check there is nothing to compare: rewritings take checks out of expressions.)
  void rewritings(StageReport &report, const Program &from, const std::vector<Expected> &expected) {
    if (oracle.failure)
      return;
    equations::RewriteOptions rewriting;
    rewriting.fuse = options.fuse;
    rewriting.behind = [&](const equations::Rewriting &step, const equations::Prepared &prepared) {
      if (!report.same)
        return;
      std::vector<int> tensors;
      for (const Result &r : prepared.program.results)
        tensors.push_back(r.tensor);
      std::vector<Values> values;
      auto failures = interpret(prepared.program, trial, tensors, values);
      std::string behind = std::string("behind ") + step.name + ": ";
      if (!failures.empty()) {
        report.same = false;
        report.failure = behind + failures.begin()->second.message;
      }
      for (size_t i = 0; i < tensors.size() && report.same; ++i)
        if (Comparison found = compare(expected[i], values[i]); !found.same) {
          report.same = false;
          report.difference = difference(prepared.program, tensors[i], expected[i], found);
          report.difference->text = behind + report.difference->text;
        }
    };
    try {
      rewrite(from, rewriting);
    } catch (const Defect &defect) {
      report.same = false;
      report.failure = defect.what();
    }
  }

  using Evaluate = streams::Evaluate;

  /// The equations of a step give what the model's do, chunk by chunk: interpreted, and compiled,
  /// there the same bytes whatever the chunks and the sequences beside. (Where the model fails a
  /// check, a step that does not meet it yet need not.)
  void inChunks(StageReport &report, std::unique_ptr<JitModel> &steps) {
    if (program.stream < 0 || oracle.failure)
      return;
    auto derived = streams::deriveStream(program);
    const auto *stream = std::get_if<streams::Stream>(&derived);
    if (!stream)
      return;
    Evaluate interpreted = [&](const Program &part, const std::map<int, Values> &inputs,
                               const std::vector<int> &tensors, std::vector<Values> &out) {
      auto failures = interpret(part, {{}, inputs, trial.params}, tensors, out);
      return failures.empty() ? std::nullopt : std::optional(failures.begin()->second);
    };
    // (With keys in 16 bits what is computed of them is not the parallel form's.)
    if (options.cache != Half::None || eachChunking(report, *stream, "interpreted", interpreted))
      mixed(report, steps);
  }

  /// The compiled parts: sequences in chunks of different lengths, their next chunks together.
  void mixed(StageReport &report, std::unique_ptr<JitModel> &model) {
    if (!model)
      model = stepsOf(program, options, report.failure);
    report.same = model != nullptr;
    if (!model || !model->model().stream)
      return;
    int64_t positions = trial.sizes[positionIn(program.dynamicSizes, program.stream)];
    const std::vector<std::vector<int64_t>> chunks{{positions}, {1}, {1, 2, 3}, {2, 1}, {3, 1}};
    // The trial itself, then others of its sizes.
    std::vector<Trial> trials{trial, trial, trial, moved(trial, 1), moved(trial, 2)};
    std::vector<Computed> together = computeInChunks(model->model(), program, trials, chunks);
    for (size_t i = 0; i < trials.size() && report.same; ++i) {
      std::string how = "compiled, among other sequences, in chunks of";
      for (int64_t length : chunks[i])
        how += " " + std::to_string(length);
      how += ": ";
      Computed alone = together[0];
      if (i > 2)
        alone = computeInChunks(model->model(), program, {trials[i]}, {{positions}})[0];
      if (alone.failure != together[i].failure) {
        report.same = false;
        report.failure = how + together[i].failure;
      }
      for (size_t r = 0; r < alone.results.size() && report.same; ++r)
        sameResult(report, r, i < 3, alone.results[r], together[i].results[r], how);
    }
  }

  /// Whether a position is chosen by its value: rounding may choose another one.
  bool chooses() const {
    bool found = false;
    for (const Tensor &t : program.tensors)
      for (const Piece &p : t.pieces)
        equations::forEachNode(p.value, [&](const Expr &e) {
          found = found || (e.kind == Expr::Kind::Reduce &&
                            (e.reduction == Reduction::Rank || e.reduction == Reduction::ArgMax ||
                             e.reduction == Reduction::ArgMin));
        });
    return found;
  }

  /// Whether what was computed of keys in 16 bits is what it should be but for their rounding: a
  /// coarse measure, of the greatest value of all.
  static bool near(const Expected &wanted, const Values &got) {
    double greatest = 0, difference = 0;
    for (size_t i = 0; i < got.floats.size(); ++i) {
      if (!std::isfinite(wanted.exact.floats[i]))
        continue;
      greatest = std::max(greatest, std::abs(wanted.exact.floats[i]));
      difference = std::max(difference, std::abs(wanted.exact.floats[i] - got.floats[i]));
    }
    return difference <= greatest / 16 + 1e-6;
  }

  /// One result of a sequence: the oracle's, where it is of the trial, and the bytes of another
  /// run.
  void sameResult(StageReport &report, size_t result, bool ofTrial, const Values &alone,
                  const Values &got, const std::string &how) {
    Comparison found = ofTrial && options.cache == Half::None ? compare(oracle.values[result], got)
                                                              : Comparison{.same = true};
    if (ofTrial && options.cache != Half::None && !chooses() && !near(oracle.values[result], got)) {
      report.same = false;
      report.failure = how + program.results[result].name + " is not near what it is of f32";
    } else if (!found.same) {
      report.same = false;
      report.difference = difference(program, results[result], oracle.values[result], found);
      report.difference->text = how + report.difference->text;
    } else if (!sameBytes(alone, got)) {
      report.same = false;
      report.failure = how + "other bytes than in one chunk in " + program.results[result].name;
    }
  }

  /// False, and what differs in the report.
  bool eachChunking(StageReport &report, const streams::Stream &stream, const std::string &what,
                    const Evaluate &evaluate) {
    std::vector<int64_t> sizes(program.atoms.count(), 0);
    for (size_t i = 0; i < program.dynamicSizes.size(); ++i)
      sizes[program.dynamicSizes[i]] = trial.sizes[i];
    std::vector<Values> whole;
    for (int64_t longest : {sizes[program.stream], int64_t(1), int64_t(3)}) {
      std::vector<int64_t> chunks;
      for (int64_t left = sizes[program.stream], i = 0; left > 0; ++i) {
        // all; then 1 at a time; then 1, 2, 3, 1, ...
        int64_t length = std::min(left, longest == 3 ? 1 + i % 3 : longest);
        chunks.push_back(length);
        left -= length;
      }
      streams::ChunkedRun run =
          streams::runInChunks(program, stream, trial.inputs, sizes, chunks, evaluate);
      std::string how = what + " in chunks of " + std::to_string(longest) + ": ";
      if (run.failure) {
        report.same = false;
        report.failure = how + run.failure->message;
        return false;
      }
      for (size_t i = 0; i < results.size(); ++i) {
        Comparison found = compare(oracle.values[i], run.results[i]);
        if (!found.same) {
          report.same = false;
          report.difference = difference(program, results[i], oracle.values[i], found);
          report.difference->text = how + report.difference->text;
          return false;
        }
        if (!whole.empty() && !sameBytes(whole[i], run.results[i])) {
          report.same = false;
          report.failure = how + "other bytes than in one chunk in " + program.results[i].name;
          return false;
        }
      }
      if (whole.empty())
        whole = run.results;
    }
    return true;
  }

  static bool sameBytes(const Values &a, const Values &b) {
    return a.shape == b.shape && a.ints == b.ints && a.floats.size() == b.floats.size() &&
           std::equal(a.floats.begin(), a.floats.end(), b.floats.begin(), [](double x, double y) {
             return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y);
           });
  }

  void check(StageReport &report, int tensor, const Expected &expected, const Values &got) {
    Comparison found = compare(expected, got);
    if (found.bound > 0 && std::isfinite(found.bound))
      report.error = std::max(report.error, found.error / found.bound);
    if (found.same)
      return;
    report.same = false;
    if (options.findEquation)
      report.difference = firstEquation(program, trial, report.stage, options);
    if (!report.difference)
      report.difference = difference(program, tensor, expected, found);
  }

  const Program &program;
  const Trial &trial;
  const VerifyOptions &options;
  std::vector<int> results;
  Oracle oracle;
};

} // namespace

const std::vector<std::string> &verifiedStages() {
  static const std::vector<std::string> stages{"equations", "step", "graph", "fused",
                                               "kernels",   "llvm", "ir",    "asm"};
  return stages;
}

VerifyReport verify(const Program &program, const Trial &trial, const VerifyOptions &options) {
  VerifyReport report;
  Verifier verifier(program, trial, options);
  report.same = true;
  double done = 0;
  for (const std::string &stage : verifiedStages()) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), stage) == options.only.end())
      continue;
    if (options.progress)
      options.progress("stage " + stage, done++ / static_cast<double>(verifiedStages().size()));
    report.stages.push_back(verifier.stage(stage));
    report.same = report.same && report.stages.back().same;
  }
  return report;
}

StageReport verifySteps(const Program &program, const std::vector<Trial> &trials,
                        const VerifyOptions &options) {
  StageReport report;
  std::unique_ptr<JitModel> steps;
  for (const Trial &trial : trials) {
    report = Verifier(program, trial, options).step(steps);
    if (report.same)
      continue;
    std::string sizes;
    for (size_t i = 0; i < trial.sizes.size(); ++i)
      sizes += program.atoms[program.dynamicSizes[i]].name + " = " +
               std::to_string(trial.sizes[i]) + ", ";
    report.failure.insert(0, sizes);
    break;
  }
  return report;
}

} // namespace qkv

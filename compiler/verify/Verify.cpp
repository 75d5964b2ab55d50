// Every stage against the interpreter; the first equation that differs.
#include "compiler/verify/Verify.h"
#include "compiler/Compilation.h"
#include "compiler/equations/Rewritings.h"
#include "compiler/native/Jit.h"
#include "dsl/proof/Schedule.h"
#include "runtime/tensors/Entries.h"

#include <algorithm>
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
  static const std::vector<std::string> stages{"equations", "graph", "step", "fused",
                                               "kernels",   "llvm",  "ir",   "asm"};
  return stages;
}

VerifyReport verify(const Program &program, const Trial &trial, const VerifyOptions &options) {
  VerifyReport report;
  Verifier verifier(program, trial, options);
  report.same = true;
  double done = 0;
  for (const std::string &stage : verifiedStages()) {
    if (options.progress)
      options.progress("stage " + stage, done++ / static_cast<double>(verifiedStages().size()));
    report.stages.push_back(verifier.stage(stage));
    report.same = report.same && report.stages.back().same;
  }
  return report;
}

} // namespace qkv

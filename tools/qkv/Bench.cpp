// qkv bench: runs a model and says where the time goes: kernel by kernel, beside what the machine
// could do.
//
// Holds: the whole's time is of code as it is built; the kernels' come from a second build of the
// same stages that says, between kernels, which one begins (native/TimeKernels.cpp).
#include "tools/qkv/Commands.h"
#include "tools/qkv/GeneratedRun.h"
#include "tools/qkv/KernelReports.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SizeOptions.h"
#include "tools/qkv/StepOptions.h"

#include "compiler/native/Jit.h"
#include "compiler/passes/Target.h"
#include "runtime/Threads.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <optional>

namespace qkv::driver {
namespace {

constexpr int64_t usualSize = 512;

struct Options : ModelOptions {
  std::vector<std::string> sizes;
  std::string input, logits = "all";
  StepOptions step;
  int threads = 1;
  bool json = false;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Where the time of a run goes. What runs is timed between two calls, whoever makes them.
class KernelClock {
public:
  void reset(size_t kernels) {
    seconds_.assign(kernels, 0);
    current_ = -1;
  }
  void start(int64_t kernel) {
    double time = now();
    if (current_ >= 0 && static_cast<size_t>(current_) < seconds_.size())
      seconds_[static_cast<size_t>(current_)] += time - since_;
    current_ = kernel;
    since_ = time;
  }
  double seconds(size_t kernel) const { return seconds_[kernel]; }

private:
  std::vector<double> seconds_;
  int64_t current_ = -1;
  double since_ = 0;
};

// Compiled code calls a plain function; one model runs at a time here.
KernelClock clockOfRuns;
void timeKernel(int64_t kernel) { clockOfRuns.start(kernel); }

/// The median of at least nine runs, of three where one takes more than half a second; -1 with
/// *error set.
double medianRun(GeneratedRun &run, const qkv_model &model, int &runs, qkv_error *error) {
  std::vector<double> seconds;
  double started = now();
  for (size_t wanted = 10; seconds.size() < wanted;) {
    double from = now();
    if (!run.run(model, error))
      return -1;
    seconds.push_back(now() - from);
    if (seconds.size() == 1)
      wanted = seconds[0] > 0.5 ? 4 : seconds[0] < 0.01 ? 50 : 10;
    if (now() - started > 30)
      break;
  }
  if (seconds.size() > 1)
    seconds.erase(seconds.begin()); // it filled caches
  runs = static_cast<int>(seconds.size());
  std::nth_element(seconds.begin(), seconds.begin() + runs / 2, seconds.end());
  return seconds[static_cast<size_t>(runs / 2)];
}

struct Measured {
  const KernelReport *kernel;
  double seconds;
};

struct Result {
  Description description;
  Subject subject;
  Explanation explanation;
  Roofline roofline;
  double seconds = 0;
  std::vector<Measured> kernels;

  double flops() const {
    double sum = 0;
    for (const KernelReport &kernel : explanation.kernels)
      sum += kernel.flops;
    return sum;
  }
  double bytes() const {
    double sum = 0;
    for (const KernelReport &kernel : explanation.kernels)
      sum += kernel.bytes;
    return sum;
  }
  double bound() const {
    double sum = 0;
    for (const KernelReport &kernel : explanation.kernels)
      sum += roofline.seconds(kernel.flops, kernel.bytes);
    return sum;
  }
};

/// "6,7,nn.qkv:88": lines of the model, then of other files.
std::string linesText(const KernelReport &kernel, const std::string &file) {
  std::vector<Place> places;
  for (const auto &equation : kernel.equations) {
    Place place = equation.place;
    if (place.file == file)
      place.file.clear();
    if (place.line && std::find(places.begin(), places.end(), place) == places.end())
      places.push_back(place);
  }
  std::stable_partition(places.begin(), places.end(),
                        [](const Place &place) { return place.file.empty(); });
  std::string text, last;
  for (const Place &place : places) {
    text += text.empty() ? "" : ",";
    text += (place.file == last ? "" : place.file + ":") + std::to_string(place.line);
    last = place.file;
  }
  return text;
}

/// A rate and its share of the bound.
std::string ratesText(double seconds, double flops, double bytes, double bound) {
  char text[120];
  snprintf(text, sizeof text, "%10s %9.1f %8.2f %6.0f %%", secondsText(seconds).c_str(),
           flops / seconds / 1e9, bytes / seconds / 1e9, 100 * bound / seconds);
  return text;
}

std::string resultText(const Result &result, int threads) {
  std::string text = "model " + result.description.name;
  if (!result.subject.sizes.empty())
    text += ", " + subjectText(result.description, result.subject);
  text += ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads") + "; bound by " +
          flopsText(result.roofline.flops) + "/s and " + bytesText(result.roofline.bandwidth) +
          "/s\n\n";
  char line[300];
  size_t width = 16;
  for (const Measured &one : result.kernels)
    width = std::max(width, one.kernel->name.size());
  int name = static_cast<int>(std::min<size_t>(width, 48));
  snprintf(line, sizeof line, "%-*s %-12s %-10s %10s %9s %8s %8s\n", name, "kernel", "kind",
           "lines", "time", "GFLOP/s", "GB/s", "of bound");
  text += line;
  for (const Measured &one : result.kernels) {
    const KernelReport &kernel = *one.kernel;
    snprintf(line, sizeof line, "%-*s %-12s %-10s ", name, kernel.name.c_str(), kernel.kind.c_str(),
             linesText(kernel, result.explanation.file).c_str());
    text += line +
            (one.seconds > 0 ? ratesText(one.seconds, kernel.flops, kernel.bytes,
                                         result.roofline.seconds(kernel.flops, kernel.bytes))
                             : std::string("  (part of another kernel)")) +
            "\n";
  }
  snprintf(line, sizeof line, "%-*s ", name + 24, "the whole");
  return text + line + ratesText(result.seconds, result.flops(), result.bytes(), result.bound()) +
         "\n";
}

nlohmann::json ratesJson(double seconds, double flops, double bytes, double bound) {
  nlohmann::json out{{"seconds", seconds}};
  if (seconds > 0) {
    out["gflops"] = flops / seconds / 1e9;
    out["gbytes"] = bytes / seconds / 1e9;
    out["of_bound"] = bound / seconds;
  }
  return out;
}

std::string resultJson(const Result &result, int threads) {
  nlohmann::json out = ratesJson(result.seconds, result.flops(), result.bytes(), result.bound());
  out["model"] = result.description.name;
  out["threads"] = threads;
  out["sizes"] = nlohmann::json::object();
  const Subject &subject = result.subject;
  for (size_t i = 0; i < subject.sizes.size(); ++i)
    out["sizes"][subject.description->sizes[i].name] = subject.sizes[i];
  if (subject.part) {
    const Description::Stream &stream = *result.description.stream;
    out["at"] = subject.sizes[static_cast<size_t>(stream.past)];
    out["rows"] = subject.sizes[static_cast<size_t>(stream.fresh)];
  }
  out["peak_gflops"] = result.roofline.flops / 1e9;
  out["bandwidth_gbytes"] = result.roofline.bandwidth / 1e9;
  out["kernels"] = nlohmann::json::array();
  for (const Measured &one : result.kernels) {
    nlohmann::json kernel = kernelJson(*one.kernel, result.explanation.file);
    kernel.update(ratesJson(one.seconds, one.kernel->flops, one.kernel->bytes,
                            result.roofline.seconds(one.kernel->flops, one.kernel->bytes)));
    out["kernels"].push_back(kernel);
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Compiles the model twice. `timed` calls the clock, with a number for each of `names`.
bool compile(const Options &options, Compilation &plain, Compilation &timed, Result &result,
             std::unique_ptr<JitModel> &plainModel, std::unique_ptr<JitModel> &timedModel,
             std::vector<std::string> &names, std::string &error) {
  if (!plain.explain({result.subject.sizes, result.subject.entry, result.subject.part},
                     result.explanation, error) ||
      !timed.timeKernels(names, error))
    return false;
  std::unique_ptr<NativeModule> native = plain.native(error);
  if (native)
    plainModel = JitModel::create(std::move(native), options.cpu, error, Effort::Full);
  if (!plainModel)
    return false;
  native = timed.native(error);
  if (native)
    timedModel = JitModel::create(std::move(native), options.cpu, error, Effort::Full,
                                  {{"qkv_time_kernel", reinterpret_cast<void *>(&timeKernel)}});
  return timedModel != nullptr;
}

int run(Options options) {
  int code = 0;
  std::string error;
  askForSteps(options.step, options);
  std::unique_ptr<ModelFile> file, again;
  std::unique_ptr<Compilation> plain = openCompilation(options, file, code);
  std::unique_ptr<Compilation> timed = plain ? openCompilation(options, again, code) : nullptr;
  if (!timed)
    return code;
  Result result;
  if (!plain->description(result.description, error))
    return fail(options.command, options.file + ": " + error);
  if (plain->stage() > Stage::Kernels || plain->isLlvmIr())
    return misuse(options.command, options.file + ": kernels are seen up to stage kernels");
  if (options.step.step && !result.description.stream)
    if (std::string why = withoutSteps(*file, result.description); !why.empty())
      return fail(options.command, options.file + ": " + why);
  if (options.step.step && !options.input.empty())
    return misuse(options.command, "--step has inputs of its own: it goes with no --input");
  if (std::string why = chooseSubject(result.description, options.step, options.logits == "last",
                                      options.sizes, usualSize, result.subject);
      !why.empty())
    return misuse(options.command, why);
  rt::setThreads(options.threads);

  // Inputs first: a file of them says what the sizes are.
  ModelInMemory memory(result.description);
  qkv_error why = {};
  why.size = sizeof why;
  GeneratedRun generated;
  if (!generated.open(memory.model(), file->program.get(), result.subject, options.weights,
                      options.input, &why))
    return fail(options.command, why);
  result.subject.sizes = generated.sizes();

  std::optional<Progress> progress("compiling " + options.file);
  std::unique_ptr<JitModel> plainModel, timedModel;
  std::vector<std::string> names;
  if (!compile(options, *plain, *timed, result, plainModel, timedModel, names, error))
    return fail(options.command, options.file + ": " + error);
  progress->says("running " + options.file);
  result.roofline = measuredRoofline(describeTarget(options.cpu).lanes, options.threads);
  int runs = 0;
  result.seconds = medianRun(generated, plainModel->model(), runs, &why);
  if (result.seconds < 0 || !generated.run(timedModel->model(), &why))
    return fail(options.command, why);
  clockOfRuns.reset(names.size());
  for (int i = 0; i < runs; ++i)
    if (!generated.run(timedModel->model(), &why))
      return fail(options.command, why);
  for (const KernelReport &kernel : result.explanation.kernels) {
    size_t at =
        static_cast<size_t>(std::find(names.begin(), names.end(), kernel.name) - names.begin());
    result.kernels.push_back({&kernel, at < names.size() ? clockOfRuns.seconds(at) / runs : 0});
  }
  progress.reset();
  return print(options.command, options.json ? resultJson(result, options.threads)
                                             : resultText(result, options.threads));
}

} // namespace

void addBench(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv bench";
  CLI::App *command =
      app.add_subcommand("bench", "run a model and say which kernel takes which time");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  addSizeOption(*command, options->sizes, "512, or its max");
  command->add_option("--weights", options->weights, "parameters (default: generated)")
      ->type_name("PATH");
  command->add_option("--input", options->input, "inputs, safetensors (default: generated)")
      ->type_name("FILE");
  command->add_option("--logits", options->logits, "generators: all positions, or the last")
      ->check(CLI::IsMember({"all", "last"}))
      ->type_name("WHICH")
      ->capture_default_str();
  addStepOptions(*command, options->step);
  command->add_option("--threads", options->threads, "cores to use")
      ->check(CLI::Range(1, 512))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print it as JSON");
  command->footer(
      "The bound is the least that this machine's arithmetic and memory, both measured now, need\n"
      "for a kernel's operations and bytes (qkv explain). What caches serve may exceed 100 %.\n"
      "Medians of nine runs or more.\n\n"
      "examples:\n"
      "  qkv bench attention.qkv --size T=2048 --size S=2048\n"
      "  qkv bench gpt2.qkv --weights gpt2/ --size T=512 --logits last\n"
      "  qkv bench m.qkv --cpu haswell --json\n"
      "  qkv bench llama/ --step --at 2000 --logits last");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver

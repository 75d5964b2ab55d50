// qkv explain: what a model is made into: kernels and why they are as they are, buffers and why
// they exist. Nothing is run; weights are not needed.
#include "tools/qkv/Commands.h"
#include "tools/qkv/KernelReports.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SizeOptions.h"
#include "tools/qkv/StepOptions.h"

#include "compiler/passes/Target.h"

#include <CLI/CLI.hpp>

#include <cmath>

namespace qkv::driver {
namespace {

/// Sizes that are not given: long enough that the parts of a model weigh as they do in use.
constexpr int64_t usualSize = 512;

struct Options : ModelOptions {
  std::vector<std::string> sizes;
  std::string logits = "all";
  StepOptions step;
  double peak = 0, bandwidth = 0;
  bool json = false;
};

std::string explanationJson(const Explanation &explanation) {
  nlohmann::json out{{"kernels", nlohmann::json::array()}, {"buffers", nlohmann::json::array()}};
  for (const KernelReport &kernel : explanation.kernels)
    out["kernels"].push_back(kernelJson(kernel, explanation.file));
  auto whole = [](std::optional<double> bytes) {
    return bytes ? nlohmann::json(std::llround(*bytes)) : nlohmann::json(nullptr);
  };
  for (const BufferReport &buffer : explanation.buffers)
    out["buffers"].push_back(
        {{"name", buffer.name}, {"bytes", whole(buffer.bytes)}, {"why", buffer.why}});
  out["peak_bytes"] = std::llround(explanation.peak.bytes);
  out["peak_is_known"] = explanation.peak.known;
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string kernelText(const KernelReport &kernel, const std::string &file,
                       const Roofline &roofline) {
  char line[200];
  std::string text = kernel.name + ": " + kernel.kind;
  if (kernel.times > 1)
    text += ", " + std::to_string(std::llround(kernel.times)) + " times";
  text += "\n    equations  " + equationsText(kernel, file) + "\n    form       " + kernel.form +
          "\n    why        " + kernel.why + "\n";
  auto counts = [&](double flops, double bytes) {
    snprintf(line, sizeof line, "%s, %s: at least %s, by %s\n", flopsText(flops).c_str(),
             bytesText(bytes).c_str(), secondsText(roofline.seconds(flops, bytes)).c_str(),
             roofline.boundByMemory(flops, bytes) ? "memory" : "arithmetic");
    return std::string(line);
  };
  text += "    counts     " + counts(kernel.flops, kernel.bytes);
  for (const KernelReport::Alternative &other : kernel.alternatives)
    text += "    instead of " + other.form + ": " + counts(other.flops, other.bytes);
  return text;
}

std::string explanationText(const Description &description, const Subject &subject,
                            const Explanation &explanation, const Roofline &roofline) {
  double flops = 0, bytes = 0, seconds = 0;
  for (const KernelReport &kernel : explanation.kernels) {
    flops += kernel.flops;
    bytes += kernel.bytes;
    seconds += roofline.seconds(kernel.flops, kernel.bytes);
  }
  std::string text = "model " + description.name;
  if (!subject.sizes.empty())
    text += ", " + subjectText(description, subject);
  text += ": " + flopsText(flops) + ", " + bytesText(bytes) + ", at least " + secondsText(seconds) +
          " (at " + flopsText(roofline.flops) + "/s and " + bytesText(roofline.bandwidth) +
          "/s, one core)\n\nkernels, in the order in which they run\n";
  for (const KernelReport &kernel : explanation.kernels)
    text += "  " + kernelText(kernel, explanation.file, roofline);
  text += "\nbuffers: " + bytesText(explanation.peak.bytes) + " at once at most" +
          (explanation.peak.known ? "" : ", and those whose size only a run can tell") + "\n";
  for (const BufferReport &buffer : explanation.buffers)
    text += "  " + buffer.name + ": " +
            (buffer.bytes ? bytesText(*buffer.bytes) : "a size that only a run can tell") + ", " +
            buffer.why + "\n";
  return text;
}

int run(Options options) {
  int code = 0;
  std::string error;
  askForSteps(options.step, options);
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
  if (!compilation)
    return code;
  Description description;
  if (!compilation->description(description, error))
    return fail(options.command, options.file + ": " + error);
  if (options.step.step && !description.stream)
    if (std::string why = withoutSteps(*file, description); !why.empty())
      return fail(options.command, options.file + ": " + why);
  Subject subject;
  if (std::string why = chooseSubject(description, options.step, options.logits == "last",
                                      options.sizes, usualSize, subject);
      !why.empty())
    return misuse(options.command, why);
  Explanation explanation;
  if (!compilation->explain({subject.sizes, subject.entry, subject.part}, explanation, error))
    return fail(options.command, options.file + ": " + error);
  if (options.json)
    return print(options.command, explanationJson(explanation));
  Roofline roofline{options.peak * 1e9, options.bandwidth * 1e9};
  if (options.peak == 0 || options.bandwidth == 0) {
    Roofline measured = measuredRoofline(describeTarget(options.cpu).lanes, /*threads=*/1);
    roofline.flops = options.peak > 0 ? roofline.flops : measured.flops;
    roofline.bandwidth = options.bandwidth > 0 ? roofline.bandwidth : measured.bandwidth;
  }
  return print(options.command, explanationText(description, subject, explanation, roofline));
}

} // namespace

void addExplain(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv explain";
  CLI::App *command =
      app.add_subcommand("explain", "say which kernels a model is made into, and why");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  addSizeOption(*command, options->sizes, "512, or its max");
  command
      ->add_option("--weights", options->weights,
                   "weights whose config.json gives the sizes read by config(...)")
      ->type_name("PATH");
  command->add_option("--logits", options->logits, "generators: all positions, or the last")
      ->check(CLI::IsMember({"all", "last"}))
      ->type_name("WHICH")
      ->capture_default_str();
  addStepOptions(*command, options->step);
  command->add_option("--peak", options->peak, "GFLOP/s of a core (default: measured)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_option("--bandwidth", options->bandwidth, "GB/s of a core (default: measured)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_flag("--json", options->json, "print it as JSON");
  command->footer(
      "For each kernel: its equations, its form and why it has that, floating-point operations,\n"
      "bytes, and the time that this machine needs for them at least; the same of a form that was\n"
      "not taken. For each buffer: what it is for.\n\n"
      "examples:\n"
      "  qkv explain attention.qkv --size T=2048 --size S=2048\n"
      "  qkv explain gpt2.qkv --weights gpt2/ --size T=1024 --logits last --json\n"
      "  qkv explain llama/ --step --at 2000");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver

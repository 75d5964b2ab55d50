// qkv verify: every stage of the compiler against the interpreter.
#include "tools/qkv/Commands.h"
#include "tools/qkv/InterpretedModel.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SizeOptions.h"

#include "compiler/verify/Verify.h"
#include "runtime/checkpoint/Weights.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  std::vector<std::string> sizes;
  uint64_t seed = 1;
  bool json = false;
};

std::vector<Description::Size> dynamicSizes(const Program &program) {
  std::vector<Description::Size> sizes;
  for (int atom : program.dynamicSizes)
    sizes.push_back({program.atoms[atom].name, program.atoms[atom].max,
                     program.atoms[atom].kind == SizeAtom::Kind::Stream, program.atoms[atom].min});
  return sizes;
}

int readWeights(const Program &program, const Options &options, TrialOptions &trial) {
  std::vector<int> used = usedParams(program);
  ModelInMemory memory(describe(program, used));
  qkv_error error = {};
  error.size = sizeof error;
  std::unique_ptr<qkv_weights, void (*)(qkv_weights *)> weights(
      qkv_weights_open(&memory.model(), options.weights.c_str(), nullptr, &error),
      qkv_weights_close);
  if (!weights)
    return fail(options.command, error);
  for (size_t i = 0; i < used.size(); ++i)
    trial.params[used[i]] = valuesFrom(qkv_weights_params(weights.get())[i], QKV_FLOAT,
                                       memory.description().params[i].shape);
  return 0;
}

std::string reportText(const Program &program, const Trial &trial, const VerifyReport &report,
                       const Options &options) {
  std::string text = "model " + program.name + ", seed " + std::to_string(options.seed);
  if (!trial.sizes.empty())
    text += ", " + sizesText(dynamicSizes(program), trial.sizes);
  text += "\n";
  for (const StageReport &stage : report.stages) {
    char line[200];
    snprintf(line, sizeof line, "  %-8s %s", stage.stage.c_str(), stage.same ? "ok" : "DIFFERS");
    text += line;
    if (stage.same && stage.error > 0) {
      snprintf(line, sizeof line, "       error %.2g of what is allowed", stage.error);
      text += line;
    }
    text += "\n";
  }
  for (const StageReport &stage : report.stages) {
    if (stage.same)
      continue;
    text += "\nthe first stage that differs is " + stage.stage + "\n";
    if (!stage.failure.empty())
      text += stage.failure + "\n";
    if (stage.difference) {
      const Difference &d = *stage.difference;
      if (d.span)
        text += d.span.source->path() + ":" + std::to_string(d.span.line()) + ": ";
      text += d.text + "\n";
    }
    break;
  }
  return text;
}

std::string reportJson(const Program &program, const Trial &trial, const VerifyReport &report,
                       const Options &options) {
  nlohmann::json out;
  out["model"] = program.name;
  out["seed"] = options.seed;
  out["same"] = report.same;
  for (size_t i = 0; i < trial.sizes.size(); ++i)
    out["sizes"][program.atoms[program.dynamicSizes[i]].name] = trial.sizes[i];
  for (const StageReport &stage : report.stages) {
    nlohmann::json item{{"stage", stage.stage}, {"same", stage.same}, {"error", stage.error}};
    if (!stage.failure.empty())
      item["failure"] = stage.failure;
    if (stage.difference) {
      const Difference &d = *stage.difference;
      item["difference"] = {{"tensor", d.tensor},     {"index", d.index}, {"line", d.span.line()},
                            {"expected", d.expected}, {"got", d.got},     {"error", d.error},
                            {"bound", d.bound}};
    }
    out["stages"].push_back(item);
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run(Options options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  const Program &program = *file->program;
  Trial trial;
  VerifyReport report;
  {
    Progress progress("verifying " + options.file);
    TrialOptions wanted;
    wanted.seed = options.seed;
    if (std::string why =
            readSizes(dynamicSizes(program), program.name, options.sizes, wanted.sizes);
        !why.empty())
      return misuse(options.command, why);
    if (!options.weights.empty())
      if (int failed = readWeights(program, options, wanted))
        return failed;
    trial = makeTrial(program, wanted);
    std::string error;
    Description held;
    std::unique_ptr<Compilation> graph =
        Compilation::begin(program, options.cpu, error, {.element = elementOf(options)});
    if (!graph || !graph->description(held, error))
      return fail(options.command, error);
    roundParams(ModelInMemory(held).model(), trial);
    VerifyOptions how;
    how.fuse = !options.unfused;
    how.cpu = options.cpu;
    how.element = elementOf(options);
    how.cache = cacheOf(options);
    how.progress = [&](const std::string &stage, double share) {
      progress.says("verifying " + options.file + ": " + stage);
      progress.at(share);
    };
    report = verify(program, trial, how);
  }
  int failed = print(options.command, options.json ? reportJson(program, trial, report, options)
                                                   : reportText(program, trial, report, options));
  return failed ? failed : report.same ? 0 : 1;
}

} // namespace

void addVerify(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv verify";
  CLI::App *command =
      app.add_subcommand("verify", "compare every stage of the compiler with the interpreter");
  addModelOptions(*command, *options, /*dumps=*/false, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  addSizeOption(*command, options->sizes, "small ones");
  command->add_option("--weights", options->weights, "parameters (default: generated)")
      ->type_name("PATH");
  command->add_option("--seed", options->seed, "of the generated inputs and parameters")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the report as JSON");
  command->footer(
      "Runs generated inputs through each stage: its text is printed, read back and compiled on\n"
      "from there. Names the first stage and equation that differ; exit code 1 then.\n\n"
      "examples:\n"
      "  qkv verify attention.qkv\n"
      "  qkv verify gpt2.qkv --weights gpt2/ --size T=33 --seed 4");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver

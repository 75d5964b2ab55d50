// Options of a program around a model. Holds: what is wrong with them is said before the model
// runs; weights that are needed and not named are misuse.
#include "tools/qkv/ProgramOptions.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SteppedModel.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {

void addProgramOptions(CLI::App &app, rt::Options &options, std::string &weights) {
  auto repeated = [](CLI::Option *option) {
    // One value each time, so that `--input a b` is a mistake and not two inputs.
    option->allow_extra_args(false)->take_all()->type_name("FILE");
  };
  app.add_option("--weights", weights, "a safetensors file, a folder of them, or a packed file")
      ->type_name("PATH");
  repeated(app.add_option("--input", options.inputs,
                          "inputs by name, safetensors; - is standard input; once for each "
                          "sequence of a batch"));
  repeated(app.add_option("--output", options.outputs,
                          "results, safetensors; - is standard output (default: as text)"));
  app.add_option("--batch", options.batch, "N lines at a time, or N --input and N --output")
      ->check(CLI::Range(int64_t(1), int64_t(QKV_MAX_SEQUENCES)))
      ->type_name("N");
  app.add_option_function<std::string>(
         "--prompt",
         [&options](const std::string &text) {
           options.prompt = text;
           options.hasPrompt = true;
         },
         "generators: what the stream starts with (default: standard input)")
      ->type_name("TEXT");
  app.add_option("--max-tokens", options.maxTokens, "generators: at most N tokens")
      ->check(CLI::Range(int64_t(0), INT64_MAX))
      ->type_name("N");
  app.add_option_function<std::string>(
         "--logits", [](const std::string &) {},
         "generators: which positions; with --input all are computed, for text the last")
      ->check(CLI::IsMember({"all", "last"}))
      ->type_name("WHICH");
  app.add_option("--threads", options.threads, "cores to use (default: all; or QKV_THREADS)")
      ->check(CLI::Range(1, 512))
      ->type_name("N");
}

static rt::Options ofProgram(rt::Options options, const ModelOptions &given) {
  options.program = given.command;
  options.hasWeights = !given.weights.empty();
  options.weights = given.weights;
  return options;
}

int checkOutputs(const rt::Options &options, const ModelOptions &given, const ModelFile &file) {
  return rt::checkOutputs(ofProgram(options, given), filesOf(file));
}

/// A model with parameters and no weights is misuse. 0 or the exit code.
static int checkWeights(const qkv_model &model, const rt::Options &options,
                        const ModelOptions &given) {
  if (model.param_count > 0 && !options.hasWeights)
    return misuse(given.command, std::string("model ") + model.name + " has parameters (" +
                                     model.params[0].name + (model.param_count > 1 ? ", ..." : "") +
                                     "): it needs --weights PATH");
  return 0;
}

int runModel(const qkv_model &model, rt::Options options, const ModelOptions &given) {
  options = ofProgram(std::move(options), given);
  int code = checkWeights(model, options, given);
  return code ? code : rt::runProgram(model, options);
}

int runSteps(const qkv_model &model, SteppedModel &steps, rt::Options options,
             const ModelOptions &given) {
  options = ofProgram(std::move(options), given);
  if (int code = checkWeights(model, options, given))
    return code;
  qkv_error error = {};
  error.size = sizeof error;
  if (!steps.open(options.weights, &error))
    return fail(given.command, error);
  options.steps = &steps.model();
  return rt::runProgram(model, /*weights=*/nullptr, options);
}

int runChunks(const qkv_model &described, const qkv_model &chunked, CompiledStream &stream,
              rt::Options options, const ModelOptions &given) {
  options = ofProgram(std::move(options), given);
  if (int code = checkWeights(described, options, given))
    return code;
  qkv_error error = {};
  error.size = sizeof error;
  if (!stream.open(options.weights, &error))
    return fail(given.command, error);
  return rt::runProgram(chunked, /*weights=*/nullptr, options);
}

} // namespace qkv::driver

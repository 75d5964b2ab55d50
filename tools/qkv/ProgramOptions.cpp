// Options of a program around a model. Holds: what is wrong with them is said before the model
// runs; weights that are needed and not named are misuse.
#include "tools/qkv/ProgramOptions.h"
#include "runtime/program/TextOptions.h"
#include "runtime/tensors/TraceNames.h"
#include "runtime/tokenize/CheckpointText.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {

void addTextOptions(CLI::App &app, rt::Options &options, std::string &weights) {
  app.add_option("--weights", weights, "a safetensors file, a folder of them, or a packed file")
      ->type_name("PATH");
  app.add_option_function<std::string>(
         "--prompt",
         [&options](const std::string &text) {
           options.prompt = text;
           options.hasPrompt = true;
         },
         "generators: what the stream starts with (default: standard input)")
      ->type_name("TEXT");
  for (const rt::TextOption &option : rt::textOptions()) {
    std::string help = std::string("generators: ") + option.help;
    auto take = [&options, &option](const std::string &text) {
      std::string why;
      if (!rt::takeTextOption(option, text.c_str(), options, why))
        throw CLI::ValidationError(why);
    };
    if (option.value)
      app.add_option_function<std::vector<std::string>>(
             std::string("--") + option.name,
             [take](const std::vector<std::string> &all) {
               for (const std::string &text : all)
                 take(text);
             },
             help)
          ->allow_extra_args(false)
          ->type_name(option.value);
    else
      app.add_flag_callback(std::string("--") + option.name, [take] { take(""); }, help);
  }
  app.add_option("--threads", options.threads, "cores to use (default: all; or QKV_THREADS)")
      ->check(CLI::Range(1, 512))
      ->type_name("N");
}

void addProgramOptions(CLI::App &app, rt::Options &options, std::string &weights) {
  auto repeated = [](CLI::Option *option) {
    // One value each time, so that `--input a b` is a mistake and not two inputs.
    option->allow_extra_args(false)->take_all()->type_name("FILE");
  };
  repeated(app.add_option("--input", options.inputs,
                          "inputs by name, safetensors; - is standard input; once for each "
                          "sequence of a batch"));
  repeated(app.add_option("--output", options.outputs,
                          "results, safetensors; - is standard output (default: as text)"));
  app.add_option("--batch", options.batch, "N lines at a time, or N --input and N --output")
      ->check(CLI::Range(int64_t(1), int64_t(QKV_MAX_SEQUENCES)))
      ->type_name("N");
  addTextOptions(app, options, weights);
  app.add_option_function<std::string>(
         "--trace",
         [&options](const std::string &list) {
           for (std::string &name : rt::traceNames(list))
             options.trace.push_back(std::move(name));
         },
         "intermediate tensors as further results, by their names or the last words of them; of "
         "one line or prompt they go to --output FILE, with its tokens")
      ->type_name("NAME,...");
  app.add_option_function<std::string>(
         "--logits",
         [&options](const std::string &which) {
           if (which != "all" && which != "last")
             options.logits = which;
         },
         "generators: all, last: with --input all positions are computed, for text the last; a "
         "FILE "
         "gets those of each token generated, safetensors")
      ->type_name("WHICH");
}

static rt::Options ofProgram(rt::Options options, const ModelOptions &given) {
  options.program = given.command;
  options.hasWeights = !given.weights.empty();
  options.weights = given.weights;
  options.readTokens = rt::readTextTokens;
  options.generation.readForm = rt::openConstraint;
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

} // namespace qkv::driver

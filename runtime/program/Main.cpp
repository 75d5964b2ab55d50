// In: a model, its weights, the options of a command line. Out: files or text, and an exit code.
// Holds: outputs appear whole or not at all; of a batch all or none.
#include "runtime/program/Program.h"
#include "runtime/tensors/Batch.h"

#include <cstring>

namespace qkv::rt {
namespace {

qkv_error newError() {
  qkv_error error = {};
  error.size = sizeof error;
  return error;
}

int failWith(const qkv_error &error, const Options &options) {
  printError(error, options);
  return ExitFailed;
}

int misuse(const std::string &why, const Options &options) {
  std::string text = format("%s: error: %s; see %s --help\n", options.program.c_str(), why.c_str(),
                            options.program.c_str());
  writeAll(2, text.data(), text.size());
  return ExitMisuse;
}

/// The call of one pair of input and output.
struct Job {
  Call call;
  bool failed = false;
  qkv_error error = newError();
};

bool openInputs(const qkv_model &model, const Options &options, std::vector<Job> &batch,
                qkv_error *error) {
  for (size_t i = 0; i < batch.size(); ++i) {
    std::string warnings;
    std::unique_ptr<Safetensors> file;
    if (!options.inputs.empty() && !(file = Safetensors::open(options.inputs[i], error)))
      return false;
    if (file ? !bindInputs(model, std::move(file), batch[i].call, warnings, error)
             : !bindSizes(model, {}, batch[i].call, error))
      return false;
    writeAll(2, warnings.data(), warnings.size());
    makeResults(model, batch[i].call);
  }
  return true;
}

bool runBatch(const qkv_model &model, const qkv_weights *weights, std::vector<Job> &batch) {
  std::vector<Sequence> sequences;
  for (Job &job : batch)
    sequences.push_back(
        {job.call.sizes.data(), job.call.inputs.data(), job.call.results.data(), &job.error});
  runSequences(model, weights, sequences);
  bool done = true;
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].failed = sequences[i].failed;
    done = done && !batch[i].failed;
  }
  return done;
}

bool writeFiles(const qkv_model &model, const Options &options, std::vector<Job> &batch,
                qkv_error *error) {
  std::vector<OutputFile> files;
  for (size_t i = 0; i < batch.size(); ++i) {
    OutputFile &file = files.emplace_back();
    if (!file.open(options.outputs[i], error) ||
        !writeSafetensors(file, resultTensors(model, batch[i].call), error))
      return false;
  }
  for (OutputFile &file : files)
    if (!file.commit(error))
      return false;
  return true;
}

bool printResults(const qkv_model &model, std::vector<Job> &batch, qkv_error *error) {
  std::string text;
  for (Job &job : batch) {
    std::vector<NewTensor> tensors = resultTensors(model, job.call);
    for (size_t i = 0; i < tensors.size(); ++i)
      text += format("%s %s%s\n", tensors[i].name.c_str(), typeText(model.results[i].type),
                     shapeText(tensors[i].shape).c_str()) +
              valuesText(tensors[i]) + "\n";
  }
  std::string why = writeAll(1, text.data(), text.size());
  return why.empty() || fail(error, "cannot write standard output: " + why);
}

int runFunction(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  qkv_error error = newError();
  std::vector<Job> batch(options.inputs.empty() ? 1 : options.inputs.size());
  if (!openInputs(model, options, batch, &error))
    return failWith(error, options);
  if (!runBatch(model, weights, batch)) {
    for (size_t i = 0; i < batch.size(); ++i) {
      qkv_error &failure = batch[i].error;
      if (!batch[i].failed)
        continue;
      if (batch.size() > 1)
        failAt(&failure, failure.file, failure.line, failure.column, failure.length,
               format("input %s: ", options.inputs[i].c_str()) + failure.text);
      printError(failure, options);
    }
    return ExitFailed;
  }
  bool done = options.outputs.empty() ? printResults(model, batch, &error)
                                      : writeFiles(model, options, batch, &error);
  return done ? ExitDone : failWith(error, options);
}

/// What the options ask for that this model cannot do; empty if all is well.
std::string misused(const qkv_model &model, const Options &options) {
  bool generator = model.generator_input >= 0;
  bool text = generator && options.inputs.empty();
  size_t sequences = options.inputs.empty() ? 1 : options.inputs.size();
  if (!generator && (options.hasPrompt || options.maxTokens >= 0))
    return format("model %s is a function, not a generator: it takes no %s", model.name,
                  options.hasPrompt ? "--prompt" : "--max-tokens");
  if (text && !options.outputs.empty())
    return "--output goes with --input; text is written to standard output";
  if (text)
    return "";
  if (options.inputs.empty() && model.input_count > 0)
    return format("model %s needs --input FILE", model.name);
  if (!options.inputs.empty() && model.input_count == 0)
    return format("model %s has no inputs, but --input is there", model.name);
  if (options.hasPrompt)
    return "--prompt and --input exclude each other";
  if (options.batch > 0 && static_cast<int64_t>(sequences) != options.batch)
    return format("--batch %lld needs as many --input, %zu are there",
                  static_cast<long long>(options.batch), options.inputs.size());
  if (options.batch == 0 && sequences > 1)
    return format("%zu --input need --batch %zu", sequences, sequences);
  if (!options.outputs.empty() && options.outputs.size() != sequences)
    return format("%zu --output for %zu --input", options.outputs.size(), sequences);
  return "";
}

} // namespace

void printError(const qkv_error &error, const Options &options) {
  std::string text = errorText(error, options.program.c_str()) + "\n";
  writeAll(2, text.data(), text.size());
}

int runProgram(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  if (std::string why = misused(model, options); !why.empty())
    return misuse(why, options);
  qkv_error error = newError();
  if (!checkModel(model, &error))
    return failWith(error, options);
  if (options.threads > 0)
    setThreads(options.threads);
  return model.generator_input >= 0 && options.inputs.empty()
             ? runText(model, weights, options)
             : runFunction(model, weights, options);
}

int runProgram(const qkv_model &model, const Options &options) {
  if (std::string why = misused(model, options); !why.empty())
    return misuse(why, options);
  if (options.threads > 0)
    setThreads(options.threads);
  qkv_error error = newError();
  qkv_weights *weights = qkv_weights_open(
      &model, options.hasWeights ? options.weights.c_str() : nullptr, nullptr, &error);
  if (!weights)
    return failWith(error, options);
  int code = runProgram(model, weights, options);
  qkv_weights_close(weights);
  return code;
}

} // namespace qkv::rt

using namespace qkv::rt;

extern "C" int qkv_main(const qkv_model *model, int argc, char **argv) {
  Options options;
  std::string why;
  if (!parseOptions(argc, argv, options, why))
    return misuse(why, options);
  std::string text;
  if (options.help)
    text = helpText(*model, options);
  else if (options.version)
    text = format("%s: model %s, compiled by qkv 0.1.0\n", options.program.c_str(), model->name);
  else
    return runProgram(*model, options);
  why = writeAll(1, text.data(), text.size());
  return why.empty() ? ExitDone : ExitFailed;
}

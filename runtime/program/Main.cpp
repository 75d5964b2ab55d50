// In: a model, its weights, the options of a command line. Out: files or text, and an exit code.
// Holds: each output appears whole or not at all; of a batch those that could be computed do;
// nothing that is read is written over.
#include "runtime/Abi.h"
#include "runtime/program/Program.h"
#include "runtime/program/Trace.h"
#include "runtime/streams/InChunks.h"
#include "runtime/tensors/Batch.h"

#include <climits>
#include <cstring>
#include <unistd.h>

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

bool prepareThreads(const Options &options, qkv_error *error) {
  if (options.threads > 0)
    setThreads(options.threads);
  return checkThreads(error);
}

/// The call of one pair of input and output.
struct Job {
  Call call;
  TraceRun trace;
  bool failed = false;
  qkv_error error = newError();
};

bool fails(Job &job) {
  job.failed = true;
  return false;
}

/// The inputs of one pair. False: the job has failed.
bool openInput(const qkv_model &model, const std::string *path, Job &job) {
  std::string warnings;
  std::unique_ptr<Safetensors> file;
  if (path && !(file = Safetensors::openFile(*path, &job.error)))
    return fails(job);
  if (file ? !bindInputs(model, std::move(file), job.call, warnings, &job.error)
           : !bindSizes(model, {}, job.call, &job.error))
    return fails(job);
  writeAll(2, warnings.data(), warnings.size());
  makeResults(model, job.call);
  return true;
}

/// Computes what is traced of those that have not failed.
void traceBatch(const qkv_weights *weights, const Options &options, std::vector<Job> &batch) {
  for (Job &job : batch)
    if (!options.trace.empty() && !job.failed)
      job.failed = !job.trace.run(options, weights, job.call, &job.error);
}

/// All that a job gives: the model's results, then what is traced.
std::vector<NewTensor> tensorsOf(const qkv_model &model, const Job &job) {
  std::vector<NewTensor> tensors = resultTensors(model, job.call);
  tensors.insert(tensors.end(), job.trace.tensors().begin(), job.trace.tensors().end());
  return tensors;
}

/// Runs those that have not failed yet.
void runBatch(const qkv_model &model, const qkv_weights *weights, const Options &options,
              std::vector<Job> &batch) {
  if (options.chunk > 0) {
    std::vector<InChunks> runs;
    for (Job &job : batch)
      if (!job.failed)
        runs.push_back({&job.call, &job.error, {options.chunk}});
    runInChunks(model, weights, runs);
    size_t next = 0;
    for (Job &job : batch)
      if (!job.failed)
        job.failed = runs[next++].failed;
    return;
  }
  std::vector<Sequence> sequences;
  for (Job &job : batch)
    if (!job.failed)
      sequences.push_back(
          {job.call.sizes.data(), job.call.inputs.data(), job.call.results.data(), &job.error});
  runSequences(model, weights, sequences);
  size_t next = 0;
  for (Job &job : batch)
    if (!job.failed)
      job.failed = sequences[next++].failed;
}

bool writeFile(const qkv_model &model, const std::string &path, Job &job) {
  OutputFile file;
  return (file.open(path, &job.error) &&
          writeSafetensors(file, tensorsOf(model, job), &job.error) && file.commit(&job.error)) ||
         fails(job);
}

std::string resultsText(const qkv_model &model, const Job &job) {
  std::string text;
  std::vector<NewTensor> tensors = tensorsOf(model, job);
  auto own = static_cast<size_t>(model.result_count);
  for (size_t i = 0; i < tensors.size(); ++i)
    text += format("%s %s%s\n", tensors[i].name.c_str(),
                   typeText(i < own ? model.results[i].type : job.trace.types()[i - own]),
                   shapeText(tensors[i].shape).c_str()) +
            valuesText(tensors[i]) + "\n";
  return text;
}

int runFunction(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  std::vector<Job> batch(options.inputs.empty() ? 1 : options.inputs.size());
  for (size_t i = 0; i < batch.size(); ++i)
    openInput(model, options.inputs.empty() ? nullptr : &options.inputs[i], batch[i]);
  runBatch(model, weights, options, batch);
  traceBatch(weights, options, batch);
  std::string text;
  for (size_t i = 0; i < batch.size(); ++i)
    if (batch[i].failed)
      text += options.outputs.empty() && batch.size() > 1 ? "\n" : ""; // its place, as of a line
    else if (options.outputs.empty())
      text += resultsText(model, batch[i]);
    else
      writeFile(model, options.outputs[i], batch[i]);
  int code = ExitDone;
  for (size_t i = 0; i < batch.size(); ++i) {
    qkv_error &failure = batch[i].error;
    if (!batch[i].failed)
      continue;
    if (batch.size() > 1)
      failAt(&failure, failure.file, failure.line, failure.column, failure.length,
             format("input %s: ", options.inputs[i].c_str()) + failure.text);
    code = failWith(failure, options);
  }
  qkv_error error = newError();
  std::string why = writeAll(1, text.data(), text.size());
  if (why.empty())
    return code;
  fail(&error, "cannot write standard output: " + why);
  return failWith(error, options);
}

/// What the options ask for that this model cannot do; empty if all is well.
std::string misused(const qkv_model &model, const Options &options) {
  bool generator = model.generator_input >= 0;
  bool text = generator && options.inputs.empty();
  size_t sequences = options.inputs.empty() ? 1 : options.inputs.size();
  if (!generator && (options.hasPrompt || options.generation.maxTokens >= 0))
    return format("model %s is a function, not a generator: it takes no %s", model.name,
                  options.hasPrompt ? "--prompt" : "--max-tokens");
  if (std::string why = untraceable(model, options); !why.empty())
    return why;
  bool trace = !options.trace.empty();
  if (text && !options.outputs.empty() && !trace)
    return "--output goes with --input or --trace; text is written to standard output";
  if (text && trace && options.outputs.size() != 1)
    return "--trace of text needs one --output FILE";
  if (text && trace && options.batch > 0)
    return "--trace is for one line or prompt: it goes with no --batch";
  if (options.interactive) {
    if (!text || model.generator_source >= 0)
      return "--interactive goes on with one text, which this is not";
    if (options.batch > 0 || !options.logits.empty() || trace)
      return "--interactive goes with no --batch, --logits or --trace";
  }
  if (!text && !options.logits.empty())
    return "--logits FILE goes with text: results of --input are in --output";
  if (!options.logits.empty() && options.generation.beams.width > 1)
    return "--logits FILE says what was chosen token by token: it goes with no --beams";
  if (!options.logits.empty() && (model.generator_source >= 0 || options.batch > 0))
    return "--logits FILE is for one --prompt, not for lines";
  if (!options.logits.empty() && options.generation.slide >= 0)
    return "--logits FILE has all tokens of a text: it goes with no --slide";
  if (!options.trace.empty() && options.generation.slide >= 0)
    return "--trace has all tokens of a text: it goes with no --slide";
  if (options.chunk > 0 && text)
    return "--chunk goes with --input; text has --prompt-chunk";
  if (text)
    return "";
  if (options.chunk > 0) {
    if (std::string why = notInChunks(model); !why.empty())
      return why;
  }
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

int checkOutputs(const Options &options, const std::vector<NamedFile> &also) {
  std::vector<NamedFile> inputs = also, outputs;
  for (const std::string &path : options.inputs)
    inputs.push_back({"--input", path});
  for (const std::string &path : options.outputs)
    outputs.push_back({"--output", path});
  if (!options.logits.empty())
    outputs.push_back({"--logits", options.logits});
  const TextForm &form = options.generation.form;
  for (auto &[name, path] :
       {std::pair("--grammar", form.grammar), std::pair("--json-schema", form.jsonSchema)})
    if (!path.empty())
      inputs.push_back({name, path});
  std::vector<NamedFile> weights;
  if (options.hasWeights)
    weights = filesOfWeights("--weights", options.weights);
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  if (std::string why = overwrites(inputs, outputs); !why.empty())
    return misuse(why, options);
  std::string why = unwritable(outputs);
  if (why.empty())
    return ExitDone;
  qkv_error error = newError();
  fail(&error, why);
  return failWith(error, options);
}

void printError(const qkv_error &error, const Options &options) {
  std::string text = errorText(error, options.program.c_str()) + "\n";
  writeAll(2, text.data(), text.size());
}

int runProgram(const qkv_model &model, const qkv_weights *weights, const Options &options) {
  if (std::string why = misused(model, options); !why.empty())
    return misuse(why, options);
  qkv_error error = newError();
  if (!checkModel(model, &error) || !prepareThreads(options, &error))
    return failWith(error, options);
  return model.generator_input >= 0 && options.inputs.empty()
             ? runText(model, weights, options)
             : runFunction(model, weights, options);
}

int runProgram(const qkv_model &model, const Options &options) {
  if (std::string why = misused(model, options); !why.empty())
    return misuse(why, options);
  if (int code = checkOutputs(options, /*also=*/{}))
    return code;
  qkv_error error = newError();
  if (!prepareThreads(options, &error))
    return failWith(error, options);
  qkv_weights *weights = qkv_weights_open(
      &model, options.hasWeights ? options.weights.c_str() : nullptr, nullptr, &error);
  if (!weights)
    return failWith(error, options);
  int code = runProgram(model, weights, options);
  qkv_weights_close(weights);
  return code;
}

/// The program around a model also reads itself, and weights beside it.
static int runOwn(const qkv_model &model, const Options &options) {
  std::vector<NamedFile> own{{"this program", "/proc/self/exe"}};
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (!options.hasWeights && length > 0 && length < PATH_MAX)
    own.push_back({"this program", std::string(path, length) + ".weights"});
  if (int code = checkOutputs(options, own))
    return code;
  return runProgram(model, options);
}

} // namespace qkv::rt

using namespace qkv::rt;

int qkv::rt::runMain(const qkv_model &model, int argc, char **argv, Options options) {
  std::string why;
  catchCutFiles(argc > 0 ? std::string(baseOf(argv[0])).c_str() : model.name);
  if (!parseOptions(argc, argv, options, why))
    return misuse(why, options);
  qkv_error error = newError();
  if (!checkAbi(model, &error))
    return failWith(error, options);
  std::string text;
  if (options.help)
    text = helpText(model, options);
  else if (options.version)
    text = format("%s: model %s, compiled by qkv 0.1.0\n", options.program.c_str(), model.name);
  else
    return runOwn(model, options);
  why = writeAll(1, text.data(), text.size());
  return why.empty() ? ExitDone : ExitFailed;
}

extern "C" int qkv_main(const qkv_model *model, int argc, char **argv) {
  return runMain(*model, argc, argv, {});
}

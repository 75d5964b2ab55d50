// In: a model's description and its weights. Out: a program's behaviour. Holds: what built
// executables do, `qkv run` and `qkv interpret` do through the same code. The rest of what a
// driver needs is in Weights.h, Safetensors.h, Inputs.h and Threads.h, included here.
#pragma once

#include "runtime/Error.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/Safetensors.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/program/Outputs.h"
#include "runtime/tensors/Inputs.h"
#include "runtime/tensors/Run.h"
#include "runtime/text/Generator.h"

#include <string>
#include <vector>

namespace qkv::rt {

/// Exit codes.
enum ExitCode { ExitDone = 0, ExitFailed = 1, ExitMisuse = 2 };

/// The options of a program around a model.
struct Options {
  std::string program = "qkv"; // as messages call it
  bool hasWeights = false, hasPrompt = false, help = false, version = false;
  std::string weights, prompt;
  std::vector<std::string> inputs, outputs;
  int64_t batch = 0;                 // 0: one
  int64_t chunk = 0;                 // functions: positions of the stream at a time; 0: all at once
  int threads = 0;                   // 0: QKV_THREADS or the cores there are
  bool stats = false;                // generators: times and counts on standard error
  std::string tokenizer;             // where it is, or "bytes"; empty: with the weights
  bool interactive = false;          // each line of standard input goes on with the text
  std::string logits;                // a file for those of generated tokens; empty: none
  std::vector<std::string> trace;    // names of tensors that are results, too
  const qkv_model *traced = nullptr; // whose results they are; null: nothing can be traced
  /// Reads tokenizers; null in programs that were linked without them.
  std::unique_ptr<Tokenizer> (*readTokens)(const TextFiles &files, qkv_error *error) = nullptr;
  GenerationOptions generation;
};

/// Reads a command line. False with `why` set: misuse.
bool parseOptions(int argc, char **argv, Options &options, std::string &why);

/// What --help prints: made from the description, with examples that work.
std::string helpText(const qkv_model &model, const Options &options);

/// Whether the outputs can be written and are none of what is read (`also`: beside the options'
/// own). Prints what is wrong; returns 0 or the exit code.
int checkOutputs(const Options &options, const std::vector<NamedFile> &also);

/// Opens weights as the options say and runs. Prints errors; returns the exit code.
int runProgram(const qkv_model &model, const Options &options);

/// The same with weights that are open (null: the model has none).
int runProgram(const qkv_model &model, const qkv_weights *weights, const Options &options);

/// A generator's whole job on text: prompts or source lines in, text out. The exit code.
int runText(const qkv_model &model, const qkv_weights *weights, const Options &options);

/// The main function of a program around a model.
int runMain(const qkv_model &model, int argc, char **argv, Options options);

/// A tensor's values as text: all of a small one, the edges of a large one.
std::string valuesText(const NewTensor &tensor);

/// Prints an error to standard error.
void printError(const qkv_error &error, const Options &options);

} // namespace qkv::rt

/// What `main` of a generator's program calls: qkv_main with tokenizers and grammars. (A function's
/// program calls qkv_main, so that it does not hold them.)
extern "C" int qkv_text_main(const qkv_model *model, int argc, char **argv);
/// What `main` of a program calls that can trace (qkv build --traceable), whatever its model is:
/// `trace` computes the tensors.
extern "C" int qkv_trace_main(const qkv_model *model, int argc, char **argv,
                              const qkv_model *trace);

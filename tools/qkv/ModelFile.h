// A model file as the commands take it. In: a path (`-` is standard input) and the weights' folder.
// Out: checked equations, or a dump of a stage. Errors have been reported when it returns none.
#pragma once

#include "compiler/Compilation.h"
#include "dsl/Program.h"
#include "dsl/check/Checker.h"
#include "dsl/syntax/Diagnostics.h"
#include "runtime/program/Outputs.h"

#include <memory>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace qkv {
class JitModel;
}

namespace qkv::driver {

/// What says which model is meant.
struct ModelOptions {
  std::string command; ///< as messages call it: "qkv run"
  std::string file;
  std::string model;
  std::string weights; ///< C2: config.json lies in this folder, or beside this file
  std::string from;    ///< the stage of a dump
  std::vector<std::string> ignoredKeys; ///< of the configuration, though nobody reads them
  std::string cpu = "native";
  bool whole = true;               ///< code for all positions at once
  unsigned parts = 0;              ///< and for steps: bits by qkv_part
  bool batch = false;              ///< code for several sequences at once, too
  bool unfused = false;            ///< attention by blocks of rows
  std::vector<std::string> trace;  ///< names of tensors that can be traced
  std::string weightsType = "f32"; ///< how matrices of weights are held
  std::string cacheType; ///< how floats are kept that grow from step to step; empty: as weights
};

/// Adds FILE, --model and --ignore-config; with `dumps` also --from; with `cpu` also --cpu.
void addModelOptions(CLI::App &app, ModelOptions &options, bool dumps, bool cpu);

/// Adds --weights-type.
void addWeightsType(CLI::App &app, ModelOptions &options);
/// What it says: a qkv_element.
int32_t elementOf(const ModelOptions &options);

/// Adds --cache-type.
void addCacheType(CLI::App &app, ModelOptions &options);
/// What it says; where it says nothing, the weights' type (f32 for f32).
Half cacheOf(const ModelOptions &options);

/// The configuration beside (or packed in) the weights, if there is one. 0, or 1 after reporting.
int readConfiguration(const ModelOptions &options, CheckOptions &check);

/// Reports keys of it that nobody reads, once the page was checked. 0 or the exit code.
int checkKeysRead(const ModelOptions &options, const CheckOptions &check, const Source &page,
                  const Sources &sources);

struct ModelFile {
  Sources sources;
  const Source *source = nullptr;
  std::unique_ptr<Program> program; ///< or null: a dump
  std::unique_ptr<Program> trace;   ///< what can be traced of it, or null
  std::string dump;
};

/// Why there is no code for the steps of a model that is a page over a stream; empty if there is,
/// or if the model is something else.
std::string withoutSteps(const ModelFile &file, const Description &description);

/// The files of the page: the model's and those it uses.
std::vector<rt::NamedFile> filesOf(const ModelFile &file);

/// Reports an output that is one of what is read, or that cannot be written. 0 or the exit code.
int checkOutputs(const ModelOptions &options, const ModelFile &file,
                 const std::vector<rt::NamedFile> &outputs);

/// A file, `-`, or one of the standard library ("std:models/llama.qkv"). Null with `error` set.
const Source *openSource(Sources &sources, const std::string &path, std::string &error);

/// Makes the program of what the options trace. 0 or the exit code, after reporting.
int makeTrace(const ModelOptions &options, ModelFile &file);

/// Reads and checks; a checkpoint in the place of the file is given its page, and is the weights
/// from then on. Null after reporting; `code` is then the exit code.
std::unique_ptr<ModelFile> openModel(ModelOptions &options, bool dumps, int &code);

/// The same, on its way to machine code.
std::unique_ptr<Compilation> openCompilation(ModelOptions &options,
                                             std::unique_ptr<ModelFile> &file, int &code);

/// Its code in memory, of these entries alone. Null after reporting; `code` is then the exit code.
std::unique_ptr<JitModel> compileInMemory(Compilation &compilation, const ModelOptions &options,
                                          const std::vector<qkv_entry_kind> &called, int &code);

} // namespace qkv::driver

// The options of a program around a model, for `run` and `interpret`: the same as those of a built
// executable, handed to the same code.
#pragma once

#include "runtime/program/Program.h"

#include <string>

namespace CLI {
class App;
}

namespace qkv::driver {

struct ModelFile;
struct ModelOptions;

/// Those that concern text and weights.
void addTextOptions(CLI::App &app, rt::Options &options, std::string &weights);

/// All of them.
void addProgramOptions(CLI::App &app, rt::Options &options, std::string &weights);

/// Before anything is computed: reports an output that is one of what is read, the page's files
/// among it, or that cannot be written. 0 or the exit code.
int checkOutputs(const rt::Options &options, const ModelOptions &given, const ModelFile &file);

/// Runs a model as its executable would. `weights` empty: there are none. Returns the exit code.
int runModel(const qkv_model &model, rt::Options options, const ModelOptions &given);

} // namespace qkv::driver

// qkv build: a model becomes a program, a shared library or an object file.
//
// Holds: outputs appear whole or not at all; weights come before the program that looks for them.
#include "tools/qkv/Commands.h"
#include "tools/qkv/Families.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"

#include "compiler/description/Header.h"
#include "compiler/native/CodeGen.h"
#include "compiler/native/Entries.h"
#include "compiler/native/Link.h"
#include "compiler/native/Machine.h"
#include "runtime/program/Program.h"
#include "runtime/tensors/TraceNames.h"
#include "runtime/tokenize/CheckpointText.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <llvm/Target/TargetMachine.h>
#include <unistd.h>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  std::string output, header;
  bool embed = false, noWeights = false, shared = false, object = false, strip = false;
  bool steps = false;
  std::string tokenizer, traceable;
};

using Weights = std::unique_ptr<qkv_weights, void (*)(qkv_weights *)>;

/// What the options ask for that cannot be; empty if all is well.
std::string misused(const Options &o) {
  if (o.shared && o.object)
    return "--shared and --object exclude each other";
  if (o.embed && o.weights.empty())
    return "--embed-weights needs --weights PATH";
  if (o.embed && o.object)
    return "an object file cannot hold weights: --embed-weights goes with programs and shared "
           "libraries";
  if (!o.tokenizer.empty() && (o.weights.empty() || o.noWeights))
    return "--tokenizer goes with --weights: it is written with them";
  if (o.noWeights && o.embed)
    return "--no-weights and --embed-weights exclude each other";
  if (!o.trace.empty() && (o.shared || o.object))
    return "--traceable goes with programs: the C interface gives the model's results";
  if (!o.header.empty() && !o.shared && !o.object)
    return "--header goes with --shared or --object";
  if (o.output == "-")
    return "a program cannot be written to standard output";
  return "";
}

/// A name beside `path` that nobody else has; its file is gone with the object unless it was kept.
class NewFile {
public:
  explicit NewFile(std::string path) : path_(std::move(path)) {
    // A link keeps being one: its target is what is replaced.
    char resolved[PATH_MAX];
    if (realpath(path_.c_str(), resolved))
      path_ = resolved;
    temporary_ = path_ + ".new" + std::to_string(getpid());
  }
  ~NewFile() {
    if (!kept_)
      unlink(temporary_.c_str());
  }
  const std::string &temporary() const { return temporary_; }
  bool keep(std::string &error) {
    if (rename(temporary_.c_str(), path_.c_str()) == 0)
      return kept_ = true;
    error = path_ + ": cannot be written: " + strerror(errno);
    return false;
  }

private:
  std::string path_, temporary_;
  bool kept_ = false;
};

std::string defaultOutput(const Options &options, const Description &d) {
  return options.shared ? "lib" + d.name + ".so" : options.object ? d.name + ".o" : d.name;
}

std::string defaultHeader(const std::string &output, const Description &d) {
  return std::string(rt::folderOf(output)) + d.name + ".h";
}

/// The object file's bytes; empty with `error` set.
std::string compile(NativeModule &native, const Options &options, std::string &error) {
  auto machine = makeMachine(options.cpu, CodeUse::Object, error);
  if (!machine || !addEntries(native, error))
    return "";
  aimAt(*native.module, *machine);
  ModelConstants constants = addModel(native, neededFeatures(*machine));
  if (options.shared || options.object)
    addCInterface(native, constants.model);
  else
    addMain(native, constants);
  aimAt(*native.module, *machine);
  optimize(*native.module, *machine, Effort::Full);
  return generateCode(*native.module, *machine, CodeFile::Object, error);
}

/// Writes the program itself. False with `error` set.
bool produce(const std::string &code, const Options &options, const Description &d,
             const std::string &output, std::string &error) {
  if (options.object) {
    qkv_error why = {};
    why.size = sizeof why;
    rt::OutputFile file;
    if (file.open(output, &why) && file.write(code.data(), code.size(), &why) && file.commit(&why))
      return true;
    error = std::string(why.file) + ": " + why.text;
    return false;
  }
  LinkOptions how;
  how.product = options.shared ? Product::SharedLibrary : Product::Executable;
  how.strip = options.strip;
  if (options.shared)
    how.exports = cFunctions(d);
  return link(code, output, how, error);
}

int run(Options options) {
  if (int failed = usePageOf(options))
    return failed;
  if (std::string why = misused(options); !why.empty())
    return misuse(options.command, why);
  Progress progress("compiling " + options.file);
  int code = 0;
  std::string error;
  // What the last step needs is looked for before the first.
  if (!options.object && !canLink(error))
    return fail(options.command, error);
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
  if (!compilation)
    return code;
  Description d;
  if (!compilation->description(d, error))
    return fail(options.command, options.file + ": " + error);
  if (options.steps && !(error = withoutSteps(*file, d)).empty())
    return fail(options.command, options.file + ": " + error);
  std::string output = options.output.empty() ? defaultOutput(options, d) : options.output;
  bool wantsWeights = !options.weights.empty() && !options.noWeights && !d.params.empty();
  if (!d.params.empty() && options.weights.empty() && !options.noWeights && !options.shared &&
      !options.object)
    return misuse(options.command, "model " + d.name + " has parameters (" + d.params[0].name +
                                       (d.params.size() > 1 ? ", ..." : "") +
                                       "): it needs --weights PATH, or --no-weights where the "
                                       "program will be told");
  if (rt::isFolder(output))
    return fail(options.command, output + " is a folder; -o names the output");
  bool wantsHeader = options.shared || options.object;
  std::string headerFile = options.header.empty() ? defaultHeader(output, d) : options.header;
  std::vector<rt::NamedFile> outputs{{"-o", output}};
  if (wantsWeights && !options.embed)
    outputs.push_back({"the packed file", output + ".weights"});
  if (wantsHeader)
    outputs.push_back({"--header", headerFile});
  if ((code = checkOutputs(options, *file, outputs)))
    return code;

  // Weights that do not fit are found before the time is spent to compile.
  ModelInMemory memory(d);
  qkv_error why = {};
  why.size = sizeof why;
  Weights weights(nullptr, qkv_weights_close);
  if (wantsWeights) {
    weights.reset(qkv_weights_open(&memory.model(), options.weights.c_str(), nullptr, &why));
    if (!weights || (d.generatorInput >= 0 &&
                     !rt::findTextFiles(options.weights, options.tokenizer, weights->texts, &why)))
      return fail(options.command, why);
    // One that cannot be read is found before the time is spent to compile.
    if (!weights->texts.empty() && !rt::readTextTokens(weights->texts, &why) && why.text[0])
      return fail(options.command, why);
  }

  std::unique_ptr<NativeModule> native = compilation->native(error);
  std::string bytes = native ? compile(*native, options, error) : "";
  if (bytes.empty())
    return fail(options.command, options.file + ": " + error);
  progress.says("linking " + output);
  NewFile program(output);
  if (!produce(bytes, options, d, program.temporary(), error))
    return fail(options.command, error);
  if (wantsWeights) {
    progress.says("writing weights");
    bool done = options.embed
                    ? rt::embedWeights(memory.model(), *weights, program.temporary(), &why)
                    : rt::packWeights(memory.model(), *weights, output + ".weights", &why);
    if (!done)
      return fail(options.command, why);
  }
  if (wantsHeader)
    if (int failed = writeOut(options.command, headerFile, header(d)))
      return failed;
  return program.keep(error) ? 0 : fail(options.command, error);
}

} // namespace

void addBuild(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv build";
  CLI::App *command =
      app.add_subcommand("build", "compile a model to a program, a shared library or an object");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  command->add_option("-o,--output", options->output, "the output (default: the model's name)")
      ->type_name("FILE");
  command
      ->add_option("--weights", options->weights,
                   "safetensors, a folder of them, or a packed file: written in the layout the "
                   "code reads to OUTPUT.weights")
      ->type_name("PATH");
  command
      ->add_option("--tokenizer", options->tokenizer,
                   "generators: a tokenizer.json, a folder with one, a GGUF, or bytes, which goes "
                   "with the weights (default: what stands with them)")
      ->type_name("PATH");
  command->add_flag("--embed-weights", options->embed, "put the weights inside the output");
  command->add_flag("--no-weights", options->noWeights,
                    "write no weights: the program is told with --weights");
  command->add_flag("--with-batch", options->batch,
                    "also code that computes several sequences at once, reading the weights once "
                    "for all: the program's --batch uses it");
  command->add_flag("--with-steps", options->steps,
                    "also code that takes the stream some positions at a time: the program's "
                    "--chunk uses it (generators have their own for text)");
  command
      ->add_option("--traceable", options->traceable,
                   "intermediate tensors that the program's --trace can give as further results, "
                   "by their names or the last words of them")
      ->type_name("NAME,...");
  command->add_flag("--shared", options->shared, "a shared library with a C header");
  command->add_flag("--object", options->object,
                    "an object file with a C header, to be linked with libqkv_rt.a");
  command->add_option("--header", options->header, "where the header goes (default: NAME.h beside)")
      ->type_name("FILE");
  command->add_flag("--strip", options->strip, "without the line tables that debuggers read");
  command->footer(
      "The program needs nothing but libc, and takes the options of qkv run: --input,\n"
      "--output, --batch, --prompt, ... (see its --help).\n\n"
      "examples:\n"
      "  qkv build attention.qkv -o attention\n"
      "  qkv build gpt2/ --embed-weights -o gpt2              # one file that runs alone\n"
      "  qkv build gpt2.qkv --weights gpt2/ -o gpt2\n"
      "  qkv build dates.qkv --weights w.safetensors --with-batch -o dates\n"
      "  qkv build cell.qkv --shared -o libcell.so        # and cell.h\n"
      "  qkv build m.qkv --cpu x86-64-v3 --weights w.safetensors\n"
      "\nAn object file links with: cc program.c NAME.o \"$(qkv --runtime)\" -lm -lpthread");
  command->callback([options, &code] {
    options->parts = 1u << QKV_SESSION | 1u << QKV_NEXT;
    if (options->steps)
      options->parts |= 1u << QKV_STEP | 1u << QKV_CLOSING;
    options->trace = rt::traceNames(options->traceable);
    code = run(*options);
  });
}

} // namespace qkv::driver

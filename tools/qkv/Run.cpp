// qkv run: a model compiled in memory and run at once.
#include "tools/qkv/ChunkedModel.h"
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/ProgramOptions.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/SteppedModel.h"

#include "compiler/description/Description.h"
#include "compiler/native/Jit.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  rt::Options program;
  int64_t chunk = 0; ///< positions of the stream at a time; 0: all
};

/// A generator's text by steps: the exit code. Nothing where the model is none, or has no step.
std::optional<int> generate(const Options &options) {
  int code = 0;
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<SteppedModel> stepped;
  {
    Progress progress("compiling " + options.file);
    if (!(file = openModel(options, /*dumps=*/true, code)))
      return code;
    if (!file->program || file->program->generatorInput < 0)
      return std::nullopt;
    if ((code = checkOutputs(options.program, options, *file)))
      return code;
    std::string error;
    stepped = SteppedModel::create(*file->program, options, error);
    if (!error.empty())
      return fail(options.command, options.file + ": " + error);
    if (!stepped)
      return std::nullopt;
  }
  const Program &program = *file->program;
  ModelInMemory model(describe(program, usedParams(program)));
  return runSteps(model.model(), *stepped, options.program, options);
}

/// A function over a stream, some positions at a time: the exit code.
int runInChunks(const Options &options) {
  int code = 0;
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<CompiledStream> stream;
  {
    Progress progress("compiling " + options.file);
    if (!(file = openModel(options, /*dumps=*/false, code)))
      return code;
    if (file->program->stream < 0)
      return misuse(options.command, "--chunk goes with a model over a stream, and model " +
                                         file->program->name + " has no stream size");
    if ((code = checkOutputs(options.program, options, *file)))
      return code;
    auto derived = streams::deriveStream(*file->program);
    if (const auto *why = std::get_if<streams::Obstacle>(&derived))
      return fail(options.command, options.file + ": " + why->text);
    std::string error;
    stream = CompiledStream::create(std::move(std::get<streams::Stream>(derived)), options, error);
    if (!stream)
      return fail(options.command, options.file + ": " + error);
  }
  const Program &program = *file->program;
  ModelInMemory described(describe(program, usedParams(program)));
  ChunkedModel model(program, *stream, options.chunk);
  return runChunks(described.model(), model.model(), *stream, options.program, options);
}

int run(const Options &options) {
  if (options.chunk > 0 && options.program.inputs.empty())
    return misuse(options.command, "--chunk goes with --input");
  if (options.chunk > 0)
    return runInChunks(options);
  int code = 0;
  std::unique_ptr<JitModel> model;
  std::unique_ptr<ModelFile> file;
  if (options.program.inputs.empty() && options.from.empty() && options.file != "-")
    if (std::optional<int> done = generate(options))
      return *done;
  {
    Progress progress("compiling " + options.file);
    std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
    if (!compilation)
      return code;
    if ((code = checkOutputs(options.program, options, *file)))
      return code;
    std::string error;
    // Text is generated from the last position's logits, step by step.
    std::vector<qkv_entry_kind> called{QKV_WHOLE, QKV_BATCH};
    if (options.program.inputs.empty())
      called = {QKV_LAST, QKV_LAST_BATCH};
    std::unique_ptr<NativeModule> native;
    if (compilation->keepEntries(called, error))
      native = compilation->native(error);
    if (native)
      model = JitModel::create(std::move(native), options.cpu, error);
    if (!model)
      return fail(options.command, options.file + ": " + error);
  }
  return runModel(model->model(), options.program, options);
}

} // namespace

void addRun(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv run";
  CLI::App *command = app.add_subcommand("run", "compile a model in memory and run it");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addProgramOptions(*command, options->program, options->weights);
  command
      ->add_option("--chunk", options->chunk,
                   "with --input: N positions of the stream at a time, by the model's step; the "
                   "same bytes for every N")
      ->check(CLI::Range(int64_t(1), INT64_MAX))
      ->type_name("N");
  command->footer("Inputs are found by name and bind the dynamic sizes. A generator takes text.\n\n"
                  "examples:\n"
                  "  qkv run attention.qkv --input in.safetensors --output out.safetensors\n"
                  "  qkv run gpt2.qkv --weights gpt2/ --prompt 'Once upon' --max-tokens 50\n"
                  "  qkv ir --full --stage kernels m.qkv | qkv run - --input in.safetensors");
  command->callback([options, &code] {
    options->batch = options->program.batch > 1;
    code = run(*options);
  });
}

} // namespace qkv::driver

// qkv run: a model compiled in memory and run at once.
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/ProgramOptions.h"
#include "tools/qkv/Report.h"

#include "compiler/description/Description.h"
#include "compiler/native/Jit.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  rt::Options program;
};

int run(Options options) {
  int code = 0;
  std::unique_ptr<JitModel> model;
  std::unique_ptr<ModelFile> file;
  // Text is generated step by step, from the last position's logits.
  bool text = options.program.inputs.empty();
  options.trace = options.program.trace;
  options.whole = !text && options.program.chunk == 0;
  if (text)
    options.parts = 1u << QKV_SESSION | 1u << QKV_NEXT;
  else if (options.program.chunk > 0)
    options.parts = 1u << QKV_SESSION | 1u << QKV_STEP | 1u << QKV_CLOSING;
  {
    Progress progress("compiling " + options.file);
    std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
    if (!compilation)
      return code;
    if ((code = checkOutputs(options.program, options, *file)))
      return code;
    std::string error;
    Description description;
    if (!compilation->description(description, error) ||
        (options.program.chunk > 0 && !(error = withoutSteps(*file, description)).empty()))
      return fail(options.command, options.file + ": " + error);
    std::vector<qkv_entry_kind> called{QKV_WHOLE, QKV_BATCH};
    if (text)
      called = {QKV_LAST, QKV_LAST_BATCH};
    model = compileInMemory(*compilation, options, called, code);
    if (!model)
      return code;
  }
  options.program.traced = model->trace();
  return runModel(model->model(), options.program, options);
}

} // namespace

void addRun(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv run";
  CLI::App *command = app.add_subcommand("run", "compile a model in memory and run it");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  addProgramOptions(*command, options->program, options->weights);
  command
      ->add_option("--chunk", options->program.chunk,
                   "with --input: N positions of the stream at a time, by the model's step; the "
                   "same bytes for every N")
      ->check(CLI::Range(int64_t(1), INT64_MAX))
      ->type_name("N");
  command->footer("Inputs are found by name and bind the dynamic sizes. A generator takes text.\n\n"
                  "examples:\n"
                  "  qkv run attention.qkv --input in.safetensors --output out.safetensors\n"
                  "  qkv run gpt2/ --prompt 'Once upon' --max-tokens 50\n"
                  "  qkv run my-idea.qkv --weights gpt2/ --prompt 'Once upon' --stats\n"
                  "  qkv run m.qkv --input in.safetensors --trace alpha --output out.safetensors\n"
                  "  qkv ir --full --stage kernels m.qkv | qkv run - --input in.safetensors");
  command->callback([options, &code] {
    options->batch = options->program.batch > 1;
    code = run(*options);
  });
}

} // namespace qkv::driver

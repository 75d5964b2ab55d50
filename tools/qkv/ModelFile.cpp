// Reading and checking a model file; telling a dump from a model.
#include "tools/qkv/ModelFile.h"
#include "compiler/native/Jit.h"
#include "compiler/streams/DeriveStream.h"
#include "compiler/trace/Trace.h"
#include "tools/qkv/Families.h"
#include "tools/qkv/KeptCode.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/UnreadKeys.h"
#include "tools/qkv/printing/ShortForm.h"

#include "runtime/File.h"
#include "runtime/Threads.h"
#include "runtime/checkpoint/Configuration.h"

#include <CLI/CLI.hpp>

namespace qkv::driver {
namespace {

bool endsWith(const std::string &text, const std::string &tail) {
  return text.size() >= tail.size() &&
         text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}

/// From a file by its name; from standard input by what only dumps hold.
bool isDump(const ModelOptions &options, const std::string &text) {
  if (!options.from.empty() || endsWith(options.file, ".mlir") || endsWith(options.file, ".ll"))
    return true;
  return options.file == "-" &&
         (isShortForm(text) || (text.find("qkv.description") != std::string::npos &&
                                (text.find("qkv.stage") != std::string::npos ||
                                 text.find("\ndefine ") != std::string::npos)));
}

} // namespace

int32_t elementOf(const ModelOptions &options) {
  return options.weightsType == "bf16"  ? QKV_BF16
         : options.weightsType == "f16" ? QKV_F16
                                        : QKV_F32;
}

void addWeightsType(CLI::App &app, ModelOptions &options) {
  app.add_option("--weights-type", options.weightsType,
                 "how matrices of weights are held: rounded once, all arithmetic in f32")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("TYPE")
      ->capture_default_str();
}

void addCacheType(CLI::App &app, ModelOptions &options) {
  app.add_option("--cache-type", options.cacheType,
                 "how floats are kept that grow from step to step, keys and values: rounded once "
                 "(default: as --weights-type)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->type_name("TYPE");
}

Half cacheOf(const ModelOptions &options) {
  const std::string &type = options.cacheType.empty() ? options.weightsType : options.cacheType;
  return type == "bf16" ? Half::BFloat16 : type == "f16" ? Half::Float16 : Half::None;
}

void addModelOptions(CLI::App &app, ModelOptions &options, bool dumps, bool cpu) {
  app.set_help_flag("-h,--help", "print this help");
  app.add_option("file", options.file,
                 dumps ? "the model file, a checkpoint (which says the page of the library that it "
                         "is of), or a dump of a stage (.mlir, .ll); - is standard input"
                       : "the model file, or a checkpoint, which says the page of the library that "
                         "it is of; - is standard input")
      ->required()
      ->type_name("FILE");
  app.add_option("--model", options.model, "which model, where the file has several")
      ->type_name("NAME");
  app.add_option("--ignore-config", options.ignoredKeys,
                 "go on though the configuration beside the weights has KEY, which the page does "
                 "not read; may be given several times")
      ->allow_extra_args(false)
      ->take_all()
      ->type_name("KEY");
  if (dumps)
    app.add_option("--from", options.from,
                   "FILE is a dump of this stage (default: what the dump says)")
        ->check(CLI::IsMember({"graph", "fused", "kernels", "llvm"}))
        ->type_name("STAGE");
  if (cpu)
    app.add_option("--cpu", options.cpu, "the processor, as clang -march names it")
        ->type_name("NAME")
        ->capture_default_str();
  if (cpu)
    app.add_flag(
        "--unfused", options.unfused,
        "attention by blocks of rows, its scores in memory: what fusion is measured against");
}

int readConfiguration(const ModelOptions &options, CheckOptions &check) {
  qkv_error error = {};
  error.size = sizeof error;
  rt::Configuration found;
  if (!rt::findConfiguration(options.weights, found, &error))
    return fail(options.command, error);
  if (!found.text.empty())
    check.config = found.text;
  check.configPath = found.path;
  check.configFormat = found.format;
  return 0;
}

int checkKeysRead(const ModelOptions &options, const CheckOptions &check, const Source &page,
                  const Sources &sources) {
  return checkKeys(options, page, sources, {check.config.value_or(""), check.configPath});
}

std::string withoutSteps(const ModelFile &file, const Description &description) {
  if (description.stream || !file.program || file.program->stream < 0)
    return "";
  auto derived = streams::deriveStream(*file.program);
  const auto *why = std::get_if<streams::Obstacle>(&derived);
  return why ? why->text : "";
}

std::vector<rt::NamedFile> filesOf(const ModelFile &file) {
  std::vector<rt::NamedFile> files;
  for (const std::string &path : file.sources.paths())
    files.push_back({"the model", path});
  return files;
}

int checkOutputs(const ModelOptions &options, const ModelFile &file,
                 const std::vector<rt::NamedFile> &outputs) {
  std::vector<rt::NamedFile> inputs = filesOf(file);
  if (!options.weights.empty())
    for (rt::NamedFile &one : rt::filesOfWeights("--weights", options.weights))
      inputs.push_back(std::move(one));
  if (std::string why = rt::overwrites(inputs, outputs); !why.empty())
    return misuse(options.command, why);
  std::string why = rt::unwritable(outputs);
  return why.empty() ? 0 : fail(options.command, why);
}

const Source *openSource(Sources &sources, const std::string &path, std::string &error) {
  constexpr std::string_view library = "std:", end = ".qkv";
  if (!path.starts_with(library))
    return sources.open(path, error);
  std::string_view name = std::string_view(path).substr(library.size());
  if (name.ends_with(end))
    name.remove_suffix(end.size());
  if (const char *text = standardLibrary(name))
    return sources.add(path, text);
  error = path + ": the standard library has no such file";
  return nullptr;
}

std::unique_ptr<ModelFile> openModel(ModelOptions &options, bool dumps, int &code) {
  auto file = std::make_unique<ModelFile>();
  std::string error;
  code = 1;
  qkv_error threads = {};
  threads.size = sizeof threads;
  if (!rt::checkThreads(&threads)) {
    fail(options.command, threads);
    return nullptr;
  }
  if ((code = usePageOf(options)))
    return nullptr;
  code = 1;
  file->source = openSource(file->sources, options.file, error);
  if (!file->source) {
    fail(options.command, error);
    return nullptr;
  }
  bool dump = isDump(options, file->source->text());
  if (dump && !dumps) {
    fail(options.command,
         options.file + ": this is a dump of a stage; a model file is needed here");
    return nullptr;
  }
  if (dump) {
    if (isShortForm(file->source->text())) {
      fail(options.command, options.file + ": this is a stage's short form or a part of a stage, "
                                           "for people; what qkv ir --full prints compiles on");
      return nullptr;
    }
    file->dump = file->source->text();
    code = 0;
    return file;
  }
  CheckOptions check;
  check.model = options.model;
  if ((code = readConfiguration(options, check)))
    return nullptr;
  code = 1;
  Diagnostics diagnostics;
  file->program = qkv::check(*file->source, file->sources, check, diagnostics);
  report(diagnostics);
  if (diagnostics.hasErrors())
    return nullptr;
  if (!file->program) {
    fail(options.command, options.file + ": the file defines no model");
    return nullptr;
  }
  if (file->program->name.rfind("qkv_", 0) == 0) {
    Diagnostics named;
    named.error(file->program->span, "names that begin with qkv_ belong to the runtime")
        .hint("another name for the model");
    report(named);
    return nullptr;
  }
  code = checkKeysRead(options, check, *file->source, file->sources);
  return code ? nullptr : std::move(file);
}

int makeTrace(const ModelOptions &options, ModelFile &file) {
  if (options.trace.empty())
    return 0;
  if (!file.program)
    return fail(options.command, options.file +
                                     ": this is a dump of a stage; tensors are traced of "
                                     "a model file");
  std::string error;
  std::optional<Program> trace = trace::traceOf(*file.program, options.trace, error);
  if (!trace)
    return fail(options.command, options.file + ": " + error);
  file.trace = std::make_unique<Program>(std::move(*trace));
  return 0;
}

std::unique_ptr<Compilation> openCompilation(ModelOptions &options,
                                             std::unique_ptr<ModelFile> &file, int &code) {
  file = openModel(options, /*dumps=*/true, code);
  if (!file || (code = makeTrace(options, *file)))
    return nullptr;
  std::string error;
  std::unique_ptr<Compilation> compilation;
  bool steps = options.parts != 0 && file->program && file->program->stream >= 0;
  if (!options.cacheType.empty() && options.cacheType != "f32" && !steps) {
    code = misuse(options.command, "--cache-type is for what is kept from step to step, and there "
                                   "are no steps here");
    return nullptr;
  }
  if (file->program) {
    compilation = Compilation::begin(*file->program, options.cpu, error,
                                     {.whole = options.whole,
                                      .parts = options.parts,
                                      .batch = options.batch,
                                      .element = elementOf(options),
                                      .cache = steps ? cacheOf(options) : Half::None,
                                      .fuse = !options.unfused,
                                      .trace = file->trace.get()});
  } else {
    std::optional<Stage> from;
    if (!options.from.empty())
      from = stageByName(options.from);
    compilation = Compilation::parse(file->dump, options.file, from, options.cpu, error);
  }
  if (compilation)
    return compilation;
  code = fail(options.command, file->program ? "a defect of qkv, please report it: " + error
                                             : options.file + ": " + error);
  return nullptr;
}

std::unique_ptr<JitModel> compileInMemory(Compilation &compilation, const ModelOptions &options,
                                          const std::vector<qkv_entry_kind> &called, int &exit) {
  std::string error;
  std::unique_ptr<JitModel> model;
  JitCode code;
  if (compilation.keepEntries(called, error)) {
    KeptCode kept(KeptCode::folder().empty() ? "" : compilation.text(), options.cpu);
    bool known = kept.find(code);
    if (!known)
      if (std::unique_ptr<NativeModule> native = compilation.native(error))
        if ((known = compileForJit(std::move(native), options.cpu, code, error)))
          kept.keep(code);
    if (known)
      model = JitModel::load(code, error);
  }
  if (!model)
    exit = fail(options.command, options.file + ": " + error);
  return model;
}

} // namespace qkv::driver

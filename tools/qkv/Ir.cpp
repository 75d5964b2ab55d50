// qkv ir: a model at any stage, as text: for people, or (--full) for compiling on from there.
#include "dsl/ProgramText.h"
#include "tools/qkv/Commands.h"
#include "tools/qkv/ModelFile.h"
#include "tools/qkv/Report.h"
#include "tools/qkv/printing/Assembly.h"
#include "tools/qkv/printing/ShortForm.h"

#include "compiler/equations/Rewritings.h"
#include "compiler/native/CodeGen.h"
#include "compiler/native/Entries.h"
#include "compiler/native/Machine.h"
#include "compiler/streams/DeriveStream.h"
#include "dsl/syntax/Formatter.h"

#include <CLI/CLI.hpp>
#include <llvm/Target/TargetMachine.h>

namespace qkv::driver {
namespace {

struct Options : ModelOptions {
  std::string stage = "graph", until, output = "-";
  TextPart part;
  bool ll = false, full = false;
};

/// The model's source, formatted, and what the checker made of it.
int runAst(Options &options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  if ((code = checkOutputs(options, *file, {{"-o", options.output}})))
    return code;
  ProgramPart part{options.part.line, options.part.function};
  if (!options.part.whole())
    return writeOut(options.command, options.output, programText(*file->program, part));
  Diagnostics diagnostics;
  std::optional<std::string> source = format(*file->source, diagnostics);
  std::string text = headingText({"ast", file->program->name, options.file}, "#") +
                     (source ? *source : file->source->text()) + "\n" + programText(*file->program);
  return writeOut(options.command, options.output, text);
}

/// The program behind a rewriting of equations: comments of the language, as at `ast`.
int runEquations(Options &options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  if ((code = checkOutputs(options, *file, {{"-o", options.output}})))
    return code;
  equations::RewriteOptions rewriting;
  rewriting.until = options.until;
  equations::Prepared prepared = equations::rewrite(*file->program, rewriting);
  ProgramPart part{options.part.line, options.part.function, /*live=*/true};
  std::string text = programText(prepared.program, part);
  if (text.empty())
    return fail(options.command, "nothing at stage equations is what was asked for");
  if (options.part.whole())
    text.insert(0, headingText({"equations", file->program->name, options.file}, "#"));
  return writeOut(options.command, options.output, text);
}

/// The equations of what is computed once for a sequence and of the step behind it.
int runStep(Options &options) {
  int code = 0;
  std::unique_ptr<ModelFile> file = openModel(options, /*dumps=*/false, code);
  if (!file)
    return code;
  if ((code = checkOutputs(options, *file, {{"-o", options.output}})))
    return code;
  if (file->program->stream < 0)
    return fail(options.command, options.file + ": model " + file->program->name +
                                     " has no stream size: there is no step");
  auto derived = streams::deriveStream(*file->program);
  if (const auto *why = std::get_if<streams::Obstacle>(&derived))
    return fail(options.command, options.file + ":" +
                                     (why->span ? std::to_string(why->span.line()) + ": " : " ") +
                                     why->text);
  streams::Stream &stream = std::get<streams::Stream>(derived);
  streams::keepInHalf(stream, cacheOf(options));
  ProgramPart part{options.part.line, options.part.function, /*live=*/true};
  std::string step = programText(stream.step, part);
  if (!options.part.whole())
    return step.empty() ? fail(options.command, "nothing at stage step is what was asked for")
                        : writeOut(options.command, options.output, step);
  std::string text = headingText({"step", file->program->name, options.file}, "#");
  if (!stream.session.results.empty())
    text += "# once for a sequence\n" + programText(stream.session, part) + "\n";
  return writeOut(options.command, options.output, text + "# each step\n" + step);
}

/// The functions of LLVM IR that are wanted; `line`: their instructions from it.
std::string partOfLlvmIr(const std::string &text, const TextPart &part, std::string &error) {
  auto native = parseNative(text, "module.ll", error);
  std::string out;
  if (!native)
    return out;
  llvm::raw_string_ostream stream(out);
  for (const llvm::Function &function : *native->module) {
    if (function.isDeclaration() || (!part.function.empty() && function.getName() != part.function))
      continue;
    if (part.line == 0) {
      function.print(stream);
      continue;
    }
    bool headed = false;
    for (const llvm::BasicBlock &block : function)
      for (const llvm::Instruction &instruction : block) {
        const llvm::DebugLoc &place = instruction.getDebugLoc();
        if (!place || static_cast<int>(place.getLine()) != part.line)
          continue;
        if (!headed)
          stream << "; in @" << function.getName() << "\n";
        headed = true;
        stream << instruction << "\n";
      }
  }
  return out;
}

/// The code that a program would hold, entries included.
std::string assembly(NativeModule &native, const Options &options, std::string &error) {
  auto machine = makeMachine(options.cpu, CodeUse::Object, error);
  if (!machine || !addEntries(native, error))
    return "";
  aimAt(*native.module, *machine);
  addMain(native, addModel(native, neededFeatures(*machine)));
  aimAt(*native.module, *machine);
  optimize(*native.module, *machine, Effort::Full);
  return generateCode(*native.module, *machine, CodeFile::Assembly, error);
}

/// LLVM IR or assembly; empty with `error`, or where nothing belongs to the part.
std::string nativeText(Compilation &compilation, const Options &options, std::string &error) {
  std::unique_ptr<NativeModule> native = compilation.native(error);
  if (!native)
    return "";
  Description description = native->description;
  if (options.stage == "asm")
    return annotateAssembly(assembly(*native, options, error), description.file,
                            {options.part.function, options.part.line});
  std::string text = qkv::text(*native);
  if (!options.part.whole())
    return partOfLlvmIr(text, options.part, error);
  return options.full ? text : shortLlvmIr(text, description);
}

/// MLIR, likewise.
std::string mlirText(const Compilation &compilation, const Options &options,
                     const Description &description) {
  if (options.full)
    return compilation.text(options.part);
  return shortMlir(compilation.text(), description, {options.part.function, options.part.line});
}

int run(Options options) {
  if (!options.until.empty() && options.stage != "equations")
    return misuse(options.command, "--until goes with --stage equations");
  if (options.stage == "ast")
    return runAst(options);
  if (options.stage == "equations")
    return runEquations(options);
  if (options.stage == "step")
    return runStep(options);
  int code = 0;
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<Compilation> compilation = openCompilation(options, file, code);
  if (!compilation)
    return code;
  if ((code = checkOutputs(options, *file, {{"-o", options.output}})))
    return code;
  if (options.ll && options.stage != "llvm")
    return misuse(options.command, "--ll goes with --stage llvm");
  bool toAssembly = options.stage == "asm";
  std::string error, text;
  Stage stage = toAssembly ? Stage::Llvm : *stageByName(options.stage);
  Description description;
  if (!compilation->advance(stage, error) || !compilation->description(description, error))
    return fail(options.command, options.file + ": " + error);
  bool native = toAssembly || options.ll || (stage == Stage::Llvm && compilation->isLlvmIr());
  text = native ? nativeText(*compilation, options, error)
                : mlirText(*compilation, options, description);
  if (!error.empty())
    return fail(options.command, options.file + ": " + error);
  if (text.empty())
    return fail(options.command, options.part.line
                                     ? "nothing at stage " + options.stage + " comes from line " +
                                           std::to_string(options.part.line)
                                     : "there is no function " + options.part.function +
                                           " at stage " + options.stage);
  StageHeading heading{options.stage, description.name, description.file, !options.part.whole(),
                       options.full};
  const char *mark = toAssembly ? "#" : native ? ";" : "//";
  return writeOut(options.command, options.output, headingText(heading, mark) + text);
}

} // namespace

void addIr(CLI::App &app, int &code) {
  auto options = std::make_shared<Options>();
  options->command = "qkv ir";
  CLI::App *command = app.add_subcommand("ir", "print a model at a stage of the compiler");
  addModelOptions(*command, *options, /*dumps=*/true, /*cpu=*/true);
  addWeightsType(*command, *options);
  addCacheType(*command, *options);
  command
      ->add_option("--stage", options->stage,
                   "ast: checked equations; equations: rewritten; step: of the next positions of "
                   "a stream; graph: tensors; fused, kernels: loops; llvm; asm")
      ->check(
          CLI::IsMember({"ast", "equations", "step", "graph", "fused", "kernels", "llvm", "asm"}))
      ->type_name("STAGE")
      ->capture_default_str();
  std::vector<std::string> rewritings;
  for (const equations::Rewriting &step : equations::rewritings())
    rewritings.push_back(step.name);
  command->add_option("--until", options->until, "equations: the last rewriting that is applied")
      ->check(CLI::IsMember(rewritings))
      ->type_name("NAME");
  command
      ->add_option("--function", options->part.function,
                   "one function (ast, equations: one tensor)")
      ->type_name("NAME");
  command->add_option("--line", options->part.line, "only what comes from this line of the model")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      ->add_option("--weights", options->weights,
                   "weights whose config.json gives the sizes read by config(...)")
      ->type_name("PATH");
  command->add_flag("--with-batch", options->batch, "also the code for several sequences at once");
  command->add_flag_callback(
      "--with-steps", [options] { options->parts = (1u << QKV_PARTS) - 1; },
      "also the code that takes a stream some positions at a time");
  command->add_flag(
      "--full", options->full,
      "all of it, with every location: what compiles on; else a short form for people");
  command->add_flag("--ll", options->ll, "with --stage llvm: LLVM IR, not MLIR's form of it");
  command->add_option("-o,--output", options->output, "where to write (default: standard output)")
      ->type_name("FILE");
  command->footer(
      "With --full any stage's text (but asm) compiles on from there: qkv ir, run, build take it.\n"
      "Without, it is for people: no locations, short types, each equation as a comment over what\n"
      "became of it, what a caller must know of the model at the end. The first line says "
      "which.\n\n"
      "examples:\n"
      "  qkv ir --stage equations --until fuse-attention attention.qkv\n"
      "  qkv ir --stage graph attention.qkv\n"
      "  qkv ir --stage kernels --line 9 attention.qkv\n"
      "  qkv ir --stage fused --full m.qkv -o m.mlir && qkv build m.mlir -o m\n"
      "  qkv ir --stage asm --cpu haswell m.qkv");
  command->callback([options, &code] { code = run(*options); });
}

} // namespace qkv::driver

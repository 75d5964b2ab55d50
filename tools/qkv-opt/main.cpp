// qkv-opt: runs passes on a module's text, for tests and for looking at one pass alone.
//
//   qkv-opt FILE [--cpu CPU] [--stage-from S --stage-to S | --passes PIPELINE]
//           [--split-input-file] [--locations] [--timing] [--list]
//
// PIPELINE is in MLIR's notation, on a module: 'func.func(qkv-free-early),cse'. (MLIR's own
// driver is a static archive that does not go with the shared libraries: it would register
// every option twice.)
#include "compiler/pipeline/Pipeline.h"
#include "compiler/pipeline/Registration.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Arguments {
  std::string file = "-", passes;
  qkv::Stage from = qkv::Stage::Graph, to = qkv::Stage::Graph;
  qkv::PipelineOptions pipeline;
  bool split = false, locations = false;
};

[[noreturn]] void fail(const std::string &message) {
  llvm::errs() << "qkv-opt: " << message << "\n";
  exit(1);
}

qkv::Stage stage(const std::string &name) {
  if (auto found = qkv::stageByName(name))
    return *found;
  fail("no stage is called " + name);
}

void list(const Arguments &arguments) {
  for (const std::string &passes :
       qkv::stagePasses(qkv::Stage::Graph, qkv::Stage::Llvm, arguments.pipeline))
    llvm::outs() << passes << "\n";
}

Arguments parse(int argc, char **argv) {
  Arguments out;
  bool wantsList = false;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i], value;
    auto takes = [&](const char *name) {
      std::string head = std::string(name) + "=";
      if (flag.rfind(head, 0) == 0) {
        value = flag.substr(head.size());
        return true;
      }
      if (flag != name)
        return false;
      if (++i == argc)
        fail(flag + " needs a value");
      value = argv[i];
      return true;
    };
    if (takes("--cpu"))
      out.pipeline.cpu = value;
    else if (takes("--stage-from"))
      out.from = stage(value);
    else if (takes("--stage-to"))
      out.to = stage(value);
    else if (takes("--passes"))
      out.passes = value;
    else if (flag == "--split-input-file")
      out.split = true;
    else if (flag == "--locations")
      out.locations = true;
    else if (flag == "--timing")
      out.pipeline.timing = true, out.pipeline.verifyEach = false;
    else if (flag == "--list")
      wantsList = true;
    else if (flag.size() > 1 && flag[0] == '-')
      fail("no option is called " + flag);
    else
      out.file = flag;
  }
  if (wantsList) {
    list(out);
    exit(0);
  }
  return out;
}

/// One module's text through the passes to standard output.
void run(llvm::StringRef text, const Arguments &arguments) {
  mlir::DialectRegistry registry;
  qkv::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, arguments.file), {});
  mlir::SourceMgrDiagnosticHandler handler(sources, &context);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    exit(1);
  if (!arguments.passes.empty()) {
    mlir::PassManager manager(&context);
    if (mlir::failed(mlir::parsePassPipeline(arguments.passes, manager)) ||
        mlir::failed(manager.run(*module)))
      exit(1);
  }
  std::string error;
  if (!qkv::runPipeline(*module, arguments.from, arguments.to, arguments.pipeline, error))
    fail(error);
  mlir::OpPrintingFlags flags;
  if (arguments.locations)
    flags.enableDebugInfo();
  mlir::AsmState state(*module, flags);
  module->print(llvm::outs(), state);
}

} // namespace

int main(int argc, char **argv) {
  Arguments arguments = parse(argc, argv);
  qkv::registerAllPasses();
  auto file = llvm::MemoryBuffer::getFileOrSTDIN(arguments.file);
  if (!file)
    fail(arguments.file + ": " + file.getError().message());
  llvm::StringRef text = (*file)->getBuffer();
  constexpr llvm::StringRef separator = "// -----";
  bool first = true;
  do {
    auto [head, tail] =
        arguments.split ? text.split(separator) : std::pair(text, llvm::StringRef());
    if (!first)
      llvm::outs() << separator << "\n";
    first = false;
    run(head, arguments);
    text = tail;
  } while (!text.empty());
  return 0;
}

// Prints the module of a model file: for looking at, and for the lit tests here.
//
//   irgen-dump FILE [MODEL] [--to STAGE] [--config JSON] [--panel WIDTH] [--locations] [--batch]
//              [--steps]
#include "compiler/irgen/IRGen.h"
#include "compiler/pipeline/Pipeline.h"

#include "dsl/check/Checker.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

#include <iostream>
#include <string>

int main(int argc, char **argv) {
  std::string file, to = "graph";
  qkv::CheckOptions options;
  bool locations = false;
  qkv::GenerateOptions generateOptions;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    if (a == "--to" && i + 1 < argc)
      to = argv[++i];
    else if (a == "--config" && i + 1 < argc)
      options.config = argv[++i];
    else if (a == "--panel" && i + 1 < argc)
      generateOptions.panelWidth = std::stoll(argv[++i]), generateOptions.lanes = 16;
    else if (a == "--locations")
      locations = true;
    else if (a == "--batch")
      generateOptions.batch = true;
    else if (a == "--steps")
      generateOptions.parts = 1u << QKV_STEP;
    else if (file.empty())
      file = a;
    else
      options.model = a;
  }
  qkv::Sources sources;
  qkv::Diagnostics diagnostics;
  std::string error;
  const qkv::Source *source = sources.open(file, error);
  if (!source) {
    std::cerr << error << "\n";
    return 1;
  }
  auto program = qkv::check(*source, sources, options, diagnostics);
  diagnostics.render(std::cerr, false);
  if (!program)
    return 1;
  mlir::DialectRegistry registry;
  qkv::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = qkv::generate(context, *program, generateOptions);
  bool ok = mlir::succeeded(mlir::verify(*module));
  auto stage = qkv::stageByName(to);
  if (ok && stage && *stage != qkv::Stage::Graph &&
      !qkv::runPipeline(*module, qkv::Stage::Graph, *stage, {}, error)) {
    std::cerr << error << "\n";
    ok = false;
  }
  mlir::OpPrintingFlags flags;
  flags.enableDebugInfo(locations);
  if (!ok)
    flags.assumeVerified();
  module->print(llvm::outs(), flags);
  return ok ? 0 : 1;
}

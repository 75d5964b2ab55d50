// LLVM's passes and code generator. Holds: line tables survive to the object file.
#include "compiler/native/CodeGen.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/CodeGen/Passes.h"
#include "llvm/CodeGen/TargetPassConfig.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/RegisterTargetPassConfigCallback.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/MergeFunctions.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/LoopRotation.h"
#include "llvm/Transforms/Scalar/LoopUnrollPass.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

namespace qkv {

/// Unrolls loops without vectors (choices among numbers, passes over ints). The others are as they
/// shall be.
static void unrollScalars(llvm::Function &function, llvm::FunctionAnalysisManager &functions) {
  auto isVector = [](const llvm::Instruction &one) {
    return one.getType()->isVectorTy() ||
           llvm::any_of(one.operands(), [](auto &use) { return use->getType()->isVectorTy(); });
  };
  for (llvm::Loop *loop : functions.getResult<llvm::LoopAnalysis>(function).getLoopsInPreorder())
    if (llvm::any_of(loop->blocks(),
                     [&](llvm::BasicBlock *block) { return llvm::any_of(*block, isVector); }))
      loop->setLoopAlreadyUnrolled();
  llvm::LoopUnrollPass().run(function, functions);
}

void optimize(llvm::Module &module, llvm::TargetMachine &machine, Effort effort) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  // Kernels of equal form are many (of queries, keys and values): one is compiled. Not in what is
  // built for long: its debug information would name the lines of one of them.
  if (effort == Effort::Light)
    llvm::MergeFunctionsPass().run(module, modules);
  // What LLVM's own order of passes does takes half of the whole compilation, and vector code gains
  // nothing by it. (Behind the test of a loop that may have no round, what does not change in it is
  // loaded once.)
  llvm::FunctionPassManager each;
  each.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  each.addPass(llvm::EarlyCSEPass());
  each.addPass(llvm::SimplifyCFGPass());
  each.addPass(llvm::InstCombinePass());
  llvm::LoopPassManager inLoops;
  inLoops.addPass(llvm::LoopRotatePass());
  inLoops.addPass(llvm::LICMPass(llvm::LICMOptions()));
  each.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(inLoops), /*UseMemorySSA=*/true));
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    each.run(function, functions);
    if (effort == Effort::Full)
      unrollScalars(function, functions);
  }
}

std::string generateCode(llvm::Module &module, llvm::TargetMachine &machine, CodeFile kind,
                         std::string &error, Effort effort) {
  // The second scheduler takes a sixth of the time; the processor reorders as far by itself.
  // The peephole pass reads a masked load in the instruction that uses it, which is right; a later
  // pass then takes that instruction apart again and loads without the mask, behind a row's end.
  llvm::RegisterTargetPassConfigCallback fewer(
      [effort](llvm::TargetMachine &, llvm::PassManagerBase &, llvm::TargetPassConfig *passes) {
        passes->disablePass(&llvm::PeepholeOptimizerLegacyID);
        if (effort == Effort::Light)
          passes->disablePass(&llvm::PostRASchedulerID);
      });
  llvm::SmallString<0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  auto type = kind == CodeFile::Object ? llvm::CodeGenFileType::ObjectFile
                                       : llvm::CodeGenFileType::AssemblyFile;
  if (machine.addPassesToEmitFile(passes, out, nullptr, type)) {
    error = "LLVM's target makes no such file";
    return "";
  }
  passes.run(module);
  return std::string(bytes);
}

} // namespace qkv

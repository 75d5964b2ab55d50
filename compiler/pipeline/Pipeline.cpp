// The whole pipeline: every pass in order, by stage, with the reason for its position.
//
// In: a module at some stage. Out: the same module at a later one. Each stage's text parses
// back and goes on from there: nothing passes from one stage to the next but the module.
#include "compiler/pipeline/Pipeline.h"

#include "compiler/pipeline/Registration.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"

namespace qkv {
namespace {

/// A step on the way to `stage`: a pipeline of passes on the module, in MLIR's notation, where
/// CPU stands for the target's name.
struct Step {
  Stage stage;
  const char *passes;
  const char *why;
};

constexpr Step steps[] = {
    // ---- step: the stream-derived program. Here will stand the derivation of the
    // incremental form (what is read at another position becomes state) and the split into
    // once-at-load, once-per-session and per-step parts; until then the stage is `graph`.

    // ---- fused: groups of equations that run as one loop nest. Softmax-weighted sums are one
    // operation already (irgen/FuseAttention, on equations, where the law can be seen); here
    // those of the same weights become one, and all others are grouped.
    {Stage::Fused, "canonicalize",
     "irgen writes an equation as it reads. (Nothing merges equal operations before buffers: two "
     "sums that start from one fill would need copies of it.)"},
    {Stage::Fused, "func.func(qkv-merge-attention)",
     "behind canonicalize, which makes equal extents one value; before others move code about"},
    {Stage::Fused, "func.func(qkv-fuse-elementwise),canonicalize",
     "what is left of equations by themselves; canonicalize merges operands that became equal"},
    {Stage::Fused, "func.func(qkv-block-rows),canonicalize",
     "fewer values are over two letters now; on tensors, where who reads a value is seen"},

    // ---- kernels: buffers, then loops and vectors on them.
    {Stage::Kernels, "qkv-pass-destinations",
     "on tensors, where the extents of a result can still be traced to arguments"},
    {Stage::Kernels, "func.func(qkv-compute-in-place)",
     "a value that ends in a slice or a result is computed there; before anything merges "
     "operations, for two values that begin alike need two places"},
    {Stage::Kernels,
     "one-shot-bufferize{bufferize-function-boundaries=true "
     "function-boundary-type-conversion=identity-layout-map buffer-alignment=0}",
     "one analysis over the whole module decides what is written in place; the runtime's "
     "allocator aligns, so the allocations need not"},
    {Stage::Kernels, "canonicalize,cse",
     "loops lose the buffers they only hand through, which the two next steps would follow"},
    {Stage::Kernels, "func.func(buffer-hoisting)",
     "in front of branches; what a loop allocates stays in it, where the arena sees how long it "
     "lives"},
    {Stage::Kernels,
     "ownership-based-buffer-deallocation,canonicalize,buffer-deallocation-simplification,"
     "bufferization-lower-deallocations,convert-bufferization-to-memref,cse,canonicalize",
     "sound for every shape of control flow; all decided at compile time in ours"},
    {Stage::Kernels, "func.func(qkv-free-early)",
     "behind the analysis above, which frees at the end of blocks"},
    {Stage::Kernels, "func.func(qkv-lower-copies)", "one form for the lowering that follows"},
    {Stage::Kernels, "lower-affine",
     "places in blocks of rows become arithmetic, which the lowering below follows into lanes"},
    {Stage::Kernels, "qkv-widen-bools", "no vector of bools is in memory when vectors are made"},
    {Stage::Kernels, "func.func(qkv-expand-math{cpu=CPU})",
     "on scalars: all lanes and all ends of loops then compute the same bits"},
    {Stage::Kernels, "func.func(qkv-lower-attention{cpu=CPU})",
     "behind the expansion of functions, which its body holds as scalars"},
    {Stage::Kernels, "func.func(qkv-lower-kernels{cpu=CPU})",
     "the last step that sees whole equations"},
    {Stage::Kernels, "func.func(cse,canonicalize{region-simplify=disabled},cse)",
     "the lowering writes each position of a tile apart; what they share becomes one here, and "
     "before canonicalize, which takes ten times as long for it"},
    {Stage::Kernels, "func.func(loop-invariant-code-motion)",
     "places and splats that do not change in a loop"},
    {Stage::Kernels, "qkv-plan-arena,func.func(cse)",
     "last: every buffer is there, and lives as long as it will"},

    // ---- llvm: one dialect after the other.
    {Stage::Llvm, "qkv-export-entries",
     "while they are still func.func, and before loops are outlined, which hand "
     "over what are pointers then"},
    {Stage::Llvm, "func.func(qkv-lower-extrema)",
     "behind the vectoriser, which must see which operation a reduction is made of"},
    {Stage::Llvm, "qkv-lower-checks", "makes scf and calls, so before both are lowered"},
    {Stage::Llvm, "qkv-outline-parallel",
     "as late as possible: what a loop captures is packed and unpacked, and a function is a wall "
     "to every step that moves code"},
    {Stage::Llvm, "qkv-expand-views",
     "before loops are taken apart: the patterns for vectors of several dimensions make loops"},
    {Stage::Llvm, "convert-scf-to-cf,lower-affine",
     "blocks, and the affine maps among views as arithmetic"},
    {Stage::Llvm, "qkv-convert-to-llvm,reconcile-unrealized-casts", "all that is left, at once"},
    {Stage::Llvm, "cse,canonicalize{region-simplify=disabled},cse",
     "descriptors taken apart again"},
    {Stage::Llvm, "ensure-debug-info-scope-on-llvm-func{emission-kind=LineTablesOnly}",
     "locations are still spans of the model file: line tables name its lines"},
    {Stage::Llvm, "qkv-finish-module{cpu=CPU}", "last: it names and marks what the others made"},
};

} // namespace

const char *stageName(Stage stage) {
  constexpr const char *names[] = {"graph", "fused", "kernels", "llvm"};
  return names[static_cast<int>(stage)];
}

std::optional<Stage> stageByName(std::string_view name) {
  for (Stage stage : {Stage::Graph, Stage::Fused, Stage::Kernels, Stage::Llvm})
    if (name == stageName(stage))
      return stage;
  return std::nullopt;
}

std::vector<std::string> stagePasses(Stage from, Stage to, const PipelineOptions &options) {
  std::vector<std::string> passes;
  for (const Step &step : steps) {
    if (step.stage <= from || step.stage > to)
      continue;
    std::string text = step.passes;
    for (size_t at; (at = text.find("CPU")) != std::string::npos;)
      text.replace(at, 3, options.cpu);
    passes.push_back(text);
  }
  return passes;
}

bool runPipeline(mlir::ModuleOp module, Stage from, Stage to, const PipelineOptions &options,
                 std::string &error) {
  registerAllPasses();
  mlir::PassManager manager(module.getContext());
  manager.enableVerifier(options.verifyEach);
  if (options.timing)
    manager.enableTiming();
  llvm::raw_string_ostream out(error);
  // What a pass reports is kept, not printed: the caller decides how a defect is shown. (The
  // notes are the operation's whole text.)
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &diagnostic) {
    out << diagnostic.getLocation() << ": " << diagnostic << "\n";
    return mlir::success();
  });
  for (const std::string &passes : stagePasses(from, to, options))
    if (mlir::failed(mlir::parsePassPipeline(passes, manager, out)))
      return false;
  if (mlir::succeeded(manager.run(module))) {
    error.clear();
    return true;
  }
  if (error.empty())
    error = "a pass failed without a message";
  return false;
}

} // namespace qkv

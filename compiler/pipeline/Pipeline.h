// THE ordered list of passes, by stage.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qkv {

/// The stages of MLIR modules, in order. (`ast` comes before, `asm` after.)
enum class Stage { Graph, Fused, Kernels, Llvm };
const char *stageName(Stage stage);
std::optional<Stage> stageByName(std::string_view name);

/// Every dialect, interface and translation that a module may need at any stage.
void registerDialects(mlir::DialectRegistry &registry);

struct TargetDescription; // passes/Target.h: lanes, registers, caches

struct PipelineOptions {
  std::string cpu = "native"; ///< as --cpu
  bool verifyEach = true;
  bool timing = false; ///< the time each pass takes is reported on standard error
};

/// The passes that take a module from one stage to a later one, in MLIR's notation.
std::vector<std::string> stagePasses(Stage from, Stage to, const PipelineOptions &options);

/// Takes a module from one stage to a later one. False with `error` where a pass fails:
/// that is a defect of the compiler, never of the model.
bool runPipeline(mlir::ModuleOp module, Stage from, Stage to, const PipelineOptions &options,
                 std::string &error);

} // namespace qkv

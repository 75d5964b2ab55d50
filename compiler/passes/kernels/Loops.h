// Loops that the emitters of kernels write around what a function emits.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

namespace qkv {

/// A loop over [begin, end) in steps of `step`.
void loopOver(LaneBuilder &lanes, mlir::Location loc, mlir::Value begin, mlir::Value end,
              int64_t step, llvm::function_ref<void(mlir::Value)> emit);

/// A loop over all positions of `extents`, the last running fastest, that the runtime's threads
/// divide: a piece has `grain` of them at least.
void loopInParallel(LaneBuilder &lanes, mlir::Location loc, llvm::ArrayRef<mlir::Value> extents,
                    int64_t grain, llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> emit);

} // namespace qkv

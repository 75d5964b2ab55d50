// Results in the caller's memory.
#pragma once

#include "compiler/irgen/Emitter.h"

namespace qkv::irgen {

/// A computed tensor as it is returned: floats as f32, no positions outside of its axes.
mlir::Value asResult(FunctionEmitter &f, int tensor, mlir::Location loc);

/// The memory for it.
mlir::MemRefType resultType(FunctionEmitter &f, int tensor);

} // namespace qkv::irgen

// Results in the caller's memory.
#pragma once

#include "compiler/irgen/Emitter.h"

namespace qkv::irgen {

/// A computed tensor as it is returned: floats as f32, no positions outside of its axes.
mlir::Value asResult(FunctionEmitter &f, int tensor, mlir::Location loc);

/// The memory for it.
mlir::MemRefType resultType(FunctionEmitter &f, int tensor);

/// Unwanted.cpp. Takes from the items of an order those that are computed for `results` alone, of
/// which the caller may want none: they come behind the others then. None where that cannot be.
std::vector<Item> takeUnwanted(const Plan &plan, std::vector<Item> &items,
                               const std::set<int> &results);

} // namespace qkv::irgen

// The project's own passes. Passes.td says of each what holds before, what after, and why;
// pipeline/Pipeline.cpp says where it stands.
#pragma once

#include "mlir/Pass/Pass.h"

namespace qkv {

#define GEN_PASS_DECL
#include "compiler/passes/Passes.h.inc"

/// Makes all of them known by their flags (`--qkv-...`).
void registerPasses();

} // namespace qkv

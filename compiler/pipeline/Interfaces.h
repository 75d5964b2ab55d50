// What the pipeline asks of dialects beyond their operations.
#pragma once

#include "mlir/IR/DialectRegistry.h"

namespace qkv {

/// The dialect `qkv`.
void registerOwnDialect(mlir::DialectRegistry &registry);

/// How each dialect's operations are bufferized, freed and translated to LLVM IR.
void registerInterfaces(mlir::DialectRegistry &registry);

} // namespace qkv

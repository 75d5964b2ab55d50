// How the dialect's operations on tensors become operations on buffers.
#pragma once

#include "mlir/IR/DialectRegistry.h"

namespace qkv {

void registerBufferization(mlir::DialectRegistry &registry);

} // namespace qkv

// Sums over the lanes of several vectors at once.
#pragma once

#include "mlir/IR/Builders.h"

namespace qkv {

/// The totals over the lanes of each of n vectors, n a power of two and no more than there are
/// lanes, as one vector of n. The order of additions is the same for every vector and every n:
/// the upper half of the lanes onto the lower, and so on.
mlir::Value reduceLanes(mlir::OpBuilder &builder, mlir::Location loc, mlir::Operation *combiner,
                        mlir::ArrayRef<mlir::Value> vectors);

/// Elements [begin, begin + count) of a vector; a scalar where count is 1.
mlir::Value sliceOrElement(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value vector,
                           int64_t begin, int64_t count);

} // namespace qkv

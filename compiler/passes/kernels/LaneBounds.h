// What is known of integers over the lanes from the bounds of the loops around them.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

#include <optional>

namespace qkv {

struct Bounds {
  int64_t least, most; ///< both may be taken
};

/// Between which numbers all lanes of an integer lie, if loops of constant ends say it.
std::optional<Bounds> boundsOf(const Lanes &value, int64_t lanes);

/// The constant that an integer is, if it is one; none of no value.
std::optional<int64_t> constantOf(mlir::Value value);

/// The result that an operation on integers has by the bounds of its operands: a comparison, a
/// minimum, a maximum. None where bounds do not say it.
std::optional<Lanes> resultByBounds(LaneBuilder &builder, mlir::Operation &op,
                                    llvm::ArrayRef<Lanes> operands);

} // namespace qkv

// Keys for the lanes: a buffer with one axis in blocks of 64 positions, lane after lane.
#pragma once

#include "compiler/passes/Lanes.h"

namespace qkv {

/// A buffer x[.., j, ..] as packed[.., j / 64, .., j % 64]: what is read along j at one place
/// of the other axes is contiguous. Lanes behind the last position repeat it.
struct PackedKeys {
  mlir::Value source, packed;
  int64_t axis; ///< of `source`, in blocks

  /// The indices of `packed` for lanes from `lane` on of block `block`; `others`: of source.
  llvm::SmallVector<Lanes> indices(llvm::ArrayRef<Lanes> others, mlir::Value block,
                                   mlir::Value lane) const;
};

/// Packs `source` along `axis` where the builder stands, on the runtime's threads. The caller
/// frees `packed`. Precondition: axis is not the last one of a contiguous last axis.
PackedKeys packKeys(LaneBuilder &lanes, mlir::Location loc, mlir::Value source, int64_t axis);

} // namespace qkv

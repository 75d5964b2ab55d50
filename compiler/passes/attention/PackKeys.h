// Keys for the lanes: a buffer with one axis in blocks of a vector's positions, lane after lane.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

namespace qkv {

/// A buffer x[.., j, ..] as packed[.., j / w, .., j % w], w the lanes: what is read along j at one
/// place of the other axes is contiguous, and with it what is read at the next place of the last
/// axis. Lanes behind the last position repeat it, or hold anything (of floats); there are vectors
/// up to a whole block of qkv.attention. Axes that outer letters go along hold the positions of a
/// round of the last of them.
struct PackedKeys {
  mlir::Value source;
  int64_t axis = -1;              ///< of `source`, in blocks; not a last one that is contiguous
  llvm::SmallVector<int> letters; ///< by axis of `source`: the outer letter it goes along, or -1
  bool each = true;               ///< at one place of these letters all of a key is read
  mlir::Value packed;             ///< after allocate
  mlir::Value first;              ///< after pack: the round's first position

  bool isInRounds() const;
  /// Bytes of the copy for one position of the rounds' letter.
  mlir::Value bytesOfPosition(LaneBuilder &lanes, mlir::Location loc) const;
  /// Makes the copy for `round` positions of `letter`, or no room for it if not `really`. The
  /// caller frees `packed`.
  void allocate(LaneBuilder &lanes, mlir::Location loc, int letter, mlir::Value round,
                mlir::Value really);
  /// Fills it with `count` positions of `letter` from `first` on, at `before` of the letters
  /// before, on the runtime's threads.
  void pack(LaneBuilder &lanes, mlir::Location loc, int letter, mlir::ValueRange before,
            mlir::Value first, mlir::Value count);
  /// The same for one block of keys at one place of the outer letters, by one thread, in memory of
  /// its own. The copy's elements; 0 where that is not known.
  int64_t elementsOfBlock(int64_t keys, int64_t width) const;
  void allocateBlock(LaneBuilder &lanes, mlir::Location loc, int64_t keys);
  /// Fills it with `count` keys from `firstKey` on, at `outer`; asks the caches for the block
  /// behind.
  void packBlock(LaneBuilder &lanes, mlir::Location loc, mlir::ValueRange outer,
                 mlir::Value firstKey, mlir::Value count, int64_t keys);
  /// The indices of vector `block` of `packed`; `others`: of source.
  llvm::SmallVector<Lanes> indices(LaneBuilder &lanes, mlir::Location loc,
                                   llvm::ArrayRef<Lanes> others, mlir::Value block) const;

private:
  int letter_ = -1;
  bool inBlocks_ = false;
};

} // namespace qkv

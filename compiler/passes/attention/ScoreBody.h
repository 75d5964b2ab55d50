// The body of qkv.attention over the elements of a tile: any scalar code on lanes of keys.
#pragma once

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/Target.h"
#include "compiler/passes/attention/PackKeys.h"
#include "compiler/passes/kernels/KernelBody.h"

namespace qkv {

/// Writes values of the body at points (a row, and a vector of keys each). Reductions are
/// written for all points together, as register tiles.
class ScoreBody {
public:
  ScoreBody(AttentionOp op, LaneBuilder &lanes, const TargetDescription &target)
      : op_(op), lanes_(lanes), target_(target) {}

  /// Finds what is read along the keys and not contiguous there: it is packed. What goes along
  /// outer letters is packed by rounds of one of them, the last that any of it goes along: that
  /// letter, or -1 where none does.
  int findPacks();
  /// Makes the copies, and fills those that go along no outer letter. A round is as many
  /// positions of the letter as fit into `bytes`, and at least `least`. Where `really` is false,
  /// which the arena's plan sees, they take no room.
  void allocate(int64_t bytes, mlir::Value least, mlir::Value really);
  /// The positions of a round; after allocate.
  mlir::Value round() const { return round_; }
  /// Fills the copies for `count` positions from `first` on, at `before` of the letters before.
  void packRound(mlir::ValueRange before, mlir::Value first, mlir::Value count);
  /// Frees the copies.
  void release();

  /// Whether there are copies, and those of `keys` keys at one place of the outer letters take no
  /// more than `bytes`, as far as is known here.
  bool fitsBlock(int64_t keys, int64_t bytes);
  /// Positions of the rounds' letter whose parts of one key take so many bytes beside each other.
  int64_t positionsOfPiece(int64_t bytes) const;
  /// Copies of `keys` keys in the place of all, until `allocate`.
  void allocateBlock(int64_t keys);
  /// Fills them with `count` keys from `firstKey` on.
  void packBlock(mlir::ValueRange outer, mlir::Value firstKey, mlir::Value count);

  /// Whether a value of the body is computed from another one.
  bool dependsOn(mlir::Value value, mlir::Value other);

  /// `value` at each point: in the point's values afterwards. A point's first letter is the
  /// number of its vector of keys, counted from the first key on.
  void evaluate(mlir::Value value, llvm::MutableArrayRef<Point> points);
  /// `value` at one point that has no keys: bounds of tiles.
  Lanes evaluate(mlir::Value value, Point &point);

private:
  void evaluateAt(mlir::Value value, Point &point);
  void reductionsOf(mlir::Value value, llvm::SetVector<mlir::Operation *> &out,
                    llvm::DenseSet<mlir::Value> &seen, const Point &point);
  void reduce(ReduceOp op, llvm::MutableArrayRef<Point> points);
  llvm::SmallVector<mlir::Value> reduceFrom(ReduceOp op, unsigned depth,
                                            llvm::MutableArrayRef<Point> points,
                                            llvm::ArrayRef<mlir::Value> accumulators);
  llvm::SmallVector<mlir::Value> reduceInParts(ReduceOp op, int64_t parts,
                                               llvm::MutableArrayRef<Point> points,
                                               llvm::ArrayRef<mlir::Value> zeros);
  mlir::Value reciprocal(mlir::Value divisor);
  bool isInside(mlir::Operation *op);

  AttentionOp op_;
  LaneBuilder &lanes_;
  const TargetDescription &target_;
  int letter_ = -1; ///< that rounds go along
  mlir::Value round_;
  int64_t keysOfBlock_ = 0;
  llvm::DenseMap<mlir::Value, mlir::Value> reciprocals_;
  llvm::SmallVector<PackedKeys> packs_;
  llvm::DenseMap<mlir::Operation *, int> packOf_; ///< of loads
};

} // namespace qkv

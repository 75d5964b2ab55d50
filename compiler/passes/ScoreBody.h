// The body of qkv.attention over the elements of a tile: any scalar code on lanes of keys.
#pragma once

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/KernelBody.h"
#include "compiler/passes/PackKeys.h"
#include "compiler/passes/Target.h"

namespace qkv {

/// Writes values of the body at points (a row, and a vector of keys each). Reductions are
/// written for all points together, as register tiles.
class ScoreBody {
public:
  ScoreBody(AttentionOp op, LaneBuilder &lanes, const TargetDescription &target)
      : op_(op), lanes_(lanes), target_(target) {}

  /// Packs what is read along the keys and not contiguous there (once, before all tiles).
  void pack();
  /// Frees it.
  void release();

  /// Where keys' tiles are: the block's number, and the lane of a point's first key in it.
  struct KeyBlock {
    mlir::Value block;
    llvm::SmallVector<mlir::Value> lane; ///< by point
  };

  /// `value` at each point: in the point's values afterwards.
  void evaluate(mlir::Value value, llvm::MutableArrayRef<Point> points, const KeyBlock &block);
  /// `value` at one point that has no keys: bounds of tiles.
  Lanes evaluate(mlir::Value value, Point &point);

private:
  void evaluateAt(mlir::Value value, Point &point, mlir::Value block, mlir::Value lane);
  void reductionsOf(mlir::Value value, llvm::SetVector<mlir::Operation *> &out,
                    llvm::DenseSet<mlir::Value> &seen, const Point &point);
  void reduce(ReduceOp op, llvm::MutableArrayRef<Point> points, const KeyBlock &block);
  llvm::SmallVector<mlir::Value> reduceFrom(ReduceOp op, unsigned depth,
                                            llvm::MutableArrayRef<Point> points,
                                            const KeyBlock &block,
                                            llvm::ArrayRef<mlir::Value> accumulators);
  bool isInside(mlir::Operation *op);

  AttentionOp op_;
  LaneBuilder &lanes_;
  const TargetDescription &target_;
  llvm::SmallVector<PackedKeys> packs_;
  llvm::DenseMap<mlir::Operation *, int> packOf_; ///< of loads
};

} // namespace qkv

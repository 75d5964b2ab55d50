// The code of one qkv.attention: tiles of rows (LowerAttention.cpp), and groups of their rows at
// a block of keys (AttentionGroup.cpp).
#pragma once

#include "compiler/passes/attention/Exponential.h"
#include "compiler/passes/attention/ScoreBody.h"
#include "compiler/passes/attention/ValueColumns.h"
#include "compiler/passes/kernels/Loops.h"
#include "compiler/passes/math/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"

#include <limits>

namespace qkv {

/// The score of what takes no part, and the maximum of nothing: no float that is a score.
inline constexpr float noScore = -std::numeric_limits<float>::infinity();

/// Writes loops and vectors in place of one operation. It is made, emits once, and is done.
class AttentionEmitter {
public:
  AttentionEmitter(mlir::OpBuilder &builder, AttentionOp op, const TargetDescription &target)
      : b_(builder), op_(op), loc_(op.getLoc()), target_(target),
        lanes_(builder, op.getLoc(), target.lanes), body_(op, lanes_, target),
        columns_(op, lanes_) {}

  void emit();

private:
  static constexpr int64_t blockSize = AttentionOp::blockSize;
  /// Keys of a slice of a block: what is left out of a block that is not whole, is by slices.
  static constexpr int64_t sliceKeys = 16;

  /// A tile of rows, and where its slots begin. Of few rows those at all positions of the shared
  /// letters are in one tile; then `count` is of slots, of which a row's are beside each other.
  struct Rows {
    mlir::Value first, count, slots;
  };
  /// One of a tile's rows, and where the outer letters stand for it.
  struct Member {
    mlir::Value row;
    llvm::SmallVector<mlir::Value> outer;
  };
  /// Rows that share loads of keys and values: `slot` is the first one's number in the scratch.
  /// Rows behind the last one are the last one again: they compute and store the same.
  struct Group {
    mlir::Value slot;
    llvm::SmallVector<Member> members;
    size_t size() const { return members.size(); }
  };
  struct Block {
    mlir::Value number, firstKey, lastKey, left; ///< `left`: keys from the first on
  };
  /// What of a block takes part in a group: nothing, or vectors [first, end).
  struct Part {
    mlir::Value some, first, end;
  };

  mlir::Value index(int64_t value) { return lanes_.constant(loc_, b_.getIndexType(), value); }
  mlir::Value number(float value) { return lanes_.constant(loc_, b_.getF32FloatAttr(value)); }
  mlir::Value truth(bool value) { return lanes_.constant(loc_, b_.getBoolAttr(value)); }
  mlir::Value splat(float value) { return lanes_.vector(loc_, Lanes(number(value))); }
  mlir::Value splat(mlir::Value value) { return lanes_.vector(loc_, Lanes(value)); }
  mlir::Value plus(mlir::Value a, int64_t c) {
    return b_.createOrFold<mlir::arith::AddIOp>(loc_, a, index(c));
  }
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c) {
    return ScalarMath(b_, loc_, target_.fma).multiplyAdd(a, b, c);
  }
  mlir::Value exponential(mlir::Value x) {
    return exponentialBelowZero(lanes_, loc_, x, target_.fma);
  }
  mlir::VectorType vectorType() { return lanes_.vectorOf(b_.getF32Type()); }
  static bool isTrue(mlir::Value value) { return mlir::matchPattern(value, mlir::m_One()); }
  void each(mlir::Value begin, mlir::Value end, llvm::function_ref<void(mlir::Value)> emit,
            int64_t step = 1) {
    loopOver(lanes_, loc_, begin, end, step, emit);
  }
  llvm::SmallVector<mlir::Value>
  fold(mlir::Value begin, mlir::Value end, llvm::ArrayRef<mlir::Value> init,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> emit,
       int64_t step = 1);
  llvm::SmallVector<mlir::Value> choose(mlir::Value condition, mlir::TypeRange types,
                                        llvm::function_ref<llvm::SmallVector<mlir::Value>()> yes,
                                        llvm::function_ref<llvm::SmallVector<mlir::Value>()> no);
  void when(mlir::Value condition, llvm::function_ref<void()> emit);

  void manyRows(int letter, mlir::Value blocks, mlir::Value really);
  void fewRows(int letter, mlir::Value slots);
  void eachPosition(const Rows &rows, llvm::function_ref<void(const Rows &)> emit);
  int firstShared(int letter);
  void rounds(size_t depth, int letter, mlir::Value blocks);
  void region(int letter, mlir::Value first, mlir::Value count, mlir::Value blocks);
  void tile(const Rows &rows);
  Member memberAt(const Rows &rows, mlir::Value slot);
  /// The number in the scratch of a tile's slot.
  mlir::Value slotOf(const Rows &rows, mlir::Value slot) {
    return b_.createOrFold<mlir::arith::AddIOp>(loc_, rows.slots, slot);
  }
  void scratchOfTile();
  void clearRows(const Rows &rows);
  void groups(const Rows &rows, llvm::function_ref<void(const Group &)> emit);
  void stretches(const Rows &rows);
  void blockByBlock(const Rows &rows);
  Block blockAt(mlir::Value number);
  mlir::Value maximum(mlir::Value a, mlir::Value b);
  int64_t blocksOfStretch();
  void keys(const Group &group, mlir::Value block);
  Group groupOf(const Rows &rows, mlir::Value slot, int64_t count);
  Part partOf(const Group &group, const Block &block, mlir::Value whole);
  mlir::Value holds(mlir::Value condition, const Member &first, const Member &last,
                    mlir::Value firstKey, mlir::Value lastKey);
  void group(const Group &group, const Block &block, mlir::Value whole);
  /// Where the outer letters stand, and nothing else.
  Point outside(const Member &member);
  mlir::Value vectorAt(const Point &point, mlir::Value value) {
    return lanes_.vector(loc_, point.at(value));
  }
  llvm::SmallVector<Point> pointsAt(const Group &group, const Block &block, mlir::Value vector,
                                    int64_t count);
  mlir::Value laneOf(mlir::Value vector, int64_t v);
  /// Vectors of a slice that are computed beside each other.
  int64_t together() { return std::min<int64_t>(2, sliceKeys / lanes_.lanes()); }
  void scores(const Group &group, const Block &block, mlir::Value begin, mlir::Value end,
              int64_t count, bool whole);
  llvm::SmallVector<mlir::Value> newMaxima(const Group &group, const Part &part,
                                           llvm::SmallVectorImpl<mlir::Value> &rowMax);
  llvm::SmallVector<mlir::Value> weights(const Group &group, const Block &block, const Part &part);
  void addTotals(const Group &group, const Part &part);
  void storePlaces(llvm::MutableArrayRef<Point> points, mlir::Value vector, int64_t count);
  void weigh(unsigned number, const Group &group, const Block &block, const Part &part,
             llvm::ArrayRef<mlir::Value> scale, mlir::Value started);
  mlir::Value unlessLeftOut(mlir::Value factor, mlir::Value other);
  mlir::Value sumOf(mlir::Value slot);
  void storeTotal(mlir::Value total, const Member &member);
  void eachOutput(const Member &member, llvm::function_ref<mlir::Value(mlir::Value)> change);
  mlir::Value allFinite();
  void finish(const Rows &rows);
  void finishPlain(const Rows &rows);
  /// Whether weights are summed up: to be divided by, or for the total.
  bool hasSums() { return !op_.getPlain() || op_.hasTotal(); }

  mlir::OpBuilder &b_;
  AttentionOp op_;
  mlir::Location loc_;
  const TargetDescription &target_;
  LaneBuilder lanes_;
  ScoreBody body_;
  ValueColumns columns_;
  int64_t groupRows_ = 1;                // rows of a group that is not one row
  llvm::SmallVector<mlir::Value> outer_; // letters' values
  // Of few rows: the first of the letters that their tile goes along, and how many positions all of
  // them have together.
  bool few_ = false;
  size_t shared_ = 0;
  mlir::Value sharing_;
  // And of a tile the positions of the letter that its keys go along (-1: none), and how many slots
  // each of them has.
  int along_ = -1;
  mlir::Value firstAlong_, countAlong_, stride_;
  // Of a tile of rows, by row: maxima (of a softmax) and sums (hasSums), and whether there is an
  // output yet: at the first row of a group, or (plain) at each.
  mlir::Value maxima_, sums_, started_;
  // Of a group of rows: scores; weights in their place, and by factor where factors differ (null
  // is 1); places of the values that are not read at their keys.
  mlir::Value scores_;
  llvm::SmallVector<mlir::Value> factors_, weights_;
  llvm::SmallMapVector<mlir::Value, mlir::Value, 1> places_;
  // Of a tile: 0 by lane, or NaN where an output is not finite; and whether it is computed with
  // care (A6): then a value that is not finite counts as 0 where its weight is 0, and a weight
  // where its value is.
  mlir::Value finite_, careful_;
};

} // namespace qkv

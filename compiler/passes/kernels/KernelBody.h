// The body of a linalg.generic on buffers, evaluated at a point of its iteration space or at a
// vector of points along one letter.
#pragma once

#include "compiler/passes/kernels/Lanes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace qkv {

/// A set of letters (dimensions) of an iteration space: bit d is letter d.
using Letters = uint64_t;

/// Where a body stands: its letters' values, and what is known of its values there.
struct Point {
  llvm::SmallVector<Lanes> letters;
  llvm::DenseMap<mlir::Value, Lanes> values;
  mlir::Value mask; ///< lanes inside the extent; null: all

  /// A value here: what is not in the point stands as it is.
  Lanes at(mlir::Value value) const {
    auto found = values.find(value);
    return found == values.end() ? Lanes(value) : found->second;
  }
};

/// Writes one operation of a body at a point, under `mask`; what it needs is in the point or stands
/// as it is. Its results are in the point afterwards.
void evaluateOperation(LaneBuilder &lanes, Point &point, mlir::Operation &op, mlir::Value mask);

/// What a body reads and needs, found once a kernel.
class KernelBody {
public:
  /// Vectors of `lanes` begin at multiples of it.
  KernelBody(mlir::linalg::GenericOp op, int64_t lanes);

  mlir::linalg::GenericOp op() const { return op_; }

  /// Whether each operation has a form on vectors whatever depends on the lanes.
  bool vectorizes() const { return vectorizes_; }

  /// The letter over the sequences of a batch, in a reduction: sums are added up as for one
  /// sequence, never with other sequences in the other lanes. As a set; empty where there is none.
  Letters apart() const { return apart_; }

  /// The letters that a value of the body depends on.
  Letters letters(mlir::Value value) const;

  /// How a value of the body changes from one position of `letter` to the next: 0 (not at
  /// all), a constant, or no constant.
  std::optional<int64_t> step(mlir::Value value, int letter) const;

  /// The position of `letter` at which a comparison of it with a constant changes, for each.
  llvm::SmallVector<int64_t> turns(int letter) const;

  /// The elements that the body reads: a buffer and an index for each of its dimensions, as a
  /// letter's step along each.
  struct Access {
    mlir::Value buffer;
    Letters letters = 0;
    llvm::SmallVector<std::optional<int64_t>> steps(const KernelBody &body, int letter) const;
    mlir::AffineMap map;                    ///< an operand's
    llvm::SmallVector<mlir::Value> indices; ///< or a load's
  };
  llvm::ArrayRef<Access> reads() const { return reads_; }
  /// The same of an output.
  Access output(int number) const;

  /// Evaluates, of what is not in `point` yet, all that depends on `known` letters alone.
  /// `accumulators` (one an output, or empty where no reduction needs them) stand for the
  /// outputs' elements. Not `careful`: a factor that would count as 0 where another is 0 (A6) is
  /// taken as it is, which gives the same where all is finite.
  void evaluate(LaneBuilder &lanes, Point &point, Letters known,
                llvm::ArrayRef<Lanes> accumulators = {}, bool careful = true) const;

  /// Whether a sum has such factors.
  bool keepsFactorsApart() const { return !factorsApart_.empty(); }

  /// The values that the body yields, once all is evaluated.
  llvm::SmallVector<Lanes> results(Point &point) const;

  /// The element of an operand.
  Lanes load(LaneBuilder &lanes, const Point &point, mlir::OpOperand &operand) const;
  void store(LaneBuilder &lanes, const Point &point, int output, const Lanes &value) const;

private:
  void analyse(mlir::Block &block, Letters control);
  void findFactors();
  llvm::SmallVector<Lanes> indices(LaneBuilder &lanes, const Point &point,
                                   mlir::OpOperand &operand) const;

  mlir::linalg::GenericOp op_;
  int64_t lanes_;
  Letters apart_ = 0; ///< letters that lanes never run along
  llvm::DenseMap<mlir::Value, Letters> letters_;
  llvm::DenseMap<mlir::Operation *, Letters> needs_; ///< of operations without results too
  llvm::SmallVector<Access> reads_;
  /// x == 0 ? 0 : y, for a term x * y of a sum.
  llvm::SmallPtrSet<mlir::Operation *, 2> factorsApart_;
  bool vectorizes_ = true;
};

} // namespace qkv

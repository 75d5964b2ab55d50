// Writes the loops of one linalg.generic on buffers, after the plan of KernelPlan.h.
#pragma once

#include "compiler/passes/kernels/Epilogues.h"
#include "compiler/passes/kernels/KernelPlan.h"

#include "llvm/ADT/DenseSet.h"

namespace qkv {

/// One kernel. LowerKernels.cpp nests its loops, KernelLoops.cpp writes a loop along a letter,
/// KernelTiles.cpp what is inside of all: a tile of outputs and its sums; KernelPrefetch.cpp what
/// it asks the caches for.
class KernelEmitter {
public:
  /// Fills whose values the kernel starts from, and kernels that run on its tiles, are added to
  /// `taken`: they are written with it.
  KernelEmitter(mlir::OpBuilder &builder, mlir::linalg::GenericOp op,
                const TargetDescription &target, llvm::DenseSet<mlir::Operation *> &taken)
      : builder_(builder), op_(op), loc_(op.getLoc()), body_(op, target.lanes),
        plan_(planKernel(body_, target)), lanes_(builder, op.getLoc(), plan_.lanes), taken_(taken) {
  }

  void emit();

private:
  struct Extent {
    mlir::Value value;
    int64_t fixed; ///< kDynamic where only `value` knows
  };
  using Emit = llvm::function_ref<void(mlir::Value)>;
  /// A vector of a tile: where it begins, and the lanes that are inside.
  struct Column {
    mlir::Value begin, mask;
  };

  mlir::Value index(int64_t value) { return lanes_.constant(loc_, builder_.getIndexType(), value); }
  Letters bit(int letter) const { return letter < 0 ? 0 : Letters(1) << letter; }
  mlir::Value plus(mlir::Value base, int64_t offset);
  mlir::Value below(int letter, int64_t step);
  /// `letter`: the loop over all of it, which may be divided among threads; -1: part of one.
  void loop(mlir::Value begin, mlir::Value end, int64_t step, Emit emit, int letter = -1);
  void chooseParallel();
  void chooseDirection();
  void tiles(int letter, int64_t full, int64_t rest,
             llvm::function_ref<void(mlir::Value, bool)> emit);
  void halvedTiles(int letter, int64_t full, llvm::function_ref<void(mlir::Value, int64_t)> emit);
  mlir::Value maskFrom(mlir::Value begin);
  /// Where the letters of the rows stand at row number `row`, by plan_.rowLetters.
  llvm::SmallVector<Lanes, 2> rowAt(mlir::Value row);
  Letters rowBits() const;

  void outer(unsigned depth, Point point, Letters known);
  void vectorColumns(const Point &point, Letters known);
  void rows(const Point &point, Letters known, llvm::ArrayRef<Column> columns);
  void tile(llvm::ArrayRef<Point> points, Letters known);
  llvm::SmallVector<mlir::Value> sums(llvm::ArrayRef<Point> points, Letters known,
                                      llvm::ArrayRef<mlir::Value> start);
  void epilogues(const Point &point, llvm::ArrayRef<Column> columns, mlir::Value row,
                 int64_t count);
  void ask(mlir::Value buffer, mlir::AffineMap map, llvm::ArrayRef<Lanes> letters,
           int locality = 3);
  void askForMatrices(int letter, llvm::ArrayRef<Point> points);
  void askForNext(mlir::OpOperand &operand, const Point &point);
  void askForEpilogues(const Point &point, llvm::ArrayRef<Column> columns, mlir::Value row,
                       int64_t count);
  llvm::SmallVector<Lanes> lettersOf(const Epilogue &epilogue, const Point &point,
                                     const Column &column, mlir::Value row);
  void acrossTiles(const Point &point, Letters known);
  void acrossTile(llvm::ArrayRef<Point> points, Letters known, int64_t columns);
  llvm::SmallVector<mlir::Value> reduce(unsigned depth, llvm::ArrayRef<Point> points, Letters known,
                                        llvm::ArrayRef<mlir::Value> accumulators);
  llvm::SmallVector<mlir::Value> reduceLoop(int letter, mlir::Value begin, mlir::Value end,
                                            int64_t step, bool masked, unsigned depth,
                                            llvm::ArrayRef<Point> points, Letters known,
                                            llvm::ArrayRef<mlir::Value> accumulators);

  mlir::Value initial(int output);
  mlir::Value startOf(const Point &point, unsigned output);

  mlir::OpBuilder &builder_;
  mlir::linalg::GenericOp op_;
  mlir::Location loc_;
  KernelBody body_;
  KernelPlan plan_;
  LaneBuilder lanes_;
  llvm::DenseSet<mlir::Operation *> &taken_;
  llvm::SmallVector<Epilogue> epilogues_;
  llvm::SmallVector<Extent> extents_;
  int rows_ = -1;        ///< the extent of all rows: plan_.row's, or behind those of the letters
  int parallel_ = -1;    ///< the letter whose loop is divided among threads
  int64_t grain_ = 1;    ///< rounds of it that a piece has at least
  bool careful_ = true;  ///< whether the sums at hand see to factors that count as 0 (A6)
  mlir::Value backward_; ///< whether swept loops run from their end now; null: nothing is swept
  mlir::Value tile_;     ///< the number of the full tile of rows at hand; null: it is no such tile
  /// The positions of the outermost reduced letter that are summed now; `first`: whether they are
  /// the first ones. Null where all are.
  struct Chunk {
    mlir::Value begin, end, first;
  } chunk_;
  llvm::SmallVector<mlir::Value>
      initials_; ///< an output's first value; null: what the buffer holds
};

} // namespace qkv

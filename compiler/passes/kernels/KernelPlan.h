// How a kernel is laid over vectors and registers, decided from its letters, its reads and the
// target alone: never from a size that is known when it runs. So every element is computed in
// one order whatever the number of rows.
#pragma once

#include "compiler/passes/Target.h"
#include "compiler/passes/kernels/KernelBody.h"

namespace qkv {

struct KernelPlan {
  int vector = -1; ///< the letter that runs over the lanes; -1: plain loops
  int64_t lanes = 1;
  /// The vector letter is reduced: an output is the sum of its lanes' partial results, the lane
  /// of a position being its number modulo `lanes`.
  bool across = false;
  /// The register tile: `rows` positions of letter `row`; and `columns` vectors of the vector
  /// letter or, across, positions of letter `column`.
  int row = -1, column = -1;
  int64_t rows = 1, columns = 1;
  /// The letters that rows of a tile go along together, outermost first: `row`, and the one over
  /// the sequences of a batch, so that what rows share is read once for the rows of all sequences.
  llvm::SmallVector<int, 2> rowLetters;
  /// Rows of a tile that has fewer vectors than `columns`: as many accumulators, if rows allow.
  int64_t rowsFor(int64_t vectors) const;
  /// Positions of the outermost reduced letter that all rows are computed for before the next ones,
  /// so that what the vectors read of a matrix stays in the cache; 0: all. Partial sums wait in
  /// the output, bit for bit.
  int64_t chunk = 0;
  /// Positions of the vector letter, in order, where its loop is divided: a condition of the body
  /// changes there, so that on either side it is known.
  llvm::SmallVector<int64_t> turns;
  /// Letters of a matrix that each round of the loop around the kernel reads again and that leaves
  /// the second cache: odd rounds run along them from the end, so they find there what the round
  /// before them read last. Outputs do not depend on the order in which they are computed.
  Letters swept = 0;
  /// Operands that the vectors of a tile share for all rows and that leave the first cache: a
  /// matrix, whose lines are asked for ahead.
  llvm::SmallVector<unsigned> streamed;
  llvm::SmallVector<int> outer;      ///< the other parallel letters, outermost first
  llvm::SmallVector<int> reductions; ///< outermost first; across, the vector letter is last
};

KernelPlan planKernel(const KernelBody &body, const TargetDescription &target);

/// The operation that adds to output `number` of a reduction (`out + f(...)`: + or another that
/// is associative and commutative over the reals), or null.
mlir::Operation *combiner(mlir::linalg::GenericOp op, int number);

/// combine(a, b), for vectors as for scalars.
mlir::Value combine(mlir::OpBuilder &builder, mlir::Operation *combiner, mlir::Value a,
                    mlir::Value b);

/// The x with combine(x, y) = y.
mlir::TypedAttr identityOf(mlir::Operation *combiner);

} // namespace qkv

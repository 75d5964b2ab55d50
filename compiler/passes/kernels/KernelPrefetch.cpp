// Asks the caches for what a tile reads later, so that the sums do not wait for it.
//
// Must hold: an address behind a buffer is harmless here, a value is never read.
#include "compiler/passes/kernels/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace qkv {

using namespace mlir;

namespace {

/// Rounds of the innermost sum that a matrix is asked for ahead. In cycles that is what memory
/// takes to answer, for one row as for six: measured for elements of 4 bytes and of 2.
constexpr int64_t roundsAhead = 8;
constexpr int64_t lineBytes = 64;

int64_t elementBytes(Value buffer) {
  return (cast<MemRefType>(buffer.getType()).getElementTypeBitWidth() + 7) / 8;
}

} // namespace

/// The line of a read of `buffer` at `letters`.
void KernelEmitter::ask(Value buffer, AffineMap map, ArrayRef<Lanes> letters, int locality) {
  SmallVector<Value> indices;
  for (AffineExpr expression : map.getResults())
    indices.push_back(lanes_.affine(loc_, expression, letters).first);
  memref::PrefetchOp::create(builder_, loc_, buffer, indices, /*isWrite=*/false, locality,
                             /*isDataCache=*/true);
}

/// What a tile reads of matrices some rounds of `letter` later.
void KernelEmitter::askForMatrices(int letter, ArrayRef<Point> points) {
  for (unsigned number : plan_.streamed) {
    OpOperand &operand = op_->getOpOperand(number);
    AffineMap map = op_.getMatchingIndexingMap(&operand);
    int64_t bytes = plan_.lanes * elementBytes(operand.get());
    for (auto [at, point] : llvm::enumerate(points)) {
      if (llvm::any_of(plan_.rowLetters, [&](int row) {
            return point.letters[row].first != points.front().letters[row].first;
          }))
        break; // all rows read the same
      if (at * bytes % lineBytes != 0)
        continue; // in the line of the vector before
      SmallVector<Lanes> letters = point.letters;
      letters[letter] = Lanes(plus(letters[letter].first, roundsAhead));
      ask(operand.get(), map, letters);
    }
    if (tile_)
      askForNext(operand, points.front());
  }
}

/// What the next columns read of a matrix, or these in the next chunk: a line a round, each tile of
/// rows another one of the round's, so that memory gives it while the tiles are summed and the
/// first of the next does not wait for all of it.
void KernelEmitter::askForNext(OpOperand &operand, const Point &point) {
  const Extent &rows = extents_[rows_];
  if (!ShapedType::isDynamic(rows.fixed) && rows.fixed < 2 * plan_.rows)
    return;
  int64_t bytes = elementBytes(operand.get());
  int64_t lines = std::max<int64_t>(plan_.columns * plan_.lanes * bytes / lineBytes, 1);
  SmallVector<Lanes> letters = point.letters;
  Value column = letters[plan_.vector].first;
  if (chunk_.first) {
    Lanes &round = letters[plan_.reductions.front()];
    round = Lanes(plus(round.first, plan_.chunk));
  } else {
    column = plus(column, plan_.columns * plan_.lanes);
  }
  Value line = arith::RemUIOp::create(builder_, loc_, tile_, index(lines));
  line = arith::MulIOp::create(builder_, loc_, line, index(lineBytes / bytes));
  letters[plan_.vector] = Lanes(arith::AddIOp::create(builder_, loc_, column, line));
  ask(operand.get(), op_.getMatchingIndexingMap(&operand), letters, /*locality=*/2);
}

/// What the kernels behind a tile read beside it, while the tile is summed.
void KernelEmitter::askForEpilogues(const Point &point, ArrayRef<Column> columns, Value row,
                                    int64_t count) {
  if (epilogues_.empty() || chunk_.first)
    return;
  SmallVector<Value> made{op_.getDpsInitOperand(0)->get()};
  auto run = [&](Value at) {
    for (const Epilogue &epilogue : epilogues_) {
      linalg::GenericOp op = epilogue.body->op();
      for (OpOperand *operand : op.getDpsInputOperands()) {
        AffineMap map = op.getMatchingIndexingMap(operand);
        auto last = dyn_cast_or_null<AffineDimExpr>(map.getNumResults() ? map.getResults().back()
                                                                        : nullptr);
        if (!last || epilogue.letters[last.getPosition()] != plan_.vector ||
            llvm::is_contained(made, operand->get()))
          continue;
        int64_t bytes = plan_.lanes * elementBytes(operand->get());
        for (auto [number, column] : llvm::enumerate(columns))
          if (number * bytes % lineBytes == 0)
            ask(operand->get(), map, lettersOf(epilogue, point, column, at));
      }
      llvm::append_range(made, op.getDpsInits());
    }
  };
  if (plan_.row < 0)
    return run(Value());
  loop(row, plus(row, count), 1, run);
}

} // namespace qkv

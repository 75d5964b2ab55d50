// Where the values and the outputs of qkv.attention stand: rows of vectors along their last letter.
#pragma once

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/kernels/Lanes.h"

namespace qkv {

/// The elements value[outer, key, own...] and output[outer, row, own...] of value `number`.
class ValueColumns {
public:
  ValueColumns(AttentionOp op, LaneBuilder &lanes) : op_(op), lanes_(lanes) {}

  /// A vector along the last letter: its first position, and a mask or null.
  using Column = std::pair<mlir::Value, mlir::Value>;
  using Emit = llvm::function_ref<void(llvm::ArrayRef<mlir::Value> own, llvm::ArrayRef<Column>)>;

  /// Loops over the value's own letters: over all but the last, and tiles of `together` vectors
  /// along that.
  void each(unsigned number, int64_t together, Emit emit) { each(number, together, {}, emit); }

  /// The indices of an output of rows alone.
  llvm::SmallVector<mlir::Value> placeOfRow(unsigned number, mlir::ValueRange outer,
                                            mlir::Value row);
  mlir::Value loadValue(unsigned number, mlir::ValueRange outer, mlir::Value key,
                        llvm::ArrayRef<mlir::Value> own, const Column &column);
  /// Asks the caches for it; it may lie behind the last key.
  void ask(unsigned number, mlir::ValueRange outer, mlir::Value key,
           llvm::ArrayRef<mlir::Value> own, const Column &column);
  mlir::Value loadOutput(unsigned number, mlir::ValueRange outer, mlir::Value row,
                         llvm::ArrayRef<mlir::Value> own, const Column &column);
  void storeOutput(mlir::Value vector, unsigned number, mlir::ValueRange outer, mlir::Value row,
                   llvm::ArrayRef<mlir::Value> own, const Column &column);

private:
  void each(unsigned number, int64_t together, llvm::ArrayRef<mlir::Value> own, Emit emit);
  mlir::Value load(mlir::Value buffer, llvm::ArrayRef<Lanes> indices, const Column &column);
  llvm::SmallVector<Lanes> indices(mlir::AffineMap map, mlir::ValueRange outer,
                                   mlir::Value rowOrKey, llvm::ArrayRef<mlir::Value> own,
                                   const Column &column);

  AttentionOp op_;
  LaneBuilder &lanes_;
};

} // namespace qkv

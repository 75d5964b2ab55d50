// One call of a function with its sizes known: what index values and shapes are in it.
//
// In: a module at any stage, numbers for the entry's sizes. Out: numbers. Holds: what cannot be
// known without running the code (a loaded value, a shape behind an operation of no known kind) is
// nothing, never a guess. Numbers are doubles: a loop's variable stands for its middle round, which
// is half a position where the rounds are even, so that what grows with it evenly comes out as its
// mean.
#pragma once

#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <vector>

namespace mlir {
class AffineExpr;
class ValueRange;
namespace func {
class CallOp;
class FuncOp;
} // namespace func
namespace scf {
class ForOp;
} // namespace scf
} // namespace mlir

namespace qkv {

class Frame {
public:
  /// The entry (irgen/IRGen.h): a context, the sizes, then tensors, the first of them of `shapes`.
  Frame(mlir::func::FuncOp entry, const std::vector<int64_t> &sizes,
        const std::vector<std::vector<int64_t>> &shapes);
  /// A call from another frame. Null where the callee has no body.
  static std::optional<Frame> of(mlir::func::CallOp call, Frame &caller);

  mlir::func::FuncOp function() const;

  std::optional<double> number(mlir::Value value);
  /// The extent of a tensor or a buffer along an axis.
  std::optional<double> extent(mlir::Value shaped, int64_t axis);
  /// Elements, and bytes, of a tensor or a buffer.
  std::optional<double> elements(mlir::Value shaped);
  std::optional<double> bytes(mlir::Value shaped);
  /// The rounds of a loop; its variable then has its middle value.
  std::optional<double> enter(mlir::scf::ForOp loop);

  /// Sets a value for what follows, a body's index for example.
  void bind(mlir::Value value, double number);

private:
  Frame() = default;
  std::optional<double> evaluate(mlir::Operation *op);
  std::optional<double> evaluate(mlir::AffineExpr expression, mlir::ValueRange operands,
                                 unsigned dims);
  std::optional<double> traced(mlir::Value shaped, int64_t axis);

  mlir::Operation *function_ = nullptr;
  llvm::DenseMap<mlir::Value, double> bound_;   // what was set
  llvm::DenseMap<mlir::Value, double> numbers_; // and what follows from it
  llvm::DenseMap<mlir::Value, llvm::SmallVector<std::optional<double>>> shapes_;
};

} // namespace qkv

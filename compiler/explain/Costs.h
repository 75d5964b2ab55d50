// What an operation on tensors costs: floating-point operations, bytes, what kind of work it is.
//
// In: an operation of the stages `graph` to `fused`, and the frame of its function. Out: counts.
// What holds: an addition, multiplication, division, comparison and each function (exp, tanh ...)
// of a float is one operation, a multiply-add two; bytes are each operand read once and each result
// written once, as if caches were endless, so that a time made from them is a lower bound.
#pragma once

#include <optional>
#include <string>

namespace mlir {
class Operation;
} // namespace mlir

namespace qkv {

class Frame;

struct Cost {
  double flops = 0, bytes = 0;
  Cost &operator+=(const Cost &o) {
    flops += o.flops;
    bytes += o.bytes;
    return *this;
  }
};

/// One execution. What is inside a loop is multiplied by its rounds.
Cost costOf(mlir::Operation *op, Frame &frame);

/// What softmax-weighted sums would cost by blocks of rows: nothing is left out, and each score is
/// written and read again for the maximum, its power and the weighted sum. Nothing of other
/// kernels.
std::optional<Cost> costByRowBlocks(mlir::Operation *op, Frame &frame);

/// "contraction" (a sum of products), "reduction", "gather" (a read at an index with a value),
/// "elementwise", "recurrence" (a loop whose rounds build on each other), "row-blocks" (one around
/// several operations whose rounds do not), "chosen" (one over positions that rows chose), "check"
/// (one that only checks), "attention" and whatever else an operation of the qkv dialect is called;
/// empty for operations that compute nothing of their own (slices, places to write to, constants).
std::string kindOf(mlir::Operation *op);

} // namespace qkv

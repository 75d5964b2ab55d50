// In: vectors of partial results, one an output. Out: the outputs, as one vector.
//
// Two vectors p, q are summed together: (lower half of p, lower half of q) + (upper half of p,
// upper half of q) holds both, in half the lanes each. So n outputs cost n - 1 additions, and
// each is added up in the order that it would be alone.
#include "compiler/passes/kernels/ReduceLanes.h"

#include "compiler/passes/kernels/KernelPlan.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

Value sliceOrElement(OpBuilder &builder, Location loc, Value vector, int64_t begin, int64_t count) {
  if (count == 1)
    return vector::ExtractOp::create(builder, loc, vector, begin);
  if (count == cast<VectorType>(vector.getType()).getNumElements())
    return vector;
  SmallVector<int64_t> lanes = llvm::to_vector(llvm::seq(begin, begin + count));
  return vector::ShuffleOp::create(builder, loc, vector, vector, lanes);
}

Value reduceLanes(OpBuilder &builder, Location loc, Operation *combiner, ArrayRef<Value> vectors) {
  SmallVector<Value> now(vectors.begin(), vectors.end());
  int64_t lanes = cast<VectorType>(now.front().getType()).getNumElements();
  // Each vector of `now` holds outputs in blocks of `block` lanes.
  for (int64_t block = lanes; block > 1; block /= 2) {
    SmallVector<Value> next;
    for (size_t at = 0; at < now.size(); at += 2) {
      Value p = now[at], q = at + 1 < now.size() ? now[at + 1] : p;
      int64_t width = cast<VectorType>(p.getType()).getNumElements();
      SmallVector<int64_t> lower, upper;
      for (int64_t side = 0; side < (at + 1 < now.size() ? 2 : 1); ++side)
        for (int64_t begin = 0; begin < width; begin += block)
          for (int64_t lane = 0; lane < block / 2; ++lane) {
            lower.push_back(side * width + begin + lane);
            upper.push_back(side * width + begin + lane + block / 2);
          }
      Value a = vector::ShuffleOp::create(builder, loc, p, q, lower);
      Value b = vector::ShuffleOp::create(builder, loc, p, q, upper);
      next.push_back(combine(builder, combiner, a, b));
    }
    now = next;
  }
  return now.front();
}

} // namespace qkv

// In: extents. Out: scf loops, the builder in their bodies while something is emitted (Loops.h).
#include "compiler/passes/kernels/Loops.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace qkv {

using namespace mlir;

void loopOver(LaneBuilder &lanes, Location loc, Value begin, Value end, int64_t step,
              llvm::function_ref<void(Value)> emit) {
  OpBuilder &b = lanes.builder();
  auto loop = scf::ForOp::create(b, loc, begin, end, lanes.constant(loc, b.getIndexType(), step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  emit(loop.getInductionVar());
}

void loopInParallel(LaneBuilder &lanes, Location loc, ArrayRef<Value> extents, int64_t grain,
                    llvm::function_ref<void(ArrayRef<Value>)> emit) {
  OpBuilder &b = lanes.builder();
  Value total = lanes.constant(loc, b.getIndexType(), 1);
  for (Value extent : extents)
    total = arith::MulIOp::create(b, loc, total, extent);
  auto loop =
      scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{b.getIndexAttr(0)},
                            ArrayRef<OpFoldResult>{OpFoldResult(total)},
                            ArrayRef<OpFoldResult>{b.getIndexAttr(1)}, ValueRange(), std::nullopt);
  loop->setAttr(grainAttribute, b.getI64IntegerAttr(grain));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value rest = loop.getInductionVar(0);
  SmallVector<Value> at(extents.size());
  for (size_t k = extents.size(); k-- > 0;) {
    at[k] = arith::RemUIOp::create(b, loc, rest, extents[k]);
    rest = arith::DivUIOp::create(b, loc, rest, extents[k]);
  }
  emit(at);
}

} // namespace qkv

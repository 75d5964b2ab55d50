// In: letters' values. Out: vectors of values and outputs, and the loops over their columns
// (ValueColumns.h).
#include "compiler/passes/attention/ValueColumns.h"

#include "compiler/passes/kernels/Loops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

SmallVector<Lanes> ValueColumns::indices(AffineMap map, ValueRange outer, Value rowOrKey,
                                         ArrayRef<Value> own, const Column &column) {
  SmallVector<Lanes> out;
  for (AffineExpr e : map.getResults()) {
    unsigned d = cast<AffineDimExpr>(e).getPosition();
    if (d < outer.size())
      out.push_back(Lanes(outer[d]));
    else if (d == outer.size())
      out.push_back(Lanes(rowOrKey));
    else if (d - outer.size() - 1 < own.size())
      out.push_back(Lanes(own[d - outer.size() - 1]));
    else
      out.push_back(Lanes(column.first, 1));
  }
  return out;
}

SmallVector<Value> ValueColumns::placeOfRow(unsigned number, ValueRange outer, Value row) {
  SmallVector<Value> out;
  for (const Lanes &index : indices(op_.outputMap(number), outer, row, {}, {}))
    out.push_back(index.first);
  return out;
}

Value ValueColumns::load(Value buffer, ArrayRef<Lanes> indices, const Column &column) {
  Location loc = op_.getLoc();
  return lanes_.vector(loc, lanes_.load(loc, buffer, indices, column.second));
}

Value ValueColumns::loadValue(unsigned number, ValueRange outer, Value key, ArrayRef<Value> own,
                              const Column &column) {
  Value value =
      load(op_.getValues()[number], indices(op_.valueMap(number), outer, key, own, column), column);
  Type element = getElementTypeOrSelf(value.getType());
  if (!element.isBF16() && !element.isF16())
    return value;
  OpBuilder &b = lanes_.builder();
  Type wide = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    wide = vector.clone(b.getF32Type());
  return arith::ExtFOp::create(b, op_.getLoc(), wide, value);
}

void ValueColumns::ask(unsigned number, ValueRange outer, Value key, ArrayRef<Value> own,
                       const Column &column) {
  SmallVector<Value> at;
  for (const Lanes &index : indices(op_.valueMap(number), outer, key, own, column))
    at.push_back(index.first);
  memref::PrefetchOp::create(lanes_.builder(), op_.getLoc(), op_.getValues()[number], at,
                             /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
}

Value ValueColumns::loadOutput(unsigned number, ValueRange outer, Value row, ArrayRef<Value> own,
                               const Column &column) {
  return load(op_.getOutputs()[number], indices(op_.outputMap(number), outer, row, own, column),
              column);
}

void ValueColumns::storeOutput(Value vector, unsigned number, ValueRange outer, Value row,
                               ArrayRef<Value> own, const Column &column) {
  lanes_.store(op_.getLoc(), lanes_.lanes() == 1 ? Lanes(vector) : Lanes::varying(vector),
               op_.getOutputs()[number], indices(op_.outputMap(number), outer, row, own, column),
               column.second);
}

void ValueColumns::each(unsigned number, int64_t together, ArrayRef<Value> own, Emit emit) {
  OpBuilder &b = lanes_.builder();
  Location loc = op_.getLoc();
  AffineMap map = op_.outputMap(number);
  Value output = op_.getOutputs()[number];
  auto index = [&](int64_t value) { return lanes_.constant(loc, b.getIndexType(), value); };
  auto loop = [&](Value end, int64_t step, llvm::function_ref<void(Value)> body) {
    loopOver(lanes_, loc, index(0), end, step, body);
  };
  unsigned outer = op_.getOuter().size(), letters = map.getNumDims() - outer - 1;
  int64_t fixed = 1;
  Value extent = index(1);
  for (auto [at, e] : llvm::enumerate(map.getResults()))
    if (cast<AffineDimExpr>(e).getPosition() == outer + 1 + own.size()) {
      fixed = cast<MemRefType>(output.getType()).getDimSize(at);
      extent = ShapedType::isDynamic(fixed)
                   ? Value(memref::DimOp::create(b, loc, output, index(at)))
                   : index(fixed);
    }
  if (own.size() + 1 < letters) {
    loop(extent, 1, [&](Value at) {
      SmallVector<Value> now(own.begin(), own.end());
      now.push_back(at);
      each(number, together, now, emit);
    });
    return;
  }
  int64_t lanes = lanes_.lanes();
  auto maskFrom = [&](Value first) -> Value {
    Value left = arith::SubIOp::create(b, loc, extent, first);
    return vector::CreateMaskOp::create(b, loc, lanes_.vectorOf(b.getI1Type()), left);
  };
  if (ShapedType::isDynamic(fixed)) {
    loop(extent, lanes, [&](Value first) { emit(own, {Column{first, maskFrom(first)}}); });
    return;
  }
  int64_t width = lanes * together, full = fixed / width * width;
  if (full)
    loop(index(full), width, [&](Value first) {
      SmallVector<Column> all;
      for (int64_t v = 0; v < together; ++v)
        all.push_back(
            {v == 0 ? first : arith::AddIOp::create(b, loc, first, index(v * lanes)), {}});
      emit(own, all);
    });
  SmallVector<Column> rest;
  for (int64_t at = full; at < fixed; at += lanes)
    rest.push_back({index(at), at + lanes <= fixed ? Value() : maskFrom(index(at))});
  if (!rest.empty())
    emit(own, rest);
}

} // namespace qkv

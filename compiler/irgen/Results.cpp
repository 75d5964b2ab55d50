// Computed tensors as the caller has them (Results.h).
#include "compiler/irgen/Results.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>

namespace qkv::irgen {

using namespace mlir;

Value asResult(FunctionEmitter &f, int tensor, Location loc) {
  const Tensor &t = f.program.tensors[tensor];
  OpBuilder &b = f.builder;
  Value value = f.tensors.at(tensor);
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> shape;
  bool margin = false;
  for (const Axis &a : t.axes) {
    offsets.push_back(b.getIndexAttr(a.before));
    sizes.push_back(f.extent(a.extent));
    strides.push_back(b.getIndexAttr(1));
    shape.push_back(getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
    margin |= a.before || a.after;
  }
  mlir::Type element = f.elementType(tensor);
  if (margin)
    value = tensor::ExtractSliceOp::create(b, loc, RankedTensorType::get(shape, element), value,
                                           offsets, sizes, strides);
  if (!element.isF64())
    return value;
  Value init = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
  AffineMap map = AffineMap::getMultiDimIdentityMap(t.axes.size(), b.getContext());
  SmallVector<utils::IteratorType> iterators(t.axes.size(), utils::IteratorType::parallel);
  auto generic =
      linalg::GenericOp::create(b, loc, TypeRange{init.getType()}, ValueRange{value},
                                ValueRange{init}, ArrayRef<AffineMap>{map, map}, iterators);
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&generic.getRegion(), {}, {element, b.getF32Type()}, {loc, loc});
  Value narrow = arith::TruncFOp::create(b, loc, b.getF32Type(), body->getArgument(0));
  linalg::YieldOp::create(b, loc, ValueRange{narrow});
  return generic.getResult(0);
}

MemRefType resultType(FunctionEmitter &f, int tensor) {
  SmallVector<int64_t> shape;
  for (const Axis &a : f.program.tensors[tensor].axes)
    shape.push_back(a.extent.constant() ? std::max<int64_t>(*a.extent.constant(), 0)
                                        : ShapedType::kDynamic);
  mlir::Type element = f.elementType(tensor);
  return MemRefType::get(shape, element.isF64() ? mlir::Type(f.builder.getF32Type()) : element);
}

} // namespace qkv::irgen

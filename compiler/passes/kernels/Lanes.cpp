// Arithmetic and memory on Lanes: what stays uniform or affine stays scalar; a vector is made
// where something needs one.
#include "compiler/passes/kernels/Lanes.h"

#include "compiler/passes/kernels/LaneBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/AffineExpr.h"

#include <numeric>

namespace qkv {

using namespace mlir;

Type Lanes::type() const {
  return first ? first.getType() : cast<VectorType>(vector.getType()).getElementType();
}

bool lastIndexContiguous(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return type.getRank() > 0 && type.isLastDimUnitStride();
}

VectorType LaneBuilder::vectorOf(Type element) const { return VectorType::get({lanes_}, element); }

LaneBuilder::LaneBuilder(OpBuilder &builder, Location loc, int64_t lanes)
    : builder_(builder), lanes_(lanes),
      firstConstant_(arith::ConstantIndexOp::create(builder, loc, 0)) {
  known_[builder.getIndexAttr(0)] = firstConstant_->getResult(0);
}

Value LaneBuilder::constant(Location loc, TypedAttr value) {
  Value &known = known_[value];
  if (!known) {
    OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPoint(firstConstant_);
    known = arith::ConstantOp::create(builder_, loc, value);
  }
  return known;
}

Value LaneBuilder::constant(Location loc, Type type, int64_t value) {
  if (auto vectorType = dyn_cast<VectorType>(type))
    return constant(loc,
                    cast<TypedAttr>(DenseElementsAttr::get(
                        vectorType, builder_.getIntegerAttr(vectorType.getElementType(), value))));
  return constant(loc, builder_.getIntegerAttr(type, value));
}

Value LaneBuilder::allTrue(Location loc) {
  return constant(loc, vectorOf(builder_.getI1Type()), 1);
}

Value LaneBuilder::vector(Location loc, const Lanes &value) {
  if (lanes_ == 1)
    return value.first;
  if (value.vector)
    return value.vector;
  VectorType type = vectorOf(value.first.getType());
  Value splat = vector::BroadcastOp::create(builder_, loc, type, value.first);
  if (value.step == 0)
    return splat;
  SmallVector<Attribute> offsets;
  for (int64_t lane = 0; lane < lanes_; ++lane)
    offsets.push_back(builder_.getIntegerAttr(type.getElementType(), lane * value.step));
  Value offset = constant(loc, cast<TypedAttr>(DenseElementsAttr::get(type, offsets)));
  return arith::AddIOp::create(builder_, loc, splat, offset);
}

Value LaneBuilder::lane(Location loc, const Lanes &value, int64_t lane) {
  if (!value.affine())
    return vector::ExtractOp::create(builder_, loc, value.vector, lane);
  if (value.uniform() || lane == 0)
    return value.first;
  return arith::AddIOp::create(builder_, loc, value.first,
                               constant(loc, value.first.getType(), lane * value.step));
}

namespace {

/// A number that a value is a multiple of, whatever is computed: constants, variables of loops, and
/// sums and selections of them; 0 is a multiple of anything.
int64_t divisorOf(Value value) {
  if (std::optional<int64_t> known = constantOf(value))
    return std::abs(*known);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent); loop && argument == loop.getInductionVar())
      return std::gcd(divisorOf(loop.getLowerBound()), divisorOf(loop.getStep()));
    if (auto loop = dyn_cast<scf::ForallOp>(parent);
        loop && argument.getArgNumber() < loop.getRank()) {
      std::optional<int64_t> lower =
          getConstantIntValue(loop.getMixedLowerBound()[argument.getArgNumber()]);
      std::optional<int64_t> step =
          getConstantIntValue(loop.getMixedStep()[argument.getArgNumber()]);
      return lower && step ? std::gcd(*lower, *step) : 1;
    }
    return 1;
  }
  Operation *op = value.getDefiningOp();
  if (isa<arith::AddIOp, arith::SubIOp>(op))
    return std::gcd(divisorOf(op->getOperand(0)), divisorOf(op->getOperand(1)));
  if (isa<arith::SelectOp>(op))
    return std::gcd(divisorOf(op->getOperand(1)), divisorOf(op->getOperand(2)));
  if (isa<arith::IndexCastOp>(op))
    return divisorOf(op->getOperand(0));
  return 1;
}

/// base + offset, the offset a constant.
std::pair<Value, int64_t> splitOffset(Value value) {
  if (auto sum = value.getDefiningOp<arith::AddIOp>())
    if (std::optional<int64_t> offset = constantOf(sum.getRhs()))
      return {sum.getLhs(), *offset};
  return {value, 0};
}

} // namespace

Lanes LaneBuilder::divide(Location loc, const Lanes &a, int64_t by) {
  if (!a.uniform() &&
      !(a.affine() && a.step == 1 && by % lanes_ == 0 && divisorOf(a.first) % lanes_ == 0)) {
    Value all = vector(loc, a);
    return Lanes::varying(
        arith::DivUIOp::create(builder_, loc, all, constant(loc, all.getType(), by)));
  }
  if (std::optional<int64_t> known = constantOf(a.first))
    return Lanes(constant(loc, a.first.getType(), *known / by));
  auto [base, offset] = splitOffset(a.first);
  // (base + offset) / by = base / by + offset / by, where by divides base and 0 <= offset
  bool apart = divisorOf(base) % by == 0 && offset >= 0;
  Value from = apart ? base : a.first;
  Value whole = arith::DivUIOp::create(builder_, loc, from, constant(loc, from.getType(), by));
  return add(loc, Lanes(whole), Lanes(constant(loc, from.getType(), apart ? offset / by : 0)));
}

Lanes LaneBuilder::remainder(Location loc, const Lanes &a, int64_t by) {
  if (!a.uniform() &&
      !(a.affine() && a.step == 1 && by % lanes_ == 0 && divisorOf(a.first) % lanes_ == 0)) {
    Value all = vector(loc, a);
    return Lanes::varying(
        arith::RemUIOp::create(builder_, loc, all, constant(loc, all.getType(), by)));
  }
  Type type = a.first.getType();
  if (std::optional<int64_t> known = constantOf(a.first))
    return Lanes(constant(loc, type, *known % by), a.step);
  auto [base, offset] = splitOffset(a.first);
  if (divisorOf(base) % by == 0 && offset >= 0)
    return Lanes(constant(loc, type, offset % by), a.step);
  return Lanes(arith::RemUIOp::create(builder_, loc, a.first, constant(loc, type, by)), a.step);
}

Lanes LaneBuilder::add(Location loc, const Lanes &a, const Lanes &b) {
  if (!a.affine() || !b.affine())
    return Lanes::varying(arith::AddIOp::create(builder_, loc, vector(loc, a), vector(loc, b)));
  if (constantOf(a.first) == 0)
    return {b.first, a.step + b.step};
  if (constantOf(b.first) == 0)
    return {a.first, a.step + b.step};
  return {arith::AddIOp::create(builder_, loc, a.first, b.first), a.step + b.step};
}

Lanes LaneBuilder::subtract(Location loc, const Lanes &a, const Lanes &b) {
  if (!a.affine() || !b.affine())
    return Lanes::varying(arith::SubIOp::create(builder_, loc, vector(loc, a), vector(loc, b)));
  return {arith::SubIOp::create(builder_, loc, a.first, b.first), a.step - b.step};
}

Lanes LaneBuilder::multiply(Location loc, const Lanes &a, const Lanes &b) {
  if (a.uniform() && b.uniform())
    return Lanes(arith::MulIOp::create(builder_, loc, a.first, b.first));
  if (a.affine() && b.affine()) {
    std::optional<int64_t> ca = constantOf(a.first), cb = constantOf(b.first);
    if (a.uniform() && ca)
      return {arith::MulIOp::create(builder_, loc, a.first, b.first), *ca * b.step};
    if (b.uniform() && cb)
      return {arith::MulIOp::create(builder_, loc, a.first, b.first), *cb * a.step};
  }
  return Lanes::varying(arith::MulIOp::create(builder_, loc, vector(loc, a), vector(loc, b)));
}

Lanes LaneBuilder::affine(Location loc, AffineExpr expression, ArrayRef<Lanes> dims) {
  if (auto dim = dyn_cast<AffineDimExpr>(expression))
    return dims[dim.getPosition()];
  if (auto value = dyn_cast<AffineConstantExpr>(expression))
    return Lanes(constant(loc, builder_.getIndexType(), value.getValue()));
  auto binary = cast<AffineBinaryOpExpr>(expression);
  Lanes a = affine(loc, binary.getLHS(), dims), b = affine(loc, binary.getRHS(), dims);
  auto each = [&](auto make) {
    return a.uniform() && b.uniform() ? Lanes(make(a.first, b.first))
                                      : Lanes::varying(make(vector(loc, a), vector(loc, b)));
  };
  switch (expression.getKind()) {
  case AffineExprKind::Add:
    return add(loc, a, b);
  case AffineExprKind::Mul:
    return multiply(loc, a, b);
  case AffineExprKind::FloorDiv: // indices are never negative, so both divisions agree
    return divide(loc, a, *constantOf(b.first));
  case AffineExprKind::Mod:
    return remainder(loc, a, *constantOf(b.first));
  default:
    return each(
        [&](Value x, Value y) -> Value { return arith::CeilDivUIOp::create(builder_, loc, x, y); });
  }
}

std::pair<Value, Value> LaneBuilder::flatten(Location loc, Value buffer, ArrayRef<Lanes> indices) {
  auto type = cast<MemRefType>(buffer.getType());
  auto meta = memref::ExtractStridedMetadataOp::create(builder_, loc, buffer);
  // start = offset + sum of first lanes times strides; offsets[l] = the rest of lane l
  Value start = meta.getOffset();
  Lanes offsets(constant(loc, builder_.getIndexType(), 0));
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)type.getStridesAndOffset(strides, offset);
  for (auto [at, index] : llvm::enumerate(indices)) {
    Value stride = strides[at] == ShapedType::kDynamic
                       ? Value(meta.getStrides()[at])
                       : constant(loc, builder_.getIndexType(), strides[at]);
    if (index.affine())
      start = add(loc, Lanes(start), multiply(loc, Lanes(index.first), Lanes(stride))).first;
    if (index.uniform())
      continue;
    Lanes varying = index;
    if (index.affine())
      varying = Lanes(constant(loc, builder_.getIndexType(), 0), index.step);
    offsets = add(loc, offsets, multiply(loc, varying, Lanes(stride)));
  }
  auto flat =
      MemRefType::get({ShapedType::kDynamic}, type.getElementType(),
                      StridedLayoutAttr::get(builder_.getContext(), ShapedType::kDynamic, {1}));
  Value size = constant(loc, builder_.getIndexType(), std::numeric_limits<int32_t>::max());
  Value view = memref::ReinterpretCastOp::create(builder_, loc, flat, meta.getBaseBuffer(),
                                                 OpFoldResult(start), ArrayRef<OpFoldResult>{size},
                                                 ArrayRef<OpFoldResult>{builder_.getIndexAttr(1)});
  return {view, vector(loc, offsets)};
}

Lanes LaneBuilder::load(Location loc, Value buffer, ArrayRef<Lanes> indices, Value mask) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  SmallVector<Value> firsts;
  bool uniform = true, contiguous = lastIndexContiguous(buffer);
  for (auto [at, index] : llvm::enumerate(indices)) {
    uniform &= index.uniform();
    bool last = at + 1 == indices.size();
    contiguous &= last ? index.affine() && index.step == 1 : index.uniform();
    firsts.push_back(index.first);
  }
  if (uniform)
    return Lanes(memref::LoadOp::create(builder_, loc, buffer, firsts));
  VectorType type = vectorOf(element);
  Value none = mask || !contiguous ? constant(loc, builder_.getZeroAttr(type)) : Value();
  if (contiguous && !mask)
    return Lanes::varying(vector::LoadOp::create(builder_, loc, type, buffer, firsts));
  if (contiguous)
    return Lanes::varying(
        vector::MaskedLoadOp::create(builder_, loc, type, buffer, firsts, mask, none));
  auto [view, offsets] = flatten(loc, buffer, indices);
  Value zero = constant(loc, builder_.getIndexType(), 0);
  return Lanes::varying(vector::GatherOp::create(builder_, loc, type, view, zero, offsets,
                                                 mask ? mask : allTrue(loc), none));
}

void LaneBuilder::store(Location loc, const Lanes &value, Value buffer, ArrayRef<Lanes> indices,
                        Value mask) {
  SmallVector<Value> firsts;
  bool uniform = true, contiguous = lastIndexContiguous(buffer);
  for (auto [at, index] : llvm::enumerate(indices)) {
    uniform &= index.uniform();
    bool last = at + 1 == indices.size();
    contiguous &= last ? index.affine() && index.step == 1 : index.uniform();
    firsts.push_back(index.first);
  }
  if (uniform) {
    memref::StoreOp::create(builder_, loc, value.first, buffer, firsts);
    return;
  }
  Value all = vector(loc, value);
  if (contiguous && !mask) {
    vector::StoreOp::create(builder_, loc, all, buffer, firsts);
  } else if (contiguous) {
    vector::MaskedStoreOp::create(builder_, loc, buffer, firsts, mask, all);
  } else {
    auto [view, offsets] = flatten(loc, buffer, indices);
    Value zero = constant(loc, builder_.getIndexType(), 0);
    vector::ScatterOp::create(builder_, loc, Type(), view, zero, offsets,
                              mask ? mask : allTrue(loc), all);
  }
}

Value LaneBuilder::clone(Operation &op, ValueRange vectors) {
  Type result = vectorOf(op.getResult(0).getType());
  OperationState state(op.getLoc(), op.getName(), vectors, {result}, op.getAttrs());
  return builder_.create(state)->getResult(0);
}

} // namespace qkv

// In: integers over the lanes. Out: bounds, and what follows from them.
//
// Numbers of a billion or more count as unknown, so that nothing here overflows, whatever the
// type.
#include "compiler/passes/kernels/LaneBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace qkv {

using namespace mlir;

namespace {

constexpr int64_t largest = 1 << 30;

std::optional<Bounds> checked(int64_t least, int64_t most) {
  if (least > most || least < -largest || most > largest)
    return std::nullopt;
  return Bounds{least, most};
}

/// Of the variable of a loop.
std::optional<Bounds> inLoop(OpFoldResult begin, OpFoldResult end, OpFoldResult step) {
  std::optional<int64_t> from = getConstantIntValue(begin), to = getConstantIntValue(end),
                         by = getConstantIntValue(step);
  if (!from || !to || !by || *by <= 0 || *from >= *to || std::max(*to, *by) > largest)
    return std::nullopt;
  return checked(*from, *from + (*to - 1 - *from) / *by * *by);
}

std::optional<Bounds> boundsOf(Value value) {
  if (std::optional<int64_t> known = constantOf(value))
    return checked(*known, *known);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast_or_null<scf::ForOp>(parent);
        loop && argument == loop.getInductionVar())
      return inLoop(loop.getLowerBound(), loop.getUpperBound(), loop.getStep());
    if (auto loop = dyn_cast_or_null<scf::ForallOp>(parent);
        loop && argument.getArgNumber() < loop.getRank()) {
      unsigned at = argument.getArgNumber();
      return inLoop(loop.getMixedLowerBound()[at], loop.getMixedUpperBound()[at],
                    loop.getMixedStep()[at]);
    }
    return std::nullopt;
  }
  Operation *op = value.getDefiningOp();
  if (isa<arith::IndexCastOp>(op))
    return boundsOf(op->getOperand(0));
  if (!isa<arith::AddIOp, arith::SubIOp>(op))
    return std::nullopt;
  std::optional<Bounds> a = boundsOf(op->getOperand(0)), b = boundsOf(op->getOperand(1));
  if (!a || !b)
    return std::nullopt;
  return isa<arith::AddIOp>(op) ? checked(a->least + b->least, a->most + b->most)
                                : checked(a->least - b->most, a->most - b->least);
}

/// a < b in all lanes: true, in none: false.
std::optional<bool> less(const Bounds &a, const Bounds &b) {
  if (a.most < b.least)
    return true;
  if (a.least >= b.most)
    return false;
  return std::nullopt;
}

std::optional<bool> negated(std::optional<bool> known) {
  return known ? std::optional<bool>(!*known) : std::nullopt;
}

std::optional<bool> compare(arith::CmpIPredicate predicate, const Bounds &a, const Bounds &b) {
  using P = arith::CmpIPredicate;
  bool isUnsigned = predicate >= P::ult;
  if (isUnsigned && (a.least < 0 || b.least < 0))
    return std::nullopt;
  switch (predicate) {
  case P::slt:
  case P::ult:
    return less(a, b);
  case P::sge:
  case P::uge:
    return negated(less(a, b));
  case P::sgt:
  case P::ugt:
    return less(b, a);
  case P::sle:
  case P::ule:
    return negated(less(b, a));
  default:
    return std::nullopt;
  }
}

} // namespace

std::optional<int64_t> constantOf(Value value) {
  return value ? getConstantIntValue(value) : std::nullopt;
}

std::optional<Bounds> boundsOf(const Lanes &value, int64_t lanes) {
  if (!value.affine() || std::abs(value.step) > largest / lanes)
    return std::nullopt;
  std::optional<Bounds> first = boundsOf(value.first);
  int64_t across = value.step * (lanes - 1);
  if (!first)
    return std::nullopt;
  return checked(first->least + std::min<int64_t>(across, 0),
                 first->most + std::max<int64_t>(across, 0));
}

std::optional<Lanes> resultByBounds(LaneBuilder &builder, Operation &op, ArrayRef<Lanes> operands) {
  if (!isa<arith::CmpIOp, arith::MinSIOp, arith::MaxSIOp, arith::MinUIOp, arith::MaxUIOp>(op))
    return std::nullopt;
  std::optional<Bounds> a = boundsOf(operands[0], builder.lanes()),
                        b = boundsOf(operands[1], builder.lanes());
  if (!a || !b)
    return std::nullopt;
  if (auto comparison = dyn_cast<arith::CmpIOp>(op)) {
    std::optional<bool> known = compare(comparison.getPredicate(), *a, *b);
    if (!known)
      return std::nullopt;
    Type type = builder.builder().getI1Type();
    return Lanes(builder.constant(op.getLoc(), type, *known));
  }
  if (isa<arith::MinUIOp, arith::MaxUIOp>(op) && (a->least < 0 || b->least < 0))
    return std::nullopt;
  bool minimum = isa<arith::MinSIOp, arith::MinUIOp>(op);
  if (a->most <= b->least)
    return operands[minimum ? 0 : 1];
  if (b->most <= a->least)
    return operands[minimum ? 1 : 0];
  return std::nullopt;
}

} // namespace qkv

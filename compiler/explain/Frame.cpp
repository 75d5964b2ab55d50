// Numbers of a call. Holds: nothing is computed but integers; a division by 0 is nothing.
#include "compiler/explain/Frame.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <functional>

namespace qkv {

using namespace mlir;

using Number = std::optional<double>;

Frame::Frame(func::FuncOp entry, const std::vector<int64_t> &sizes,
             const std::vector<std::vector<int64_t>> &shapes)
    : function_(entry) {
  size_t at = 1;
  for (int64_t size : sizes)
    if (at < entry.getNumArguments())
      bound_[entry.getArgument(at++)] = static_cast<double>(size);
  numbers_ = bound_;
  for (const std::vector<int64_t> &shape : shapes)
    if (at < entry.getNumArguments())
      shapes_[entry.getArgument(at++)].append(shape.begin(), shape.end());
}

void Frame::bind(Value value, double number) {
  bound_[value] = number;
  numbers_ = bound_;
}

std::optional<Frame> Frame::of(func::CallOp call, Frame &caller) {
  auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  if (!callee || callee.isExternal())
    return std::nullopt;
  Frame frame;
  frame.function_ = callee;
  for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands())) {
    if (auto shaped = dyn_cast<ShapedType>(argument.getType())) {
      auto &extents = frame.shapes_[argument];
      for (int64_t axis = 0; axis < shaped.getRank(); ++axis)
        extents.push_back(caller.extent(operand, axis));
    } else if (Number number = caller.number(operand)) {
      frame.bound_[argument] = *number;
    }
  }
  frame.numbers_ = frame.bound_;
  return frame;
}

func::FuncOp Frame::function() const { return cast<func::FuncOp>(function_); }

Number Frame::number(Value value) {
  if (auto known = numbers_.find(value); known != numbers_.end())
    return known->second;
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  Number result;
  if (auto call = dyn_cast<func::CallOp>(op)) {
    if (std::optional<Frame> callee = Frame::of(call, *this)) {
      Operation *end = callee->function().getBody().front().getTerminator();
      result = callee->number(end->getOperand(cast<OpResult>(value).getResultNumber()));
    }
  } else {
    result = evaluate(op);
  }
  if (result)
    numbers_[value] = *result;
  return result;
}

Number Frame::evaluate(AffineExpr expression, ValueRange operands, unsigned dims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expression))
    return static_cast<double>(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expression))
    return number(operands[dim.getPosition()]);
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expression))
    return number(operands[dims + symbol.getPosition()]);
  auto binary = cast<AffineBinaryOpExpr>(expression);
  Number a = evaluate(binary.getLHS(), operands, dims),
         b = evaluate(binary.getRHS(), operands, dims);
  if (!a || !b)
    return std::nullopt;
  switch (expression.getKind()) {
  case AffineExprKind::Add:
    return *a + *b;
  case AffineExprKind::Mul:
    return *a * *b;
  case AffineExprKind::FloorDiv:
    return std::floor(*a / *b);
  case AffineExprKind::CeilDiv:
    return std::ceil(*a / *b);
  default:
    return *a - *b * std::floor(*a / *b);
  }
}

static bool compare(arith::CmpIPredicate predicate, double a, double b) {
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return a == b;
  case arith::CmpIPredicate::ne:
    return a != b;
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return a < b;
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return a <= b;
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return a > b;
  default:
    return a >= b;
  }
}

Number Frame::evaluate(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto integer = dyn_cast<IntegerAttr>(constant.getValue());
    if (!integer)
      return std::nullopt;
    if (integer.getType().isInteger(1))
      return integer.getValue().isZero() ? 0.0 : 1.0;
    return static_cast<double>(integer.getValue().getSExtValue());
  }
  if (isa<tensor::DimOp, memref::DimOp>(op)) {
    Number axis = number(op->getOperand(1));
    return axis ? extent(op->getOperand(0), static_cast<int64_t>(*axis)) : std::nullopt;
  }
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    AffineMap map = apply.getAffineMap();
    return evaluate(map.getResult(0), apply.getMapOperands(), map.getNumDims());
  }
  if (isa<affine::AffineMinOp, affine::AffineMaxOp>(op)) {
    AffineMap map = cast<AffineMapAttr>(op->getAttr("map")).getValue();
    Number best;
    for (AffineExpr result : map.getResults()) {
      Number value = evaluate(result, op->getOperands(), map.getNumDims());
      if (!value)
        return std::nullopt;
      bool least = isa<affine::AffineMinOp>(op);
      best = !best ? *value : least ? std::min(*best, *value) : std::max(*best, *value);
    }
    return best;
  }
  if (op->getDialect() != op->getContext()->getLoadedDialect<arith::ArithDialect>())
    return std::nullopt;
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    Number condition = number(select.getCondition());
    if (!condition)
      return std::nullopt;
    return number(*condition != 0 ? select.getTrueValue() : select.getFalseValue());
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtUIOp,
          arith::TruncIOp>(op))
    return number(op->getOperand(0));
  if (op->getNumOperands() != 2 || op->getNumResults() != 1)
    return std::nullopt;
  Number left = number(op->getOperand(0)), right = number(op->getOperand(1));
  // One side of `and` and `or` may be enough.
  if (isa<arith::AndIOp>(op) && ((left && *left == 0) || (right && *right == 0)))
    return 0.0;
  if (isa<arith::OrIOp>(op) && op->getResult(0).getType().isInteger(1) &&
      ((left && *left == 1) || (right && *right == 1)))
    return 1.0;
  if (!left || !right)
    return std::nullopt;
  double a = *left, b = *right;
  // Bits of numbers and truth values alike: sizes are rounded up by masks.
  auto bits = [&](auto combine) -> Number {
    return static_cast<double>(combine(static_cast<int64_t>(a), static_cast<int64_t>(b)));
  };
  return llvm::TypeSwitch<Operation *, Number>(op)
      .Case<arith::AddIOp>([&](auto) { return a + b; })
      .Case<arith::SubIOp>([&](auto) { return a - b; })
      .Case<arith::MulIOp>([&](auto) { return a * b; })
      .Case<arith::MinSIOp, arith::MinUIOp>([&](auto) { return std::min(a, b); })
      .Case<arith::MaxSIOp, arith::MaxUIOp>([&](auto) { return std::max(a, b); })
      .Case<arith::CmpIOp>([&](arith::CmpIOp compared) -> Number {
        return compare(compared.getPredicate(), a, b) ? 1.0 : 0.0;
      })
      .Case<arith::AndIOp>([&](auto) { return bits(std::bit_and<int64_t>()); })
      .Case<arith::OrIOp>([&](auto) { return bits(std::bit_or<int64_t>()); })
      .Case<arith::XOrIOp>([&](auto) { return bits(std::bit_xor<int64_t>()); })
      .Case<arith::DivSIOp, arith::DivUIOp>(
          [&](auto) -> Number { return b == 0 ? Number() : std::trunc(a / b); })
      .Case<arith::FloorDivSIOp>(
          [&](auto) -> Number { return b == 0 ? Number() : std::floor(a / b); })
      .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>(
          [&](auto) -> Number { return b == 0 ? Number() : std::ceil(a / b); })
      .Case<arith::RemSIOp, arith::RemUIOp>(
          [&](auto) -> Number { return b == 0 ? Number() : std::fmod(a, b); })
      .Default([](Operation *) { return Number(); });
}

Number Frame::extent(Value shaped, int64_t axis) {
  auto type = dyn_cast<ShapedType>(shaped.getType());
  if (!type || !type.hasRank() || axis < 0 || axis >= type.getRank())
    return std::nullopt;
  if (!type.isDynamicDim(static_cast<unsigned>(axis)))
    return static_cast<double>(type.getDimSize(static_cast<unsigned>(axis)));
  if (auto known = shapes_.find(shaped);
      known != shapes_.end() && static_cast<size_t>(axis) < known->second.size())
    return known->second[static_cast<size_t>(axis)];
  return traced(shaped, axis);
}

/// A mixed static and dynamic list's entry.
static Number entry(Frame &frame, OpFoldResult size) {
  if (auto value = dyn_cast<Value>(size))
    return frame.number(value);
  return static_cast<double>(cast<IntegerAttr>(cast<Attribute>(size)).getInt());
}

/// A slice's size along an axis of its result, past the axes that it drops.
template <typename Slice> static Number sliced(Frame &frame, Slice slice, int64_t axis) {
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  for (auto [at, size] : llvm::enumerate(slice.getMixedSizes()))
    if (!dropped.test(at) && axis-- == 0)
      return entry(frame, size);
  return std::nullopt;
}

Number Frame::traced(Value shaped, int64_t axis) {
  if (auto argument = dyn_cast<BlockArgument>(shaped)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    OpOperand *init = loop ? loop.getTiedLoopInit(argument) : nullptr;
    return init ? extent(init->get(), axis) : std::nullopt;
  }
  Operation *op = shaped.getDefiningOp();
  auto result = cast<OpResult>(shaped);
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return extent(destination.getTiedOpOperand(result)->get(), axis);
  return llvm::TypeSwitch<Operation *, Number>(op)
      .Case<tensor::EmptyOp>([&](auto made) { return entry(*this, made.getMixedSizes()[axis]); })
      .Case<memref::AllocOp, memref::AllocaOp>(
          [&](auto made) { return entry(*this, made.getMixedSizes()[axis]); })
      .Case<tensor::ExtractSliceOp>([&](auto slice) { return sliced(*this, slice, axis); })
      .Case<memref::SubViewOp>([&](auto slice) { return sliced(*this, slice, axis); })
      .Case<memref::ReinterpretCastOp>(
          [&](auto cast) { return entry(*this, cast.getMixedSizes()[axis]); })
      .Case<tensor::InsertSliceOp>([&](auto insert) { return extent(insert.getDest(), axis); })
      .Case<tensor::CastOp, memref::CastOp>(
          [&](auto cast) { return extent(cast.getSource(), axis); })
      .Case<memref::ViewOp>([&](memref::ViewOp view) -> Number {
        auto type = view.getType();
        return number(view.getSizes()[type.getDynamicDimIndex(static_cast<unsigned>(axis))]);
      })
      .Case<scf::ForOp>([&](scf::ForOp loop) {
        return extent(loop.getInitArgs()[result.getResultNumber()], axis);
      })
      .Case<scf::IfOp>([&](scf::IfOp either) {
        return extent(either.thenYield().getOperand(result.getResultNumber()), axis);
      })
      .Case<func::CallOp>([&](func::CallOp call) -> Number {
        std::optional<Frame> callee = Frame::of(call, *this);
        if (!callee)
          return std::nullopt;
        Operation *end = callee->function().getBody().front().getTerminator();
        return callee->extent(end->getOperand(result.getResultNumber()), axis);
      })
      .Default([](Operation *) { return Number(); });
}

Number Frame::elements(Value shaped) {
  auto type = dyn_cast<ShapedType>(shaped.getType());
  if (!type || !type.hasRank())
    return std::nullopt;
  double count = 1;
  for (int64_t axis = 0; axis < type.getRank(); ++axis) {
    Number size = extent(shaped, axis);
    if (!size)
      return std::nullopt;
    count *= *size;
  }
  return count;
}

Number Frame::bytes(Value shaped) {
  Number count = elements(shaped);
  if (!count)
    return std::nullopt;
  Type element = cast<ShapedType>(shaped.getType()).getElementType();
  unsigned bits = element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 64;
  unsigned each = (bits + 7) / 8;
  return *count * each;
}

Number Frame::enter(scf::ForOp loop) {
  Number low = number(loop.getLowerBound()), high = number(loop.getUpperBound()),
         step = number(loop.getStep());
  if (!low || !high || !step || *step <= 0)
    return std::nullopt;
  double rounds = std::max(0.0, std::ceil((*high - *low) / *step));
  bind(loop.getInductionVar(), *low + *step * (rounds - 1) / 2);
  return rounds;
}

} // namespace qkv

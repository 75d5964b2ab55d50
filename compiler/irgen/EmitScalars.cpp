// Scalar expressions (T1, T2, T3).
//
// In: an expression whose letters have values. Out: its value. What must hold: everything is
// evaluated, both sides of an `if` included, so no read leaves its tensor and no int is
// divided by 0, whatever the conditions say.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

#include <limits>

namespace qkv::irgen {

using namespace mlir;
using K = Expr::Kind;
using Predicate = arith::CmpIPredicate;

Location ScalarEmitter::at(const ExprPtr &e) {
  return e->span ? function_.state.location(e->span) : loc_;
}

Value ScalarEmitter::number(double v, bool exact) {
  mlir::Type type = exact ? mlir::Type(builder_.getF64Type()) : builder_.getF32Type();
  return arith::ConstantOp::create(builder_, loc_, builder_.getFloatAttr(type, v));
}

Value ScalarEmitter::integer(int64_t v) {
  return arith::ConstantOp::create(builder_, loc_, builder_.getI64IntegerAttr(v));
}

Value ScalarEmitter::emit(const ExprPtr &e) {
  auto operandValue = given.find(e);
  if (operandValue != given.end()) {
    // (What is held in another type than it is computed in, read() converts.)
    mlir::Type held = operandValue->second.getType();
    if (!(held.isF64() && !e->constant) && !held.isBF16() && !held.isF16())
      return operandValue->second;
  }
  Value &v = done_[e];
  if (!v) {
    Value made = node(e);
    return done_[e] = made; // (the reference above may have moved)
  }
  return v;
}

Value ScalarEmitter::data(const ExprPtr &e) {
  if (e->type != Type::Float)
    return emit(e);
  if (e->kind == K::Float)
    return number(e->number, false);
  Value v = emit(e);
  if (!v.getType().isF64())
    return v;
  Value &narrow = doneData_[e];
  FloatAttr known;
  if (!narrow && matchPattern(v, m_Constant(&known)))
    narrow = number(known.getValueAsDouble(), false); // (MLIR folds what loses nothing alone)
  if (!narrow)
    narrow = builder_.createOrFold<arith::TruncFOp>(at(e), builder_.getF32Type(), v);
  return narrow;
}

Value ScalarEmitter::operand(const ExprPtr &e, bool exact) { return exact ? emit(e) : data(e); }

Value ScalarEmitter::node(const ExprPtr &e) {
  Location loc = at(e);
  switch (e->kind) {
  case K::Int:
    return integer(e->integer);
  case K::Float:
    return number(e->number, true);
  case K::Bool:
    return arith::ConstantOp::create(builder_, loc, builder_.getBoolAttr(e->integer != 0));
  case K::Letter:
  case K::Size:
  case K::Step:
    return builder_.createOrFold<arith::IndexCastOp>(loc, builder_.getI64Type(), index(e));
  case K::Read:
    return read(e);
  case K::If: {
    bool exact = e->constant;
    Value c = emit(e->args[0]), a = operand(e->args[1], exact), b = operand(e->args[2], exact);
    return builder_.createOrFold<arith::SelectOp>(loc, c, a, b);
  }
  case K::Convert: {
    mlir::Type type = e->constant ? mlir::Type(builder_.getF64Type()) : builder_.getF32Type();
    return builder_.createOrFold<arith::SIToFPOp>(loc, type, emit(e->args[0]));
  }
  case K::Apply:
    return e->type == Type::Bool  ? applyBool(e)
           : e->type == Type::Int ? applyInt(e)
                                  : applyFloat(e);
  case K::Reduce:
    return reduction(e);
  case K::Weighted:
    throw Defect("irgen: a weighted sum inside of an expression");
  }
  throw Defect("irgen: an expression of no kind");
}

const std::vector<Facts> &ScalarEmitter::factsFor(const ExprPtr &index) {
  bool moves = false;
  if (assumed_)
    forEachNode(index,
                [&](const Expr &n) { moves |= n.kind == K::Letter && n.letter == assumedFor_; });
  return moves ? *assumed_ : facts_;
}

Value ScalarEmitter::applyBool(const ExprPtr &e) {
  Location loc = at(e);
  auto &b = builder_;
  if (e->op == Op::Not) {
    Value one = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    return b.createOrFold<arith::XOrIOp>(loc, emit(e->args[0]), one);
  }
  if (e->op == Op::And || e->op == Op::Or) {
    Value x = emit(e->args[0]), y = emit(e->args[1]);
    return e->op == Op::And ? b.createOrFold<arith::AndIOp>(loc, x, y)
                            : b.createOrFold<arith::OrIOp>(loc, x, y);
  }
  int which = static_cast<int>(e->op) - static_cast<int>(Op::Equal);
  if (e->args[0]->type == Type::Float) {
    using F = arith::CmpFPredicate;
    static constexpr F predicates[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
    return b.createOrFold<arith::CmpFOp>(loc, predicates[which], operand(e->args[0], e->constant),
                                         operand(e->args[1], e->constant));
  }
  static constexpr Predicate predicates[] = {Predicate::eq,  Predicate::ne,  Predicate::slt,
                                             Predicate::sle, Predicate::sgt, Predicate::sge};
  return b.createOrFold<arith::CmpIOp>(loc, predicates[which], emit(e->args[0]), emit(e->args[1]));
}

// floor(a / b). A divisor that may be 0 or -1 is replaced where it is: by 0 nothing that counts
// is divided, by -1 the least int has no quotient.
Value ScalarEmitter::division(const ExprPtr &e, Value a, Value b) {
  Location loc = at(e);
  if (function_.bounds.positive(e->args[1], factsFor(e->args[1])))
    return builder_.createOrFold<arith::FloorDivSIOp>(loc, a, b);
  bool isIndex = b.getType().isIndex();
  auto c = [&](int64_t v) -> Value { return isIndex ? function_.constant(v) : integer(v); };
  Value zero = c(0), one = c(1);
  Value isZero = arith::CmpIOp::create(builder_, loc, Predicate::eq, b, zero);
  Value isMinus = arith::CmpIOp::create(builder_, loc, Predicate::eq, b, c(-1));
  Value special = arith::OrIOp::create(builder_, loc, isZero, isMinus);
  Value divisor = arith::SelectOp::create(builder_, loc, special, one, b);
  Value q = arith::FloorDivSIOp::create(builder_, loc, a, divisor);
  Value negative = arith::SubIOp::create(builder_, loc, zero, a);
  return arith::SelectOp::create(builder_, loc, isMinus, negative, q);
}

// floor, ceil, round to even; beyond 64 bits the nearest int, of NaN 0.
Value ScalarEmitter::rounding(const ExprPtr &e) {
  Location loc = at(e);
  auto &b = builder_;
  Value x = operand(e->args[0], e->constant);
  bool exact = x.getType().isF64();
  Value whole = e->op == Op::Floor  ? Value(math::FloorOp::create(b, loc, x))
                : e->op == Op::Ceil ? Value(math::CeilOp::create(b, loc, x))
                                    : Value(math::RoundEvenOp::create(b, loc, x));
  using F = arith::CmpFPredicate;
  Value high = arith::CmpFOp::create(b, loc, F::OGE, whole, number(0x1p63, exact));
  Value low = arith::CmpFOp::create(b, loc, F::OLT, whole, number(-0x1p63, exact));
  Value none = arith::CmpFOp::create(b, loc, F::UNO, whole, whole);
  Value outside = arith::OrIOp::create(b, loc, arith::OrIOp::create(b, loc, high, low), none);
  Value safe = arith::SelectOp::create(b, loc, outside, number(0, exact), whole);
  Value result = arith::FPToSIOp::create(b, loc, b.getI64Type(), safe);
  result =
      arith::SelectOp::create(b, loc, high, integer(std::numeric_limits<int64_t>::max()), result);
  return arith::SelectOp::create(b, loc, low, integer(std::numeric_limits<int64_t>::min()), result);
}

Value ScalarEmitter::applyInt(const ExprPtr &e) {
  Location loc = at(e);
  auto &b = builder_;
  if (typingOf(e->op) == Typing::Int)
    return rounding(e);
  Value x = emit(e->args[0]), y = e->args.size() > 1 ? emit(e->args[1]) : Value();
  switch (e->op) {
  case Op::Neg:
    return b.createOrFold<arith::SubIOp>(loc, integer(0), x);
  case Op::Abs:
    return math::AbsIOp::create(b, loc, x);
  case Op::Add:
    return b.createOrFold<arith::AddIOp>(loc, x, y);
  case Op::Sub:
    return b.createOrFold<arith::SubIOp>(loc, x, y);
  case Op::Mul:
    return b.createOrFold<arith::MulIOp>(loc, x, y);
  case Op::Min:
    return b.createOrFold<arith::MinSIOp>(loc, x, y);
  case Op::Max:
    return b.createOrFold<arith::MaxSIOp>(loc, x, y);
  case Op::FloorDiv:
    return division(e, x, y);
  case Op::Mod: { // a - floor(a / b) * b
    Value back = b.createOrFold<arith::MulIOp>(loc, division(e, x, y), y);
    return b.createOrFold<arith::SubIOp>(loc, x, back);
  }
  default:
    throw Defect("irgen: no operation of ints");
  }
}

Value ScalarEmitter::power(const ExprPtr &e) {
  Location loc = at(e);
  auto &b = builder_;
  Value x = operand(e->args[0], e->constant);
  const ExprPtr &exponent = e->args[1];
  double n = exponent->kind == K::Float ? exponent->number : 0;
  if (n == 1)
    return x;
  if (n == 2 || n == 3 || n == 4) {
    auto fast = e->constant ? arith::FastMathFlags::none : arith::FastMathFlags::contract;
    Value square = arith::MulFOp::create(b, loc, x, x, n == 2 ? fast : arith::FastMathFlags::none);
    if (n == 2)
      return square;
    return arith::MulFOp::create(b, loc, square, n == 3 ? x : square, fast);
  }
  return math::PowFOp::create(b, loc, x, operand(exponent, e->constant));
}

Value ScalarEmitter::applyFloat(const ExprPtr &e) {
  Location loc = at(e);
  auto &b = builder_;
  bool exact = e->constant;
  if (e->op == Op::Pow)
    return power(e);
  Value x = operand(e->args[0], exact);
  Value y = e->args.size() > 1 ? operand(e->args[1], exact) : Value();
  // C4: a product may be added without rounding it first. Tables are exact.
  auto fast = exact ? arith::FastMathFlags::none : arith::FastMathFlags::contract;
  switch (e->op) {
  case Op::Neg:
    return b.createOrFold<arith::NegFOp>(loc, x);
  case Op::Exp:
    return b.createOrFold<math::ExpOp>(loc, x);
  case Op::Expm1:
    return b.createOrFold<math::ExpM1Op>(loc, x);
  case Op::Log:
    return b.createOrFold<math::LogOp>(loc, x);
  case Op::Log1p:
    return b.createOrFold<math::Log1pOp>(loc, x);
  case Op::Sqrt:
    return b.createOrFold<math::SqrtOp>(loc, x);
  case Op::Rsqrt:
    return b.createOrFold<arith::DivFOp>(loc, number(1, exact),
                                         b.createOrFold<math::SqrtOp>(loc, x));
  case Op::Tanh:
    return b.createOrFold<math::TanhOp>(loc, x);
  case Op::Sigmoid: { // 1 / (1 + exp(-x))
    Value one = number(1, exact);
    Value power = math::ExpOp::create(b, loc, arith::NegFOp::create(b, loc, x));
    return arith::DivFOp::create(b, loc, one, arith::AddFOp::create(b, loc, one, power));
  }
  case Op::Erf:
    return b.createOrFold<math::ErfOp>(loc, x);
  case Op::Sin:
    return b.createOrFold<math::SinOp>(loc, x);
  case Op::Cos:
    return b.createOrFold<math::CosOp>(loc, x);
  case Op::Abs:
    return b.createOrFold<math::AbsFOp>(loc, x);
  case Op::Add:
    return b.createOrFold<arith::AddFOp>(loc, x, y, fast);
  case Op::Sub:
    return b.createOrFold<arith::SubFOp>(loc, x, y, fast);
  case Op::Mul:
    return b.createOrFold<arith::MulFOp>(loc, x, y, fast);
  case Op::Div:
    return b.createOrFold<arith::DivFOp>(loc, x, y);
  case Op::Min:
    return b.createOrFold<arith::MinNumFOp>(loc, x, y);
  case Op::Max:
    return b.createOrFold<arith::MaxNumFOp>(loc, x, y);
  case Op::FloorDiv:
    return math::FloorOp::create(b, loc, arith::DivFOp::create(b, loc, x, y));
  case Op::Mod: { // the remainder of truncation, plus y where their signs differ
    using F = arith::CmpFPredicate;
    Value r = arith::RemFOp::create(b, loc, x, y), zero = number(0, exact);
    Value some = arith::CmpFOp::create(b, loc, F::UNE, r, zero);
    Value below = arith::CmpFOp::create(b, loc, F::OLT, r, zero);
    Value divisorBelow = arith::CmpFOp::create(b, loc, F::OLT, y, zero);
    Value differ = arith::XOrIOp::create(b, loc, below, divisorBelow);
    Value wrong = arith::AndIOp::create(b, loc, some, differ);
    return arith::SelectOp::create(b, loc, wrong, arith::AddFOp::create(b, loc, r, y), r);
  }
  default:
    throw Defect("irgen: no operation of floats");
  }
}

// Indices are computed as `index`, so that affine ones are seen to be.
Value ScalarEmitter::index(const ExprPtr &e) {
  auto done = doneIndex_.find(e);
  if (done != doneIndex_.end())
    return done->second;
  auto &b = builder_;
  Location loc = at(e);
  Value v;
  switch (e->kind) {
  case K::Int:
    v = function_.constant(e->integer);
    break;
  case K::Size:
    v = function_.value(e->size);
    break;
  case K::Letter: {
    auto found = letters.find(e->letter);
    if (found == letters.end())
      throw Defect("irgen: letter " + function_.program.letters[e->letter].name +
                   " has no value here");
    return found->second;
  }
  case K::Step: {
    auto found = function_.steps.find(e->region);
    v = found != function_.steps.end() ? found->second : function_.constant(e->integer);
    break;
  }
  case K::Apply:
    switch (e->op) {
    case Op::Add:
      v = b.createOrFold<arith::AddIOp>(loc, index(e->args[0]), index(e->args[1]));
      break;
    case Op::Sub:
      v = b.createOrFold<arith::SubIOp>(loc, index(e->args[0]), index(e->args[1]));
      break;
    case Op::Mul:
      v = b.createOrFold<arith::MulIOp>(loc, index(e->args[0]), index(e->args[1]));
      break;
    case Op::Min:
      v = b.createOrFold<arith::MinSIOp>(loc, index(e->args[0]), index(e->args[1]));
      break;
    case Op::Max:
      v = b.createOrFold<arith::MaxSIOp>(loc, index(e->args[0]), index(e->args[1]));
      break;
    case Op::FloorDiv:
      v = division(e, index(e->args[0]), index(e->args[1]));
      break;
    case Op::Mod: {
      Value x = index(e->args[0]), y = index(e->args[1]);
      v = b.createOrFold<arith::SubIOp>(loc, x,
                                        b.createOrFold<arith::MulIOp>(loc, division(e, x, y), y));
      break;
    }
    default:
      break;
    }
    break;
  default:
    break;
  }
  if (!v)
    v = b.createOrFold<arith::IndexCastOp>(loc, b.getIndexType(), emit(e));
  return doneIndex_[e] = v;
}

Value ScalarEmitter::storageIndex(const ExprPtr &e, int tensor, size_t number) {
  const Axis &axis = function_.program.tensors[tensor].axes[number];
  Location loc = at(e);
  Value v = index(e);
  if (axis.before)
    v = builder_.createOrFold<arith::AddIOp>(loc, v, function_.constant(axis.before));
  if (function_.bounds.inside(e, axis, factsFor(e)))
    return function_.slot(builder_, loc, v, tensor, number);
  Value count = function_.asValue(function_.storageExtent(axis));
  Value last = builder_.createOrFold<arith::SubIOp>(loc, count, function_.constant(1));
  v = builder_.createOrFold<arith::MinSIOp>(loc, v, last);
  v = builder_.createOrFold<arith::MaxSIOp>(loc, v, function_.constant(0));
  return function_.slot(builder_, loc, v, tensor, number);
}

Value ScalarEmitter::read(const ExprPtr &e) {
  Location loc = at(e);
  const Tensor &t = function_.program.tensors[e->tensor];
  auto source = function_.tensors.find(e->tensor);
  auto known = given.find(e);
  Value v;
  if (known != given.end()) {
    v = known->second;
  } else {
    if (source == function_.tensors.end())
      throw Defect("irgen: " + t.name + " is read before it is computed");
    SmallVector<Value> indices;
    bool mayBeEmpty = false;
    for (size_t i = 0; i < e->args.size(); ++i) {
      if (function_.isLocal(e->tensor, i))
        continue;
      indices.push_back(storageIndex(e->args[i], e->tensor, i));
      if (auto group = function_.prepared.grouped.find(e->tensor);
          i == 0 && function_.blocks.count(e->tensor))
        indices[0] = builder_.createOrFold<arith::SubIOp>(
            loc, indices[0],
            function_.value(Size::atom(function_.prepared.groups[group->second].begin)));
      mayBeEmpty |=
          !function_.bounds.inside(e->args[i], t.axes[i], factsFor(e->args[i])) &&
          !function_.bounds.atLeast(t.axes[i].extent + Size(t.axes[i].before + t.axes[i].after), 1);
    }
    if (const qkv_held *held = function_.panels(e->tensor)) {
      Value at = indices[held->panel_axis], width = function_.constant(held->panel_width);
      indices.erase(indices.begin() + held->panel_axis);
      indices.insert(indices.begin() + held->panel_order,
                     builder_.createOrFold<arith::DivUIOp>(loc, at, width));
      indices.push_back(builder_.createOrFold<arith::RemUIOp>(loc, at, width));
    }
    mlir::Type type = function_.elementType(e->tensor);
    if (!mayBeEmpty) {
      v = tensor::ExtractOp::create(builder_, loc, source->second, indices);
    } else {
      // Nothing can be read of an axis without positions.
      Value any;
      for (size_t i = 0; i < e->args.size(); ++i) {
        if (function_.isLocal(e->tensor, i))
          continue;
        Value count = function_.asValue(function_.storageExtent(t.axes[i]));
        Value has =
            arith::CmpIOp::create(builder_, loc, Predicate::sgt, count, function_.constant(0));
        any = any ? Value(arith::AndIOp::create(builder_, loc, any, has)) : has;
      }
      auto branch = scf::IfOp::create(builder_, loc, TypeRange{type}, any, /*withElse=*/true);
      OpBuilder then = branch.getThenBodyBuilder(), otherwise = branch.getElseBodyBuilder();
      Value element = tensor::ExtractOp::create(then, loc, source->second, indices);
      scf::YieldOp::create(then, loc, element);
      Value zero = arith::ConstantOp::create(otherwise, loc, otherwise.getZeroAttr(type));
      scf::YieldOp::create(otherwise, loc, zero);
      v = branch.getResult(0);
    }
  }
  if (v.getType().isBF16() || v.getType().isF16()) // a parameter that is held in 16 bits
    v = arith::ExtFOp::create(builder_, loc, builder_.getF32Type(), v);
  // A table read at an index that depends on data meets data here (T3).
  if (v.getType().isF64() && !e->constant)
    v = builder_.createOrFold<arith::TruncFOp>(loc, builder_.getF32Type(), v);
  return v;
}

} // namespace qkv::irgen

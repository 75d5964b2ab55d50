// Writes a body at a point of its iteration space.
//
// What does not depend on the lanes is cloned as it is; integers that are affine in the lane
// stay scalar; loads are contiguous where the place moves by one, else gathers; a branch on
// something that differs from lane to lane computes both sides under masks. Everything else is
// the same operation on vectors. So each lane computes exactly what the scalar form does.
#include "compiler/passes/kernels/KernelBody.h"
#include "compiler/passes/kernels/LaneBounds.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

namespace qkv {

using namespace mlir;

namespace {

class Evaluator {
public:
  Evaluator(LaneBuilder &lanes, Point &point) : lanes_(lanes), point_(point) {}

  /// Writes one operation under `mask`; its results are in the point afterwards.
  void evaluate(Operation &op, Value mask);

private:
  bool isUniform(Operation &op);
  void cloneUniform(Operation &op);
  bool known(Operation &op, Value mask);
  Lanes compare(arith::CmpIOp op);
  void check(CheckOp op, Value mask);
  void branch(scf::IfOp op, Value mask);
  void rareBranch(scf::IfOp op, Value condition, Value mask);
  Value both(Location loc, Value a, Value b) {
    return a ? Value(arith::AndIOp::create(lanes_.builder(), loc, a, b)) : b;
  }

  LaneBuilder &lanes_;
  Point &point_;
};

/// Whether nothing that the operation reads, inside its regions either, differs between lanes.
bool Evaluator::isUniform(Operation &op) {
  bool uniform = true;
  op.walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (auto found = point_.values.find(operand); found != point_.values.end())
        uniform &= found->second.uniform();
  });
  return uniform;
}

void Evaluator::cloneUniform(Operation &op) {
  IRMapping mapping;
  op.walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (auto found = point_.values.find(operand); found != point_.values.end())
        mapping.map(operand, found->second.first);
  });
  Operation *clone = lanes_.builder().clone(op, mapping);
  for (auto [old, made] : llvm::zip(op.getResults(), clone->getResults()))
    point_.values[old] = Lanes(made);
}

/// Where the bounds of loops say what an operation gives, or which side is taken, it is not
/// written.
bool Evaluator::known(Operation &op, Value mask) {
  SmallVector<Lanes> operands;
  for (Value operand : op.getOperands())
    operands.push_back(point_.at(operand));
  if (std::optional<Lanes> result = resultByBounds(lanes_, op, operands)) {
    point_.values[op.getResult(0)] = *result;
    return true;
  }
  if (!isa<arith::SelectOp, scf::IfOp>(op) || !operands[0].uniform())
    return false;
  std::optional<int64_t> condition = constantOf(operands[0].first);
  if (!condition)
    return false;
  auto branched = dyn_cast<scf::IfOp>(op);
  if (!branched) {
    point_.values[op.getResult(0)] = operands[*condition ? 1 : 2];
    return true;
  }
  Region &side = *condition ? branched.getThenRegion() : branched.getElseRegion();
  if (side.empty())
    return true;
  for (Operation &inner : side.front().without_terminator())
    evaluate(inner, mask);
  for (auto [result, value] :
       llvm::zip(op.getResults(), side.front().getTerminator()->getOperands()))
    point_.values[result] = point_.at(value);
  return true;
}

/// A comparison of integers whose difference is a lane's multiple of a constant needs no wide
/// vectors: a + l*s < b  <=>  l*s < b - a, and b - a only matters near the lanes' range.
Lanes Evaluator::compare(arith::CmpIOp op) {
  OpBuilder &builder = lanes_.builder();
  Location loc = op.getLoc();
  Lanes a = point_.at(op.getLhs()), b = point_.at(op.getRhs());
  bool isSigned =
      static_cast<int>(op.getPredicate()) <= static_cast<int>(arith::CmpIPredicate::sge);
  int64_t step = a.step - b.step;
  int64_t reach = std::abs(step) * lanes_.lanes() + 1;
  if (!a.affine() || !b.affine() || !isSigned || reach > 1 << 20)
    return Lanes::varying(lanes_.clone(*op, {lanes_.vector(loc, a), lanes_.vector(loc, b)}));
  // The clamp comes before the difference, so that no data can make it overflow.
  Type type = a.first.getType();
  Value low = arith::SubIOp::create(builder, loc, a.first, lanes_.constant(loc, type, reach));
  Value high = arith::AddIOp::create(builder, loc, a.first, lanes_.constant(loc, type, reach));
  Value near = arith::MaxSIOp::create(builder, loc, b.first, low);
  near = arith::MinSIOp::create(builder, loc, near, high);
  Value bound = arith::SubIOp::create(builder, loc, near, a.first);
  Type i32 = builder.getI32Type();
  bound = isa<IndexType>(type) ? Value(arith::IndexCastOp::create(builder, loc, i32, bound))
          : type == i32        ? bound
          : type.getIntOrFloatBitWidth() > 32
              ? Value(arith::TruncIOp::create(builder, loc, i32, bound))
              : Value(arith::ExtSIOp::create(builder, loc, i32, bound));
  Value offsets = lanes_.vector(loc, Lanes(lanes_.constant(loc, i32, 0), step));
  return Lanes::varying(arith::CmpIOp::create(builder, loc, op.getPredicate(), offsets,
                                              lanes_.vector(loc, Lanes(bound))));
}

/// One test for all lanes; only where it fails are they checked one by one.
void Evaluator::check(CheckOp op, Value mask) {
  OpBuilder &builder = lanes_.builder();
  Location loc = op.getLoc();
  Value value = lanes_.vector(loc, point_.at(op.getValue()));
  Value bound = lanes_.vector(loc, point_.at(op.getBound()));
  bool index = op.getKind() == 0;
  Value fails = arith::CmpIOp::create(
      builder, loc, index ? arith::CmpIPredicate::uge : arith::CmpIPredicate::eq, value,
      index ? bound : lanes_.constant(loc, value.getType(), 0));
  if (mask)
    fails = arith::AndIOp::create(builder, loc, fails, mask);
  Value any = vector::ReductionOp::create(builder, loc, vector::CombiningKind::OR, fails);
  auto slow = scf::IfOp::create(builder, loc, any, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(slow.thenBlock());
  for (int64_t lane = 0; lane < lanes_.lanes(); ++lane) {
    Value failed = vector::ExtractOp::create(builder, loc, fails, lane);
    auto one = scf::IfOp::create(builder, loc, failed, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard inner(builder);
    builder.setInsertionPointToStart(one.thenBlock());
    IRMapping mapping;
    mapping.map(op.getContext(), point_.at(op.getContext()).first);
    mapping.map(op.getValue(), Value(vector::ExtractOp::create(builder, loc, value, lane)));
    mapping.map(op.getBound(), Value(vector::ExtractOp::create(builder, loc, bound, lane)));
    builder.clone(*op, mapping);
  }
}

/// On a condition that all lanes share the branch stays; else both sides under masks. Reads inside
/// are clamped by irgen, so reading more is safe; checks and divisions see their lanes alone.
void Evaluator::branch(scf::IfOp op, Value mask) {
  OpBuilder &builder = lanes_.builder();
  Location loc = op.getLoc();
  if (Lanes shared = point_.at(op.getCondition()); shared.uniform()) {
    SmallVector<Type> types;
    for (Type type : op.getResultTypes())
      types.push_back(lanes_.vectorOf(type));
    bool hasElse = !op.getElseRegion().empty();
    auto made = scf::IfOp::create(builder, loc, types, shared.first, hasElse);
    for (int side = 0; side < 1 + hasElse; ++side) {
      OpBuilder::InsertionGuard guard(builder);
      Block *block = side == 0 ? made.thenBlock() : made.elseBlock();
      builder.setInsertionPointToStart(block);
      Block &source = side == 0 ? op.getThenRegion().front() : op.getElseRegion().front();
      for (Operation &inner : source.without_terminator())
        evaluate(inner, mask);
      SmallVector<Value> yielded;
      for (Value value : source.getTerminator()->getOperands())
        yielded.push_back(lanes_.vector(loc, point_.at(value)));
      if (!types.empty())
        scf::YieldOp::create(builder, loc, yielded);
    }
    for (auto [result, value] : llvm::zip(op.getResults(), made.getResults()))
      point_.values[result] = Lanes::varying(value);
    return;
  }
  Value condition = lanes_.vector(loc, point_.at(op.getCondition()));
  if (op->hasAttr(rareAttribute))
    return rareBranch(op, condition, mask);
  SmallVector<Lanes> sides[2];
  for (int side = 0; side < 2; ++side) {
    Region &region = side == 0 ? op.getThenRegion() : op.getElseRegion();
    if (region.empty())
      continue;
    Value taken = condition;
    if (side == 1)
      taken = arith::XOrIOp::create(builder, loc, condition,
                                    lanes_.constant(loc, condition.getType(), 1));
    Value inside = both(loc, mask, taken);
    for (Operation &inner : region.front().without_terminator())
      evaluate(inner, inside);
    for (Value value : region.front().getTerminator()->getOperands())
      sides[side].push_back(point_.at(value));
  }
  for (auto [at, result] : llvm::enumerate(op.getResults()))
    point_.values[result] = Lanes::varying(
        arith::SelectOp::create(builder, loc, condition, lanes_.vector(loc, sides[0][at]),
                                lanes_.vector(loc, sides[1][at])));
}

/// The second side for all lanes; the first where some lane takes it.
void Evaluator::rareBranch(scf::IfOp op, Value condition, Value mask) {
  OpBuilder &builder = lanes_.builder();
  Location loc = op.getLoc();
  auto side = [&](Region &region, Value inside) {
    for (Operation &inner : region.front().without_terminator())
      evaluate(inner, inside);
    SmallVector<Value> out;
    for (Value value : region.front().getTerminator()->getOperands())
      out.push_back(lanes_.vector(loc, point_.at(value)));
    return out;
  };
  SmallVector<Value> usual = side(op.getElseRegion(), mask);
  Value taken = both(loc, mask, condition);
  Value any = vector::ReductionOp::create(builder, loc, vector::CombiningKind::OR, taken);
  auto made = scf::IfOp::create(builder, loc, TypeRange(ValueRange(usual)), any,
                                /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(made.elseBlock());
  scf::YieldOp::create(builder, loc, usual);
  builder.setInsertionPointToStart(made.thenBlock());
  SmallVector<Value> results;
  for (auto [rare, other] : llvm::zip(side(op.getThenRegion(), taken), usual))
    results.push_back(arith::SelectOp::create(builder, loc, taken, rare, other));
  scf::YieldOp::create(builder, loc, results);
  for (auto [result, value] : llvm::zip(op.getResults(), made.getResults()))
    point_.values[result] = Lanes::varying(value);
}

void Evaluator::evaluate(Operation &op, Value mask) {
  Location loc = op.getLoc();
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    point_.values[index] = point_.letters[index.getDim()];
    return;
  }
  if (known(op, mask))
    return;
  if (isUniform(op)) {
    // Under a mask, a check that all lanes share still asks whether any lane takes part.
    if (auto checked = dyn_cast<CheckOp>(op); checked && mask && mask != point_.mask)
      return check(checked, mask);
    return cloneUniform(op);
  }
  if (auto checked = dyn_cast<CheckOp>(op))
    return check(checked, mask);
  if (auto branched = dyn_cast<scf::IfOp>(op))
    return branch(branched, mask);
  Value result = op.getResult(0);
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    SmallVector<Lanes> indices;
    for (Value index : load.getIndices())
      indices.push_back(point_.at(index));
    point_.values[result] = lanes_.load(loc, load.getMemRef(), indices, point_.mask);
    return;
  }
  if (isa<arith::AddIOp>(op)) {
    point_.values[result] =
        lanes_.add(loc, point_.at(op.getOperand(0)), point_.at(op.getOperand(1)));
    return;
  }
  if (isa<arith::SubIOp>(op)) {
    point_.values[result] =
        lanes_.subtract(loc, point_.at(op.getOperand(0)), point_.at(op.getOperand(1)));
    return;
  }
  if (isa<arith::MulIOp>(op)) {
    point_.values[result] =
        lanes_.multiply(loc, point_.at(op.getOperand(0)), point_.at(op.getOperand(1)));
    return;
  }
  if (APInt by; isa<arith::DivUIOp, arith::RemUIOp>(op) && isa<IndexType>(result.getType()) &&
                matchPattern(op.getOperand(1), m_ConstantInt(&by)) && by.isStrictlyPositive()) {
    Lanes value = point_.at(op.getOperand(0));
    point_.values[result] = isa<arith::DivUIOp>(op)
                                ? lanes_.divide(loc, value, by.getSExtValue())
                                : lanes_.remainder(loc, value, by.getSExtValue());
    return;
  }
  if (isa<arith::IndexCastOp>(op)) {
    Lanes value = point_.at(op.getOperand(0));
    if (value.affine()) {
      Value cast = arith::IndexCastOp::create(lanes_.builder(), loc, result.getType(), value.first);
      point_.values[result] = Lanes(cast, value.step);
      return;
    }
  }
  if (auto compared = dyn_cast<arith::CmpIOp>(op)) {
    point_.values[result] = compare(compared);
    return;
  }
  SmallVector<Value> operands;
  for (Value operand : op.getOperands())
    operands.push_back(lanes_.vector(loc, point_.at(operand)));
  // A lane that takes no part may hold a zero to divide by.
  if (mask && isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp,
                  arith::FloorDivSIOp, arith::CeilDivSIOp, arith::CeilDivUIOp>(op))
    operands[1] = arith::SelectOp::create(lanes_.builder(), loc, mask, operands[1],
                                          lanes_.constant(loc, operands[1].getType(), 1));
  point_.values[result] = Lanes::varying(lanes_.clone(op, operands));
}

} // namespace

void evaluateOperation(LaneBuilder &lanes, Point &point, Operation &op, Value mask) {
  Evaluator(lanes, point).evaluate(op, mask);
}

void KernelBody::evaluate(LaneBuilder &lanes, Point &point, Letters known,
                          ArrayRef<Lanes> accumulators, bool careful) const {
  linalg::GenericOp op = op_;
  Letters all = (Letters(1) << op.getNumLoops()) - 1;
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (op.isDpsInit(&operand)) {
      int number = operand.getOperandNumber() - op.getNumDpsInputs();
      if (!accumulators.empty())
        point.values[argument] = accumulators[number];
      else if (known == all && !argument.use_empty() && !point.values.contains(argument))
        point.values[argument] = load(lanes, point, operand);
    } else if (!point.values.contains(argument) && !argument.use_empty() &&
               (letters(argument) & ~known) == 0) {
      point.values[argument] = load(lanes, point, operand);
    }
  }
  Evaluator evaluator(lanes, point);
  for (Operation &inner : op.getBody()->without_terminator()) {
    if ((needs_.lookup(&inner) & ~known) != 0)
      continue;
    bool done = inner.getNumResults() ? point.values.contains(inner.getResult(0)) : false;
    // Without a result (checks): only where all letters are known, for a loop inside may be
    // empty, and then nothing takes part.
    if (done || (known != all && (inner.getNumResults() == 0 || inner.getNumRegions() > 0)))
      continue;
    // What needs something that was left for later is left as well.
    bool ready = true;
    inner.walk([&](Operation *user) {
      for (Value operand : user->getOperands())
        if (Operation *def = operand.getDefiningOp(); def && def->getBlock() == op.getBody())
          ready &= point.values.contains(operand);
    });
    if (ready && !careful && factorsApart_.contains(&inner))
      point.values[inner.getResult(0)] = point.at(inner.getOperand(2));
    else if (ready)
      evaluator.evaluate(inner, point.mask);
  }
}

SmallVector<Lanes> KernelBody::results(Point &point) const {
  linalg::GenericOp op = op_;
  SmallVector<Lanes> out;
  for (Value value : op.getBody()->getTerminator()->getOperands())
    out.push_back(point.at(value));
  return out;
}

SmallVector<Lanes> KernelBody::indices(LaneBuilder &lanes, const Point &point,
                                       OpOperand &operand) const {
  linalg::GenericOp op = op_;
  SmallVector<Lanes> out;
  for (AffineExpr expression : op.getMatchingIndexingMap(&operand).getResults())
    out.push_back(lanes.affine(op.getLoc(), expression, point.letters));
  return out;
}

Lanes KernelBody::load(LaneBuilder &lanes, const Point &point, OpOperand &operand) const {
  linalg::GenericOp op = op_;
  if (!isa<MemRefType>(operand.get().getType()))
    return Lanes(operand.get()); // a scalar operand
  return lanes.load(op.getLoc(), operand.get(), indices(lanes, point, operand), point.mask);
}

void KernelBody::store(LaneBuilder &lanes, const Point &point, int output,
                       const Lanes &value) const {
  linalg::GenericOp op = op_;
  OpOperand *operand = op.getDpsInitOperand(output);
  lanes.store(op.getLoc(), value, operand->get(), indices(lanes, point, *operand), point.mask);
}

} // namespace qkv

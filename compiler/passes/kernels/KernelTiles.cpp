// A tile of outputs in registers: what it starts from, its sums, where it goes.
#include "compiler/passes/kernels/KernelEmitter.h"
#include "compiler/passes/kernels/ReduceLanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

namespace {

/// Loops of at most this many rounds are written out.
constexpr int64_t unrolled = 4;

FloatType floatOf(Value value) { return cast<FloatType>(getElementTypeOrSelf(value.getType())); }

} // namespace

/// What an output's element starts from: at the first chunk of its sums the initial value.
Value KernelEmitter::startOf(const Point &point, unsigned output) {
  auto held = [&] { return body_.load(lanes_, point, *op_.getDpsInitOperand(output)); };
  Value initial = initials_[output];
  if (!initial)
    return lanes_.vector(loc_, held());
  Value start = lanes_.vector(loc_, Lanes(initial));
  if (!chunk_.first)
    return start;
  return arith::SelectOp::create(builder_, loc_, chunk_.first, start, lanes_.vector(loc_, held()));
}

/// Outputs at `points`, each a scalar or a vector of its own.
void KernelEmitter::tile(ArrayRef<Point> points, Letters known) {
  unsigned outputs = op_.getNumDpsInits();
  if (plan_.reductions.empty()) {
    for (const Point &point : points) {
      Point here = point;
      body_.evaluate(lanes_, here, known);
      for (auto [number, value] : llvm::enumerate(body_.results(here)))
        body_.store(lanes_, here, number, value);
    }
    return;
  }
  SmallVector<Value> accumulators;
  for (const Point &point : points)
    for (unsigned output = 0; output < outputs; ++output)
      accumulators.push_back(startOf(point, output));
  accumulators = sums(points, known, accumulators);
  for (auto [at, point] : llvm::enumerate(points))
    for (unsigned output = 0; output < outputs; ++output) {
      Value value = accumulators[at * outputs + output];
      body_.store(lanes_, point, output, plan_.lanes == 1 ? Lanes(value) : Lanes::varying(value));
    }
}

/// The sums of a tile. Where a factor counts as 0 because another is 0 (A6), that is seen to only
/// in a tile whose sums are not all finite without it: the tile is then summed again.
SmallVector<Value> KernelEmitter::sums(ArrayRef<Point> points, Letters known,
                                       ArrayRef<Value> start) {
  careful_ = !body_.keepsFactorsApart();
  SmallVector<Value> found = reduce(0, points, known, start);
  if (careful_)
    return found;
  Value zero = lanes_.constant(loc_, builder_.getFloatAttr(floatOf(found.front()), 0));
  Value wild; // 0, or NaN
  for (Value sum : found) {
    Value none = arith::MulFOp::create(builder_, loc_, sum, lanes_.vector(loc_, Lanes(zero)));
    wild = wild ? Value(arith::AddFOp::create(builder_, loc_, wild, none)) : none;
  }
  if (isa<VectorType>(wild.getType()))
    wild = vector::ReductionOp::create(builder_, loc_, vector::CombiningKind::ADD, wild,
                                       arith::FastMathFlags::reassoc);
  wild = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::UNE, wild, zero);
  SmallVector<Type> types(ValueRange(found).getTypes());
  auto again = scf::IfOp::create(builder_, loc_, types, wild, true, true);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(again.elseBlock());
  scf::YieldOp::create(builder_, loc_, found);
  builder_.setInsertionPointToStart(again.thenBlock());
  SmallVector<Point> fresh; // what was evaluated without care is evaluated again
  for (const Point &point : points) {
    Point &again = fresh.emplace_back();
    again.letters = point.letters;
    again.mask = point.mask;
  }
  careful_ = true;
  scf::YieldOp::create(builder_, loc_, reduce(0, fresh, known, start));
  return SmallVector<Value>(again.getResults());
}

SmallVector<Value> KernelEmitter::reduceLoop(int letter, Value begin, Value end, int64_t step,
                                             bool masked, unsigned depth, ArrayRef<Point> points,
                                             Letters known, ArrayRef<Value> accumulators) {
  auto inside = [&](Value at, ArrayRef<Value> values) {
    SmallVector<Point> here(points.begin(), points.end());
    Value mask = masked ? maskFrom(at) : Value();
    for (Point &point : here) {
      point.letters[letter] = Lanes(at, letter == plan_.vector ? 1 : 0);
      if (masked)
        point.mask = mask;
    }
    if (depth + 1 == plan_.reductions.size())
      askForMatrices(letter, here);
    return reduce(depth + 1, here, known | bit(letter), values);
  };
  auto first = begin.getDefiningOp<arith::ConstantIndexOp>();
  auto last = end.getDefiningOp<arith::ConstantIndexOp>();
  if (first && last && (last.value() - first.value() + step - 1) / step <= unrolled) {
    SmallVector<Value> values(accumulators.begin(), accumulators.end());
    for (int64_t at = first.value(); at < last.value(); at += step)
      values = inside(index(at), values);
    return values;
  }
  auto made = scf::ForOp::create(builder_, loc_, begin, end, index(step), accumulators);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(made.getBody());
  SmallVector<Value> carried(made.getRegionIterArgs().begin(), made.getRegionIterArgs().end());
  SmallVector<Value> values = inside(made.getInductionVar(), carried);
  scf::YieldOp::create(builder_, loc_, values);
  return SmallVector<Value>(made.getResults().begin(), made.getResults().end());
}

/// The reduced letters from `depth` on; accumulators are ordered by point, then output.
SmallVector<Value> KernelEmitter::reduce(unsigned depth, ArrayRef<Point> points, Letters known,
                                         ArrayRef<Value> accumulators) {
  unsigned outputs = op_.getNumDpsInits();
  if (depth == plan_.reductions.size()) {
    SmallVector<Value> out;
    for (auto [at, point] : llvm::enumerate(points)) {
      Point here = point;
      SmallVector<Lanes> before;
      for (Value value : accumulators.slice(at * outputs, outputs))
        before.push_back(plan_.lanes == 1 ? Lanes(value) : Lanes::varying(value));
      body_.evaluate(lanes_, here, known, before, careful_);
      for (auto [old, result] : llvm::zip(before, body_.results(here))) {
        Value value = lanes_.vector(loc_, result);
        // Across lanes, those outside the extent add nothing.
        if (plan_.across && here.mask)
          value =
              arith::SelectOp::create(builder_, loc_, here.mask, value, lanes_.vector(loc_, old));
        out.push_back(value);
      }
    }
    return out;
  }
  int letter = plan_.reductions[depth];
  Value zero = index(0), end = extents_[letter].value;
  if (depth == 0 && chunk_.first)
    return reduceLoop(letter, chunk_.begin, chunk_.end, 1, false, depth, points, known,
                      accumulators);
  if (letter != plan_.vector)
    return reduceLoop(letter, zero, end, 1, false, depth, points, known, accumulators);
  Value full = below(letter, plan_.lanes);
  SmallVector<Value> values =
      reduceLoop(letter, zero, full, plan_.lanes, false, depth, points, known, accumulators);
  return reduceLoop(letter, full, end, plan_.lanes, true, depth, points, known, values);
}

void KernelEmitter::acrossTiles(const Point &point, Letters known) {
  auto emit = [&](Value row, int64_t rows, Value column, int64_t columns) {
    SmallVector<Point> points;
    for (int64_t i = 0; i < rows; ++i) {
      Point ofRow = point;
      if (plan_.row >= 0)
        for (auto [letter, place] : llvm::zip(plan_.rowLetters, rowAt(plus(row, i))))
          ofRow.letters[letter] = place;
      for (int64_t j = 0; j < columns; ++j) {
        Point here = ofRow;
        if (plan_.column >= 0)
          here.letters[plan_.column] = Lanes(plus(column, j));
        points.push_back(here);
      }
    }
    acrossTile(points, known | rowBits() | bit(plan_.column), columns);
  };
  auto rows = [&](Value column, int64_t columns) {
    if (plan_.row < 0)
      return emit(Value(), 1, column, columns);
    tiles(rows_, plan_.rows, 1,
          [&](Value row, bool full) { emit(row, full ? plan_.rows : 1, column, columns); });
  };
  if (plan_.column < 0)
    return rows(Value(), 1);
  tiles(plan_.column, plan_.columns, 1,
        [&](Value column, bool full) { rows(column, full ? plan_.columns : 1); });
}

/// Outputs at `points`, rows of `columns`, each summed over the lanes of its partial results.
void KernelEmitter::acrossTile(ArrayRef<Point> points, Letters known, int64_t columns) {
  unsigned outputs = op_.getNumDpsInits();
  SmallVector<Operation *> combiners;
  SmallVector<Value> identities;
  for (unsigned output = 0; output < outputs; ++output) {
    combiners.push_back(combiner(op_, output));
    Value identity = lanes_.constant(loc_, identityOf(combiners.back()));
    identities.push_back(lanes_.vector(loc_, Lanes(identity)));
  }
  SmallVector<Value> accumulators;
  for (size_t at = 0; at < points.size(); ++at)
    accumulators.append(identities);
  accumulators = sums(points, known, accumulators);

  LaneBuilder row(builder_, loc_, columns);
  for (unsigned output = 0; output < outputs; ++output) {
    SmallVector<Value> partial;
    for (size_t at = 0; at < points.size(); ++at)
      partial.push_back(accumulators[at * outputs + output]);
    Value totals = reduceLanes(builder_, loc_, combiners[output], partial);
    // result = initial + total, a row of the tile at a time
    for (size_t at = 0; at < points.size(); at += columns) {
      Value total = sliceOrElement(builder_, loc_, totals, at, columns);
      Point here = points[at];
      if (columns > 1)
        here.letters[plan_.column].step = 1;
      Value before = row.vector(loc_, initials_[output]
                                          ? Lanes(initials_[output])
                                          : body_.load(row, here, *op_.getDpsInitOperand(output)));
      Value sum = combine(builder_, combiners[output], before, total);
      body_.store(row, here, output, columns > 1 ? Lanes::varying(sum) : Lanes(sum));
    }
  }
}

} // namespace qkv

// In: a value of an attention's body, and points. Out: the value at each of them.
//
// A value is written when it is asked for, after what it needs; loads of packed keys read the
// packed copy. Sums over a letter become one loop with an accumulator a point: what points
// share is written once by the elimination that follows.
#include "compiler/passes/attention/ScoreBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

namespace qkv {

using namespace mlir;

bool ScoreBody::isInside(Operation *op) {
  return op && op->getParentRegion() && op_.getBody().isAncestor(op->getParentRegion());
}

bool ScoreBody::dependsOn(Value value, Value other) {
  SmallVector<Value> work{value};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value v = work.pop_back_val();
    if (v == other)
      return true;
    Operation *def = v.getDefiningOp();
    if (!isInside(def) || !seen.insert(v).second)
      continue;
    def->walk([&](Operation *inner) { work.append(inner->operand_begin(), inner->operand_end()); });
  }
  return false;
}

int ScoreBody::findPacks() {
  op_.getBody().walk([&](memref::LoadOp load) {
    PackedKeys keys;
    keys.source = load.getMemRef();
    for (auto [at, index] : llvm::enumerate(load.getIndices())) {
      if (index == op_.key()) {
        if (keys.axis >= 0)
          return;
        keys.axis = at;
      }
      auto argument = dyn_cast<BlockArgument>(index);
      bool outer = argument && argument.getOwner() == &op_.getBody().front() &&
                   argument.getArgNumber() < op_.getOuter().size();
      keys.letters.push_back(outer ? static_cast<int>(argument.getArgNumber()) : -1);
      bool summed = argument && isa<ReduceOp>(argument.getOwner()->getParentOp());
      keys.each = keys.each && (outer || summed || index == op_.key());
    }
    int64_t last = load.getMemRefType().getRank() - 1;
    if (keys.axis < 0 || (keys.axis == last && lastIndexContiguous(load.getMemRef())) ||
        isInside(load.getMemRef().getDefiningOp()))
      return;
    // (Another index that depends on the key would be packed in vain.)
    for (auto [at, index] : llvm::enumerate(load.getIndices()))
      if (static_cast<int64_t>(at) != keys.axis && isInside(index.getDefiningOp()) &&
          dependsOn(index, op_.key()))
        return;
    for (auto [number, known] : llvm::enumerate(packs_))
      if (known.source == keys.source && known.axis == keys.axis) {
        packs_[number].each = packs_[number].each && keys.each;
        // Read at other places of an axis, too: all of it is packed.
        for (auto [mine, other] : llvm::zip(packs_[number].letters, keys.letters))
          if (mine != other) {
            mine = -1;
            packs_[number].each = false;
          }
        packOf_[load] = number;
        return;
      }
    packOf_[load] = packs_.size();
    packs_.push_back(std::move(keys));
  });
  for (const PackedKeys &keys : packs_)
    for (int letter : keys.letters)
      letter_ = std::max(letter_, letter);
  return letter_;
}

void ScoreBody::allocate(int64_t bytes, Value least, Value really) {
  OpBuilder &b = lanes_.builder();
  Location loc = op_.getLoc();
  if (letter_ >= 0) {
    // What one position of the letter takes.
    Value each = lanes_.constant(loc, b.getIndexType(), 1);
    for (const PackedKeys &keys : packs_)
      if (keys.isInRounds())
        each = b.createOrFold<arith::AddIOp>(loc, each, keys.bytesOfPosition(lanes_, loc));
    Value fits =
        b.createOrFold<arith::DivUIOp>(loc, lanes_.constant(loc, b.getIndexType(), bytes), each);
    round_ = b.createOrFold<arith::MaxUIOp>(loc, fits, least);
    round_ = b.createOrFold<arith::MinUIOp>(loc, round_, op_.getOuter()[letter_]);
    // (A round of none, where the letter has no position, would never end.)
    round_ = b.createOrFold<arith::MaxUIOp>(loc, round_, lanes_.constant(loc, b.getIndexType(), 1));
  }
  for (PackedKeys &keys : packs_) {
    keys.allocate(lanes_, loc, letter_, round_, really);
    if (!keys.isInRounds())
      keys.pack(lanes_, loc, letter_, {}, {}, {});
  }
}

void ScoreBody::packRound(ValueRange before, Value first, Value count) {
  for (PackedKeys &keys : packs_)
    if (keys.isInRounds())
      keys.pack(lanes_, op_.getLoc(), letter_, before, first, count);
}

void ScoreBody::release() {
  for (const PackedKeys &keys : packs_)
    memref::DeallocOp::create(lanes_.builder(), op_.getLoc(), keys.packed);
}

bool ScoreBody::fitsBlock(int64_t keys, int64_t bytes) {
  int64_t taken = 0;
  for (const PackedKeys &pack : packs_) {
    int64_t elements = pack.elementsOfBlock(keys, lanes_.lanes());
    auto type = cast<MemRefType>(pack.source.getType());
    taken += elements * ((type.getElementTypeBitWidth() + 7) / 8);
    if (!pack.each || elements == 0 || taken > bytes)
      return false;
  }
  return !packs_.empty();
}

int64_t ScoreBody::positionsOfPiece(int64_t bytes) const {
  int64_t most = 1;
  for (const PackedKeys &pack : packs_) {
    auto type = cast<MemRefType>(pack.source.getType());
    const int *at = llvm::find(pack.letters, letter_);
    if (letter_ < 0 || at == pack.letters.end() || at - pack.letters.begin() < pack.axis)
      continue; // a position's keys lie behind one another
    int64_t piece = (type.getElementTypeBitWidth() + 7) / 8;
    for (int64_t extent : type.getShape().drop_front(at - pack.letters.begin() + 1))
      piece *= ShapedType::isDynamic(extent) ? bytes : extent;
    most = std::max(most, (bytes + piece - 1) / piece);
  }
  return most;
}

void ScoreBody::allocateBlock(int64_t keys) {
  keysOfBlock_ = keys;
  for (PackedKeys &pack : packs_)
    pack.allocateBlock(lanes_, op_.getLoc(), keys);
}

void ScoreBody::packBlock(ValueRange outer, Value firstKey, Value count) {
  for (PackedKeys &pack : packs_)
    pack.packBlock(lanes_, op_.getLoc(), outer, firstKey, count, keysOfBlock_);
}

/// Whether a number is made of sums: no rounding of it is a boundary that something decides by.
static bool isOfSums(Value value, int depth = 4) {
  Operation *def = value.getDefiningOp();
  if (!def || depth == 0)
    return false;
  if (isa<ReduceOp>(def))
    return true;
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp>(def) &&
         llvm::any_of(def->getOperands(), [&](Value v) { return isOfSums(v, depth - 1); });
}

/// 1 / divisor, once in front of everything.
Value ScoreBody::reciprocal(Value divisor) {
  Value &known = reciprocals_[divisor];
  if (!known) {
    OpBuilder &b = lanes_.builder();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(op_);
    Value one = lanes_.constant(op_.getLoc(), b.getF32FloatAttr(1));
    known = b.createOrFold<arith::DivFOp>(op_.getLoc(), one, divisor);
  }
  return known;
}

void ScoreBody::evaluateAt(Value value, Point &point) {
  if (point.values.contains(value))
    return;
  Operation *def = value.getDefiningOp();
  if (!isInside(def))
    return;                         // as it is
  def->walk([&](Operation *inner) { // regions too: what they use is written before them
    for (Value operand : inner->getOperands())
      if (!def->isAncestor(operand.getParentBlock()->getParentOp()) || inner == def)
        evaluateAt(operand, point);
  });
  auto packed = packOf_.find(def);
  if (packed != packOf_.end() && !point.letters.empty()) {
    auto load = cast<memref::LoadOp>(def);
    SmallVector<Lanes> indices;
    for (Value index : load.getIndices())
      indices.push_back(point.at(index));
    const PackedKeys &keys = packs_[packed->second];
    point.values[value] =
        lanes_.load(load.getLoc(), keys.packed,
                    keys.indices(lanes_, load.getLoc(), indices, point.letters.front().first), {});
    return;
  }
  // A division of each score by the same number would take longer than the score.
  if (auto division = dyn_cast<arith::DivFOp>(def);
      division && isOfSums(division.getLhs()) && division.getType().isF32() &&
      (matchPattern(division.getRhs(), m_Constant()) ||
       !op_.getBody().isAncestor(division.getRhs().getParentRegion()))) {
    Value above = lanes_.vector(def->getLoc(), point.at(division.getLhs()));
    Value by = lanes_.vector(def->getLoc(), Lanes(reciprocal(division.getRhs())));
    Value quotient = arith::MulFOp::create(lanes_.builder(), def->getLoc(), above, by);
    point.values[value] = lanes_.lanes() == 1 ? Lanes(quotient) : Lanes::varying(quotient);
    return;
  }
  evaluateOperation(lanes_, point, *def, point.mask);
}

Lanes ScoreBody::evaluate(Value value, Point &point) {
  evaluateAt(value, point);
  return point.at(value);
}

/// Reductions that `value` needs, in the order in which they stand.
void ScoreBody::reductionsOf(Value value, llvm::SetVector<Operation *> &out,
                             llvm::DenseSet<Value> &seen, const Point &point) {
  Operation *def = value.getDefiningOp();
  if (!isInside(def) || point.values.contains(value) || !seen.insert(value).second)
    return;
  if (isa<ReduceOp>(def)) {
    out.insert(def);
    return;
  }
  for (Value operand : def->getOperands())
    reductionsOf(operand, out, seen, point);
}

void ScoreBody::evaluate(Value value, MutableArrayRef<Point> points) {
  llvm::SetVector<Operation *> reductions;
  llvm::DenseSet<Value> seen;
  reductionsOf(value, reductions, seen, points.front());
  // As many points at a time as there are registers for their accumulators.
  size_t group = std::max<size_t>(1, std::min<size_t>(points.size(), target_.registers / 2));
  for (Operation *op : reductions)
    for (size_t first = 0; first < points.size(); first += group) {
      size_t count = std::min(group, points.size() - first);
      reduce(cast<ReduceOp>(op), points.slice(first, count));
    }
  for (Point &point : points)
    evaluateAt(value, point);
}

static TypedAttr identityOf(Builder &b, StringRef kind) {
  double value = kind == "sum"    ? 0
                 : kind == "prod" ? 1
                 : kind == "max"  ? -std::numeric_limits<double>::infinity()
                                  : std::numeric_limits<double>::infinity();
  return b.getF32FloatAttr(value);
}

/// Into how many partial sums of equal length a long sum is divided; 1: none. What is multiplied by
/// what must not depend on how many rows or keys are at hand, so it is for all of them.
static int64_t partsOf(ReduceOp op) {
  constexpr int64_t shortest = 64, most = 4;
  if (op.getKind() != "sum" || op.getExtents().size() != 1)
    return 1;
  std::optional<int64_t> extent = getConstantIntValue(op.getExtents().front());
  for (int64_t parts = most; extent && parts > 1; --parts)
    if (*extent % parts == 0 && *extent / parts >= shortest)
      return parts;
  return 1;
}

void ScoreBody::reduce(ReduceOp op, MutableArrayRef<Point> points) {
  OpBuilder &b = lanes_.builder();
  Value identity = lanes_.constant(op.getLoc(), identityOf(b, op.getKind()));
  SmallVector<Value> accumulators(points.size(), lanes_.vector(op.getLoc(), Lanes(identity)));
  if (int64_t parts = partsOf(op); parts > 1)
    accumulators = reduceInParts(op, parts, points, accumulators);
  else
    accumulators = reduceFrom(op, 0, points, accumulators);
  for (auto [point, value] : llvm::zip(points, accumulators))
    point.values[op.getResult()] = lanes_.lanes() == 1 ? Lanes(value) : Lanes::varying(value);
}

// sum = ((part 0 + part 1) + part 2) + ..., each part in order from 0 on. Of few points the parts
// run beside each other: a multiply-add waits for the one before it, and one chain alone leaves
// most of the processor idle. Of many they run one after the other: the same bits.
SmallVector<Value> ScoreBody::reduceInParts(ReduceOp op, int64_t parts,
                                            MutableArrayRef<Point> points, ArrayRef<Value> zeros) {
  OpBuilder &b = lanes_.builder();
  Location loc = op.getLoc();
  auto index = [&](int64_t value) { return lanes_.constant(loc, b.getIndexType(), value); };
  int64_t length = *getConstantIntValue(op.getExtents().front()) / parts;
  Value letter = op.getBody().getArgument(0);
  auto add = [&](ValueRange to, ValueRange more) {
    SmallVector<Value> sums;
    for (auto [a, c] : llvm::zip(to, more))
      sums.push_back(arith::AddFOp::create(b, loc, a, c));
    return sums;
  };
  // Places [begin, begin + length) of each of `beside` parts that begin `length` apart.
  auto run = [&](Value begin, int64_t beside) {
    SmallVector<Value> carried;
    for (int64_t part = 0; part < beside; ++part)
      carried.append(zeros.begin(), zeros.end());
    Value end = b.createOrFold<arith::AddIOp>(loc, begin, index(length));
    auto loop = scf::ForOp::create(b, loc, begin, end, index(1), carried);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Point> inside;
    for (int64_t part = 0; part < beside; ++part)
      for (const Point &point : points) {
        inside.push_back(point);
        inside.back().values[letter] =
            Lanes(b.createOrFold<arith::AddIOp>(loc, loop.getInductionVar(), index(part * length)));
      }
    SmallVector<Value> before(loop.getRegionIterArgs().begin(), loop.getRegionIterArgs().end());
    scf::YieldOp::create(b, loc, reduceFrom(op, 1, inside, before));
    return SmallVector<Value>(loop.getResults());
  };
  if (points.size() * parts <= static_cast<size_t>(target_.registers / 2)) {
    SmallVector<Value> all = run(index(0), parts);
    SmallVector<Value> sums(all.begin(), all.begin() + points.size());
    for (int64_t part = 1; part < parts; ++part)
      sums = add(sums, ArrayRef<Value>(all).slice(part * points.size(), points.size()));
    return sums;
  }
  auto loop = scf::ForOp::create(b, loc, index(0), index(parts * length), index(length), zeros);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> part = run(loop.getInductionVar(), 1);
  scf::YieldOp::create(b, loc, add(loop.getRegionIterArgs(), part));
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> ScoreBody::reduceFrom(ReduceOp op, unsigned depth, MutableArrayRef<Point> points,
                                         ArrayRef<Value> accumulators) {
  OpBuilder &b = lanes_.builder();
  Location loc = op.getLoc();
  if (depth < op.getExtents().size()) {
    Value zero = lanes_.constant(loc, b.getIndexType(), 0);
    Value one = lanes_.constant(loc, b.getIndexType(), 1);
    auto loop = scf::ForOp::create(b, loc, zero, op.getExtents()[depth], one, accumulators);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Point> inside(points.begin(), points.end());
    for (Point &point : inside)
      point.values[op.getBody().getArgument(depth)] = Lanes(loop.getInductionVar());
    SmallVector<Value> carried(loop.getRegionIterArgs().begin(), loop.getRegionIterArgs().end());
    scf::YieldOp::create(b, loc, reduceFrom(op, depth + 1, inside, carried));
    return SmallVector<Value>(loop.getResults().begin(), loop.getResults().end());
  }
  Value yielded = cast<YieldOp>(op.getBody().front().getTerminator()).getValue();
  auto valueAt = [&](Value value, size_t at) { return lanes_.vector(loc, points[at].at(value)); };
  // A sum of products: one multiply-add each.
  auto product = yielded.getDefiningOp<arith::MulFOp>();
  bool fused = product && op.getKind() == "sum" && target_.fma && isInside(product);
  SmallVector<Value> out;
  if (fused) {
    evaluate(product.getLhs(), points);
    evaluate(product.getRhs(), points);
  } else {
    evaluate(yielded, points);
  }
  for (size_t at = 0; at < points.size(); ++at) {
    Value old = accumulators[at];
    if (fused)
      out.push_back(math::FmaOp::create(b, loc, valueAt(product.getLhs(), at),
                                        valueAt(product.getRhs(), at), old));
    else if (op.getKind() == "sum")
      out.push_back(arith::AddFOp::create(b, loc, old, valueAt(yielded, at)));
    else if (op.getKind() == "prod")
      out.push_back(arith::MulFOp::create(b, loc, old, valueAt(yielded, at)));
    else if (op.getKind() == "max")
      out.push_back(arith::MaxNumFOp::create(b, loc, old, valueAt(yielded, at)));
    else
      out.push_back(arith::MinNumFOp::create(b, loc, old, valueAt(yielded, at)));
  }
  return out;
}

} // namespace qkv

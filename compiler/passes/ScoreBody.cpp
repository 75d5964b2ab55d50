// In: a value of an attention's body, and points. Out: the value at each of them.
//
// A value is written when it is asked for, after what it needs; loads of packed keys read the
// packed copy. Sums over a letter become one loop with an accumulator a point: what points
// share is written once by the elimination that follows.
#include "compiler/passes/ScoreBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SetVector.h"

namespace qkv {

using namespace mlir;

bool ScoreBody::isInside(Operation *op) {
  return op && op->getParentRegion() && op_.getBody().isAncestor(op->getParentRegion());
}

void ScoreBody::pack() {
  op_.getBody().walk([&](memref::LoadOp load) {
    int64_t axis = -1;
    for (auto [at, index] : llvm::enumerate(load.getIndices()))
      if (index == op_.key()) {
        if (axis >= 0)
          return;
        axis = at;
      }
    int64_t last = load.getMemRefType().getRank() - 1;
    if (axis < 0 || (axis == last && lastIndexContiguous(load.getMemRef())) ||
        isInside(load.getMemRef().getDefiningOp()))
      return;
    // (Another index that depends on the key would be packed in vain.)
    for (auto [at, index] : llvm::enumerate(load.getIndices()))
      if (static_cast<int64_t>(at) != axis && isInside(index.getDefiningOp())) {
        bool moves = false;
        SmallVector<Value> work{index};
        llvm::DenseSet<Value> seen;
        while (!work.empty()) {
          Value v = work.pop_back_val();
          moves |= v == op_.key();
          if (Operation *def = v.getDefiningOp(); isInside(def) && seen.insert(v).second)
            work.append(def->operand_begin(), def->operand_end());
        }
        if (moves)
          return;
      }
    for (auto [number, known] : llvm::enumerate(packs_))
      if (known.source == load.getMemRef() && known.axis == axis) {
        packOf_[load] = number;
        return;
      }
    packOf_[load] = packs_.size();
    packs_.push_back(packKeys(lanes_, load.getLoc(), load.getMemRef(), axis));
  });
}

void ScoreBody::release() {
  for (const PackedKeys &keys : packs_)
    memref::DeallocOp::create(lanes_.builder(), op_.getLoc(), keys.packed);
}

void ScoreBody::evaluateAt(Value value, Point &point, Value block, Value lane) {
  if (point.values.contains(value))
    return;
  Operation *def = value.getDefiningOp();
  if (!isInside(def))
    return;                         // as it is
  def->walk([&](Operation *inner) { // regions too: what they use is written before them
    for (Value operand : inner->getOperands())
      if (!def->isAncestor(operand.getParentBlock()->getParentOp()) || inner == def)
        evaluateAt(operand, point, block, lane);
  });
  auto packed = packOf_.find(def);
  if (packed != packOf_.end() && block) {
    auto load = cast<memref::LoadOp>(def);
    SmallVector<Lanes> indices;
    for (Value index : load.getIndices()) {
      auto found = point.values.find(index);
      indices.push_back(found == point.values.end() ? Lanes(index) : found->second);
    }
    const PackedKeys &keys = packs_[packed->second];
    point.values[value] =
        lanes_.load(load.getLoc(), keys.packed, keys.indices(indices, block, lane), {});
    return;
  }
  evaluateOperation(lanes_, point, *def, point.mask);
}

Lanes ScoreBody::evaluate(Value value, Point &point) {
  evaluateAt(value, point, {}, {});
  auto found = point.values.find(value);
  return found == point.values.end() ? Lanes(value) : found->second;
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

void ScoreBody::evaluate(Value value, MutableArrayRef<Point> points, const KeyBlock &block) {
  llvm::SetVector<Operation *> reductions;
  llvm::DenseSet<Value> seen;
  reductionsOf(value, reductions, seen, points.front());
  // As many points at a time as there are registers for their accumulators.
  size_t group = std::max<size_t>(1, std::min<size_t>(points.size(), target_.registers / 2));
  for (Operation *op : reductions)
    for (size_t first = 0; first < points.size(); first += group) {
      size_t count = std::min(group, points.size() - first);
      KeyBlock part{block.block, {}};
      part.lane.append(block.lane.begin() + first, block.lane.begin() + first + count);
      reduce(cast<ReduceOp>(op), points.slice(first, count), part);
    }
  for (auto [at, point] : llvm::enumerate(points))
    evaluateAt(value, point, block.block, block.lane[at]);
}

static TypedAttr identityOf(Builder &b, StringRef kind) {
  double value = kind == "sum"    ? 0
                 : kind == "prod" ? 1
                 : kind == "max"  ? -std::numeric_limits<double>::infinity()
                                  : std::numeric_limits<double>::infinity();
  return b.getF32FloatAttr(value);
}

void ScoreBody::reduce(ReduceOp op, MutableArrayRef<Point> points, const KeyBlock &block) {
  OpBuilder &b = lanes_.builder();
  Value identity = lanes_.constant(op.getLoc(), identityOf(b, op.getKind()));
  SmallVector<Value> accumulators(points.size(), lanes_.vector(op.getLoc(), Lanes(identity)));
  accumulators = reduceFrom(op, 0, points, block, accumulators);
  for (auto [point, value] : llvm::zip(points, accumulators))
    point.values[op.getResult()] = lanes_.lanes() == 1 ? Lanes(value) : Lanes::varying(value);
}

SmallVector<Value> ScoreBody::reduceFrom(ReduceOp op, unsigned depth, MutableArrayRef<Point> points,
                                         const KeyBlock &block, ArrayRef<Value> accumulators) {
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
    scf::YieldOp::create(b, loc, reduceFrom(op, depth + 1, inside, block, carried));
    return SmallVector<Value>(loop.getResults().begin(), loop.getResults().end());
  }
  Value yielded = cast<YieldOp>(op.getBody().front().getTerminator()).getValue();
  auto valueAt = [&](Value value, size_t at) {
    auto found = points[at].values.find(value);
    return lanes_.vector(loc, found == points[at].values.end() ? Lanes(value) : found->second);
  };
  // A sum of products: one multiply-add each.
  auto product = yielded.getDefiningOp<arith::MulFOp>();
  bool fused = product && op.getKind() == "sum" && target_.fma && isInside(product);
  SmallVector<Value> out;
  if (fused) {
    evaluate(product.getLhs(), points, block);
    evaluate(product.getRhs(), points, block);
  } else {
    evaluate(yielded, points, block);
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

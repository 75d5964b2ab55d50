// Counting. Holds: an operation whose extents are not known costs nothing rather than a guess.
#include "compiler/explain/Costs.h"
#include "compiler/dialect/QkvDialect.h"
#include "compiler/explain/Frame.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

#include <cmath>
#include <functional>

namespace qkv {

using namespace mlir;

namespace {

bool isFloat(Value value) { return value.getType().isFloat(); }

/// Floating-point operations of a body, once.
double flopsOf(Block &body) {
  double flops = 0;
  for (Operation &op : body) {
    if (op.getNumResults() != 1)
      continue;
    bool compares = isa<arith::CmpFOp>(op);
    if (!compares && !isFloat(op.getResult(0)))
      continue;
    if (isa<math::FmaOp>(op))
      flops += 2;
    else if (isa<math::MathDialect>(op.getDialect()))
      flops += 1;
    else if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::RemFOp,
                 arith::NegFOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
                 arith::MinNumFOp, arith::CmpFOp>(op))
      flops += 1;
  }
  return flops;
}

/// The reads of a body at indices of its own: tensor.extract, memref.load.
template <typename Callback> void eachAccess(Block &body, Callback callback) {
  body.walk([&](Operation *op) {
    if (isa<tensor::ExtractOp, memref::LoadOp>(op))
      callback(op);
  });
}

/// Whether an index depends on an element that was read, not on the positions alone.
bool hasValue(Value index, Block &body) {
  if (auto argument = dyn_cast<BlockArgument>(index))
    return argument.getOwner() == &body;
  Operation *op = index.getDefiningOp();
  if (!op || !body.getParent()->isAncestor(op->getParentRegion()))
    return false;
  if (isa<tensor::ExtractOp, memref::LoadOp>(op))
    return true;
  return llvm::any_of(op->getOperands(), [&](Value operand) { return hasValue(operand, body); });
}

bool gathers(linalg::LinalgOp op) {
  bool found = false;
  Block &body = *op.getBlock();
  eachAccess(body, [&](Operation *access) {
    for (Value index : access->getOperands().drop_front())
      found |= hasValue(index, body);
  });
  return found;
}

/// A sum of products: what is yielded adds a product of two operands to the output.
bool contracts(linalg::LinalgOp op) {
  if (op.getNumReductionLoops() == 0 || op.getNumDpsInits() != 1)
    return false;
  Operation *sum = op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  if (!sum)
    return false;
  if (isa<math::FmaOp>(sum))
    return true;
  if (!isa<arith::AddFOp>(sum))
    return false;
  // The term may be guarded or widened on its way.
  std::function<bool(Value)> product = [&](Value value) {
    Operation *term = value.getDefiningOp();
    if (!term)
      return false;
    if (isa<arith::MulFOp>(term)) // not a square, not a multiple
      return term->getOperand(0) != term->getOperand(1) &&
             !matchPattern(term->getOperand(0), m_Constant()) &&
             !matchPattern(term->getOperand(1), m_Constant());
    if (auto select = dyn_cast<arith::SelectOp>(term))
      return product(select.getTrueValue()) || product(select.getFalseValue());
    return false;
  };
  return product(sum->getOperand(0)) || product(sum->getOperand(1));
}

/// The number of points of an iteration space, and the extent of each letter.
std::optional<double> points(linalg::LinalgOp op, Frame &frame, SmallVector<double> &extents) {
  extents.assign(op.getNumLoops(), -1);
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [axis, expression] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expression))
        if (auto size = frame.extent(operand.get(), static_cast<int64_t>(axis)))
          extents[dim.getPosition()] = *size;
  }
  double count = 1;
  for (double extent : extents) {
    if (extent < 0)
      return std::nullopt;
    count *= extent;
  }
  return count;
}

Cost costOfLinalg(linalg::LinalgOp op, Frame &frame) {
  Cost cost;
  SmallVector<double> extents;
  std::optional<double> count = points(op, frame, extents);
  if (!count)
    return cost;
  Block &body = *op.getBlock();
  cost.flops = *count * flopsOf(body);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<ShapedType>(operand.get().getType()))
      if (op.isDpsInit(&operand) || op.payloadUsesValueFromOperand(&operand))
        cost.bytes += frame.bytes(operand.get()).value_or(0);
  eachAccess(body, [&](Operation *access) {
    // No more than all of it, no more than an element a point.
    Type element = access->getResult(0).getType();
    double each = (element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 64) / 8.0;
    cost.bytes += std::min(frame.bytes(access->getOperand(0)).value_or(0), *count * each);
  });
  return cost;
}

/// Operations of a score's body for one pair, the reductions in it included.
double flopsOfScore(Block &body, Frame &frame) {
  double flops = flopsOf(body);
  for (auto reduce : body.getOps<ReduceOp>()) {
    double rounds = 1;
    for (Value extent : reduce.getExtents())
      rounds *= frame.number(extent).value_or(0);
    flops += rounds * (flopsOfScore(reduce.getBody().front(), frame) + 1);
  }
  return flops;
}

/// The share of the pairs of rows and keys for which a condition holds, from a sample of them; 1
/// where only a run can tell.
double shareOf(Value condition, Value row, double rows, Value key, double keys, Frame &frame) {
  constexpr int samples = 64;
  int held = 0, total = 0;
  for (int i = 0; i < samples; ++i)
    for (int j = 0; j < samples; ++j) {
      // Halves: a pair stands for those around it.
      frame.bind(row, std::floor((i + 0.5) * rows / samples));
      frame.bind(key, std::floor((j + 0.5) * keys / samples));
      std::optional<double> holds = frame.number(condition);
      if (!holds)
        return 1;
      ++total;
      held += *holds != 0;
    }
  return static_cast<double>(std::max(held, 1)) / total;
}

/// How often a score that is in memory is written or read: written, read for the maximum, read and
/// written for its power, read for the weighted sum. A plain weight is written and read.
constexpr double passesOfScores = 5, passesOfWeights = 2;

/// Without `masked`, of all pairs of rows and keys.
Cost costOfAttention(AttentionOp op, Frame &frame, bool masked = true) {
  Cost cost;
  double outer = 1;
  for (auto [at, extent] : llvm::enumerate(op.getOuter())) {
    double count = frame.number(extent).value_or(0);
    outer *= count;
    frame.bind(op.getBody().getArgument(static_cast<unsigned>(at)), std::floor(count / 2));
  }
  double rows = frame.number(op.getRows()).value_or(0),
         keys = frame.number(op.getKeys()).value_or(0);
  ScoreOp end = op.score();
  double pairs = outer * rows * keys;
  if (masked)
    pairs *= shareOf(end.getPart(), op.row(), rows, op.key(), keys, frame);
  else
    cost.bytes += pairs * (op.getPlain() ? passesOfWeights : passesOfScores) * sizeof(float);
  // The score; its part in the maximum, exp(s - m) and the sum; a multiply-add for each value.
  double each = op.getPlain() ? op.hasTotal() : 4;
  cost.flops = pairs * (flopsOfScore(op.getBody().front(), frame) + each);
  auto letters = static_cast<unsigned>(op.getOuter().size()) + 1;
  for (auto [n, value] : llvm::enumerate(op.getValues())) {
    Value output = op.getOutputs()[n];
    double values = 1;
    for (auto [axis, expression] :
         llvm::enumerate(op.outputMap(static_cast<unsigned>(n)).getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expression); dim && dim.getPosition() >= letters)
        values *= frame.extent(output, static_cast<int64_t>(axis)).value_or(0);
    cost.flops += pairs * (2 * values + (op.factor(static_cast<unsigned>(n)) ? 1 : 0));
  }
  llvm::SetVector<Value> read;
  read.insert(op.getValues().begin(), op.getValues().end());
  read.insert(op.getOutputs().begin(), op.getOutputs().end());
  eachAccess(op.getBody().front(), [&](Operation *access) { read.insert(access->getOperand(0)); });
  for (Value value : read)
    cost.bytes += frame.bytes(value).value_or(0);
  return cost;
}

bool computes(Operation *op) { return isa<linalg::LinalgOp>(op) && !isa<linalg::FillOp>(op); }

/// Whether a tensor that a loop hands on is read in it, not only written to.
bool isRead(Value handed) {
  for (OpOperand &use : handed.getUses()) {
    Operation *user = use.getOwner();
    if (user->hasTrait<OpTrait::IsTerminator>())
      continue;
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(user)) {
      if (use.get() == insert.getSource() || isRead(insert.getResult()))
        return true;
    } else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user)) {
      if (isRead(slice.getResult()))
        return true;
    } else if (auto inner = dyn_cast<scf::ForOp>(user)) {
      if (!inner.getTiedLoopRegionIterArg(&use) || isRead(inner.getTiedLoopRegionIterArg(&use)))
        return true;
    } else if (auto linalg = dyn_cast<linalg::LinalgOp>(user)) {
      // Where a block's sums begin is no reading.
      if (!linalg.isDpsInit(&use))
        return true;
    } else {
      return true;
    }
  }
  return false;
}

/// A loop whose rounds build on each other: equations that say so, or rounds that read what others
/// wrote.
bool recurs(Operation *op) {
  auto loop = dyn_cast<scf::ForOp>(op);
  return loop &&
         (op->hasAttr(equationAttribute) ||
          llvm::any_of(loop.getRegionIterArgs(), [](Value handed) { return isRead(handed); }));
}

/// An operation of ours that computes tensors or buffers.
bool isKernelOfOurs(Operation *op) {
  return !isa<ReduceOp>(op) && op->getName().getDialectNamespace() == "qkv" && op->getParentOp() &&
         llvm::any_of(op->getOperandTypes(), [](Type type) { return isa<ShapedType>(type); });
}

} // namespace

Cost costOf(Operation *op, Frame &frame) {
  if (auto linalg = dyn_cast<linalg::LinalgOp>(op))
    return costOfLinalg(linalg, frame);
  Cost cost;
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    double rounds = frame.enter(loop).value_or(0);
    for (Operation &inner : *loop.getBody())
      cost += costOf(&inner, frame);
    cost.flops *= rounds;
    // What it reads in every round is read from memory once, what a round leaves to itself never.
    cost.bytes = 0;
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(loop.getRegion(), used);
    used.insert(loop.getInitArgs().begin(), loop.getInitArgs().end());
    for (Value value : used)
      cost.bytes += frame.bytes(value).value_or(0);
    return cost;
  }
  if (auto attention = dyn_cast<AttentionOp>(op))
    return costOfAttention(attention, frame);
  if (isKernelOfOurs(op)) {
    for (Value operand : op->getOperands())
      cost.bytes += frame.bytes(operand).value_or(0);
    return cost;
  }
  for (Region &region : op->getRegions())
    for (Block &block : region)
      for (Operation &inner : block)
        cost += costOf(&inner, frame);
  return cost;
}

std::optional<Cost> costByRowBlocks(Operation *op, Frame &frame) {
  if (auto attention = dyn_cast<AttentionOp>(op))
    return costOfAttention(attention, frame, /*masked=*/false);
  return std::nullopt;
}

std::string kindOf(Operation *op) {
  if (isa<linalg::FillOp>(op)) // where a sum begins
    return "";
  if (auto linalg = dyn_cast<linalg::LinalgOp>(op)) {
    if (contracts(linalg))
      return "contraction";
    if (linalg.getNumReductionLoops() > 0)
      return "reduction";
    return gathers(linalg) ? "gather" : "elementwise";
  }
  if (isKernelOfOurs(op))
    return op->getName().stripDialect().str();
  if (isa<func::FuncOp, func::CallOp>(op) || op->getNumRegions() == 0)
    return "";
  if (isa<scf::ForOp>(op) && op->hasAttr(whyAttribute)) // (irgen/EmitGroups.cpp)
    return "chosen";
  if (auto branch = dyn_cast<scf::IfOp>(op)) { // what is computed where somebody asks for it
    std::string kind;
    for (Operation &inner : *branch.thenBlock())
      if (kind.empty())
        kind = kindOf(&inner);
    return kind;
  }
  bool calculates = false, checks = false;
  op->walk([&](Operation *inner) {
    calculates |= inner != op && (computes(inner) || isKernelOfOurs(inner));
    checks |= inner->getName().getStringRef() == "qkv.check";
  });
  return calculates ? (recurs(op) ? "recurrence" : "row-blocks") : checks ? "check" : "";
}

} // namespace qkv

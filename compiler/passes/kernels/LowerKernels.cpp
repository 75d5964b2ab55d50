// In: linalg.generic on buffers. Out: scf loops with vectors, after the plan of KernelPlan.h.
// Must hold: every legal generic is lowered; an element's value depends on its position and
// the reduced extents, never on how many other elements there are.
#include "compiler/passes/Passes.h"
#include "compiler/passes/kernels/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERKERNELS
#include "compiler/passes/Passes.h.inc"

using namespace mlir;

/// The value that a fill just before gives an output. Null where there is none.
Value KernelEmitter::initial(int output) {
  // (A fill is only gone if every element is written.)
  if (!op_.getMatchingIndexingMap(op_.getDpsInitOperand(output)).isProjectedPermutation())
    return {};
  Value buffer = op_.getDpsInitOperand(output)->get();
  for (Operation *before = op_->getPrevNode(); before; before = before->getPrevNode()) {
    auto fill = dyn_cast<linalg::GenericOp>(before);
    if (fill && fill.getNumDpsInputs() <= 1 && fill.getNumDpsInits() == 1 &&
        llvm::hasSingleElement(*fill.getBody()) && fill.getDpsInitOperand(0)->get() == buffer &&
        fill.getIndexingMapsArray().back().isPermutation()) {
      Value value = fill.getBody()->getTerminator()->getOperand(0);
      if (auto argument = dyn_cast<BlockArgument>(value);
          argument && argument.getOwner() == fill.getBody()) {
        if (argument.getArgNumber() >= fill.getNumDpsInputs() ||
            isa<MemRefType>(fill.getDpsInputOperand(0)->get().getType()))
          return {};
        value = fill.getDpsInputOperand(0)->get();
      }
      taken_.insert(fill);
      return value;
    }
    if (!isMemoryEffectFree(before) && !isa<memref::AllocOp>(before) && !taken_.contains(before))
      return {};
  }
  return {};
}

void KernelEmitter::emit() {
  bool reduces = !plan_.reductions.empty();
  for (int output = 0; output < op_.getNumDpsInits(); ++output)
    initials_.push_back(reduces ? initial(output) : Value());
  builder_.setInsertionPoint(op_);
  for (const Range &range :
       cast<linalg::LinalgOp>(op_.getOperation()).createLoopRanges(builder_, loc_)) {
    std::optional<int64_t> fixed = getConstantIntValue(range.size);
    extents_.push_back({getValueOrCreateConstantIndexOp(builder_, loc_, range.size),
                        fixed ? *fixed : ShapedType::kDynamic});
  }
  chooseParallel();
  rows_ = plan_.row;
  if (plan_.rowLetters.size() > 1) {
    Value all = extents_[plan_.rowLetters.front()].value;
    for (int letter : llvm::drop_begin(plan_.rowLetters))
      all = builder_.createOrFold<arith::MulIOp>(loc_, all, extents_[letter].value);
    if (parallel_ == plan_.row)
      parallel_ = static_cast<int>(extents_.size());
    rows_ = static_cast<int>(extents_.size());
    extents_.push_back({all, ShapedType::kDynamic});
  }
  chooseDirection();
  if (!plan_.reductions.empty() && plan_.vector >= 0 && !plan_.across)
    epilogues_ = findEpilogues(op_, plan_.vector, plan_.lanes);
  for (const Epilogue &epilogue : epilogues_)
    taken_.insert(epilogue.body->op());
  Point point;
  point.letters.resize(op_.getNumLoops());
  outer(0, point, 0);
  op_.erase();
}

void KernelEmitter::outer(unsigned depth, Point point, Letters known) {
  if (depth == plan_.outer.size()) {
    if (plan_.across)
      return acrossTiles(point, known);
    if (plan_.vector >= 0)
      return vectorColumns(point, known);
    return tile(point, known);
  }
  int letter = plan_.outer[depth];
  loop(
      index(0), extents_[letter].value, 1,
      [&](Value at) {
        Point inside = point;
        inside.letters[letter] = Lanes(at);
        Letters now = known | bit(letter);
        bool last = depth + 1 == plan_.outer.size() && plan_.vector < 0 && plan_.reductions.empty();
        if (!last)
          body_.evaluate(lanes_, inside, now);
        outer(depth + 1, inside, now);
      },
      letter);
}

/// Vectors of outputs. Full groups of them, then one at a time under a mask; a fixed rest is one
/// smaller group.
void KernelEmitter::vectorColumns(const Point &point, Letters known) {
  const Extent &extent = extents_[plan_.vector];
  int64_t width = plan_.lanes * plan_.columns;
  auto group = [&](Value begin, int64_t count, int64_t maskedFrom) {
    SmallVector<Column> columns;
    for (int64_t at = 0; at < count; ++at) {
      Value start = plus(begin, at * plan_.lanes);
      columns.push_back({start, at >= maskedFrom ? maskFrom(start) : Value()});
    }
    rows(point, known, columns);
  };
  if (ShapedType::isDynamic(extent.fixed)) {
    tiles(plan_.vector, width, plan_.lanes, [&](Value begin, bool full) {
      group(begin, full ? plan_.columns : 1, full ? plan_.columns : 0);
    });
    return;
  }
  Value begin = index(0), end = below(plan_.vector, width);
  auto until = [&](Value turn) {
    loop(
        begin, turn, width, [&](Value at) { group(at, plan_.columns, plan_.columns); },
        plan_.vector);
    begin = turn;
  };
  for (int64_t turn : plan_.turns)
    until(index(turn));
  until(end);
  if (int64_t rest = extent.fixed % width)
    group(index(extent.fixed - rest), (rest + plan_.lanes - 1) / plan_.lanes, rest / plan_.lanes);
}

void KernelEmitter::rows(const Point &point, Letters known, ArrayRef<Column> columns) {
  auto emit = [&](Value row, int64_t count) {
    SmallVector<Point> points;
    for (int64_t at = 0; at < count; ++at) {
      Point ofRow = point;
      if (plan_.row >= 0)
        for (auto [letter, place] : llvm::zip(plan_.rowLetters, rowAt(plus(row, at))))
          ofRow.letters[letter] = place;
      for (const Column &column : columns) {
        Point here = ofRow;
        here.letters[plan_.vector] = Lanes(column.begin, 1);
        here.mask = column.mask;
        points.push_back(here);
      }
    }
    askForEpilogues(point, columns, row, count);
    if (row && count == plan_.rows && static_cast<int64_t>(columns.size()) == plan_.columns)
      tile_ = arith::DivUIOp::create(builder_, loc_, row, index(count));
    tile(points, known | rowBits() | bit(plan_.vector));
    tile_ = {};
    epilogues(point, columns, row, count);
  };
  if (plan_.row < 0)
    return emit(Value(), 1);
  auto all = [&] { halvedTiles(rows_, plan_.rowsFor(columns.size()), emit); };
  if (!plan_.chunk)
    return all();
  Value end = extents_[plan_.reductions.front()].value;
  loop(index(0), end, plan_.chunk, [&](Value begin) {
    Value behind = arith::MinUIOp::create(builder_, loc_, plus(begin, plan_.chunk), end);
    Value first = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::eq, begin, index(0));
    chunk_ = {begin, behind, first};
    all();
    chunk_ = {};
  });
}

/// Where a kernel behind a tile stands, at `row` of it.
SmallVector<Lanes> KernelEmitter::lettersOf(const Epilogue &epilogue, const Point &point,
                                            const Column &column, Value row) {
  SmallVector<Lanes> at(point.letters);
  at[plan_.vector] = Lanes(column.begin, 1);
  if (row)
    for (auto [letter, place] : llvm::zip(plan_.rowLetters, rowAt(row)))
      at[letter] = place;
  SmallVector<Lanes> letters;
  for (int letter : epilogue.letters)
    letters.push_back(at[letter]);
  return letters;
}

/// The kernels that run on a tile of finished outputs, a row after the other.
void KernelEmitter::epilogues(const Point &point, ArrayRef<Column> columns, Value row,
                              int64_t count) {
  if (epilogues_.empty())
    return;
  auto run = [&](Value at) {
    for (const Epilogue &epilogue : epilogues_)
      for (const Column &column : columns) {
        Point here;
        here.mask = column.mask;
        here.letters = lettersOf(epilogue, point, column, at);
        epilogue.body->evaluate(lanes_, here, (Letters(1) << here.letters.size()) - 1);
        for (auto [number, value] : llvm::enumerate(epilogue.body->results(here)))
          epilogue.body->store(lanes_, here, number, value);
      }
  };
  OpBuilder::InsertionGuard guard(builder_);
  if (chunk_.first) { // finished with the last chunk
    Value last = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::eq, chunk_.end,
                                       extents_[plan_.reductions.front()].value);
    auto branch = scf::IfOp::create(builder_, loc_, last, /*withElseRegion=*/false);
    builder_.setInsertionPointToStart(branch.thenBlock());
  }
  if (plan_.row < 0)
    return run(Value());
  loop(row, plus(row, count), 1, run);
}

namespace {

struct LowerKernels : impl::LowerKernelsBase<LowerKernels> {
  using LowerKernelsBase::LowerKernelsBase;

  void runOnOperation() override {
    TargetDescription target = describeTarget(cpu);
    SmallVector<linalg::GenericOp> kernels;
    getOperation().walk([&](linalg::GenericOp op) { kernels.push_back(op); });
    // Backwards: a reduction finds the fill before it as it was. Reductions first: they find the
    // kernels behind them as they were.
    llvm::DenseSet<Operation *> taken;
    auto isReduction = [](linalg::GenericOp op) { return op.getNumReductionLoops() > 0; };
    std::stable_partition(kernels.begin(), kernels.end(),
                          [&](linalg::GenericOp op) { return !isReduction(op); });
    for (linalg::GenericOp op : llvm::reverse(kernels)) {
      OpBuilder builder(op);
      if (taken.contains(op))
        op.erase();
      else
        KernelEmitter(builder, op, target, taken).emit();
    }
  }
};

} // namespace

} // namespace qkv

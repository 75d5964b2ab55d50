// In: linalg.generic on buffers. Out: scf loops with vectors, after the plan of KernelPlan.h.
// Must hold: every legal generic is lowered; an element's value depends on its position and
// the reduced extents, never on how many other elements there are.
#include "compiler/passes/Epilogues.h"
#include "compiler/passes/KernelPlan.h"
#include "compiler/passes/Passes.h"
#include "compiler/passes/ReduceLanes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERKERNELS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// Loops of at most this many rounds are written out.
constexpr int64_t unrolled = 4;

// Work is counted in operations on scalars. A kernel of less than `worthThreads` stays on one
// thread; a piece has at least `pieceWork`, some microseconds; an extent that only the run
// knows counts as `unknownExtent`.
constexpr int64_t worthThreads = 1 << 17, pieceWork = 1 << 16, unknownExtent = 256;
/// A loop of fewer rounds is not worth dividing.
constexpr int64_t fewestRounds = 8;

class KernelEmitter {
public:
  /// Fills whose values the kernel starts from, and kernels that run on its tiles, are added to
  /// `taken`: they are written with it.
  KernelEmitter(OpBuilder &builder, linalg::GenericOp op, const TargetDescription &target,
                llvm::DenseSet<Operation *> &taken)
      : builder_(builder), op_(op), loc_(op.getLoc()), body_(op, target.lanes),
        plan_(planKernel(body_, target)), lanes_(builder, op.getLoc(), plan_.lanes), taken_(taken) {
  }

  void emit();

private:
  struct Extent {
    Value value;
    int64_t fixed; ///< ShapedType::kDynamic where only `value` knows
  };
  using Emit = llvm::function_ref<void(Value)>;
  /// A vector of a tile: where it begins, and the lanes that are inside.
  struct Column {
    Value begin, mask;
  };

  Value index(int64_t value) { return lanes_.constant(loc_, builder_.getIndexType(), value); }
  Letters bit(int letter) const { return letter < 0 ? 0 : Letters(1) << letter; }
  Value plus(Value base, int64_t offset);
  Value below(int letter, int64_t step);
  /// `letter`: the loop over all of it, which may be divided among threads; -1: part of one.
  void loop(Value begin, Value end, int64_t step, Emit emit, int letter = -1);
  void chooseParallel();
  void tiles(int letter, int64_t full, int64_t rest, llvm::function_ref<void(Value, bool)> emit);
  void halvedTiles(int letter, int64_t full, llvm::function_ref<void(Value, int64_t)> emit);
  Value maskFrom(Value begin);

  void outer(unsigned depth, Point point, Letters known);
  void vectorColumns(const Point &point, Letters known);
  void rows(const Point &point, Letters known, ArrayRef<Column> columns);
  void tile(ArrayRef<Point> points, Letters known);
  void epilogues(const Point &point, ArrayRef<Column> columns, Value row, int64_t count);
  void acrossTiles(const Point &point, Letters known);
  void acrossTile(ArrayRef<Point> points, Letters known, int64_t columns);
  SmallVector<Value> reduce(unsigned depth, ArrayRef<Point> points, Letters known,
                            ArrayRef<Value> accumulators);
  SmallVector<Value> reduceLoop(int letter, Value begin, Value end, int64_t step, bool masked,
                                unsigned depth, ArrayRef<Point> points, Letters known,
                                ArrayRef<Value> accumulators);

  Value initial(int output);
  Value startOf(const Point &point, unsigned output);

  OpBuilder &builder_;
  linalg::GenericOp op_;
  Location loc_;
  KernelBody body_;
  KernelPlan plan_;
  LaneBuilder lanes_;
  llvm::DenseSet<Operation *> &taken_;
  SmallVector<Epilogue> epilogues_;
  SmallVector<Extent> extents_;
  int parallel_ = -1; ///< the letter whose loop is divided among threads
  int64_t grain_ = 1; ///< rounds of it that a piece has at least
  /// The positions of the outermost reduced letter that are summed now; `first`: whether they are
  /// the first ones. Null where all are.
  struct Chunk {
    Value begin, end, first;
  } chunk_;
  SmallVector<Value> initials_; ///< an output's first value; null: what the buffer holds
};

Value KernelEmitter::plus(Value base, int64_t offset) {
  return offset == 0 ? base : Value(arith::AddIOp::create(builder_, loc_, base, index(offset)));
}

/// The largest multiple of `step` in the extent.
Value KernelEmitter::below(int letter, int64_t step) {
  const Extent &extent = extents_[letter];
  if (!ShapedType::isDynamic(extent.fixed))
    return index(extent.fixed / step * step);
  Value rest = arith::RemUIOp::create(builder_, loc_, extent.value, index(step));
  return arith::SubIOp::create(builder_, loc_, extent.value, rest);
}

/// The outermost loop with rounds enough for threads, where the kernel has work enough.
void KernelEmitter::chooseParallel() {
  auto count = [&](int letter) {
    int64_t fixed = extents_[letter].fixed;
    return ShapedType::isDynamic(fixed) ? unknownExtent : std::max<int64_t>(fixed, 1);
  };
  int64_t work = 0;
  op_.getBody()->walk([&](Operation *) { ++work; });
  for (size_t letter = 0; letter < extents_.size() && work < worthThreads << 20; ++letter)
    work *= count(letter);
  if (work < worthThreads)
    return;
  SmallVector<std::pair<int, int64_t>> loops; // letter, positions a round
  for (int letter : plan_.outer)
    loops.push_back({letter, 1});
  if (plan_.across)
    loops.push_back({plan_.column, plan_.columns});
  else
    loops.push_back({plan_.vector, plan_.columns * plan_.lanes});
  loops.push_back({plan_.row, plan_.rows});
  for (auto [letter, positions] : loops) {
    if (letter < 0)
      continue;
    int64_t rounds = count(letter) / positions;
    if (!ShapedType::isDynamic(extents_[letter].fixed) && rounds < fewestRounds)
      continue;
    parallel_ = letter;
    grain_ =
        std::max<int64_t>(1, pieceWork / std::max<int64_t>(1, work / std::max<int64_t>(rounds, 1)));
    return;
  }
}

void KernelEmitter::loop(Value begin, Value end, int64_t step, Emit emit, int letter) {
  auto first = begin.getDefiningOp<arith::ConstantIndexOp>();
  auto last = end.getDefiningOp<arith::ConstantIndexOp>();
  if (first && last) {
    if (first.value() >= last.value())
      return;
    if (first.value() + step >= last.value())
      return emit(begin);
  }
  if (letter >= 0 && letter == parallel_) {
    auto made = scf::ForallOp::create(
        builder_, loc_, ArrayRef<OpFoldResult>{begin}, ArrayRef<OpFoldResult>{end},
        ArrayRef<OpFoldResult>{builder_.getIndexAttr(step)}, ValueRange(), std::nullopt);
    made->setAttr(grainAttribute, builder_.getI64IntegerAttr(grain_));
    OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPointToStart(made.getBody());
    emit(made.getInductionVar(0));
    return;
  }
  auto made = scf::ForOp::create(builder_, loc_, begin, end, index(step));
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(made.getBody());
  emit(made.getInductionVar());
}

/// Full tiles along a letter, then what is left in steps of `rest`.
void KernelEmitter::tiles(int letter, int64_t full, int64_t rest,
                          llvm::function_ref<void(Value, bool)> emit) {
  Value end = below(letter, full);
  loop(index(0), end, full, [&](Value at) { emit(at, true); }, letter);
  if (full > 1 || rest > 1)
    loop(end, extents_[letter].value, rest, [&](Value at) { emit(at, false); });
}

/// Full tiles along a letter, then what is left: half of it and so on, each at most once.
void KernelEmitter::halvedTiles(int letter, int64_t full,
                                llvm::function_ref<void(Value, int64_t)> emit) {
  const Extent &extent = extents_[letter];
  Value done = below(letter, full);
  loop(index(0), done, full, [&](Value at) { emit(at, full); }, letter);
  for (int64_t count = full; count > 1;) {
    int64_t most = count - 1; // that may be left
    count = int64_t(1) << llvm::Log2_64(most);
    if (!ShapedType::isDynamic(extent.fixed)) {
      int64_t from = done.getDefiningOp<arith::ConstantIndexOp>().value();
      if (extent.fixed - from >= count) {
        emit(done, count);
        done = index(from + count);
      }
      continue;
    }
    Value left = arith::SubIOp::create(builder_, loc_, extent.value, done);
    // (A round or none: what is left is less than two of them.)
    Value rest = arith::RemUIOp::create(builder_, loc_, left, index(count));
    Value end = arith::SubIOp::create(builder_, loc_, extent.value, rest);
    loop(done, end, count, [&](Value at) { emit(at, count); });
    done = end;
  }
}

Value KernelEmitter::maskFrom(Value begin) {
  Value left = arith::SubIOp::create(builder_, loc_, extents_[plan_.vector].value, begin);
  return vector::CreateMaskOp::create(builder_, loc_, lanes_.vectorOf(builder_.getI1Type()), left);
}

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
  if (!plan_.reductions.empty() && plan_.vector >= 0 && !plan_.across)
    epilogues_ = findEpilogues(op_, plan_.vector, plan_.lanes);
  for (const Epilogue &epilogue : epilogues_)
    taken_.insert(epilogue.body->op());
  Point point;
  point.letters.resize(extents_.size());
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
  loop(
      index(0), below(plan_.vector, width), width,
      [&](Value begin) { group(begin, plan_.columns, plan_.columns); }, plan_.vector);
  if (int64_t rest = extent.fixed % width)
    group(index(extent.fixed - rest), (rest + plan_.lanes - 1) / plan_.lanes, rest / plan_.lanes);
}

void KernelEmitter::rows(const Point &point, Letters known, ArrayRef<Column> columns) {
  auto emit = [&](Value row, int64_t count) {
    SmallVector<Point> points;
    for (int64_t at = 0; at < count; ++at)
      for (const Column &column : columns) {
        Point here = point;
        if (plan_.row >= 0)
          here.letters[plan_.row] = Lanes(plus(row, at));
        here.letters[plan_.vector] = Lanes(column.begin, 1);
        here.mask = column.mask;
        points.push_back(here);
      }
    tile(points, known | bit(plan_.row) | bit(plan_.vector));
    epilogues(point, columns, row, count);
  };
  if (plan_.row < 0)
    return emit(Value(), 1);
  auto all = [&] { halvedTiles(plan_.row, plan_.rowsFor(columns.size()), emit); };
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
        for (int letter : epilogue.letters)
          here.letters.push_back(letter == plan_.vector ? Lanes(column.begin, 1)
                                 : letter == plan_.row  ? Lanes(at)
                                                        : point.letters[letter]);
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
  accumulators = reduce(0, points, known, accumulators);
  for (auto [at, point] : llvm::enumerate(points))
    for (unsigned output = 0; output < outputs; ++output) {
      Value value = accumulators[at * outputs + output];
      body_.store(lanes_, point, output, plan_.lanes == 1 ? Lanes(value) : Lanes::varying(value));
    }
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
      body_.evaluate(lanes_, here, known, before);
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
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        Point here = point;
        if (plan_.row >= 0)
          here.letters[plan_.row] = Lanes(plus(row, i));
        if (plan_.column >= 0)
          here.letters[plan_.column] = Lanes(plus(column, j));
        points.push_back(here);
      }
    acrossTile(points, known | bit(plan_.row) | bit(plan_.column), columns);
  };
  auto rows = [&](Value column, int64_t columns) {
    if (plan_.row < 0)
      return emit(Value(), 1, column, columns);
    tiles(plan_.row, plan_.rows, 1,
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
  accumulators = reduce(0, points, known, accumulators);

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

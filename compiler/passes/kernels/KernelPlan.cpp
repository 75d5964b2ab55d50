// In: a body and what it reads. Out: the vector letter, the register tile, the order of loops.
//
// The vector letter is the one along which reading and writing costs least per element. A
// parallel one that is contiguous leaves each lane an output of its own; where all operands are
// contiguous in a reduced letter instead (x[i,c] * W[o,c], the form of most weights), the lanes
// hold partial sums.
#include "compiler/passes/kernels/KernelPlan.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace qkv {

using namespace mlir;

namespace {

// Costs of one vector's worth of reading, in loads that hit the cache.
constexpr double splatCost = 0.25, loadCost = 1, gatherCost = 12;
// Sums over the lanes: shuffles and additions for one output.
constexpr double horizontalCost = 6;
// What the trip count of a loop is taken for where it is not known.
constexpr double unknownExtent = 128;
// Operations in an unrolled tile: beyond, code grows faster than anything gains.
constexpr int64_t tileOperations = 400;
// Tiles along the vectors that are enough for threads to divide.
constexpr int64_t manyTiles = 8;
// Parts of a loop that a condition divides.
constexpr size_t mostTurns = 3;

struct Planner {
  const KernelBody &body;
  const TargetDescription &target;
  linalg::GenericOp op = body.op();
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();

  bool parallel(int letter) const { return iterators[letter] == utils::IteratorType::parallel; }
  linalg::GenericOp kernel() const { return op; } // (MLIR's accessors are not const)
  double extent(int letter) const {
    return ShapedType::isDynamic(extents[letter]) ? unknownExtent : double(extents[letter]);
  }
  double reducedExtent() const {
    double out = 1;
    for (int letter = 0, count = extents.size(); letter < count; ++letter)
      out *= parallel(letter) ? 1 : std::max(extent(letter), 1.0);
    return out;
  }

  /// The letter over sequences, or -1.
  int overSequences() const {
    return body.apart() ? static_cast<int>(llvm::countr_zero(body.apart())) : -1;
  }

  /// Whether the rows of a tile may go along `letter`, too: what they share along `row` they share
  /// along it. `along`: the letters that what is shared goes along.
  bool sharesWithRow(int letter, int row, Letters along) const {
    return letter >= 0 && letter != row && !(along >> letter & 1) && parallel(letter) &&
           extents[letter] != 1 && llvm::all_of(body.reads(), [&](const KernelBody::Access &read) {
             bool shared = (read.letters & along) && !(read.letters >> row & 1);
             return !shared || !(read.letters >> letter & 1);
           });
  }

  /// The letters that rows of a tile go along: where one is over sequences, both.
  void mergeRows(KernelPlan &plan, Letters along) const {
    if (plan.row < 0)
      return;
    plan.rowLetters = {plan.row};
    int other = overSequences();
    if (plan.row == other) {
      other = -1;
      for (int letter = extents.size() - 1; letter >= 0 && other < 0; --letter)
        if (sharesWithRow(letter, plan.row, along))
          other = letter;
    }
    if (sharesWithRow(other, plan.row, along))
      plan.rowLetters.push_back(other);
    llvm::sort(plan.rowLetters);
    plan.row = plan.rowLetters.back();
  }

  /// Whether a read gives one number for each sequence. (Of one sequence alone such a number is
  /// read in front of the kernel: it must not count among several, or their sums would be added up
  /// in another order.)
  bool isNumber(const KernelBody::Access &read) const {
    return (read.letters & ~body.apart()) == 0;
  }

  /// Reading or writing once a vector along `letter`.
  double cost(const KernelBody::Access &access, int letter) const {
    if (!(access.letters >> letter & 1))
      return splatCost;
    SmallVector<std::optional<int64_t>> steps = access.steps(body, letter);
    for (size_t at = 0; at < steps.size(); ++at)
      if (steps[at] != (at + 1 == steps.size() ? 1 : 0))
        return gatherCost;
    return lastIndexContiguous(access.buffer) ? loadCost : gatherCost;
  }

  /// The cost of the whole kernel per element, with `letter` over the lanes.
  std::optional<double> cost(int letter) const {
    double out = 0;
    for (const KernelBody::Access &read : body.reads())
      out += isNumber(read) ? 0 : cost(read, letter);
    double lanes = target.lanes;
    for (int number = 0; number < kernel().getNumDpsInits(); ++number) {
      if (parallel(letter)) {
        KernelBody::Access output = body.output(number);
        if (!(output.letters >> letter & 1))
          return std::nullopt;
        out += cost(output, letter) / reducedExtent();
      } else {
        if (!combiner(op, number))
          return std::nullopt;
        out += horizontalCost / std::max(reducedExtent() / lanes, 1.0);
      }
    }
    // Lanes that stay empty in the last vector cost as much as full ones.
    double vectors = std::ceil(extent(letter) / lanes);
    return out * vectors / std::max(extent(letter), 1.0);
  }

  /// The reads that stay the same along `letter`: what a tile along it uses again.
  uint64_t reused(int letter) const {
    uint64_t out = 0;
    for (auto [number, read] : llvm::enumerate(body.reads()))
      if (!(read.letters >> letter & 1) && number < 64)
        out |= uint64_t(1) << number;
    return out;
  }

  int64_t operations() const {
    int64_t count = 0;
    kernel().getBody()->walk([&](Operation *) { ++count; });
    return count;
  }

  void chooseVector(KernelPlan &plan) const {
    if (!body.vectorizes() || target.lanes <= 1)
      return;
    double scalar = kernel().getNumDpsInits() * loadCost;
    for (const KernelBody::Access &read : body.reads())
      scalar += isNumber(read) ? 0 : loadCost;
    double best = scalar;
    // The last letters are the contiguous ones in most kernels: they win ties.
    for (int letter = extents.size() - 1; letter >= 0; --letter) {
      if (extents[letter] == 1 || (body.apart() >> letter & 1))
        continue;
      std::optional<double> here = cost(letter);
      if (here && *here < best * 0.999) {
        best = *here;
        plan.vector = letter;
      }
    }
    if (plan.vector < 0)
      return;
    plan.lanes = target.lanes;
    plan.across = !parallel(plan.vector);
  }

  /// Positions along a letter that a tile may have: no more than there are.
  int64_t fit(int letter, int64_t wanted) const {
    if (!ShapedType::isDynamic(extents[letter]))
      while (wanted > 1 && wanted > extents[letter])
        wanted /= 2;
    return wanted;
  }

  void limitToBody(KernelPlan &plan) const {
    int64_t each = std::max<int64_t>(operations() + body.reads().size(), 1);
    while (plan.rows * plan.columns > 1 && plan.rows * plan.columns * each > tileOperations) {
      int64_t &larger = plan.rows >= plan.columns ? plan.rows : plan.columns;
      larger = larger / 2;
    }
  }

  /// Outputs in lanes: rows share what they read along the vector letter.
  void tileAlong(KernelPlan &plan) const {
    int64_t vectors = target.tileVectors();
    if (!ShapedType::isDynamic(extents[plan.vector]))
      vectors =
          std::clamp<int64_t>((extents[plan.vector] + plan.lanes - 1) / plan.lanes, 1, vectors);
    uint64_t best = 0;
    for (int letter = extents.size() - 1; letter >= 0; --letter) {
      if (!parallel(letter) || letter == plan.vector || extents[letter] == 1)
        continue;
      uint64_t gain = 0;
      for (auto [number, read] : llvm::enumerate(body.reads()))
        gain += (read.letters >> plan.vector & 1) && !(read.letters >> letter & 1);
      if (gain > best) {
        best = gain;
        plan.row = letter;
      }
    }
    plan.columns = vectors;
    if (plan.row < 0 && extents[plan.vector] >= manyTiles * 2 * vectors * plan.lanes)
      plan.columns = 2 * vectors; // one row waits for memory: two panels at once wait less
    mergeRows(plan, Letters(1) << plan.vector);
    if (plan.row >= 0) {
      int64_t extent = plan.rowLetters.size() > 1 ? ShapedType::kDynamic : extents[plan.row];
      plan.rows = std::min<int64_t>(target.accumulators() / vectors, 8);
      if (!ShapedType::isDynamic(extent)) { // tiles of nearly equal size
        int64_t tiles = std::max<int64_t>((extent + plan.rows - 1) / plan.rows, 1);
        plan.rows = std::max<int64_t>((extent + tiles - 1) / tiles, 1);
      }
    }
    limitToBody(plan);
  }

  /// What one group of vectors reads of a matrix in all its sums, if it is used for many rows and
  /// leaves the second cache: then in chunks.
  void chunk(KernelPlan &plan) const {
    if (plan.row < 0 || plan.reductions.empty() || kernel().getNumDpsInits() != 1)
      return;
    int64_t rounds = extents[plan.reductions.front()], inner = 1;
    for (int letter : plan.reductions) {
      if (ShapedType::isDynamic(extents[letter]))
        return;
      inner *= std::max<int64_t>(extents[letter], 1);
    }
    inner /= std::max<int64_t>(rounds, 1);
    int64_t bytes = 0; // that a round reads
    for (const KernelBody::Access &read : body.reads())
      if ((read.letters >> plan.vector & 1) && !(read.letters >> plan.row & 1))
        bytes += inner * plan.columns * plan.lanes *
                 cast<MemRefType>(read.buffer.getType()).getElementTypeBitWidth() / 8;
    if (bytes * rounds <= target.l2 / 3)
      return;
    int64_t chunks = (bytes * rounds * 5 + target.l2 - 1) / target.l2;
    plan.chunk = std::max<int64_t>((rounds + chunks - 1) / chunks, 1);
    if (plan.chunk >= rounds)
      plan.chunk = 0;
  }

  /// For kernels that sum nothing, whose bodies are small: they stand once for each part.
  SmallVector<int64_t> turns(const KernelPlan &plan) const {
    SmallVector<int64_t> out = body.turns(plan.vector);
    llvm::sort(out);
    out.erase(llvm::unique(out), out.end());
    llvm::erase_if(out, [&](int64_t at) {
      return at <= 0 || at % plan.lanes != 0 || ShapedType::isDynamic(extents[plan.vector]) ||
             at >= extents[plan.vector];
    });
    if (out.size() > mostTurns)
      out.clear();
    return out;
  }

  /// Operands whose vectors all rows of a tile share, one after the other along the innermost sum,
  /// and that leave the first cache.
  SmallVector<unsigned> streamed(const KernelPlan &plan) const {
    SmallVector<unsigned> out;
    for (OpOperand *operand : kernel().getDpsInputOperands()) {
      auto type = dyn_cast<MemRefType>(operand->get().getType());
      AffineMap map = kernel().getMatchingIndexingMap(operand);
      if (type && map.isFunctionOfDim(plan.vector) && map.isFunctionOfDim(plan.reductions.back()) &&
          (plan.row < 0 || !map.isFunctionOfDim(plan.row)) &&
          !(type.hasStaticShape() && bytes(type) <= target.l1) &&
          cost({operand->get(), ~Letters(0), map, {}}, plan.vector) == loadCost)
        out.push_back(operand->getOperandNumber());
    }
    return out;
  }

  static int64_t bytes(MemRefType type) {
    return type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8);
  }

  /// The letters of outputs along which the largest matrix lies that every round of the loop around
  /// the kernel reads again, if the second cache does not hold it.
  Letters swept() const {
    auto around = op->getParentOfType<scf::ForOp>();
    int64_t largest = target.l2;
    Letters letters = 0;
    for (const KernelBody::Access &read : body.reads()) {
      auto type = cast<MemRefType>(read.buffer.getType());
      if (!around || !around.isDefinedOutsideOfLoop(read.buffer) || !type.hasStaticShape())
        continue;
      if (bytes(type) <= largest)
        continue;
      largest = bytes(type);
      letters = read.letters;
    }
    for (int letter = 0, count = extents.size(); letter < count; ++letter)
      if (!parallel(letter))
        letters &= ~(Letters(1) << letter);
    return letters;
  }

  /// Partial sums in lanes: a tile of as many outputs as there are lanes, whose partial sums
  /// then become one vector of outputs.
  void tileAcross(KernelPlan &plan) const {
    SmallVector<int> letters;
    for (int letter = extents.size() - 1; letter >= 0; --letter)
      if (parallel(letter) && extents[letter] != 1)
        letters.push_back(letter);
    if (letters.empty())
      return;
    int bestGain = -1;
    for (int column : letters)
      for (int row : letters) {
        uint64_t a = reused(column), b = reused(row);
        if (row == column || a == b || a == 0 || b == 0)
          continue;
        int gain = 4 * (llvm::popcount(a) + llvm::popcount(b)) + (column == letters.front());
        if (gain > bestGain) {
          bestGain = gain;
          plan.column = column;
          plan.row = row;
        }
      }
    if (plan.row >= 0) {
      mergeRows(plan, Letters(1) << plan.column);
      int64_t rows = plan.lanes >= 16 ? 4 : 2;
      plan.rows = plan.rowLetters.size() > 1 ? rows : fit(plan.row, rows);
      plan.columns = fit(plan.column, plan.lanes / (plan.lanes >= 16 ? 4 : 2));
    } else {
      // No two letters share: a matrix and a vector, or sums of rows.
      plan.column = letters.front();
      for (int letter : letters)
        if (reused(letter)) {
          plan.column = letter;
          break;
        }
      plan.columns = fit(plan.column, reused(plan.column) ? std::min<int64_t>(plan.lanes, 8) : 4);
    }
    limitToBody(plan);
    // Sums over lanes go in pairs.
    auto powerOfTwo = [](int64_t &count) { count = int64_t(1) << llvm::Log2_64(count); };
    powerOfTwo(plan.rows);
    powerOfTwo(plan.columns);
  }
};

} // namespace

int64_t KernelPlan::rowsFor(int64_t vectors) const {
  if (vectors >= columns || rows <= 1)
    return rows;
  return std::min<int64_t>(rows * columns / vectors, 8) / 2 * 2;
}

KernelPlan planKernel(const KernelBody &body, const TargetDescription &target) {
  Planner planner{body, target};
  KernelPlan plan;
  planner.chooseVector(plan);
  bool reduces = llvm::any_of(llvm::seq<int>(0, planner.extents.size()),
                              [&](int letter) { return !planner.parallel(letter); });
  if (plan.vector >= 0 && plan.across)
    planner.tileAcross(plan);
  else if (plan.vector >= 0 && reduces)
    planner.tileAlong(plan);

  // Outer loops in the order in which the first output lies in memory.
  linalg::GenericOp op = body.op();
  auto add = [&](int letter) {
    if (letter != plan.vector && !llvm::is_contained(plan.rowLetters, letter) &&
        letter != plan.column && !llvm::is_contained(plan.outer, letter) &&
        planner.parallel(letter))
      plan.outer.push_back(letter);
  };
  for (AffineExpr expression : op.getIndexingMapsArray()[op.getNumDpsInputs()].getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expression))
      add(dim.getPosition());
  for (int letter = 0, count = planner.extents.size(); letter < count; ++letter) {
    add(letter);
    if (!planner.parallel(letter) && letter != plan.vector)
      plan.reductions.push_back(letter);
  }
  plan.swept = planner.swept();
  if (plan.across)
    plan.reductions.push_back(plan.vector);
  else if (plan.vector >= 0 && reduces) {
    planner.chunk(plan);
    plan.streamed = planner.streamed(plan);
  } else if (plan.vector >= 0) {
    plan.turns = planner.turns(plan);
  }
  return plan;
}

Operation *combiner(linalg::GenericOp op, int number) {
  BlockArgument out = op.getRegionOutputArgs()[number];
  Value yielded = op.getBody()->getTerminator()->getOperand(number);
  Operation *made = yielded.getDefiningOp();
  if (!made || made->getBlock() != op.getBody() || !out.hasOneUse() ||
      *out.getUsers().begin() != made)
    return nullptr;
  if (isa<math::FmaOp>(made))
    return made->getOperand(2) == out ? made : nullptr;
  if (isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
          arith::MinNumFOp, arith::AddIOp, arith::MulIOp, arith::MaxSIOp, arith::MinSIOp,
          arith::AndIOp, arith::OrIOp, arith::XOrIOp>(made))
    return made;
  return nullptr;
}

Value combine(OpBuilder &builder, Operation *combiner, Value a, Value b) {
  if (isa<math::FmaOp>(combiner))
    return arith::AddFOp::create(builder, combiner->getLoc(), a, b);
  OperationState state(combiner->getLoc(), combiner->getName(), {a, b}, {a.getType()},
                       combiner->getAttrs());
  return builder.create(state)->getResult(0);
}

TypedAttr identityOf(Operation *combiner) {
  Builder builder(combiner->getContext());
  Type type = combiner->getResult(0).getType();
  if (auto floating = dyn_cast<FloatType>(type)) {
    const llvm::fltSemantics &semantics = floating.getFloatSemantics();
    if (isa<arith::MulFOp>(combiner))
      return builder.getFloatAttr(type, 1.0);
    if (isa<arith::MaximumFOp, arith::MaxNumFOp>(combiner))
      return builder.getFloatAttr(type, APFloat::getInf(semantics, /*Negative=*/true));
    if (isa<arith::MinimumFOp, arith::MinNumFOp>(combiner))
      return builder.getFloatAttr(type, APFloat::getInf(semantics));
    return builder.getFloatAttr(type, 0.0);
  }
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  APInt value(width, 0);
  if (isa<arith::MulIOp>(combiner))
    value = APInt(width, 1);
  else if (isa<arith::AndIOp>(combiner))
    value = APInt::getAllOnes(width);
  else if (isa<arith::MaxSIOp>(combiner))
    value = APInt::getSignedMinValue(width);
  else if (isa<arith::MinSIOp>(combiner))
    value = APInt::getSignedMaxValue(width);
  return builder.getIntegerAttr(type, value);
}

} // namespace qkv

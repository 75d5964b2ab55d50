// In: qkv.attention on buffers. Out: loops over tiles of rows and keys, on vectors.
//
// For each tile of 64 rows, keys stream by in blocks of 64:
//
//     newMax = max(oldMax, rowMax(S));  P = exp(S - newMax);  c = exp(oldMax - newMax)
//     sum    = c * sum + rowSum(P);     O = c * O + P V
//
// and at the end O is divided by the sum; the logarithm of the sum is newMax + log(sum). What takes
// no part has the score -inf, which no score that takes part is; a score that is NaN makes its row
// NaN. Plain weights are S itself, without maximum, scale and division. A group of rows at a time:
// its scores S, then P, are in a scratch of some KB; O is summed up where the output is. Must hold:
// what a row's elements are does not depend on other rows, on how many there are, or on threads:
// keys are taken in order, sums are by lane, what takes no part is skipped and would have added
// nothing.
#include "compiler/passes/Passes.h"
#include "compiler/passes/attention/AttentionEmitter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERATTENTION
#include "compiler/passes/Passes.h.inc"

using namespace mlir;

/// Tiles that a round of packed keys serves at least, so that threads have something to share.
static constexpr int64_t tilesOfRound = 32;
/// Bytes beside each other that memory gives at nearly its full speed.
static constexpr int64_t pieceBytes = 768;

void AttentionEmitter::emit() {
  b_.setInsertionPoint(op_);
  groupRows_ = std::min<int64_t>(target_.queryRows(), lanes_.lanes());
  Value blocks = arith::CeilDivUIOp::create(b_, loc_, op_.getRows(), index(blockSize));
  int letter = body_.findPacks();
  int64_t most = std::max<int64_t>(target_.l2 / 4, 64 << 10);
  if (!body_.fitsBlock(blockSize, most)) {
    manyRows(letter, blocks, truth(true));
    op_.erase();
    return;
  }
  // Where one tile holds all rows that read a key, the key is turned into lanes where it is read.
  shared_ = firstShared(letter);
  sharing_ = index(1);
  for (Value extent : op_.getOuter().drop_front(shared_))
    sharing_ = b_.createOrFold<arith::MulIOp>(loc_, sharing_, extent);
  Value slots = b_.createOrFold<arith::MulIOp>(loc_, op_.getRows(), sharing_);
  // (Not where there are none: slots are numbered by dividing.)
  Value least = b_.createOrFold<arith::SubIOp>(loc_, slots, index(1));
  Value isFew =
      b_.createOrFold<arith::CmpIOp>(loc_, arith::CmpIPredicate::ult, least, index(blockSize));
  if (std::optional<int64_t> known = getConstantIntValue(isFew)) {
    if (*known)
      fewRows(letter, slots);
    else
      manyRows(letter, blocks, truth(true));
    op_.erase();
    return;
  }
  auto rows = op_->getAttrOfType<IntegerAttr>(mostRowsAttribute);
  std::optional<int64_t> sharing = getConstantIntValue(sharing_);
  if (rows && sharing && rows.getInt() * *sharing <= blockSize) {
    when(isFew, [&] { fewRows(letter, slots); }); // (else there are none)
    op_.erase();
    return;
  }
  Value isMany = arith::XOrIOp::create(b_, loc_, isFew, truth(true));
  auto which = scf::IfOp::create(b_, loc_, isFew, /*withElseRegion=*/true);
  b_.setInsertionPointToStart(which.thenBlock());
  fewRows(letter, slots);
  b_.setInsertionPointToStart(which.elseBlock());
  manyRows(letter, blocks, isMany);
  op_.erase();
}

/// The first of the last outer letters along which keys and values are the same for all positions,
/// and the guard is: rows at all of them may be taken together. `letter`: the last one that keys go
/// along.
int AttentionEmitter::firstShared(int letter) {
  int first = op_.getOuter().size();
  ScoreOp score = op_.score();
  auto differs = [&](int l) {
    for (unsigned n = 0; n < op_.getValues().size(); ++n)
      if (op_.valueMap(n).isFunctionOfDim(l))
        return true;
    return body_.dependsOn(score.getAny(), op_.getBody().getArgument(l)) ||
           body_.dependsOn(score.getAll(), op_.getBody().getArgument(l));
  };
  while (first - 1 > letter && !differs(first - 1))
    --first;
  return first;
}

/// All rows that share keys in one tile: a key is read once, as it lies. Where few bytes of a key
/// belong to one position of the letter that keys go along (a head), a tile takes several, a block
/// of keys after the other, so that what it reads lies beside each other.
void AttentionEmitter::fewRows(int letter, Value slots) {
  few_ = true;
  outer_.assign(op_.getOuter().size(), index(0));
  SmallVector<Value> extents(op_.getOuter().take_front(shared_));
  along_ = -1;
  int64_t wanted = std::min<int64_t>(body_.positionsOfPiece(pieceBytes), blockSize / 8);
  if (wanted > 1 && letter >= 0 && letter + 1 == static_cast<int>(shared_)) {
    along_ = letter;
    stride_ = arith::CeilDivUIOp::create(b_, loc_, slots, index(8)); // groups are no larger
    stride_ = b_.createOrFold<arith::MulIOp>(loc_, stride_, index(8));
    Value fit = arith::DivUIOp::create(b_, loc_, index(blockSize), stride_);
    fit = b_.createOrFold<arith::MinUIOp>(loc_, fit, index(wanted));
    fit = b_.createOrFold<arith::MaxUIOp>(loc_, fit, index(1));
    // Of nearly equal size.
    Value all = extents.back();
    extents.back() = arith::CeilDivUIOp::create(b_, loc_, all, fit);
  }
  loopInParallel(lanes_, loc_, extents, /*grain=*/1, [&](ArrayRef<Value> at) {
    llvm::copy(at, outer_.begin());
    if (along_ >= 0) {
      Value all = op_.getOuter()[along_];
      auto from = [&](Value tile) {
        return arith::DivUIOp::create(b_, loc_, arith::MulIOp::create(b_, loc_, tile, all),
                                      extents.back());
      };
      firstAlong_ = from(at.back());
      countAlong_ = arith::SubIOp::create(b_, loc_, from(plus(at.back(), 1)), firstAlong_);
    }
    body_.allocateBlock(blockSize);
    tile({index(0), slots, index(0)});
  });
  few_ = false;
  along_ = -1;
}

/// The rows at each position that a tile of few rows has.
void AttentionEmitter::eachPosition(const Rows &rows, llvm::function_ref<void(const Rows &)> emit) {
  if (along_ < 0)
    return emit(rows);
  each(index(0), countAlong_, [&](Value at) {
    outer_[along_] = arith::AddIOp::create(b_, loc_, firstAlong_, at);
    emit({rows.first, rows.count, arith::MulIOp::create(b_, loc_, at, stride_)});
  });
}

/// `really`: whether it is this form that runs; if it is not, no room is taken for its keys.
void AttentionEmitter::manyRows(int letter, Value blocks, Value really) {
  outer_.assign(op_.getOuter().size(), {});
  // Keys are packed a round at a time, so that they are in cache where they are read.
  Value tiles = blocks;
  for (size_t l = std::max(0, letter + 1); l < op_.getOuter().size(); ++l)
    tiles = b_.createOrFold<arith::MulIOp>(loc_, tiles, op_.getOuter()[l]);
  Value least = b_.createOrFold<arith::CeilDivUIOp>(
      loc_, index(tilesOfRound), b_.createOrFold<arith::MaxUIOp>(loc_, tiles, index(1)));
  body_.allocate(target_.l2 / 2, least, really);
  rounds(0, letter, blocks);
  body_.release();
}

/// Loops over the outer letters before `letter`, and rounds of that one.
void AttentionEmitter::rounds(size_t depth, int letter, Value blocks) {
  Value zero = index(0);
  if (letter < 0) {
    region(-1, zero, zero, blocks);
    return;
  }
  Value extent = op_.getOuter()[depth];
  if (static_cast<int>(depth) < letter) {
    each(zero, extent, [&](Value at) {
      outer_[depth] = at;
      rounds(depth + 1, letter, blocks);
    });
    return;
  }
  auto loop = scf::ForOp::create(b_, loc_, zero, extent, body_.round());
  OpBuilder::InsertionGuard guard(b_);
  b_.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();
  Value left = arith::SubIOp::create(b_, loc_, extent, first);
  Value count = arith::MinUIOp::create(b_, loc_, left, body_.round());
  body_.packRound(ValueRange(outer_).take_front(letter), first, count);
  region(letter, first, count, blocks);
}

/// The tiles of `count` positions of `letter` from `first` on, on the runtime's threads.
void AttentionEmitter::region(int letter, Value first, Value count, Value blocks) {
  size_t from = std::max(0, letter);
  SmallVector<Value> extents(op_.getOuter().drop_front(from));
  if (letter >= 0)
    extents.front() = count;
  extents.push_back(blocks);
  loopInParallel(lanes_, loc_, extents, /*grain=*/1, [&](ArrayRef<Value> at) {
    std::copy(at.begin(), at.end() - 1, outer_.begin() + from);
    if (letter >= 0)
      outer_[letter] = arith::AddIOp::create(b_, loc_, at.front(), first);
    Rows rows;
    rows.first = arith::MulIOp::create(b_, loc_, at.back(), index(blockSize));
    Value left = arith::SubIOp::create(b_, loc_, op_.getRows(), rows.first);
    rows.count = arith::MinUIOp::create(b_, loc_, left, index(blockSize));
    rows.slots = index(0);
    tile(rows);
  });
}

/// What a tile of rows holds beside its outputs.
void AttentionEmitter::scratchOfTile() {
  int64_t lanes = lanes_.lanes();
  auto scratch = [&](ArrayRef<int64_t> shape, const char *why, Type element = {}) -> Value {
    auto type = MemRefType::get(shape, element ? element : b_.getF32Type());
    auto made = memref::AllocaOp::create(b_, loc_, type, b_.getI64IntegerAttr(64));
    made->setAttr(whyAttribute, b_.getStringAttr(why));
    return made;
  };
  scores_ = scratch({groupRows_, blockSize}, "scores, then weights, of a group of rows");
  factors_.clear();
  weights_.clear();
  places_.clear();
  for (unsigned n = 0; n < op_.getValues().size(); ++n) {
    if (!llvm::is_contained(factors_, op_.factor(n))) {
      weights_.push_back(factors_.empty() ? scores_
                                          : scratch({groupRows_, blockSize},
                                                    "weights, with another factor, of a group"));
      factors_.push_back(op_.factor(n));
    }
    Value place = op_.place(n);
    if (place != op_.key() && !places_.contains(place))
      places_[place] = scratch({groupRows_, blockSize}, "places of the values of a group of rows",
                               b_.getIndexType());
  }
  if (!op_.getPlain())
    maxima_ = scratch({blockSize + lanes}, "maxima of a tile of rows");
  if (hasSums())
    sums_ = scratch({blockSize + groupRows_, lanes}, "sums of a tile of rows, by lane");
  started_ = scratch({blockSize + groupRows_}, "rows that have an output yet", b_.getI1Type());
  finite_ = scratch({lanes}, "whether a tile's outputs are finite");
}

/// A tile of rows. Only where an output is not finite it is computed again, with care: what a
/// guard leaves out weighs 0, and 0 times what is there may be no number (A6).
void AttentionEmitter::tile(const Rows &rows) {
  scratchOfTile();
  // do careful = again; while (again = !careful && !finite)
  auto loop = scf::WhileOp::create(b_, loc_, TypeRange{b_.getI1Type()}, ValueRange{truth(false)});
  OpBuilder::InsertionGuard guard(b_);
  mlir::Block *body = b_.createBlock(&loop.getBefore(), {}, TypeRange{b_.getI1Type()}, {loc_});
  careful_ = body->getArgument(0);
  vector::StoreOp::create(b_, loc_, splat(0.0f), finite_, index(0));
  eachPosition(rows, [&](const Rows &some) { clearRows(some); });
  if (few_)
    blockByBlock(rows);
  else
    stretches(rows);
  eachPosition(rows, [&](const Rows &some) {
    if (op_.getPlain())
      finishPlain(some);
    else
      finish(some);
  });
  Value again = truth(false);
  if (!op_.getValues().empty())
    again =
        arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::eq,
                              arith::OrIOp::create(b_, loc_, careful_, allFinite()), truth(false));
  scf::ConditionOp::create(b_, loc_, again, ValueRange{truth(true)});
  mlir::Block *after = b_.createBlock(&loop.getAfter(), {}, TypeRange{b_.getI1Type()}, {loc_});
  scf::YieldOp::create(b_, loc_, ValueRange{after->getArgument(0)});
}

void AttentionEmitter::clearRows(const Rows &rows) {
  int64_t lanes = lanes_.lanes();
  Value zero = index(0);
  if (!op_.getPlain())
    each(
        zero, plus(rows.count, lanes - 1),
        [&](Value slot) {
          vector::StoreOp::create(b_, loc_, splat(noScore), maxima_, slotOf(rows, slot));
        },
        lanes);
  each(zero, rows.count, [&](Value slot) {
    Value at = slotOf(rows, slot);
    if (hasSums())
      vector::StoreOp::create(b_, loc_, splat(0.0f), sums_, ValueRange{at, zero});
    memref::StoreOp::create(b_, loc_, truth(false), started_, at);
  });
}

/// The groups that a tile's rows are taken in.
void AttentionEmitter::groups(const Rows &rows, llvm::function_ref<void(const Group &)> emit) {
  auto some = [&](Value begin, Value end, int64_t count) {
    each(begin, end, [&](Value slot) { emit(groupOf(rows, slot, count)); }, count);
  };
  // Few rows left over go one by one.
  std::optional<int64_t> known = getConstantIntValue(few_ ? rows.count : op_.getRows());
  Value full = index(0);
  if (!known || *known >= groupRows_ / 2) {
    full = arith::DivUIOp::create(b_, loc_, plus(rows.count, groupRows_ - groupRows_ / 2),
                                  index(groupRows_));
    full = arith::MulIOp::create(b_, loc_, full, index(groupRows_));
    some(index(0), full, groupRows_);
  }
  if (!known || (*known % groupRows_ && *known % groupRows_ < groupRows_ / 2))
    some(full, rows.count, 1);
}

/// The rows of a tile at all keys: their maxima, sums and outputs.
void AttentionEmitter::stretches(const Rows &rows) {
  // A group of rows is at as many blocks of keys as stay in cache for all groups; so its own
  // queries and outputs are in the cache before.
  Value blocks = arith::CeilDivUIOp::create(b_, loc_, op_.getKeys(), index(blockSize));
  int64_t stretch = blocksOfStretch();
  auto one = [&](Value first) {
    Value end = arith::MinUIOp::create(b_, loc_, plus(first, stretch), blocks);
    groups(rows, [&](const Group &group) { each(first, end, [&](Value k) { keys(group, k); }); });
  };
  each(index(0), blocks, one, stretch);
}

/// The same for few rows: what they read of a block of keys is turned into lanes in front of them.
void AttentionEmitter::blockByBlock(const Rows &rows) {
  Value blocks = arith::CeilDivUIOp::create(b_, loc_, op_.getKeys(), index(blockSize));
  ScoreOp score = op_.score();
  auto at = [&](Value number, const Rows &some) {
    Block block = blockAt(number);
    auto one = [&] {
      body_.packBlock(outer_, block.firstKey,
                      arith::MinUIOp::create(b_, loc_, block.left, index(blockSize)));
      groups(some, [&](const Group &group) { keys(group, number); });
    };
    if (isTrue(score.getPart()))
      return one();
    Value last = arith::SubIOp::create(b_, loc_, some.count, index(1));
    when(holds(score.getAny(), memberAt(some, index(0)), memberAt(some, last), block.firstKey,
               block.lastKey),
         one);
  };
  each(index(0), blocks,
       [&](Value number) { eachPosition(rows, [&](const Rows &some) { at(number, some); }); });
}

/// Blocks of keys whose values (and as much again for what scores read) take half of the cache
/// that a core has for itself.
int64_t AttentionEmitter::blocksOfStretch() {
  int64_t width = 0;
  for (Value value : op_.getValues()) {
    int64_t fixed = cast<MemRefType>(value.getType()).getShape().back();
    width += ShapedType::isDynamic(fixed) ? blockSize : fixed;
  }
  int64_t bytes = 2 * sizeof(float) * blockSize * std::max<int64_t>(width, 1);
  return std::clamp<int64_t>(target_.l2 / 2 / bytes, 1, 16);
}

AttentionEmitter::Block AttentionEmitter::blockAt(Value number) {
  Block block;
  block.number = number;
  block.firstKey = arith::MulIOp::create(b_, loc_, number, index(blockSize));
  block.left = arith::SubIOp::create(b_, loc_, op_.getKeys(), block.firstKey);
  block.lastKey = arith::MinUIOp::create(b_, loc_, plus(block.firstKey, blockSize - 1),
                                         arith::SubIOp::create(b_, loc_, op_.getKeys(), index(1)));
  return block;
}

/// A group of rows at a block of keys: skipped, whole or masked.
void AttentionEmitter::keys(const Group &group, Value number) {
  Block block = blockAt(number);
  Value whole =
      arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::uge, block.left, index(blockSize));
  ScoreOp score = op_.score();
  if (isTrue(score.getPart())) {
    this->group(group, block, whole);
    return;
  }
  auto holdsHere = [&](Value condition) {
    return holds(condition, group.members.front(), group.members.back(), block.firstKey,
                 block.lastKey);
  };
  when(holdsHere(score.getAny()), [&] {
    Value all = holdsHere(score.getAll());
    this->group(group, block, arith::AndIOp::create(b_, loc_, all, whole));
  });
}

/// The sum of a row's weights, over the lanes that it was summed up by.
Value AttentionEmitter::sumOf(Value slot) {
  Value lanes = vector::LoadOp::create(b_, loc_, vectorType(), sums_, ValueRange{slot, index(0)});
  return vector::ReductionOp::create(b_, loc_, vector::CombiningKind::ADD, lanes,
                                     arith::FastMathFlags::reassoc);
}

void AttentionEmitter::storeTotal(Value total, const Member &member) {
  unsigned n = op_.getValues().size();
  memref::StoreOp::create(b_, loc_, total, op_.getOutputs()[n],
                          columns_.placeOfRow(n, member.outer, member.row));
}

/// Loads each output of a row, applies `change`, stores it back; notes whether all are finite.
void AttentionEmitter::eachOutput(const Member &member, llvm::function_ref<Value(Value)> change) {
  using Column = ValueColumns::Column;
  for (unsigned n = 0; n < op_.getValues().size(); ++n)
    columns_.each(n, target_.tileVectors(), [&](ArrayRef<Value> own, ArrayRef<Column> columns) {
      Value finite; // 0 * o: 0 of what is finite, else NaN
      for (const Column &c : columns) {
        Value o = change(columns_.loadOutput(n, member.outer, member.row, own, c));
        columns_.storeOutput(o, n, member.outer, member.row, own, c);
        o = arith::MulFOp::create(b_, loc_, o, splat(0.0f));
        finite = finite ? Value(arith::AddFOp::create(b_, loc_, finite, o)) : o;
      }
      Value before = vector::LoadOp::create(b_, loc_, vectorType(), finite_, index(0));
      vector::StoreOp::create(b_, loc_, arith::AddFOp::create(b_, loc_, before, finite), finite_,
                              index(0));
    });
}

/// Whether all outputs of the tile are finite.
Value AttentionEmitter::allFinite() {
  Value lanes = vector::LoadOp::create(b_, loc_, vectorType(), finite_, index(0));
  Value sum = vector::ReductionOp::create(b_, loc_, vector::CombiningKind::ADD, lanes,
                                          arith::FastMathFlags::reassoc);
  return arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, sum, number(0));
}

// The outputs are what they are; those of a row that nothing takes part of were never written.
void AttentionEmitter::finishPlain(const Rows &rows) {
  each(index(0), rows.count, [&](Value slot) {
    Member member = memberAt(rows, slot);
    if (op_.hasTotal())
      storeTotal(sumOf(slotOf(rows, slot)), member);
    Value started = memref::LoadOp::create(b_, loc_, started_, slotOf(rows, slot));
    eachOutput(member, [&](Value o) -> Value {
      return arith::SelectOp::create(b_, loc_, started, o, splat(0.0f));
    });
  });
}

// O / sum; 0 where nothing takes part.
void AttentionEmitter::finish(const Rows &rows) {
  Value zero = index(0);
  each(zero, rows.count, [&](Value slot) {
    Member member = memberAt(rows, slot);
    Value sum = sumOf(slotOf(rows, slot));
    Value most = memref::LoadOp::create(b_, loc_, maxima_, slotOf(rows, slot));
    // (No score but NaN leaves the maximum where it was, and the sum NaN.)
    Value empty = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, sum, number(0));
    Value share = arith::DivFOp::create(b_, loc_, number(1), sum);
    share = arith::SelectOp::create(b_, loc_, empty, number(0), share);
    Value all = splat(share);
    if (op_.hasTotal()) {
      Value total =
          arith::AddFOp::create(b_, loc_, most, ScalarMath(b_, loc_, target_.fma).logarithm(sum));
      total = arith::SelectOp::create(b_, loc_, empty, number(noScore), total);
      Value wild = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::UNO, sum, sum);
      total = arith::SelectOp::create(b_, loc_, wild, sum, total);
      storeTotal(total, member);
    }
    eachOutput(member, [&](Value o) -> Value {
      o = arith::MulFOp::create(b_, loc_, o, all);
      // (Of a row that nothing takes part in the output was never written.)
      return arith::SelectOp::create(b_, loc_, empty, splat(0.0f), o);
    });
  });
}

namespace {

struct LowerAttention : impl::LowerAttentionBase<LowerAttention> {
  using LowerAttentionBase::LowerAttentionBase;

  void runOnOperation() override {
    TargetDescription target = describeTarget(cpu);
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    for (AttentionOp op : ops) {
      OpBuilder builder(op);
      AttentionEmitter(builder, op, target).emit();
    }
  }
};

} // namespace
} // namespace qkv

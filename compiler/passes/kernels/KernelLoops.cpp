// Loops along a letter: full tiles and what is left of them, and which loop threads divide.
#include "compiler/passes/kernels/KernelEmitter.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

namespace {

// Work is counted in operations on scalars. A kernel of less than `worthThreads` stays on one
// thread; a piece has at least `pieceWork`, some microseconds; an extent that only the run
// knows counts as `unknownExtent`.
constexpr int64_t worthThreads = 1 << 17, pieceWork = 1 << 16, unknownExtent = 256;
/// A loop of fewer rounds is not worth dividing.
constexpr int64_t fewestRounds = 8;

} // namespace

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

SmallVector<Lanes, 2> KernelEmitter::rowAt(Value row) {
  SmallVector<Lanes, 2> out(plan_.rowLetters.size(), Lanes(row));
  for (size_t at = out.size(); at-- > 1;) {
    Value extent = extents_[plan_.rowLetters[at]].value;
    Value others = arith::DivUIOp::create(builder_, loc_, row, extent);
    Value passed = arith::MulIOp::create(builder_, loc_, others, extent);
    out[at] = Lanes(arith::SubIOp::create(builder_, loc_, row, passed));
    out[at - 1] = Lanes(row = others);
  }
  return out;
}

Letters KernelEmitter::rowBits() const {
  Letters out = 0;
  for (int letter : plan_.rowLetters)
    out |= bit(letter);
  return out;
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
  Emit straight = emit;
  auto turned = [&](Value at) {
    Value mirrored = arith::SubIOp::create(builder_, loc_, plus(end, -step), at);
    straight(arith::SelectOp::create(builder_, loc_, backward_, mirrored, at));
  };
  if (backward_ && (plan_.swept & bit(letter)))
    emit = turned;
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

/// Whether the round of the loop around the kernel goes backward through what is swept.
void KernelEmitter::chooseDirection() {
  if (!plan_.swept)
    return;
  auto around = op_->getParentOfType<scf::ForOp>();
  Value rounds =
      builder_.createOrFold<arith::SubIOp>(loc_, around.getInductionVar(), around.getLowerBound());
  rounds = builder_.createOrFold<arith::DivUIOp>(loc_, rounds, around.getStep());
  Value odd = arith::AndIOp::create(builder_, loc_, rounds, index(1));
  backward_ = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::ne, odd, index(0));
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

} // namespace qkv

// In: qkv.attention on buffers. Out: loops over tiles of rows and keys, on vectors.
//
// For each tile of 64 rows, keys stream by in tiles of 64:
//
//     newMax = max(oldMax, rowMax(S));  P = exp(S - newMax);  c = exp(oldMax - newMax)
//     sum    = c * sum + rowSum(P);     O = c * O + P V
//
// and at the end O is divided by the sum. The scores S of a group of rows are in registers, P in
// a scratch of some KB; O is summed up where the output is.
// Must hold: what a row's elements are does not depend on other rows, on how many there are, or
// on threads: keys are taken in order, sums are by lane, a tile that takes no part is skipped
// and would have added nothing.
#include "compiler/passes/Passes.h"
#include "compiler/passes/ScoreBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

namespace qkv {
#define GEN_PASS_DEF_LOWERATTENTION
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

constexpr int64_t blockSize = AttentionOp::blockSize;
/// Rows that share a load of keys and values.
constexpr int64_t groupRows = 4;
/// Less than any score: the maximum of nothing. (Finite: the difference of two is 0, not NaN.)
constexpr float leastScore = -3.40282347e38f;

class AttentionEmitter {
public:
  AttentionEmitter(OpBuilder &builder, AttentionOp op, const TargetDescription &target)
      : b_(builder), op_(op), loc_(op.getLoc()), target_(target),
        lanes_(builder, op.getLoc(), target.lanes), body_(op, lanes_, target) {}

  void emit();

private:
  /// A tile of rows: its first and how many.
  struct Rows {
    Value first, count, last;
  };

  Value index(int64_t value) { return lanes_.constant(loc_, b_.getIndexType(), value); }
  Value number(float value) { return lanes_.constant(loc_, b_.getF32FloatAttr(value)); }
  Value splat(float value) { return lanes_.vector(loc_, Lanes(number(value))); }
  Value plus(Value a, int64_t c) {
    return c == 0 ? a : Value(arith::AddIOp::create(b_, loc_, a, index(c)));
  }
  Value fma(Value a, Value b, Value c);
  Value exponential(Value x);
  VectorType vectorType() { return lanes_.vectorOf(b_.getF32Type()); }
  void each(Value begin, Value end, llvm::function_ref<void(Value)> emit, int64_t step = 1);
  bool isTrue(Value value) { return matchPattern(value, m_One()); }

  void tile(ValueRange outer, Value block);
  void keys(const Rows &rows, bool whole, Value block);
  void group(const Rows &rows, Value group, bool whole, Value block, Value firstKey);
  void weigh(unsigned number, ArrayRef<Value> rowIndex, ArrayRef<Value> scale, Value firstKey,
             Value keyCount);
  void finish(const Rows &rows);

  SmallVector<Value> placeOf(AffineMap map, Value rowOrKey, ArrayRef<Value> own);
  using Column = std::pair<Value, Value>; // first element, mask or null
  void columns(unsigned number, ArrayRef<Value> own, unsigned depth,
               llvm::function_ref<void(ArrayRef<Value>, ArrayRef<Column>)> emit);
  Value load(Value buffer, ArrayRef<Value> at, const Column &column);
  void store(Value value, Value buffer, ArrayRef<Value> at, const Column &column);

  OpBuilder &b_;
  AttentionOp op_;
  Location loc_;
  const TargetDescription &target_;
  LaneBuilder lanes_;
  ScoreBody body_;
  int64_t rows_ = groupRows;
  SmallVector<Value> outer_; // letters' values
  Value weights_, maxima_, sums_;
};

Value AttentionEmitter::fma(Value a, Value b, Value c) {
  if (target_.fma)
    return math::FmaOp::create(b_, loc_, a, b, c);
  return arith::AddFOp::create(b_, loc_, arith::MulFOp::create(b_, loc_, a, b), c);
}

// exp(x) for x <= 0: 2^n * 2^r with n = round(x log2 e), |r| <= 1/2. Below -87 it is about 1e-38.
Value AttentionEmitter::exponential(Value x) {
  Type wide = lanes_.lanes() == 1 ? Type(b_.getI32Type()) : lanes_.vectorOf(b_.getI32Type());
  Type floats = x.getType();
  x = arith::MaxNumFOp::create(b_, loc_, x, splat(-87.0f));
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  constexpr float log2e = 1.44269504f, log2eRest = 1.92596303e-8f, magic = 12582912.0f;
  Value shifted = fma(x, splat(log2e), splat(magic));
  Value n = arith::SubFOp::create(b_, loc_, shifted, splat(magic));
  Value negative = arith::NegFOp::create(b_, loc_, n);
  Value r = fma(x, splat(log2e), negative);
  r = fma(x, splat(log2eRest), r);
  // 2^r, 1 at 0; relative error at most 9.2e-8
  Value p = splat(1.32647269e-3f);
  for (float c : {9.67151266e-3f, 5.55073374e-2f, 2.40222421e-1f, 6.93146978e-1f, 1.0f})
    p = fma(p, r, splat(c));
  Value exponent = arith::ShLIOp::create(
      b_, loc_, arith::BitcastOp::create(b_, loc_, wide, shifted),
      lanes_.vector(loc_, Lanes(lanes_.constant(loc_, b_.getI32IntegerAttr(23)))));
  Value bits =
      arith::AddIOp::create(b_, loc_, arith::BitcastOp::create(b_, loc_, wide, p), exponent);
  return arith::BitcastOp::create(b_, loc_, floats, bits);
}

void AttentionEmitter::each(Value begin, Value end, llvm::function_ref<void(Value)> emit,
                            int64_t step) {
  auto loop = scf::ForOp::create(b_, loc_, begin, end, index(step));
  OpBuilder::InsertionGuard guard(b_);
  b_.setInsertionPointToStart(loop.getBody());
  emit(loop.getInductionVar());
}

void AttentionEmitter::emit() {
  b_.setInsertionPoint(op_);
  if (getConstantIntValue(op_.getRows()) == 1)
    rows_ = 1;
  body_.pack();
  Value blocks = arith::CeilDivUIOp::create(b_, loc_, op_.getRows(), index(blockSize));
  Value total = blocks;
  for (Value extent : op_.getOuter())
    total = arith::MulIOp::create(b_, loc_, total, extent);
  auto loop =
      scf::ForallOp::create(b_, loc_, ArrayRef<OpFoldResult>{b_.getIndexAttr(0)},
                            ArrayRef<OpFoldResult>{OpFoldResult(total)},
                            ArrayRef<OpFoldResult>{b_.getIndexAttr(1)}, ValueRange(), std::nullopt);
  loop->setAttr(grainAttribute, b_.getI64IntegerAttr(1));
  {
    OpBuilder::InsertionGuard guard(b_);
    b_.setInsertionPointToStart(loop.getBody());
    Value rest = loop.getInductionVar(0);
    Value block = arith::RemUIOp::create(b_, loc_, rest, blocks);
    rest = arith::DivUIOp::create(b_, loc_, rest, blocks);
    outer_.assign(op_.getOuter().size(), {});
    for (size_t k = outer_.size(); k-- > 0;) {
      outer_[k] = arith::RemUIOp::create(b_, loc_, rest, op_.getOuter()[k]);
      rest = arith::DivUIOp::create(b_, loc_, rest, op_.getOuter()[k]);
    }
    tile(outer_, block);
  }
  body_.release();
  op_.erase();
}

void AttentionEmitter::tile(ValueRange, Value block) {
  int64_t lanes = lanes_.lanes(), groups = rows_ == 1 ? 1 : blockSize / rows_;
  auto scratch = [&](ArrayRef<int64_t> shape, const char *why) -> Value {
    auto made = memref::AllocaOp::create(b_, loc_, MemRefType::get(shape, b_.getF32Type()),
                                         b_.getI64IntegerAttr(64));
    made->setAttr(whyAttribute, b_.getStringAttr(why));
    return made;
  };
  weights_ = scratch({rows_, blockSize}, "weights of a group of rows");
  maxima_ = scratch({groups, lanes}, "maxima of a tile of rows, a row a lane");
  sums_ = scratch({groups * rows_, lanes}, "sums of a tile of rows, by lane");
  Rows rows;
  rows.first = arith::MulIOp::create(b_, loc_, block, index(blockSize));
  Value left = arith::SubIOp::create(b_, loc_, op_.getRows(), rows.first);
  rows.count = arith::MinUIOp::create(b_, loc_, left, index(blockSize));
  rows.last = arith::SubIOp::create(
      b_, loc_, arith::AddIOp::create(b_, loc_, rows.first, rows.count), index(1));

  Value zero = index(0);
  each(zero, index(groups), [&](Value g) {
    vector::StoreOp::create(b_, loc_, splat(leastScore), maxima_, ValueRange{g, zero});
  });
  each(zero, index(groups * rows_),
       [&](Value r) { vector::StoreOp::create(b_, loc_, splat(0), sums_, ValueRange{r, zero}); });
  for (unsigned n = 0; n < op_.getOutputs().size(); ++n)
    each(rows.first, plus(rows.last, 1), [&](Value row) {
      columns(n, {}, 0, [&](ArrayRef<Value> own, ArrayRef<Column> all) {
        for (const Column &c : all)
          store(splat(0), op_.getOutputs()[n], placeOf(op_.outputMap(n), row, own), c);
      });
    });

  // Tiles of keys: skipped, whole or masked.
  Value whole = arith::DivUIOp::create(b_, loc_, op_.getKeys(), index(blockSize));
  Value all = arith::CeilDivUIOp::create(b_, loc_, op_.getKeys(), index(blockSize));
  ScoreOp score = op_.score();
  if (isTrue(score.getPart())) {
    each(zero, whole, [&](Value k) { keys(rows, true, k); });
    each(whole, all, [&](Value k) { keys(rows, false, k); });
  } else {
    each(zero, all, [&](Value k) {
      Point bounds;
      for (auto [argument, value] : llvm::zip(op_.getBody().getArguments(), outer_))
        bounds.values[argument] = Lanes(value);
      Value firstKey = arith::MulIOp::create(b_, loc_, k, index(blockSize));
      Value lastKey =
          arith::MinUIOp::create(b_, loc_, plus(firstKey, blockSize - 1),
                                 arith::SubIOp::create(b_, loc_, op_.getKeys(), index(1)));
      for (auto [argument, value] :
           llvm::zip(op_.bounds(), SmallVector<Value>{rows.first, rows.last, firstKey, lastKey}))
        bounds.values[argument] = Lanes(value);
      Value any = body_.evaluate(score.getAny(), bounds).first;
      auto some = scf::IfOp::create(b_, loc_, any, /*withElseRegion=*/false);
      OpBuilder::InsertionGuard guard(b_);
      b_.setInsertionPointToStart(some.thenBlock());
      Value full = body_.evaluate(score.getAll(), bounds).first;
      if (isTrue(full))
        full = lanes_.constant(loc_, b_.getBoolAttr(true));
      Value fits = arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::ult, k, whole);
      full = arith::AndIOp::create(b_, loc_, full, fits);
      auto which = scf::IfOp::create(b_, loc_, full, /*withElseRegion=*/true);
      b_.setInsertionPointToStart(which.thenBlock());
      keys(rows, true, k);
      b_.setInsertionPointToStart(which.elseBlock());
      keys(rows, false, k);
    });
  }
  finish(rows);
}

void AttentionEmitter::keys(const Rows &rows, bool whole, Value block) {
  Value firstKey = arith::MulIOp::create(b_, loc_, block, index(blockSize));
  Value groups = arith::CeilDivUIOp::create(b_, loc_, rows.count, index(rows_));
  each(index(0), groups, [&](Value g) { group(rows, g, whole, block, firstKey); });
}

void AttentionEmitter::group(const Rows &rows, Value group, bool whole, Value block,
                             Value firstKey) {
  int64_t lanes = lanes_.lanes(), vectors = blockSize / lanes;
  int64_t together = target_.registers >= 32 ? 4 : 2; // vectors a register tile has
  Value zero = index(0);
  // Rows behind the last one are the last one again: they compute and store the same.
  SmallVector<Value> row, slot;
  for (int64_t r = 0; r < rows_; ++r) {
    slot.push_back(plus(arith::MulIOp::create(b_, loc_, group, index(rows_)), r));
    Value at = arith::AddIOp::create(b_, loc_, rows.first, slot.back());
    row.push_back(rows_ == 1 ? at : Value(arith::MinUIOp::create(b_, loc_, at, rows.last)));
  }

  // S, by groups of vectors, rows in each.
  SmallVector<Point> points;
  ScoreBody::KeyBlock place{block, {}};
  SmallVector<std::pair<int64_t, int64_t>> of; // row, vector
  for (int64_t v0 = 0; v0 < vectors; v0 += together)
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t v = v0; v < std::min(vectors, v0 + together); ++v) {
        Point point;
        for (auto [argument, value] : llvm::zip(op_.getBody().getArguments(), outer_))
          point.values[argument] = Lanes(value);
        point.values[op_.row()] = Lanes(row[r]);
        Value key = plus(firstKey, v * lanes);
        point.values[op_.key()] = Lanes(key, 1);
        if (!whole) {
          Value left = arith::SubIOp::create(b_, loc_, op_.getKeys(), key);
          point.mask =
              vector::CreateMaskOp::create(b_, loc_, lanes_.vectorOf(b_.getI1Type()), left);
        }
        points.push_back(point);
        place.lane.push_back(index(v * lanes));
        of.push_back({r, v});
      }
  ScoreOp score = op_.score();
  auto valueOf = [&](Value value, Point &point) {
    auto found = point.values.find(value);
    return lanes_.vector(loc_, found == point.values.end() ? Lanes(value) : found->second);
  };
  if (!whole && !isTrue(score.getPart())) {
    body_.evaluate(score.getPart(), points, place);
    for (Point &point : points)
      point.mask = arith::AndIOp::create(b_, loc_, point.mask, valueOf(score.getPart(), point));
  }
  body_.evaluate(score.getScore(), points, place);
  SmallVector<SmallVector<Value>> s(rows_, SmallVector<Value>(vectors));
  SmallVector<SmallVector<Value>> masks = s, factors = s;
  for (auto [at, point] : llvm::enumerate(points)) {
    auto [r, v] = of[at];
    s[r][v] = valueOf(score.getScore(), point);
    if (!whole) {
      masks[r][v] = point.mask;
      s[r][v] = arith::SelectOp::create(b_, loc_, point.mask, s[r][v], splat(leastScore));
    }
  }

  // newMax = max(oldMax, rowMax(S));  c = exp(oldMax - newMax)
  Value oldMax = vector::LoadOp::create(b_, loc_, vectorType(), maxima_, ValueRange{group, zero});
  Value newMax = oldMax;
  for (int64_t r = 0; r < rows_; ++r) {
    Value most = s[r][0];
    for (int64_t v = 1; v < vectors; ++v)
      most = arith::MaxNumFOp::create(b_, loc_, most, s[r][v]);
    Value old = vector::ExtractOp::create(b_, loc_, oldMax, r);
    Value rowMax =
        vector::ReductionOp::create(b_, loc_, vector::CombiningKind::MAXNUMF, most,
                                    arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
    rowMax = arith::MaxNumFOp::create(b_, loc_, rowMax, old);
    newMax = vector::InsertOp::create(b_, loc_, rowMax, newMax, r);
  }
  vector::StoreOp::create(b_, loc_, newMax, maxima_, ValueRange{group, zero});
  Value change = exponential(arith::SubFOp::create(b_, loc_, oldMax, newMax));

  // P = exp(S - newMax);  sum = c * sum + P
  SmallVector<Value> scale;
  if (score.getFactor()) {
    body_.evaluate(score.getFactor(), points, place);
    for (auto [at, point] : llvm::enumerate(points))
      factors[of[at].first][of[at].second] = valueOf(score.getFactor(), point);
  }
  for (int64_t r = 0; r < rows_; ++r) {
    Value most = lanes_.vector(loc_, Lanes(vector::ExtractOp::create(b_, loc_, newMax, r)));
    scale.push_back(lanes_.vector(loc_, Lanes(vector::ExtractOp::create(b_, loc_, change, r))));
    Value total;
    for (int64_t v = 0; v < vectors; ++v) {
      Value p = exponential(arith::SubFOp::create(b_, loc_, s[r][v], most));
      if (!whole)
        p = arith::SelectOp::create(b_, loc_, masks[r][v], p, splat(0));
      total = total ? Value(arith::AddFOp::create(b_, loc_, total, p)) : p;
      if (factors[r][v]) {
        p = arith::MulFOp::create(b_, loc_, p, factors[r][v]);
        if (!whole)
          p = arith::SelectOp::create(b_, loc_, masks[r][v], p, splat(0));
      }
      vector::StoreOp::create(b_, loc_, p, weights_, ValueRange{index(r), index(v * lanes)});
    }
    Value before = vector::LoadOp::create(b_, loc_, vectorType(), sums_, ValueRange{slot[r], zero});
    vector::StoreOp::create(b_, loc_, fma(before, scale[r], total), sums_,
                            ValueRange{slot[r], zero});
  }

  // O = c * O + P V
  Value count = index(blockSize);
  if (!whole) {
    Value left = arith::SubIOp::create(b_, loc_, op_.getKeys(), firstKey);
    count = arith::MinUIOp::create(b_, loc_, left, count);
  }
  for (unsigned n = 0; n < op_.getValues().size(); ++n)
    weigh(n, row, scale, firstKey, count);
}

SmallVector<Value> AttentionEmitter::placeOf(AffineMap map, Value rowOrKey, ArrayRef<Value> own) {
  SmallVector<Value> out;
  for (AffineExpr e : map.getResults()) {
    unsigned d = cast<AffineDimExpr>(e).getPosition();
    if (d < outer_.size())
      out.push_back(outer_[d]);
    else if (d == outer_.size())
      out.push_back(rowOrKey);
    else if (d - outer_.size() - 1 < own.size())
      out.push_back(own[d - outer_.size() - 1]);
    else
      out.push_back({}); // the last one: a column's
  }
  return out;
}

/// The value's own letters: loops over all but the last, register tiles of vectors along that.
void AttentionEmitter::columns(unsigned number, ArrayRef<Value> own, unsigned depth,
                               llvm::function_ref<void(ArrayRef<Value>, ArrayRef<Column>)> emit) {
  AffineMap map = op_.outputMap(number);
  Value output = op_.getOutputs()[number];
  unsigned letters = map.getNumDims() - op_.getOuter().size() - 1;
  auto extentOf = [&](unsigned letter) -> std::pair<Value, int64_t> {
    for (auto [at, e] : llvm::enumerate(map.getResults()))
      if (cast<AffineDimExpr>(e).getPosition() == op_.getOuter().size() + 1 + letter) {
        int64_t fixed = cast<MemRefType>(output.getType()).getDimSize(at);
        return {ShapedType::isDynamic(fixed)
                    ? Value(memref::DimOp::create(b_, loc_, output, index(at)))
                    : index(fixed),
                fixed};
      }
    return {index(1), 1};
  };
  auto [extent, fixed] = extentOf(depth);
  if (depth + 1 < letters) {
    each(index(0), extent, [&](Value at) {
      SmallVector<Value> now(own.begin(), own.end());
      now.push_back(at);
      columns(number, now, depth + 1, emit);
    });
    return;
  }
  int64_t lanes = lanes_.lanes(), together = target_.registers >= 32 ? 4 : 2;
  auto maskFrom = [&](Value first) -> Value {
    Value left = arith::SubIOp::create(b_, loc_, extent, first);
    return vector::CreateMaskOp::create(b_, loc_, lanes_.vectorOf(b_.getI1Type()), left);
  };
  if (ShapedType::isDynamic(fixed)) {
    each(
        index(0), extent, [&](Value first) { emit(own, {Column{first, maskFrom(first)}}); }, lanes);
    return;
  }
  int64_t width = lanes * together, full = fixed / width * width;
  if (full)
    each(
        index(0), index(full),
        [&](Value first) {
          SmallVector<Column> all;
          for (int64_t v = 0; v < together; ++v)
            all.push_back({plus(first, v * lanes), {}});
          emit(own, all);
        },
        width);
  SmallVector<Column> rest;
  for (int64_t at = full; at < fixed; at += lanes)
    rest.push_back({index(at), at + lanes <= fixed ? Value() : maskFrom(index(at))});
  if (!rest.empty())
    emit(own, rest);
}

Value AttentionEmitter::load(Value buffer, ArrayRef<Value> at, const Column &column) {
  SmallVector<Lanes> indices;
  for (Value v : at)
    indices.push_back(v ? Lanes(v) : Lanes(column.first, 1));
  return lanes_.vector(loc_, lanes_.load(loc_, buffer, indices, column.second));
}

void AttentionEmitter::store(Value value, Value buffer, ArrayRef<Value> at, const Column &column) {
  SmallVector<Lanes> indices;
  for (Value v : at)
    indices.push_back(v ? Lanes(v) : Lanes(column.first, 1));
  lanes_.store(loc_, lanes_.lanes() == 1 ? Lanes(value) : Lanes::varying(value), buffer, indices,
               column.second);
}

// O[row] = c * O[row] + sum[k](P[row, k] * V[k])
void AttentionEmitter::weigh(unsigned n, ArrayRef<Value> row, ArrayRef<Value> scale, Value firstKey,
                             Value keyCount) {
  Value output = op_.getOutputs()[n], value = op_.getValues()[n];
  columns(n, {}, 0, [&](ArrayRef<Value> own, ArrayRef<Column> all) {
    SmallVector<Value> sums;
    for (int64_t r = 0; r < rows_; ++r)
      for (const Column &c : all) {
        Value before = load(output, placeOf(op_.outputMap(n), row[r], own), c);
        sums.push_back(arith::MulFOp::create(b_, loc_, before, scale[r]));
      }
    auto loop = scf::ForOp::create(b_, loc_, index(0), keyCount, index(1), sums);
    {
      OpBuilder::InsertionGuard guard(b_);
      b_.setInsertionPointToStart(loop.getBody());
      Value k = loop.getInductionVar();
      Value key = arith::AddIOp::create(b_, loc_, firstKey, k);
      SmallVector<Value> v, out;
      for (const Column &c : all)
        v.push_back(load(value, placeOf(op_.valueMap(n), key, own), c));
      for (int64_t r = 0; r < rows_; ++r) {
        Value p = memref::LoadOp::create(b_, loc_, weights_, ValueRange{index(r), k});
        Value all16 = lanes_.vector(loc_, Lanes(p));
        for (size_t c = 0; c < all.size(); ++c)
          out.push_back(fma(all16, v[c], loop.getRegionIterArgs()[r * all.size() + c]));
      }
      scf::YieldOp::create(b_, loc_, out);
    }
    for (int64_t r = 0; r < rows_; ++r)
      for (auto [at, c] : llvm::enumerate(all))
        store(loop.getResult(r * all.size() + at), output, placeOf(op_.outputMap(n), row[r], own),
              c);
  });
}

// O / sum; 0 where nothing takes part.
void AttentionEmitter::finish(const Rows &rows) {
  Value zero = index(0);
  each(zero, rows.count, [&](Value at) {
    Value row = arith::AddIOp::create(b_, loc_, rows.first, at);
    Value lanes = vector::LoadOp::create(b_, loc_, vectorType(), sums_, ValueRange{at, zero});
    Value sum = vector::ReductionOp::create(b_, loc_, vector::CombiningKind::ADD, lanes,
                                            arith::FastMathFlags::reassoc);
    Value group = arith::DivUIOp::create(b_, loc_, at, index(rows_));
    Value lane = arith::RemUIOp::create(b_, loc_, at, index(rows_));
    Value most = memref::LoadOp::create(b_, loc_, maxima_, ValueRange{group, lane});
    Value empty =
        arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OLE, most, number(leastScore));
    Value none = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, sum, number(0));
    empty = arith::OrIOp::create(b_, loc_, empty, none);
    Value share = arith::DivFOp::create(b_, loc_, number(1), sum);
    share = arith::SelectOp::create(b_, loc_, empty, number(0), share);
    Value all = lanes_.vector(loc_, Lanes(share));
    for (unsigned n = 0; n < op_.getOutputs().size(); ++n)
      columns(n, {}, 0, [&](ArrayRef<Value> own, ArrayRef<Column> columns) {
        for (const Column &c : columns) {
          SmallVector<Value> place = placeOf(op_.outputMap(n), row, own);
          Value o = load(op_.getOutputs()[n], place, c);
          store(arith::MulFOp::create(b_, loc_, o, all), op_.getOutputs()[n], place, c);
        }
      });
  });
}

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

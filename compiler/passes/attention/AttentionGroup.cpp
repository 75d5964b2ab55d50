// Groups of rows at a block of keys: scores, weights, and what they add to the outputs
// (AttentionEmitter.h).
//
// In: a group's rows, a block, whether all of it takes part. Out: the rows' maxima, sums and
// outputs after the block.
#include "compiler/passes/attention/AttentionEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

SmallVector<Value>
AttentionEmitter::fold(Value begin, Value end, ArrayRef<Value> init,
                       llvm::function_ref<SmallVector<Value>(Value, ValueRange)> emit,
                       int64_t step) {
  auto loop = scf::ForOp::create(b_, loc_, begin, end, index(step), init);
  OpBuilder::InsertionGuard guard(b_);
  b_.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b_, loc_, emit(loop.getInductionVar(), loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> AttentionEmitter::choose(Value condition, TypeRange types,
                                            llvm::function_ref<SmallVector<Value>()> yes,
                                            llvm::function_ref<SmallVector<Value>()> no) {
  auto which = scf::IfOp::create(b_, loc_, types, condition, true, true);
  OpBuilder::InsertionGuard guard(b_);
  b_.setInsertionPointToStart(which.thenBlock());
  scf::YieldOp::create(b_, loc_, yes());
  b_.setInsertionPointToStart(which.elseBlock());
  scf::YieldOp::create(b_, loc_, no());
  return SmallVector<Value>(which.getResults());
}

/// a > b ? a : b, which is one instruction; b where one of them is NaN.
Value AttentionEmitter::maximum(Value a, Value b) {
  Value above = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OGT, a, b);
  return arith::SelectOp::create(b_, loc_, above, a, b);
}

void AttentionEmitter::when(Value condition, llvm::function_ref<void()> emit) {
  auto some = scf::IfOp::create(b_, loc_, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b_);
  b_.setInsertionPointToStart(some.thenBlock());
  emit();
}

Point AttentionEmitter::outside(const Member &member) {
  Point point;
  for (auto [argument, value] : llvm::zip(op_.getBody().getArguments(), member.outer))
    point.values[argument] = Lanes(value);
  return point;
}

/// `condition` of a tile: by the bounds of rows and keys alone.
Value AttentionEmitter::holds(Value condition, const Member &first, const Member &last,
                              Value firstKey, Value lastKey) {
  Point bounds = outside(first);
  for (auto [argument, value] :
       llvm::zip(op_.bounds(), SmallVector<Value>{first.row, last.row, firstKey, lastKey}))
    bounds.values[argument] = Lanes(value);
  return body_.evaluate(condition, bounds).first;
}

/// The row in a slot of a tile. (Along shared letters a row's slots are beside each other, so that
/// a group's rows ascend.)
AttentionEmitter::Member AttentionEmitter::memberAt(const Rows &rows, Value slot) {
  Member out{slot, outer_};
  if (shared_ < outer_.size() && few_) {
    out.row = arith::DivUIOp::create(b_, loc_, slot, sharing_);
    Value rest = arith::RemUIOp::create(b_, loc_, slot, sharing_);
    for (size_t l = outer_.size(); l-- > shared_;) {
      Value extent = op_.getOuter()[l];
      out.outer[l] = l == shared_ ? rest : arith::RemUIOp::create(b_, loc_, rest, extent);
      if (l > shared_)
        rest = arith::DivUIOp::create(b_, loc_, rest, extent);
    }
  } else if (!few_) {
    out.row = arith::AddIOp::create(b_, loc_, rows.first, slot);
  }
  return out;
}

AttentionEmitter::Group AttentionEmitter::groupOf(const Rows &rows, Value slot, int64_t count) {
  Group out;
  out.slot = slotOf(rows, slot);
  Value lastSlot = arith::SubIOp::create(b_, loc_, rows.count, index(1));
  for (int64_t r = 0; r < count; ++r) {
    Value at = plus(slot, r);
    out.members.push_back(
        memberAt(rows, count == 1 ? at : Value(arith::MinUIOp::create(b_, loc_, at, lastSlot))));
  }
  return out;
}

AttentionEmitter::Part AttentionEmitter::partOf(const Group &group, const Block &block,
                                                Value whole) {
  Value keys = arith::MinUIOp::create(b_, loc_, block.left, index(blockSize));
  Value end = arith::DivUIOp::create(b_, loc_, plus(keys, sliceKeys - 1), index(sliceKeys));
  int64_t vectors = sliceKeys / lanes_.lanes(), slices = blockSize / sliceKeys;
  auto inVectors = [&](Value slice) {
    return b_.createOrFold<arith::MulIOp>(loc_, slice, index(vectors));
  };
  ScoreOp score = op_.score();
  if (isTrue(score.getPart()))
    return {truth(true), index(0), inVectors(end)};
  // By slices of the block, so that a diagonal costs what lies below it.
  Type flag = b_.getI1Type(), count = b_.getIndexType();
  SmallVector<Value> found = choose(
      whole, TypeRange{flag, count, count},
      [&]() -> SmallVector<Value> { return {truth(true), index(0), index(slices)}; },
      [&]() -> SmallVector<Value> {
        const Member &first = group.members.front(), &last = group.members.back();
        Value some = truth(false), from = index(slices), to = index(0);
        for (int64_t slice = slices; slice-- > 0;) {
          Value firstKey = plus(block.firstKey, slice * sliceKeys);
          Value lastKey =
              arith::MinUIOp::create(b_, loc_, plus(firstKey, sliceKeys - 1), block.lastKey);
          Value any = holds(score.getAny(), first, last, firstKey, lastKey);
          if (slice > 0) // (the others may be behind the last key)
            any = arith::AndIOp::create(b_, loc_, any,
                                        arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::ule,
                                                              firstKey, block.lastKey));
          from = arith::SelectOp::create(b_, loc_, any, index(slice), from);
          Value isLast = arith::AndIOp::create(b_, loc_, any,
                                               arith::XOrIOp::create(b_, loc_, some, truth(true)));
          to = arith::SelectOp::create(b_, loc_, isLast, index(slice + 1), to);
          some = arith::OrIOp::create(b_, loc_, some, any);
        }
        return {some, from, to};
      });
  return {found[0], inVectors(found[1]), inVectors(found[2])};
}

void AttentionEmitter::group(const Group &group, const Block &block, Value whole) {
  Part part = partOf(group, block, whole);
  when(part.some, [&] {
    int64_t vectors = blockSize / lanes_.lanes();
    if (group.size() == 1) { // one vector at a time would wait for its own sums
      int64_t many = std::min<int64_t>(vectors, 4);
      Value wide = arith::MulIOp::create(
          b_, loc_, arith::DivUIOp::create(b_, loc_, part.end, index(many)), index(many));
      scores(group, block, index(0), wide, many, false);
      scores(group, block, wide, part.end, 1, false);
    } else {
      auto which = scf::IfOp::create(b_, loc_, whole, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b_);
      b_.setInsertionPointToStart(which.thenBlock());
      scores(group, block, index(0), index(vectors), 2, true);
      b_.setInsertionPointToStart(which.elseBlock());
      scores(group, block, part.first, part.end, together(), false);
    }
    SmallVector<Value> scale;
    if (!op_.getPlain())
      scale = weights(group, block, part);
    else if (op_.hasTotal())
      addTotals(group, part);
    Value started = memref::LoadOp::create(b_, loc_, started_, group.slot);
    for (unsigned n = 0; n < op_.getValues().size(); ++n)
      weigh(n, group, block, part, scale, started);
    for (size_t r = 0; r < (op_.getPlain() ? group.size() : 1); ++r)
      memref::StoreOp::create(b_, loc_, truth(true), started_, plus(group.slot, r));
  });
}

/// The group's rows at `count` vectors of the block from `vector` on, row by row.
SmallVector<Point> AttentionEmitter::pointsAt(const Group &group, const Block &block, Value vector,
                                              int64_t count) {
  SmallVector<Value> keyOf, packedOf;
  Value packed = vector; // of the block alone
  if (!few_)
    packed = arith::AddIOp::create(
        b_, loc_, vector,
        arith::MulIOp::create(b_, loc_, block.number, index(blockSize / lanes_.lanes())));
  for (int64_t v = 0; v < count; ++v) {
    keyOf.push_back(arith::AddIOp::create(b_, loc_, block.firstKey, laneOf(vector, v)));
    packedOf.push_back(plus(packed, v));
  }
  SmallVector<Point> points;
  for (const Member &member : group.members)
    for (int64_t v = 0; v < count; ++v) {
      Point point = outside(member);
      point.values[op_.row()] = Lanes(member.row);
      point.values[op_.key()] = Lanes(keyOf[v], 1);
      point.letters = {Lanes(packedOf[v])};
      points.push_back(point);
    }
  return points;
}

/// The first lane in its block of vector `vector` + v.
Value AttentionEmitter::laneOf(Value vector, int64_t v) {
  return plus(arith::MulIOp::create(b_, loc_, vector, index(lanes_.lanes())), v * lanes_.lanes());
}

/// S into the scratch for vectors [begin, end), `count` at a time; what takes no part is -inf, or
/// weighs 0. (Plain weights are final: places are stored beside them.)
void AttentionEmitter::scores(const Group &group, const Block &block, Value begin, Value end,
                              int64_t count, bool whole) {
  ScoreOp score = op_.score();
  each(
      begin, end,
      [&](Value vector) {
        SmallVector<Point> points = pointsAt(group, block, vector, count);
        if (!whole) {
          for (auto [at, point] : llvm::enumerate(points)) {
            Value left = arith::SubIOp::create(b_, loc_, block.left, laneOf(vector, at % count));
            point.mask =
                vector::CreateMaskOp::create(b_, loc_, lanes_.vectorOf(b_.getI1Type()), left);
          }
          if (!isTrue(score.getPart())) {
            body_.evaluate(score.getPart(), points);
            for (Point &point : points)
              point.mask =
                  arith::AndIOp::create(b_, loc_, point.mask, vectorAt(point, score.getPart()));
          }
        }
        body_.evaluate(score.getScore(), points);
        Value nothing = splat(op_.getPlain() ? 0.0f : noScore);
        for (auto [at, point] : llvm::enumerate(points)) {
          Value s = vectorAt(point, score.getScore());
          if (!whole)
            s = arith::SelectOp::create(b_, loc_, point.mask, s, nothing);
          vector::StoreOp::create(b_, loc_, s, scores_,
                                  ValueRange{index(at / count), laneOf(vector, at % count)});
        }
        if (op_.getPlain())
          storePlaces(points, vector, count);
      },
      count);
}

/// Where values are read, at `count` vectors from `vector` on; what takes no part may be anywhere.
void AttentionEmitter::storePlaces(MutableArrayRef<Point> points, Value vector, int64_t count) {
  for (auto [place, scratch] : places_) {
    body_.evaluate(place, points);
    for (auto [at, point] : llvm::enumerate(points)) {
      Value where = vectorAt(point, place);
      if (point.mask)
        where = arith::SelectOp::create(b_, loc_, point.mask, where, splat(index(0)));
      vector::StoreOp::create(b_, loc_, where, scratch,
                              ValueRange{index(at / count), laneOf(vector, at % count)});
    }
  }
}

/// sum = sum + P
void AttentionEmitter::addTotals(const Group &group, const Part &part) {
  int64_t vectors = together();
  for (size_t r = 0; r < group.size(); ++r) {
    SmallVector<Value> place{plus(group.slot, r), index(0)};
    Value before = vector::LoadOp::create(b_, loc_, vectorType(), sums_, place);
    SmallVector<Value> total = fold(
        part.first, part.end, before,
        [&](Value vector, ValueRange sum) {
          Value out = sum.front();
          for (int64_t v = 0; v < vectors; ++v)
            out = arith::AddFOp::create(
                b_, loc_, out,
                vector::LoadOp::create(b_, loc_, vectorType(), scores_,
                                       ValueRange{index(r), laneOf(vector, v)}));
          return SmallVector<Value>{out};
        },
        vectors);
    vector::StoreOp::create(b_, loc_, total.front(), sums_, place);
  }
}

/// newMax, a row each; returns c = exp(oldMax - newMax), likewise.
SmallVector<Value> AttentionEmitter::newMaxima(const Group &group, const Part &part,
                                               SmallVectorImpl<Value> &rowMax) {
  size_t count = group.size();
  int64_t vectors = together();
  // (NaN is left out of the maxima: the power of such a score is NaN whatever is subtracted.)
  SmallVector<Value> maxima(count, splat(noScore));
  maxima = fold(
      part.first, part.end, maxima,
      [&](Value vector, ValueRange before) {
        SmallVector<Value> after(before);
        for (size_t r = 0; r < count; ++r)
          for (int64_t v = 0; v < vectors; ++v)
            after[r] = maximum(vector::LoadOp::create(b_, loc_, vectorType(), scores_,
                                                      ValueRange{index(r), laneOf(vector, v)}),
                               after[r]);
        return after;
      },
      vectors);
  // newMax = max(oldMax, rowMax(S));  c = exp(oldMax - newMax)
  Value old = count == 1 ? Value(memref::LoadOp::create(b_, loc_, maxima_, group.slot))
                         : vector::LoadOp::create(b_, loc_, vectorType(), maxima_, group.slot);
  Value most = old;
  for (auto [r, lanesMax] : llvm::enumerate(maxima)) {
    Value rowMax =
        vector::ReductionOp::create(b_, loc_, vector::CombiningKind::MAXNUMF, lanesMax,
                                    arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
    if (count == 1)
      most = maximum(rowMax, old);
    else
      most = vector::InsertOp::create(
          b_, loc_, maximum(rowMax, vector::ExtractOp::create(b_, loc_, old, r)), most, r);
  }
  // What is subtracted: of a row of which nothing took part yet, 0, so that its powers are 0.
  auto subtracted = [&](Value most, Value none, Value zero) -> Value {
    Value empty = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, most, none);
    return arith::SelectOp::create(b_, loc_, empty, zero, most);
  };
  SmallVector<Value> scale;
  if (count == 1) {
    memref::StoreOp::create(b_, loc_, most, maxima_, group.slot);
    most = subtracted(most, number(noScore), number(0));
    rowMax.push_back(splat(most));
    scale.push_back(exponential(splat(arith::SubFOp::create(b_, loc_, old, most))));
  } else {
    vector::StoreOp::create(b_, loc_, most, maxima_, group.slot);
    most = subtracted(most, splat(noScore), splat(0.0f));
    Value change = exponential(arith::SubFOp::create(b_, loc_, old, most));
    for (size_t r = 0; r < count; ++r) {
      rowMax.push_back(splat(vector::ExtractOp::create(b_, loc_, most, r)));
      scale.push_back(splat(vector::ExtractOp::create(b_, loc_, change, r)));
    }
  }
  return scale;
}

/// P = exp(S - newMax) in place of S, sum = c * sum + P; returns c, a row each.
SmallVector<Value> AttentionEmitter::weights(const Group &group, const Block &block,
                                             const Part &part) {
  Value zero = index(0);
  size_t count = group.size();
  int64_t vectors = together();
  SmallVector<Value> rowMax;
  SmallVector<Value> scale = newMaxima(group, part, rowMax);
  SmallVector<Value> init(count, splat(0.0f));
  SmallVector<Value> totals = fold(
      part.first, part.end, init,
      [&](Value vector, ValueRange before) {
        SmallVector<Point> points = pointsAt(group, block, vector, vectors);
        SmallVector<Value> after(before), p;
        bool masked = !places_.empty() || llvm::any_of(factors_, [](Value v) { return bool(v); });
        auto scoreAt = [&](size_t at) {
          return SmallVector<Value>{index(at / vectors), laneOf(vector, at % vectors)};
        };
        for (size_t at = 0; at < points.size(); ++at) {
          size_t r = at / vectors;
          Value s = vector::LoadOp::create(b_, loc_, vectorType(), scores_, scoreAt(at));
          // (What takes no part is exp(-inf), which is 0.)
          p.push_back(exponential(arith::SubFOp::create(b_, loc_, s, rowMax[r])));
          after[r] = arith::AddFOp::create(b_, loc_, after[r], p.back());
          if (masked) // (NaN takes part)
            points[at].mask =
                arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::UNE, s, splat(noScore));
        }
        for (auto [factor, scratch] : llvm::zip(factors_, weights_)) {
          if (factor)
            body_.evaluate(factor, points);
          for (auto [at, point] : llvm::enumerate(points)) {
            Value weight = p[at];
            if (factor) { // (A factor of 0 leaves out what a row of NaN weighs, too.)
              Value by = vectorAt(point, factor), zero = splat(0.0f);
              Value takes = arith::AndIOp::create(
                  b_, loc_, point.mask,
                  arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::UNE, by, zero));
              weight = arith::SelectOp::create(b_, loc_, takes,
                                               arith::MulFOp::create(b_, loc_, weight, by), zero);
            }
            vector::StoreOp::create(b_, loc_, weight, scratch, scoreAt(at));
          }
        }
        storePlaces(points, vector, vectors);
        return after;
      },
      vectors);
  for (size_t r = 0; r < count; ++r) {
    SmallVector<Value> place{plus(group.slot, r), zero};
    Value before = vector::LoadOp::create(b_, loc_, vectorType(), sums_, place);
    vector::StoreOp::create(b_, loc_, fma(before, scale[r], totals[r]), sums_, place);
  }
  return scale;
}

/// A factor, or 0 where it is not finite and the other factor is 0 (A6).
Value AttentionEmitter::unlessLeftOut(Value factor, Value other) {
  Value zero = splat(0.0f);
  Value none = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, other, zero);
  // (A difference with itself is 0 of what is finite, else NaN.)
  Value difference = arith::SubFOp::create(b_, loc_, factor, factor);
  Value wild = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::UNO, difference, difference);
  Value left = arith::AndIOp::create(b_, loc_, none, wild);
  return arith::SelectOp::create(b_, loc_, left, zero, factor);
}

// O[row] = c * O[row] + sum[k](P[row, k] * V[k]), c being 1 where there is no scale
void AttentionEmitter::weigh(unsigned n, const Group &group, const Block &block, const Part &part,
                             ArrayRef<Value> scale, Value started) {
  Value width = index(lanes_.lanes());
  Value begin = arith::MulIOp::create(b_, loc_, part.first, width);
  Value end = arith::MinUIOp::create(b_, loc_, block.left,
                                     arith::MulIOp::create(b_, loc_, part.end, width));
  Value weights = weights_[llvm::find(factors_, op_.factor(n)) - factors_.begin()];
  Value places = places_.lookup(op_.place(n));
  if (places) // of a value without places nothing is read: nothing takes part
    for (auto [axis, e] : llvm::enumerate(op_.valueMap(n).getResults()))
      if (e == getAffineDimExpr(op_.getOuter().size(), b_.getContext())) {
        Value count = memref::DimOp::create(b_, loc_, op_.getValues()[n], axis);
        Value none = arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::eq, count, index(0));
        end = arith::SelectOp::create(b_, loc_, none, begin, end);
      }
  using Column = ValueColumns::Column;
  auto tile = [&](ArrayRef<Value> own, ArrayRef<Column> all) {
    // The first time there is nothing to add to (and memory that was not touched yet).
    SmallVector<Type> types(group.size() * all.size(), vectorType());
    auto scaled = [&] {
      SmallVector<Value> out;
      for (auto [r, member] : llvm::enumerate(group.members))
        for (const Column &column : all) {
          out.push_back(columns_.loadOutput(n, member.outer, member.row, own, column));
          if (!scale.empty())
            out.back() = arith::MulFOp::create(b_, loc_, out.back(), scale[r]);
        }
      return out;
    };
    auto none = [&] { return SmallVector<Value>(types.size(), splat(0.0f)); };
    SmallVector<Value> sums = choose(started, types, scaled, none);
    auto add = [&](bool careful) {
      return fold(begin, end, sums, [&](Value k, ValueRange before) {
        SmallVector<Value> v, out;
        auto read = [&](Value at) {
          v.clear();
          const Member &any = group.members.front(); // values are the same for all
          for (const Column &column : all) {
            v.push_back(columns_.loadValue(n, any.outer, at, own, column));
            if (few_ && !places)
              columns_.ask(n, any.outer, plus(at, blockSize), own, column);
          }
        };
        if (!places)
          read(arith::AddIOp::create(b_, loc_, block.firstKey, k));
        for (size_t r = 0; r < group.size(); ++r) {
          SmallVector<Value> at{index(r), k};
          if (places)
            read(memref::LoadOp::create(b_, loc_, places, at));
          Value p = splat(memref::LoadOp::create(b_, loc_, weights, at));
          for (size_t c = 0; c < all.size(); ++c)
            out.push_back(fma(careful ? unlessLeftOut(p, v[c]) : p,
                              careful ? unlessLeftOut(v[c], p) : v[c], before[r * all.size() + c]));
        }
        return out;
      });
    };
    sums = choose(careful_, types, [&] { return add(true); }, [&] { return add(false); });
    for (auto [r, member] : llvm::enumerate(group.members))
      for (auto [at, column] : llvm::enumerate(all))
        columns_.storeOutput(sums[r * all.size() + at], n, member.outer, member.row, own, column);
  };
  columns_.each(n, group.size() == 1 ? target_.tileVectors() : 2, tile);
}

} // namespace qkv

// In: a buffer, and the axis that runs over lanes. Out: its packed copy.
//
// Where the last axis is contiguous, squares of lanes x lanes elements are transposed in
// registers; what is left at the end of that axis goes element by element.
#include "compiler/passes/PackKeys.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

static constexpr int64_t blockSize = AttentionOp::blockSize;

SmallVector<Lanes> PackedKeys::indices(ArrayRef<Lanes> others, Value block, Value lane) const {
  SmallVector<Lanes> out(others.begin(), others.end());
  out[axis] = Lanes(block);
  out.push_back(Lanes(lane, 1));
  return out;
}

/// Rows of a square become its columns: at width w, halves of pairs of rows w apart change places.
static void transpose(OpBuilder &b, Location loc, MutableArrayRef<Value> rows) {
  int64_t count = rows.size();
  for (int64_t w = count / 2; w >= 1; w /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < count; ++lane) {
      bool second = lane & w;
      low.push_back(second ? count + lane - w : lane);
      high.push_back(second ? count + lane : lane + w);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (i & w)
        continue;
      Value a = rows[i], c = rows[i + w];
      rows[i] = vector::ShuffleOp::create(b, loc, a, c, low);
      rows[i + w] = vector::ShuffleOp::create(b, loc, a, c, high);
    }
  }
}

namespace {

class Packer {
public:
  Packer(LaneBuilder &lanes, Location loc, Value source, int64_t axis)
      : lanes_(lanes), b_(lanes.builder()), loc_(loc), source_(source), axis_(axis),
        type_(cast<MemRefType>(source.getType())) {}

  Value pack() {
    SmallVector<int64_t> shape;
    SmallVector<Value> sizes;
    for (int64_t a = 0; a < type_.getRank(); ++a) {
      extents_.push_back(extent(a));
      Value size = extents_.back();
      int64_t fixed = type_.getDimSize(a);
      if (a == axis_) {
        size = arith::CeilDivUIOp::create(b_, loc_, size, index(blockSize));
        fixed = ShapedType::isDynamic(fixed) ? fixed : (fixed + blockSize - 1) / blockSize;
        blocks_ = ShapedType::isDynamic(fixed) ? size : index(fixed);
      }
      shape.push_back(fixed);
      if (ShapedType::isDynamic(fixed))
        sizes.push_back(size);
    }
    shape.push_back(blockSize);
    packed_ = memref::AllocOp::create(b_, loc_, MemRefType::get(shape, type_.getElementType()),
                                      sizes, b_.getI64IntegerAttr(64));
    packed_.getDefiningOp()->setAttr(whyAttribute, b_.getStringAttr("keys in blocks of lanes"));
    // One round: a block of keys at one place of the axes before the last.
    int64_t last = type_.getRank() - 1;
    SmallVector<Value> counts;
    for (int64_t a = 0; a <= last; ++a)
      if (a != last || last == axis_)
        counts.push_back(a == axis_ ? blocks_ : extents_[a]);
    Value total = index(1);
    for (Value c : counts)
      total = arith::MulIOp::create(b_, loc_, total, c);
    auto loop = scf::ForallOp::create(b_, loc_, ArrayRef<OpFoldResult>{b_.getIndexAttr(0)},
                                      ArrayRef<OpFoldResult>{OpFoldResult(total)},
                                      ArrayRef<OpFoldResult>{b_.getIndexAttr(1)}, ValueRange(),
                                      std::nullopt);
    loop->setAttr(grainAttribute, b_.getI64IntegerAttr(4));
    OpBuilder::InsertionGuard guard(b_);
    b_.setInsertionPointToStart(loop.getBody());
    Value rest = loop.getInductionVar(0);
    SmallVector<Value> at(counts.size());
    for (size_t k = counts.size(); k-- > 0;) {
      at[k] = arith::RemUIOp::create(b_, loc_, rest, counts[k]);
      rest = arith::DivUIOp::create(b_, loc_, rest, counts[k]);
    }
    block(at);
    return packed_;
  }

private:
  Value index(int64_t value) { return lanes_.constant(loc_, b_.getIndexType(), value); }
  Value extent(int64_t axis) {
    int64_t fixed = type_.getDimSize(axis);
    if (!ShapedType::isDynamic(fixed))
      return index(fixed);
    return memref::DimOp::create(b_, loc_, source_, index(axis));
  }
  /// The key of a lane, the last one for lanes behind it.
  Value key(Value first, int64_t lane) {
    Value at = arith::AddIOp::create(b_, loc_, first, index(lane));
    return arith::MinUIOp::create(b_, loc_, at, lastKey_);
  }

  void block(SmallVector<Value> at) {
    int64_t last = type_.getRank() - 1, width = lanes_.lanes();
    Value first = arith::MulIOp::create(b_, loc_, at[axis_], index(blockSize));
    lastKey_ = arith::SubIOp::create(b_, loc_, extents_[axis_], index(1));
    SmallVector<Value> from(at), to(at);
    if (last == axis_) { // not contiguous
      to.push_back({});
      each(index(0), index(blockSize), [&](Value lane) {
        Value k = arith::AddIOp::create(b_, loc_, first, lane);
        from[axis_] = arith::MinUIOp::create(b_, loc_, k, lastKey_);
        to.back() = lane;
        Value element = memref::LoadOp::create(b_, loc_, source_, from);
        memref::StoreOp::create(b_, loc_, element, packed_, to);
      });
      return;
    }
    from.push_back({});
    to.append({Value(), Value()});
    Value end = extents_[last], full = index(0);
    if (width > 1 && type_.isLastDimUnitStride()) {
      full =
          arith::SubIOp::create(b_, loc_, end, arith::RemUIOp::create(b_, loc_, end, index(width)));
      each(
          index(0), full,
          [&](Value column) {
            for (int64_t group = 0; group < blockSize; group += width) {
              SmallVector<Value> rows;
              for (int64_t lane = 0; lane < width; ++lane) {
                from[axis_] = key(first, group + lane);
                from[last] = column;
                rows.push_back(vector::LoadOp::create(
                    b_, loc_, lanes_.vectorOf(type_.getElementType()), source_, from));
              }
              transpose(b_, loc_, rows);
              for (int64_t i = 0; i < width; ++i) {
                to[last] = arith::AddIOp::create(b_, loc_, column, index(i));
                to[last + 1] = index(group);
                vector::StoreOp::create(b_, loc_, rows[i], packed_, to);
              }
            }
          },
          width);
    }
    each(full, end, [&](Value column) {
      each(index(0), index(blockSize), [&](Value lane) {
        Value k = arith::AddIOp::create(b_, loc_, first, lane);
        from[axis_] = arith::MinUIOp::create(b_, loc_, k, lastKey_);
        from[last] = to[last] = column;
        to[last + 1] = lane;
        Value element = memref::LoadOp::create(b_, loc_, source_, from);
        memref::StoreOp::create(b_, loc_, element, packed_, to);
      });
    });
  }

  void each(Value begin, Value end, llvm::function_ref<void(Value)> emit, int64_t step = 1) {
    auto loop = scf::ForOp::create(b_, loc_, begin, end, index(step));
    OpBuilder::InsertionGuard guard(b_);
    b_.setInsertionPointToStart(loop.getBody());
    emit(loop.getInductionVar());
  }

  LaneBuilder &lanes_;
  OpBuilder &b_;
  Location loc_;
  Value source_, packed_, blocks_, lastKey_;
  int64_t axis_;
  MemRefType type_;
  SmallVector<Value> extents_;
};

} // namespace

PackedKeys packKeys(LaneBuilder &lanes, Location loc, Value source, int64_t axis) {
  return {source, Packer(lanes, loc, source, axis).pack(), axis};
}

} // namespace qkv

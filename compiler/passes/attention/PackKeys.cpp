// In: a buffer, and the axis that runs over lanes. Out: its packed copy.
//
// Where the last axis is contiguous, squares of lanes x lanes elements are transposed in
// registers; what is left at the end of that axis goes element by element.
#include "compiler/passes/attention/PackKeys.h"

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/kernels/Loops.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace qkv {

using namespace mlir;

/// A square for fewer keys costs more than their elements one by one.
static constexpr int64_t fewKeys = 4;

bool PackedKeys::isInRounds() const {
  return llvm::any_of(letters, [](int letter) { return letter >= 0; });
}

static Value extentOf(LaneBuilder &lanes, Location loc, Value buffer, int64_t axis) {
  OpBuilder &b = lanes.builder();
  int64_t fixed = cast<MemRefType>(buffer.getType()).getDimSize(axis);
  Value at = lanes.constant(loc, b.getIndexType(), ShapedType::isDynamic(fixed) ? axis : fixed);
  return ShapedType::isDynamic(fixed) ? memref::DimOp::create(b, loc, buffer, at) : at;
}

/// Vectors of keys, up to a whole block of the attention's.
static Value blocksOf(LaneBuilder &lanes, Location loc, Value extent) {
  OpBuilder &b = lanes.builder();
  constexpr int64_t blockSize = AttentionOp::blockSize;
  Value blocks = b.createOrFold<arith::CeilDivUIOp>(
      loc, extent, lanes.constant(loc, b.getIndexType(), blockSize));
  return b.createOrFold<arith::MulIOp>(
      loc, blocks, lanes.constant(loc, b.getIndexType(), blockSize / lanes.lanes()));
}

Value PackedKeys::bytesOfPosition(LaneBuilder &lanes, Location loc) const {
  OpBuilder &b = lanes.builder();
  auto type = cast<MemRefType>(source.getType());
  int64_t width = (type.getElementTypeBitWidth() + 7) / 8;
  Value bytes = lanes.constant(loc, b.getIndexType(), width * lanes.lanes());
  for (int64_t a = 0; a < type.getRank(); ++a) {
    if (letters[a] >= 0)
      continue;
    Value extent = extentOf(lanes, loc, source, a);
    bytes = b.createOrFold<arith::MulIOp>(loc, bytes,
                                          a == axis ? blocksOf(lanes, loc, extent) : extent);
  }
  return bytes;
}

void PackedKeys::allocate(LaneBuilder &lanes, Location loc, int letter, Value round, Value really) {
  OpBuilder &b = lanes.builder();
  letter_ = letter;
  inBlocks_ = false;
  auto type = cast<MemRefType>(source.getType());
  SmallVector<int64_t> shape;
  SmallVector<Value> sizes;
  for (int64_t a = 0; a < type.getRank(); ++a) {
    Value size = letters[a] < 0         ? extentOf(lanes, loc, source, a)
                 : letters[a] == letter ? round
                                        : lanes.constant(loc, b.getIndexType(), 1);
    if (a == axis)
      size = blocksOf(lanes, loc, size);
    if (a == 0) // (places in the copy do not depend on it)
      size = b.createOrFold<arith::SelectOp>(loc, really, size,
                                             lanes.constant(loc, b.getIndexType(), 0));
    std::optional<int64_t> fixed = getConstantIntValue(size);
    shape.push_back(fixed.value_or(ShapedType::kDynamic));
    if (!fixed)
      sizes.push_back(size);
  }
  shape.push_back(lanes.lanes());
  auto made = memref::AllocOp::create(b, loc, MemRefType::get(shape, type.getElementType()), sizes,
                                      b.getI64IntegerAttr(64));
  made->setAttr(whyAttribute, b.getStringAttr("keys in blocks of lanes"));
  packed = made;
}

SmallVector<Lanes> PackedKeys::indices(LaneBuilder &lanes, Location loc, ArrayRef<Lanes> others,
                                       Value block) const {
  OpBuilder &b = lanes.builder();
  SmallVector<Lanes> out(others.begin(), others.end());
  for (auto [at, letter] : llvm::enumerate(letters))
    if (letter >= 0)
      out[at] = Lanes(letter < letter_ || inBlocks_
                          ? lanes.constant(loc, b.getIndexType(), 0)
                          : b.createOrFold<arith::SubIOp>(loc, out[at].first, first));
  out[axis] = Lanes(block);
  out.push_back(Lanes(lanes.constant(loc, b.getIndexType(), 0), 1));
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
  /// `ahead`: so many keys behind the one that is read the caches are asked for; then one thread
  /// packs all. 0: threads do.
  Packer(LaneBuilder &lanes, Location loc, Value source, Value packed, int64_t axis,
         int64_t ahead = 0)
      : lanes_(lanes), b_(lanes.builder()), loc_(loc), source_(source), packed_(packed),
        axis_(axis), ahead_(ahead), type_(cast<MemRefType>(source.getType())) {}

  void pack() {
    for (int64_t a = 0; a < type_.getRank(); ++a)
      extents_.push_back(extentOf(lanes_, loc_, source_, a));
    Value blocks = blocksOf(lanes_, loc_, extents_[axis_]);
    if (isa<FloatType>(type_.getElementType()))
      blocks = arith::CeilDivUIOp::create(b_, loc_, extents_[axis_], index(lanes_.lanes()));
    // At once: a block of keys at one place of the axes before the last.
    int64_t last = type_.getRank() - 1;
    SmallVector<Value> counts;
    for (int64_t a = 0; a <= last; ++a)
      if (a != last || last == axis_)
        counts.push_back(a == axis_ ? blocks : extents_[a]);
    if (ahead_)
      return nest(counts, {});
    loopInParallel(lanes_, loc_, counts, /*grain=*/4, [&](ArrayRef<Value> at) { block(at); });
  }

private:
  Value index(int64_t value) { return lanes_.constant(loc_, b_.getIndexType(), value); }
  /// The key of a lane, the last one for lanes behind it.
  Value key(Value first, int64_t lane) {
    Value at = arith::AddIOp::create(b_, loc_, first, index(lane));
    return arith::MinUIOp::create(b_, loc_, at, lastKey_);
  }

  void nest(ArrayRef<Value> counts, SmallVector<Value> at) {
    if (counts.empty())
      return block(at);
    each(index(0), counts.front(), [&](Value here) {
      SmallVector<Value> inside(at);
      inside.push_back(here);
      nest(counts.drop_front(), inside);
    });
  }

  void block(ArrayRef<Value> at) {
    int64_t last = type_.getRank() - 1, width = lanes_.lanes();
    Value first = arith::MulIOp::create(b_, loc_, at[axis_], index(lanes_.lanes()));
    lastKey_ = arith::SubIOp::create(b_, loc_, extents_[axis_], index(1));
    SmallVector<Value> from(at.begin(), at.end()), to(from);
    if (last == axis_) { // not contiguous
      to.push_back({});
      each(index(0), index(lanes_.lanes()), [&](Value lane) {
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
    // A square where there are keys enough for one, else key by key. Integers are whole behind
    // the last key too: what is computed with them may not trap.
    Value end = extents_[last], full = index(0), left = index(width);
    if (isa<FloatType>(type_.getElementType()))
      left = arith::MinUIOp::create(b_, loc_, left,
                                    arith::SubIOp::create(b_, loc_, extents_[axis_], first));
    if (width > fewKeys && type_.isLastDimUnitStride()) {
      full =
          arith::SubIOp::create(b_, loc_, end, arith::RemUIOp::create(b_, loc_, end, index(width)));
      Value enough =
          arith::CmpIOp::create(b_, loc_, arith::CmpIPredicate::uge, left, index(fewKeys));
      full = arith::SelectOp::create(b_, loc_, enough, full, index(0));
      each(
          index(0), full,
          [&](Value column) {
            SmallVector<Value> rows;
            for (int64_t lane = 0; lane < width; ++lane) {
              from[axis_] = key(first, lane);
              from[last] = column;
              rows.push_back(vector::LoadOp::create(
                  b_, loc_, lanes_.vectorOf(type_.getElementType()), source_, from));
              if (ahead_)
                ask(from);
            }
            transpose(b_, loc_, rows);
            for (int64_t i = 0; i < width; ++i) {
              to[last] = arith::AddIOp::create(b_, loc_, column, index(i));
              to[last + 1] = index(0);
              vector::StoreOp::create(b_, loc_, rows[i], packed_, to);
            }
          },
          width);
    }
    elements(from, to, first, full, end, left);
  }

  /// Asks for what lies `ahead_` keys behind. (An address behind the buffer is harmless.)
  void ask(SmallVector<Value> at) {
    at[axis_] = arith::AddIOp::create(b_, loc_, at[axis_], index(ahead_));
    memref::PrefetchOp::create(b_, loc_, source_, at, /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
  }

  /// Columns [begin, end) of the first `keys` keys, one by one.
  void elements(SmallVector<Value> from, SmallVector<Value> to, Value first, Value begin, Value end,
                Value keys) {
    int64_t last = type_.getRank() - 1;
    each(index(0), keys, [&](Value lane) {
      Value k = arith::AddIOp::create(b_, loc_, first, lane);
      from[axis_] = arith::MinUIOp::create(b_, loc_, k, lastKey_);
      to[last + 1] = lane;
      each(begin, end, [&](Value column) {
        from[last] = to[last] = column;
        Value element = memref::LoadOp::create(b_, loc_, source_, from);
        memref::StoreOp::create(b_, loc_, element, packed_, to);
      });
    });
  }

  void each(Value begin, Value end, llvm::function_ref<void(Value)> emit, int64_t step = 1) {
    loopOver(lanes_, loc_, begin, end, step, emit);
  }

  LaneBuilder &lanes_;
  OpBuilder &b_;
  Location loc_;
  Value source_, packed_, lastKey_;
  int64_t axis_, ahead_;
  MemRefType type_;
  SmallVector<Value> extents_;
};

} // namespace

void PackedKeys::pack(LaneBuilder &lanes, Location loc, int letter, ValueRange before,
                      Value roundFirst, Value count) {
  OpBuilder &b = lanes.builder();
  first = roundFirst;
  Value from = source;
  if (isInRounds()) {
    SmallVector<OpFoldResult> offsets, sizes, strides(letters.size(), b.getIndexAttr(1));
    for (auto [at, of] : llvm::enumerate(letters)) {
      offsets.push_back(of < 0         ? OpFoldResult(b.getIndexAttr(0))
                        : of == letter ? getAsOpFoldResult(roundFirst)
                                       : getAsOpFoldResult(before[of]));
      sizes.push_back(of < 0         ? getAsOpFoldResult(extentOf(lanes, loc, source, at))
                      : of == letter ? getAsOpFoldResult(count)
                                     : OpFoldResult(b.getIndexAttr(1)));
    }
    from = memref::SubViewOp::create(b, loc, source, offsets, sizes, strides);
  }
  Packer(lanes, loc, from, packed, axis).pack();
}

int64_t PackedKeys::elementsOfBlock(int64_t keys, int64_t width) const {
  auto type = cast<MemRefType>(source.getType());
  int64_t count = (keys + width - 1) / width * width;
  for (int64_t a = 0; a < type.getRank(); ++a) {
    if (letters[a] >= 0 || a == axis)
      continue;
    if (type.isDynamicDim(a))
      return 0;
    count *= type.getDimSize(a);
  }
  return count;
}

void PackedKeys::allocateBlock(LaneBuilder &lanes, Location loc, int64_t keys) {
  OpBuilder &b = lanes.builder();
  auto type = cast<MemRefType>(source.getType());
  inBlocks_ = true;
  SmallVector<int64_t> shape;
  for (int64_t a = 0; a < type.getRank(); ++a)
    shape.push_back(letters[a] >= 0 ? 1 : a == axis ? keys / lanes.lanes() : type.getDimSize(a));
  shape.push_back(lanes.lanes());
  auto made = memref::AllocaOp::create(b, loc, MemRefType::get(shape, type.getElementType()),
                                       b.getI64IntegerAttr(64));
  made->setAttr(whyAttribute, b.getStringAttr("a block of keys in lanes"));
  packed = made;
}

void PackedKeys::packBlock(LaneBuilder &lanes, Location loc, ValueRange outer, Value firstKey,
                           Value count, int64_t keys) {
  OpBuilder &b = lanes.builder();
  SmallVector<OpFoldResult> offsets, sizes, strides(letters.size(), b.getIndexAttr(1));
  for (auto [at, of] : llvm::enumerate(letters)) {
    bool keyAxis = static_cast<int64_t>(at) == axis;
    offsets.push_back(of >= 0   ? getAsOpFoldResult(outer[of])
                      : keyAxis ? getAsOpFoldResult(firstKey)
                                : OpFoldResult(b.getIndexAttr(0)));
    sizes.push_back(of >= 0   ? OpFoldResult(b.getIndexAttr(1))
                    : keyAxis ? getAsOpFoldResult(count)
                              : getAsOpFoldResult(extentOf(lanes, loc, source, at)));
  }
  Value from = memref::SubViewOp::create(b, loc, source, offsets, sizes, strides);
  Packer(lanes, loc, from, packed, axis, /*ahead=*/keys).pack();
}

} // namespace qkv

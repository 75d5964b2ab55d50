// A weighted sum as qkv.attention.
//
// In: an equation of the form of Attention.h over the dimensions of its tensor. Out: the
// operation, its body the score as it is written. What is read in the body is not kept inside
// its tensor where the guard says that it is: elements that take no part are not read.
#include "compiler/equations/Attention.h"
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <limits>

namespace qkv::irgen {

using namespace mlir;
using K = Expr::Kind;

/// The value's tensor with the axes alone that have letters of `number`, and where they stand. An
/// axis that is read at a place is whole, and stands where the key does.
static std::pair<Value, AffineMap> valueOperand(FunctionEmitter &f, ScalarEmitter &outside,
                                                const WeightedSum &sum,
                                                const std::unordered_map<int, unsigned> &number,
                                                Location loc) {
  OpBuilder &b = f.builder;
  const ExprPtr &read = sum.value;
  const Tensor &t = f.program.tensors[read->tensor];
  Value tensor = f.tensors.at(read->tensor);
  SmallVector<OpFoldResult> offsets, sizes;
  SmallVector<int64_t> shape;
  SmallVector<AffineExpr> results;
  bool whole = true;
  for (size_t a = 0; a < read->args.size(); ++a) {
    const ExprPtr &index = read->args[a];
    auto at = letterPlus(index);
    auto found = at && at->letter >= 0 ? number.find(at->letter) : number.end();
    if (f.isLocal(read->tensor, a))
      continue;
    if (static_cast<int>(a) == sum.placeAxis) {
      offsets.push_back(b.getIndexAttr(0));
      sizes.push_back(f.storageExtent(t.axes[a]));
      shape.push_back(getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
      results.push_back(getAffineDimExpr(number.at(sum.sumKey), b.getContext()));
      continue;
    }
    if (found == number.end()) {
      offsets.push_back(getAsOpFoldResult(outside.storageIndex(index, read->tensor, a)));
      sizes.push_back(b.getIndexAttr(1));
      whole = false;
      continue;
    }
    const Size &extent = f.program.letters[at->letter].extent;
    offsets.push_back(
        f.add(loc, b.getIndexAttr(t.axes[a].before), getAsOpFoldResult(f.value(at->rest))));
    sizes.push_back(f.extent(extent));
    whole = whole && !t.axes[a].before && !t.axes[a].after && at->rest == Size(0) &&
            extent == t.axes[a].extent;
    shape.push_back(getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
    results.push_back(getAffineDimExpr(found->second, b.getContext()));
  }
  if (!whole) {
    SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
    auto type = RankedTensorType::get(shape, f.elementType(read->tensor));
    tensor = tensor::ExtractSliceOp::create(b, loc, type, tensor, offsets, sizes, strides);
  }
  return {tensor, AffineMap::get(number.size(), 0, results, b.getContext())};
}

/// The letters of a weighted sum's results that are outside of row and value.
static std::vector<int> outerLetters(const Program &program, const WeightedSum &sum,
                                     const std::vector<Dimension> &dimensions) {
  std::vector<int> outer;
  for (const Dimension &d : dimensions) {
    if (d.base != Size(0))
      throw Defect("irgen: a weighted sum over part of its letters");
    if (d.letter != sum.row && !std::count(sum.values.begin(), sum.values.end(), d.letter))
      outer.push_back(d.letter);
  }
  // (In one order, however an equation puts them: weights are compared.)
  std::stable_sort(outer.begin(), outer.end(), [&](int a, int b) {
    auto rank = [&](int l) { return overSequences(program, l) ? -1 : l; };
    return rank(a) < rank(b);
  });
  return outer;
}

/// The body: the score of a row at a key, and whether it takes part.
static void emitScore(FunctionEmitter &f, AttentionOp op, const WeightedSum &sum,
                      ArrayRef<int> outer, bool hasRow, const std::vector<Facts> &facts,
                      Location loc) {
  OpBuilder::InsertionGuard guard(f.builder);
  SmallVector<mlir::Type> types(outer.size() + 6, f.builder.getIndexType());
  Block *body =
      f.builder.createBlock(&op.getBody(), {}, types, SmallVector<Location>(types.size(), loc));
  std::vector<Facts> underGuard = facts;
  if (sum.part)
    underGuard.push_back(f.bounds.assume(sum.part));
  ScalarEmitter inside(f, f.builder, facts, loc);
  inside.letters = f.letters;
  for (size_t i = 0; i < outer.size(); ++i)
    inside.letters[outer[i]] = body->getArgument(i);
  ValueRange rest = body->getArguments().drop_front(outer.size());
  if (hasRow)
    inside.letters[sum.row] = rest[0];
  inside.letters[sum.key] = inside.letters[sum.sumKey] = rest[1];
  if (sum.tile) {
    inside.letters[sum.tile->firstRow] = rest[2];
    inside.letters[sum.tile->lastRow] = rest[3];
    inside.letters[sum.tile->firstKey] = rest[4];
    inside.letters[sum.tile->lastKey] = rest[5];
  }
  Value yes = arith::ConstantOp::create(f.builder, loc, f.builder.getBoolAttr(true));
  Value part = sum.part ? inside.emit(sum.part) : yes;
  Value any = sum.any ? inside.emit(sum.any) : yes;
  Value all = sum.all ? inside.emit(sum.all) : yes;
  inside.assumeFor(sum.key, underGuard);
  Value score = inside.data(sum.score);
  Value factor = sum.factor ? inside.data(sum.factor) : Value();
  SmallVector<Value> factors, places;
  if (factor)
    factors.push_back(factor);
  if (sum.placeAxis >= 0)
    places.push_back(
        inside.storageIndex(sum.value->args[sum.placeAxis], sum.value->tensor, sum.placeAxis));
  ScoreOp::create(f.builder, loc, score, part, any, all, factors, places);
}

/// What an extent is at most, where that is no more than a block; 0: it may be more.
static int64_t mostRows(Bounds &bounds, const Size &extent) {
  if (extent.constant() || !bounds.atLeast(Size(AttentionOp::blockSize) - extent, 0))
    return 0;
  int64_t most = 1;
  while (!bounds.atLeast(Size(most) - extent, 0))
    ++most;
  return most;
}

Value FunctionEmitter::attention(const ExprPtr &e, const std::vector<Dimension> &dimensions,
                                 const std::vector<Facts> &facts, Span span,
                                 const std::string &label) {
  WeightedSum sum = *asWeightedSum(program, e);
  Location loc = state.location(span, label);
  MLIRContext *context = builder.getContext();
  // The operation's letters: outer, row (the key in values), the value's own.
  std::vector<int> outer = outerLetters(program, sum, dimensions);
  std::unordered_map<int, unsigned> ofOutput, ofValue;
  SmallVector<Value> outerExtents;
  unsigned count = 0;
  for (int l : outer) {
    ofOutput[l] = ofValue[l] = count++;
    outerExtents.push_back(asValue(extent(program.letters[l].extent)));
  }
  bool hasRow =
      sum.row >= 0 && std::any_of(dimensions.begin(), dimensions.end(),
                                  [&](const Dimension &d) { return d.letter == sum.row; });
  ofOutput[hasRow ? sum.row : -1] = ofValue[sum.sumKey] = count++;
  for (int l : sum.values)
    ofOutput[l] = ofValue[l] = count++;
  SmallVector<AffineExpr> outputs;
  SmallVector<OpFoldResult> shape;
  for (const Dimension &d : dimensions) {
    outputs.push_back(getAffineDimExpr(ofOutput.at(d.letter), context));
    shape.push_back(extent(d.extent));
  }
  AffineMap outputMap = AffineMap::get(count, 0, outputs, context);

  ScalarEmitter outside(*this, builder, facts, loc);
  outside.letters = letters;
  SmallVector<Value> values;
  SmallVector<AffineMap> valueMaps;
  if (sum.value) {
    auto [value, map] = valueOperand(*this, outside, sum, ofValue, loc);
    values.push_back(value);
    valueMaps.push_back(map);
  }
  Value rows = hasRow ? asValue(extent(program.letters[sum.row].extent)) : constant(1);
  Value keys = asValue(extent(program.letters[sum.sumKey].extent));
  Value init = tensor::EmptyOp::create(builder, loc, shape, builder.getF32Type());
  auto op = AttentionOp::create(builder, loc, TypeRange{init.getType()}, outerExtents, rows, keys,
                                values, ValueRange{init}, builder.getAffineMapArrayAttr(valueMaps),
                                builder.getAffineMapArrayAttr({outputMap}), sum.plain);
  op->setAttr(equationAttribute, builder.getStringAttr(label));
  if (int64_t most = hasRow ? mostRows(bounds, program.letters[sum.row].extent) : 0)
    op->setAttr(mostRowsAttribute, builder.getI64IntegerAttr(most));
  emitScore(*this, op, sum, outer, hasRow, facts, loc);
  return op.getResult(0);
}

// A reduction inside of a score: letters become arguments, what is left out is the identity.
Value ScalarEmitter::reduction(const ExprPtr &e) {
  Location loc = at(e);
  double identity = e->reduction == Reduction::Sum    ? 0
                    : e->reduction == Reduction::Prod ? 1
                    : e->reduction == Reduction::Max  ? -std::numeric_limits<double>::infinity()
                                                      : std::numeric_limits<double>::infinity();
  SmallVector<Value> extents;
  for (int l : e->letters)
    extents.push_back(function_.asValue(function_.extent(function_.program.letters[l].extent)));
  auto op = ReduceOp::create(builder_, loc, builder_.getF32Type(),
                             builder_.getStringAttr(reductionName(e->reduction)), extents);
  OpBuilder::InsertionGuard guard(builder_);
  SmallVector<mlir::Type> types(extents.size(), builder_.getIndexType());
  Block *body =
      builder_.createBlock(&op.getBody(), {}, types, SmallVector<Location>(types.size(), loc));
  ScalarEmitter inside = *this; // what is computed inside stays there
  for (size_t i = 0; i < e->letters.size(); ++i)
    inside.letters[e->letters[i]] = body->getArgument(i);
  Value value = inside.data(e->args[0]);
  if (e->args[1])
    value = arith::SelectOp::create(builder_, loc, inside.emit(e->args[1]), value,
                                    number(identity, false));
  YieldOp::create(builder_, loc, value);
  return op.getResult();
}

} // namespace qkv::irgen

// Chosen positions, and rows that chose the same position (equations/ChooseByRank, GroupRows).
//
// In: tensors whose equations say what they are and which are computed otherwise: chosen positions
// by a pass over each row, the order of all choices by counting; a loop of the order over the
// positions that may be chosen. Out: the tensors. What must hold: buffers of a position's rows are
// no larger than all rows, which the bound of their number says; of a position that no row chose
// nothing is computed, nor read.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <limits>

namespace qkv::irgen {

using namespace mlir;
using Predicate = arith::CmpIPredicate;

namespace {

/// Loops that carry tensors of ints, and what is done in them.
class IntLoops {
public:
  IntLoops(FunctionEmitter &f, Location loc) : f_(f), b_(f.builder), loc_(loc) {}

  using Body = llvm::function_ref<SmallVector<Value>(Value, ValueRange)>;
  SmallVector<Value> over(Value first, Value end, ValueRange carried, Body body) {
    auto loop = scf::ForOp::create(b_, loc_, first, end, f_.constant(1), carried);
    OpBuilder::InsertionGuard guard(b_);
    Block *block = loop.getBody();
    if (!block->empty())
      block->back().erase();
    b_.setInsertionPointToEnd(block);
    scf::YieldOp::create(b_, loc_, body(loop.getInductionVar(), loop.getRegionIterArgs()));
    return SmallVector<Value>(loop.getResults());
  }

  Value filled(ArrayRef<OpFoldResult> shape, int64_t number) {
    Value empty = tensor::EmptyOp::create(b_, loc_, shape, b_.getI64Type());
    return f_.fill(loc_, integer(number), empty);
  }
  Value integer(int64_t number) {
    return arith::ConstantOp::create(b_, loc_, b_.getI64IntegerAttr(number));
  }
  Value read(Value tensor, ValueRange at) {
    return tensor::ExtractOp::create(b_, loc_, tensor, at);
  }
  Value write(Value value, Value tensor, ValueRange at) {
    return tensor::InsertOp::create(b_, loc_, value, tensor, at);
  }
  Value position(Value number) {
    return arith::IndexCastOp::create(b_, loc_, b_.getIndexType(), number);
  }
  Value number(Value position) {
    return arith::IndexCastOp::create(b_, loc_, b_.getI64Type(), position);
  }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b_, loc_, condition, yes, no);
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(b_, loc_, a, b); }
  Value sub(Value a, Value b) { return arith::SubIOp::create(b_, loc_, a, b); }
  Value least(Value a, Value b) { return arith::MinUIOp::create(b_, loc_, a, b); }
  Value isChoice(Value chosen) {
    return arith::CmpIOp::create(b_, loc_, Predicate::sge, chosen, integer(0));
  }
  Value product(ArrayRef<Axis> axes) {
    Size out(1);
    for (const Axis &a : axes)
      out = out * a.extent;
    return f_.asValue(f_.extent(out));
  }
  /// The indices along some axes of the element of a number, in row-major order.
  SmallVector<Value> indices(ArrayRef<Axis> axes, Value number) {
    SmallVector<Value> out(axes.size());
    for (size_t a = axes.size(); a-- > 0;) {
      Value extent = f_.asValue(f_.extent(axes[a].extent));
      out[a] = a == 0 ? number : Value(arith::RemUIOp::create(b_, loc_, number, extent));
      if (a > 0)
        number = arith::DivUIOp::create(b_, loc_, number, extent);
    }
    return out;
  }

private:
  FunctionEmitter &f_;
  OpBuilder &b_;
  Location loc_;
};

} // namespace

/// For each row, the positions that are taken one after the other.
void FunctionEmitter::computeChosen(int tensor, int taken) {
  const Tensor &t = program.tensors[tensor];
  IntLoops loops(*this, state.location(t.span, t.label));
  SmallVector<OpFoldResult> shape;
  for (const Axis &a : t.axes)
    shape.push_back(extent(a.extent));
  ArrayRef<Axis> rows = ArrayRef<Axis>(t.axes).drop_back();
  Value none = loops.filled(shape, std::numeric_limits<int64_t>::min());
  Value last = constant(*t.axes.back().extent.constant() - 1);
  Value positions = asValue(extent(program.tensors[taken].axes.back().extent));
  auto ofRow = [&](Value row, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> at = loops.indices(rows, row);
    at.push_back({});
    auto ofPosition = [&](Value position, ValueRange inner) -> SmallVector<Value> {
      at.back() = position;
      Value takes = loops.read(tensors.at(taken), at);
      at.back() = loops.least(inner[1], last);
      Value before = loops.read(inner[0], at);
      Value now = loops.select(takes, loops.number(position), before);
      return {loops.write(now, inner[0], at),
              loops.select(takes, loops.add(inner[1], constant(1)), inner[1])};
    };
    auto done = loops.over(constant(0), positions, {carried[0], constant(0)}, ofPosition);
    return {done[0]};
  };
  tensors[tensor] = loops.over(constant(0), loops.product(rows), {none}, ofRow)[0];
}

/// The order of all choices by what they chose, each one's place in it, and where those of a
/// position begin: counted, then put in their places.
void FunctionEmitter::computeOrder(const Group &group) {
  const Tensor &t = program.tensors[group.chosen];
  IntLoops loops(*this, state.location(t.span, t.label));
  auto shapeOf = [&](int tensor) {
    SmallVector<OpFoldResult> shape;
    for (const Axis &a : program.tensors[tensor].axes)
      shape.push_back(extent(a.extent));
    return shape;
  };
  Value chosen = tensors.at(group.chosen), all = loops.product(t.axes);
  Value positions = asValue(extent(program.tensors[group.begins].axes[0].extent));
  auto count = [&](Value number, ValueRange carried) -> SmallVector<Value> {
    Value choice = loops.read(chosen, loops.indices(t.axes, number));
    Value is = loops.isChoice(choice);
    Value at = loops.select(is, loops.add(loops.position(choice), constant(1)), constant(0));
    Value one = loops.select(is, loops.integer(1), loops.integer(0));
    return {loops.write(loops.add(loops.read(carried[0], at), one), carried[0], at)};
  };
  Value begins = loops.filled(shapeOf(group.begins), 0);
  begins = loops.over(constant(0), all, {begins}, count)[0];
  // Of each position two: where it begins, and where its next choice goes.
  auto add = [&](Value position, ValueRange carried) -> SmallVector<Value> {
    Value sum = loops.add(carried[1], loops.read(carried[0], position));
    return {loops.write(sum, carried[0], position), sum, loops.write(sum, carried[2], position)};
  };
  Value next = loops.filled(shapeOf(group.begins), 0);
  auto summed = loops.over(constant(0), positions, {begins, loops.integer(0), next}, add);
  auto put = [&](Value number, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> own = loops.indices(t.axes, number);
    Value choice = loops.read(chosen, own);
    Value is = loops.isChoice(choice);
    Value position = loops.select(is, loops.position(choice), constant(0));
    Value place = loops.read(carried[2], position);
    Value at = loops.select(is, loops.position(place), constant(0));
    Value there = loops.select(is, loops.number(number), loops.read(carried[0], at));
    Value none = loops.integer(std::numeric_limits<int64_t>::max());
    Value after = loops.select(is, loops.add(place, loops.integer(1)), place);
    return {loops.write(there, carried[0], at),
            loops.write(loops.select(is, place, none), carried[1], own),
            loops.write(after, carried[2], position)};
  };
  auto placed = loops.over(
      constant(0), all,
      {loops.filled(shapeOf(group.order), 0), loops.filled(shapeOf(group.place), 0), summed[2]},
      put);
  tensors[group.begins] = summed[0];
  tensors[group.order] = placed[0];
  tensors[group.place] = placed[1];
}

void FunctionEmitter::computeGroup(const ScheduleNode &loop) {
  const Group &group = prepared.groups[prepared.grouped.at(loop.axes[0].first)];
  const Tensor &chosen = program.tensors[group.chosen];
  Location loc = state.location(program.tensors[loop.axes.back().first].span,
                                program.tensors[loop.axes.back().first].label);
  IntLoops loops(*this, loc);
  if (!tensors.count(group.begins))
    computeOrder(group);
  std::set<int> members;
  for (auto &[tensor, axis] : loop.axes)
    members.insert(tensor);
  std::vector<int> stored; // for others
  SmallVector<Value> carried;
  for (const ScheduleNode &child : loop.children) {
    int t = child.tensor;
    if (std::all_of(plan.readers[t].begin(), plan.readers[t].end(),
                    [&](int reader) { return members.count(reader) > 0; })) {
      blocks.insert(t);
      continue;
    }
    SmallVector<OpFoldResult> shape;
    for (const Axis &a : program.tensors[t].axes)
      shape.push_back(extent(a.extent));
    stored.push_back(t);
    carried.push_back(tensor::EmptyOp::create(builder, loc, shape, elementType(t)));
  }
  Value positions = asValue(extent(program.letters[group.letter].extent));
  Value rows = loops.product(ArrayRef<Axis>(chosen.axes).drop_back());
  auto ofPosition = [&](Value position, ValueRange inner) -> SmallVector<Value> {
    Value begins = tensors.at(group.begins);
    Value begin = loops.position(loops.read(begins, position));
    Value end = loops.position(loops.read(begins, loops.add(position, constant(1))));
    // A row chooses a position once.
    Value count = loops.least(loops.sub(end, begin), rows);
    Value any = arith::CmpIOp::create(builder, loc, Predicate::ne, count, constant(0));
    auto branch = scf::IfOp::create(builder, loc, inner.getTypes(), any, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(builder);
    if (inner.empty())
      branch.getElseRegion().getBlocks().clear();
    builder.setInsertionPointToStart(branch.thenBlock());
    letters[group.letter] = position;
    scoped[Size::atom(group.begin)] = begin;
    scoped[Size::atom(group.count)] = count;
    for (size_t i = 0; i < stored.size(); ++i)
      tensors[stored[i]] = inner[i];
    for (const ScheduleNode &child : loop.children) {
      bool local = blocks.count(child.tensor) > 0;
      Value into = local ? Value() : tensors.at(child.tensor);
      tensors[child.tensor] = computePiece(child.tensor, 0, into);
    }
    SmallVector<Value> made;
    for (int t : stored)
      made.push_back(tensors.at(t));
    scf::YieldOp::create(builder, loc, made);
    builder.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(builder, loc, inner);
    return SmallVector<Value>(branch.getResults());
  };
  SmallVector<Value> made = loops.over(constant(0), positions, carried, ofPosition);
  for (size_t i = 0; i < stored.size(); ++i)
    tensors[stored[i]] = made[i];
  letters.erase(group.letter);
  scoped.clear();
  for (int t : members)
    if (blocks.erase(t))
      tensors.erase(t);
}

} // namespace qkv::irgen

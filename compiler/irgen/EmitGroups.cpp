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

/// The letters of a piece's rows at some indices.
static void giveRows(ScalarEmitter &scalar, const Piece &piece, ArrayRef<Value> at) {
  for (auto [index, value] : llvm::zip(piece.indices, at))
    if (index.letter >= 0)
      scalar.letters[index.letter] = value;
}

/// For each row, the positions that are taken one after the other.
void FunctionEmitter::computeChosen(int tensor, int taken) {
  const Tensor &t = program.tensors[tensor];
  const Piece &piece = t.pieces[0];
  Location loc = state.location(t.span, t.label);
  IntLoops loops(*this, loc);
  ExprPtr takes; // taken[rows, e], as the equation has it
  std::function<void(const ExprPtr &)> find = [&](const ExprPtr &e) {
    if (e && e->kind == Expr::Kind::Read && e->tensor == taken)
      takes = e;
    for (const ExprPtr &a : e ? e->args : std::vector<ExprPtr>())
      find(a);
  };
  find(piece.value);
  SmallVector<OpFoldResult> shape;
  for (const Axis &a : t.axes)
    shape.push_back(extent(a.extent));
  ArrayRef<Axis> rows = ArrayRef<Axis>(t.axes).drop_back();
  Value none = loops.filled(shape, std::numeric_limits<int64_t>::min());
  Value last = constant(*t.axes.back().extent.constant() - 1);
  Value positions = asValue(extent(program.tensors[taken].axes.back().extent));
  auto ofRow = [&](Value row, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> at = loops.indices(rows, row);
    auto ofPosition = [&](Value position, ValueRange inner) -> SmallVector<Value> {
      ScalarEmitter scalar(*this, builder, {}, loc);
      giveRows(scalar, piece, at);
      scalar.letters[takes->args.back()->letter] = position;
      Value takesPart = scalar.emit(takes);
      SmallVector<Value> seat(at);
      seat.push_back(loops.least(inner[1], last));
      Value before = loops.read(inner[0], seat);
      Value now = loops.select(takesPart, loops.number(position), before);
      return {loops.write(now, inner[0], seat),
              loops.select(takesPart, loops.add(inner[1], constant(1)), inner[1])};
    };
    return {loops.over(constant(0), positions, {carried[0], constant(0)}, ofPosition)[0]};
  };
  tensors[tensor] = loops.over(constant(0), loops.product(rows), {none}, ofRow)[0];
}

/// The first of each row in the order of their scores: the bits of the last one that is among them
/// are found some at a time, by counting how many scores have which; of those that are equal to it
/// the first ones are.
void FunctionEmitter::computeFirsts(int tensor) {
  constexpr int64_t bits = 11, bins = 1 << bits;
  const Tensor &t = program.tensors[tensor];
  const Piece &piece = t.pieces[0];
  const Expr &rank = *piece.value->args[0];
  Location loc = state.location(t.span, t.label);
  IntLoops loops(*this, loc);
  OpBuilder &b = builder;
  bool whole = rank.args[0]->type == Type::Int;
  int64_t passes = whole ? 6 : 3; // of 64 or 32 bits
  SmallVector<OpFoldResult> shape;
  for (const Axis &a : t.axes)
    shape.push_back(extent(a.extent));
  ArrayRef<Axis> rows = ArrayRef<Axis>(t.axes).drop_back();
  Value positions = asValue(extent(t.axes.back().extent));
  auto compare = [&](Predicate predicate, Value x, Value y) -> Value {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  };
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(b, loc, x, y); };
  // A score as bits that are in its order: the greatest, and what is no number, has the greatest.
  auto keyOf = [&](const ExprPtr &score, ScalarEmitter &scalar) -> Value {
    Value s = scalar.data(score);
    if (whole)
      return arith::XOrIOp::create(b, loc, s, loops.integer(std::numeric_limits<int64_t>::min()));
    auto number = [&](float v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v));
    };
    Value isNone = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, s, s);
    Value isZero = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, s, number(0));
    s = loops.select(isZero, number(0), s); // (-0 is equal to 0)
    Value raw = arith::BitcastOp::create(b, loc, b.getI32Type(), s);
    raw = arith::ExtUIOp::create(b, loc, b.getI64Type(), raw);
    Value negative = compare(Predicate::uge, raw, loops.integer(int64_t(1) << 31));
    Value flipped = loops.sub(loops.integer((int64_t(1) << 32) - 1), raw);
    Value key = loops.select(negative, flipped, loops.add(raw, loops.integer(int64_t(1) << 31)));
    return loops.select(isNone, loops.integer((int64_t(1) << 32) - 1), key);
  };
  auto ofRow = [&](Value row, ValueRange carried) -> SmallVector<Value> {
    SmallVector<Value> at = loops.indices(rows, row);
    auto element = [&](Value position, Value &takesPart) {
      ScalarEmitter scalar(*this, b, {}, loc);
      giveRows(scalar, piece, at);
      scalar.letters[piece.indices.back().letter] = position;
      scalar.letters[rank.letters[0]] = position;
      takesPart = rank.args[1] ? scalar.emit(rank.args[1])
                               : Value(arith::ConstantOp::create(b, loc, b.getBoolAttr(true)));
      return keyOf(rank.args[0], scalar);
    };
    Value known = loops.integer(0), wanted = loops.integer(piece.value->args[1]->integer);
    for (int64_t pass = passes; pass-- > 0;) {
      Value shift = loops.integer(pass * bits), above = loops.integer((pass + 1) * bits);
      bool first = pass == passes - 1; // all bits above are 0
      auto count = [&](Value position, ValueRange inner) -> SmallVector<Value> {
        Value takesPart, key = element(position, takesPart);
        if (!first)
          takesPart = both(
              takesPart, compare(Predicate::eq, arith::ShRUIOp::create(b, loc, key, above), known));
        Value bin = arith::ShRUIOp::create(b, loc, key, shift);
        bin = loops.position(arith::AndIOp::create(b, loc, bin, loops.integer(bins - 1)));
        Value more = loops.select(takesPart, loops.integer(1), loops.integer(0));
        return {loops.write(loops.add(loops.read(inner[0], bin), more), inner[0], bin)};
      };
      Value counts = loops.filled({b.getIndexAttr(bins)}, 0);
      counts = loops.over(constant(0), positions, {counts}, count)[0];
      // From the greatest down: the bin of the last one that is wanted, and how many of it are.
      auto search = [&](Value step, ValueRange inner) -> SmallVector<Value> {
        Value bin = loops.sub(constant(bins - 1), step);
        Value here = loops.read(counts, bin);
        Value isLast = compare(Predicate::uge, here, inner[0]);
        Value searching = compare(Predicate::slt, inner[1], loops.integer(0));
        Value found = both(searching, isLast);
        Value left = loops.sub(inner[0], here);
        Value goesOn = both(searching, compare(Predicate::ult, here, inner[0]));
        // (Where there are fewer, all are.)
        Value ends = compare(Predicate::ne, bin, constant(0));
        return {loops.select(both(goesOn, ends), left, inner[0]),
                loops.select(found, loops.number(bin), inner[1])};
      };
      auto ended = loops.over(constant(0), constant(bins), {wanted, loops.integer(-1)}, search);
      wanted = ended[0];
      Value bin = loops.select(compare(Predicate::slt, ended[1], loops.integer(0)),
                               loops.integer(0), ended[1]);
      known = arith::ShLIOp::create(b, loc, known, loops.integer(bits));
      known = arith::OrIOp::create(b, loc, known, bin);
    }
    auto mark = [&](Value position, ValueRange inner) -> SmallVector<Value> {
      Value takesPart, key = element(position, takesPart);
      Value equal = both(takesPart, compare(Predicate::eq, key, known));
      Value isOne = both(equal, compare(Predicate::ult, inner[1], wanted));
      Value greater = both(takesPart, compare(Predicate::ugt, key, known));
      SmallVector<Value> place(at);
      place.push_back(position);
      Value first = arith::OrIOp::create(b, loc, greater, isOne);
      return {loops.write(first, inner[0], place),
              loops.select(equal, loops.add(inner[1], loops.integer(1)), inner[1])};
    };
    return {loops.over(constant(0), positions, {carried[0], loops.integer(0)}, mark)[0]};
  };
  Value none = tensor::EmptyOp::create(b, loc, shape, b.getI1Type());
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
  if (!made.empty()) {
    Operation *op = made[0].getDefiningOp();
    op->setAttr(equationAttribute, builder.getStringAttr(chosen.name));
    op->setAttr(whyAttribute,
                builder.getStringAttr("what no row chose is neither computed nor read"));
  }
  for (size_t i = 0; i < stored.size(); ++i)
    tensors[stored[i]] = made[i];
  letters.erase(group.letter);
  scoped.clear();
  for (int t : members)
    if (blocks.erase(t))
      tensors.erase(t);
}

} // namespace qkv::irgen

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

namespace {

/// The first of each row in the order of their scores: the bits of the last one that is among them
/// are found some at a time, by counting how many scores have which; of those that are equal to it
/// the first ones are.
class Firsts {
public:
  Firsts(FunctionEmitter &f, const Tensor &tensor, Location loc)
      : f_(f), b_(f.builder), loc_(loc), tensor_(tensor), piece_(tensor.pieces[0]),
        rank_(*piece_.value->args[0]), isInt_(rank_.args[0]->type == Type::Int), loops_(f, loc),
        positions_(f.asValue(f.extent(tensor.axes.back().extent))) {}

  /// The tensor: whether an element is among the first.
  Value emit() {
    SmallVector<OpFoldResult> shape;
    for (const Axis &a : tensor_.axes)
      shape.push_back(f_.extent(a.extent));
    ArrayRef<Axis> rows = ArrayRef<Axis>(tensor_.axes).drop_back();
    auto ofRow = [&](Value row, ValueRange carried) -> SmallVector<Value> {
      at_ = loops_.indices(rows, row);
      return {markRow(carried[0])};
    };
    Value none = tensor::EmptyOp::create(b_, loc_, shape, b_.getI1Type());
    return loops_.over(position(0), loops_.product(rows), {none}, ofRow)[0];
  }

private:
  static constexpr int64_t bits = 11, bins = 1 << bits;

  /// A score as bits, and whether it takes part.
  struct Element {
    Value key, takesPart;
  };

  Value position(int64_t number) { return f_.constant(number); }
  Value compare(Predicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b_, loc_, predicate, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b_, loc_, x, y); }
  Value number(float value) {
    return arith::ConstantOp::create(b_, loc_, b_.getF32FloatAttr(value));
  }

  /// A score as bits that are in its order: the greatest, and what is no number, has the greatest.
  Value keyOf(Value score) {
    if (isInt_)
      return arith::XOrIOp::create(b_, loc_, score,
                                   loops_.integer(std::numeric_limits<int64_t>::min()));
    Value isNone = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::UNO, score, score);
    Value isZero = arith::CmpFOp::create(b_, loc_, arith::CmpFPredicate::OEQ, score, number(0));
    score = loops_.select(isZero, number(0), score); // (-0 is equal to 0)
    Value raw = arith::BitcastOp::create(b_, loc_, b_.getI32Type(), score);
    raw = arith::ExtUIOp::create(b_, loc_, b_.getI64Type(), raw);
    Value negative = compare(Predicate::uge, raw, loops_.integer(int64_t(1) << 31));
    Value greatest = loops_.integer((int64_t(1) << 32) - 1);
    Value flipped = loops_.sub(greatest, raw);
    Value key = loops_.select(negative, flipped, loops_.add(raw, loops_.integer(int64_t(1) << 31)));
    return loops_.select(isNone, greatest, key);
  }

  Element element(Value position) {
    ScalarEmitter scalar(f_, b_, {}, loc_);
    giveRows(scalar, piece_, at_);
    scalar.letters[piece_.indices.back().letter] = position;
    scalar.letters[rank_.letters[0]] = position;
    Value takesPart = rank_.args[1]
                          ? scalar.emit(rank_.args[1])
                          : Value(arith::ConstantOp::create(b_, loc_, b_.getBoolAttr(true)));
    return {keyOf(scalar.data(rank_.args[0])), takesPart};
  }

  /// How many scores of the row have which bits from `pass` on, of those whose bits above are
  /// known.
  Value countBits(int64_t pass, Value known) {
    Value shift = loops_.integer(pass * bits), above = loops_.integer((pass + 1) * bits);
    auto count = [&](Value position, ValueRange inner) -> SmallVector<Value> {
      auto [key, takesPart] = element(position);
      if (known) {
        Value rest = arith::ShRUIOp::create(b_, loc_, key, above);
        takesPart = both(takesPart, compare(Predicate::eq, rest, known));
      }
      Value bin = arith::ShRUIOp::create(b_, loc_, key, shift);
      bin = loops_.position(arith::AndIOp::create(b_, loc_, bin, loops_.integer(bins - 1)));
      Value more = loops_.select(takesPart, loops_.integer(1), loops_.integer(0));
      return {loops_.write(loops_.add(loops_.read(inner[0], bin), more), inner[0], bin)};
    };
    Value none = loops_.filled({b_.getIndexAttr(bins)}, 0);
    return loops_.over(position(0), positions_, {none}, count)[0];
  }

  /// From the greatest down: how many of the bin of the last wanted one are wanted, and its bits.
  std::pair<Value, Value> findBin(Value counts, Value wanted) {
    auto search = [&](Value step, ValueRange inner) -> SmallVector<Value> {
      Value bin = loops_.sub(position(bins - 1), step);
      Value here = loops_.read(counts, bin);
      Value isLast = compare(Predicate::uge, here, inner[0]);
      Value searching = compare(Predicate::slt, inner[1], loops_.integer(0));
      Value found = both(searching, isLast);
      Value left = loops_.sub(inner[0], here);
      Value goesOn = both(searching, compare(Predicate::ult, here, inner[0]));
      // (Where there are fewer, all are.)
      Value ends = compare(Predicate::ne, bin, position(0));
      return {loops_.select(both(goesOn, ends), left, inner[0]),
              loops_.select(found, loops_.number(bin), inner[1])};
    };
    auto ended = loops_.over(position(0), position(bins), {wanted, loops_.integer(-1)}, search);
    Value isNone = compare(Predicate::slt, ended[1], loops_.integer(0));
    return {ended[0], loops_.select(isNone, loops_.integer(0), ended[1])};
  }

  /// The tensor with the elements of the row at_.
  Value markRow(Value tensor) {
    Value known, wanted = loops_.integer(piece_.value->args[1]->integer);
    for (int64_t pass = isInt_ ? 6 : 3; pass-- > 0;) { // of 64 or 32 bits
      auto [left, bin] = findBin(countBits(pass, known), wanted);
      wanted = left;
      if (known)
        known = arith::ShLIOp::create(b_, loc_, known, loops_.integer(bits));
      known = known ? arith::OrIOp::create(b_, loc_, known, bin).getResult() : bin;
    }
    auto mark = [&](Value position, ValueRange inner) -> SmallVector<Value> {
      auto [key, takesPart] = element(position);
      Value equal = both(takesPart, compare(Predicate::eq, key, known));
      Value isOne = both(equal, compare(Predicate::ult, inner[1], wanted));
      Value greater = both(takesPart, compare(Predicate::ugt, key, known));
      SmallVector<Value> place(at_);
      place.push_back(position);
      Value first = arith::OrIOp::create(b_, loc_, greater, isOne);
      return {loops_.write(first, inner[0], place),
              loops_.select(equal, loops_.add(inner[1], loops_.integer(1)), inner[1])};
    };
    return loops_.over(position(0), positions_, {tensor, loops_.integer(0)}, mark)[0];
  }

  FunctionEmitter &f_;
  OpBuilder &b_;
  Location loc_;
  const Tensor &tensor_;
  const Piece &piece_;
  const Expr &rank_;
  bool isInt_;
  IntLoops loops_;
  Value positions_;
  SmallVector<Value> at_; ///< the row
};

} // namespace

void FunctionEmitter::computeFirsts(int tensor) {
  const Tensor &t = program.tensors[tensor];
  tensors[tensor] = Firsts(*this, t, state.location(t.span, t.label)).emit();
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

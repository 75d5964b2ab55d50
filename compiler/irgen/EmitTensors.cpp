// Tensors that are computed whole, and pieces written into tensors.
//
// In: a tensor whose reads have values. Out: its value as it is stored: with the positions
// before and behind (P4). The general piece comes first, those of more constant indices are
// written over it (P1); it is not computed at positions at either end that are not its own (P3).
#include "compiler/equations/Expressions.h"
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <functional>
#include <map>

namespace qkv::irgen {

using namespace mlir;

/// The tensor that `t` is but another name of, or -1.
static int sameAs(const Program &program, const Tensor &t) {
  if (t.pieces.size() != 1 || t.pieces[0].value->kind != Expr::Kind::Read)
    return -1;
  const Piece &p = t.pieces[0];
  const Tensor &from = program.tensors[p.value->tensor];
  if (from.axes.size() != t.axes.size() || from.type != t.type || from.constant != t.constant)
    return -1;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    const ExprPtr &index = p.value->args[a];
    if (p.indices[a].letter < 0 || index->kind != Expr::Kind::Letter ||
        index->letter != p.indices[a].letter || !runsOver(program, index->letter, t.axes[a]) ||
        !runsOver(program, index->letter, from.axes[a]))
      return -1;
  }
  return p.value->tensor;
}

namespace {

bool isLetter(const ExprPtr &e, int letter) {
  return e->kind == Expr::Kind::Letter && e->letter == letter;
}

/// Of width * outer + inner + rest, in any order: the rest.
std::optional<Size> restOf(const ExprPtr &e, int outer, int inner, int64_t width) {
  std::map<int, int64_t> times;
  Size rest;
  std::function<bool(const ExprPtr &, int64_t)> add = [&](const ExprPtr &e, int64_t by) {
    if (e->kind == Expr::Kind::Letter) {
      times[e->letter] += by;
      return true;
    }
    if (auto at = letterPlus(e); at && at->letter < 0) {
      rest = rest + at->rest * Size(by);
      return true;
    }
    if (e->kind != Expr::Kind::Apply || e->args.size() != 2)
      return false;
    const ExprPtr &a = e->args[0], &b = e->args[1];
    if (e->op == Op::Add || e->op == Op::Sub)
      return add(a, by) && add(b, e->op == Op::Add ? by : -by);
    if (e->op == Op::Mul && a->kind == Expr::Kind::Int)
      return add(b, by * a->integer);
    return e->op == Op::Mul && b->kind == Expr::Kind::Int && add(a, by * b->integer);
  };
  const std::map<int, int64_t> wanted{{outer, width}, {inner, 1}};
  return add(e, 1) && times == wanted ? std::optional(rest) : std::nullopt;
}

/// A tensor that is another from a place on, with one of its axes as two: y[b,u] = x[64 * b + u +
/// c].
struct Divided {
  int from;
  size_t axis; ///< the first of both
  Size first;  ///< c
};

std::optional<Divided> divided(const Program &program, Bounds &bounds, const Tensor &t) {
  if (t.pieces.size() != 1 || t.pieces[0].guard || t.pieces[0].value->kind != Expr::Kind::Read)
    return std::nullopt;
  const Piece &p = t.pieces[0];
  const Expr &read = *p.value;
  const Tensor &from = program.tensors[read.tensor];
  if (from.axes.size() + 1 != t.axes.size() || from.type != t.type || from.constant != t.constant)
    return std::nullopt;
  for (size_t a = 0; a < t.axes.size(); ++a)
    if (p.indices[a].letter < 0 || !runsOver(program, p.indices[a].letter, t.axes[a]))
      return std::nullopt;
  std::optional<Divided> out;
  for (size_t a = 0; a < from.axes.size(); ++a) {
    size_t own = a + (out ? 1 : 0);
    if (isLetter(read.args[a], p.indices[own].letter) &&
        runsOver(program, p.indices[own].letter, from.axes[a]))
      continue;
    auto width = out ? std::nullopt : t.axes[a + 1].extent.constant();
    auto rest = width ? restOf(read.args[a], p.indices[a].letter, p.indices[a + 1].letter, *width)
                      : std::nullopt;
    if (!rest || !bounds.inside(read.args[a], from.axes[a], {}))
      return std::nullopt;
    out = Divided{read.tensor, a, *rest};
  }
  return out;
}

/// A tensor that goes on from an input: `if p < n then input[p] else rest`, n being the input's
/// extent along the axis of p, and no greater than the tensor's own whatever the sizes are.
struct Continued {
  int input;
  size_t axis;
};

std::optional<Continued> continued(const Program &program, Bounds &bounds, const Tensor &t) {
  if (t.pieces.size() != 1 || t.pieces[0].value->kind != Expr::Kind::If)
    return std::nullopt;
  const Piece &p = t.pieces[0];
  const Expr &condition = *p.value->args[0], &kept = *p.value->args[1];
  if (condition.kind != Expr::Kind::Apply || condition.op != Op::Less ||
      condition.args[0]->kind != Expr::Kind::Letter ||
      condition.args[1]->kind != Expr::Kind::Size || kept.kind != Expr::Kind::Read)
    return std::nullopt;
  const Tensor &from = program.tensors[kept.tensor];
  if (from.kind != Tensor::Kind::Input || from.type != t.type || from.axes.size() != t.axes.size())
    return std::nullopt;
  std::optional<size_t> axis;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    const Expr &index = *kept.args[a];
    if (t.axes[a].before || t.axes[a].after || p.indices[a].letter < 0 ||
        index.kind != Expr::Kind::Letter || index.letter != p.indices[a].letter ||
        !runsOver(program, index.letter, t.axes[a]))
      return std::nullopt;
    if (index.letter == condition.args[0]->letter)
      axis = a;
    else if (!runsOver(program, index.letter, from.axes[a]))
      return std::nullopt;
  }
  if (!axis)
    return std::nullopt;
  const Size &held = from.axes[*axis].extent;
  if (held != condition.args[1]->size || !bounds.atLeast(t.axes[*axis].extent - held, 0))
    return std::nullopt;
  return Continued{kept.tensor, *axis};
}

} // namespace

/// What goes on from an input is copied, and the rest computed behind it: where both are one buffer
/// (LowerCopies.cpp) the copy costs nothing.
Value FunctionEmitter::computeContinued(int tensor, int input, size_t axis) {
  const Tensor &t = program.tensors[tensor];
  const Piece &p = t.pieces[0];
  Location loc = state.location(p.span ? p.span : t.span, t.label);
  Size held = program.tensors[input].axes[axis].extent;
  SmallVector<OpFoldResult> whole, offsets, kept, rest;
  std::vector<Dimension> dimensions;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    bool along = a == axis;
    Size left = along ? t.axes[a].extent - held : t.axes[a].extent;
    dimensions.push_back({p.indices[a].letter, along ? held : Size(0), left});
    whole.push_back(extent(t.axes[a].extent));
    kept.push_back(extent(program.tensors[input].axes[a].extent));
    offsets.push_back(along ? getAsOpFoldResult(value(held)) : builder.getIndexAttr(0));
    rest.push_back(extent(left));
  }
  Value into = tensor::EmptyOp::create(builder, loc, whole, elementType(tensor));
  SmallVector<OpFoldResult> ones(t.axes.size(), builder.getIndexAttr(1)),
      none(t.axes.size(), builder.getIndexAttr(0));
  into = tensor::InsertSliceOp::create(builder, loc, tensors.at(input), into, none, kept, ones);
  emitChecks(tensor, 0);
  Value fresh = compute(p.value->args[2], dimensions, elementType(tensor),
                        {bounds.assume(apply(Op::GreaterEqual, p.value->args[0]->args, {}))},
                        p.span ? p.span : t.span, t.name);
  return tensor::InsertSliceOp::create(builder, loc, fresh, into, offsets, rest, ones);
}

/// The other as it lies in memory, with the axis in two.
Value FunctionEmitter::computeDivided(int tensor, int from, size_t axis, const Size &first) {
  const Tensor &t = program.tensors[tensor];
  const std::vector<Axis> &axes = program.tensors[from].axes;
  Location loc = state.location(t.span, t.label);
  SmallVector<OpFoldResult> offsets, sizes, shape;
  SmallVector<int64_t> taken, made;
  SmallVector<ReassociationIndices> groups;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    shape.push_back(extent(t.axes[a].extent));
    made.push_back(getConstantIntValue(shape.back()).value_or(ShapedType::kDynamic));
    if (a == axis + 1) {
      groups.back().push_back(static_cast<int64_t>(a));
      continue;
    }
    const Axis &of = axes[a > axis ? a - 1 : a];
    OpFoldResult at = builder.getIndexAttr(of.before);
    offsets.push_back(a == axis ? add(loc, at, getAsOpFoldResult(value(first))) : at);
    sizes.push_back(extent(a == axis ? t.axes[a].extent * t.axes[a + 1].extent : t.axes[a].extent));
    taken.push_back(getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
    groups.push_back({static_cast<int64_t>(a)});
  }
  SmallVector<OpFoldResult> ones(offsets.size(), builder.getIndexAttr(1));
  mlir::Type type = elementType(from);
  Value part = tensor::ExtractSliceOp::create(builder, loc, RankedTensorType::get(taken, type),
                                              tensors.at(from), offsets, sizes, ones);
  return tensor::ExpandShapeOp::create(builder, loc, RankedTensorType::get(made, type), part,
                                       groups, shape);
}

bool FunctionEmitter::isLocal(int tensor, size_t axis) const {
  auto found = local.find(tensor);
  return found != local.end() && found->second.count(static_cast<int>(axis));
}

/// Whether all positions of a tensor are in memory, each in its place.
bool FunctionEmitter::isWhole(int tensor) const {
  if (local.count(tensor) || blocks.count(tensor) || !tensors.count(tensor))
    return false;
  for (size_t a = 0; a < program.tensors[tensor].axes.size(); ++a)
    if (keptOf(tensor, a))
      return false;
  return true;
}

/// Whether any element of what reads a tensor is computed; null: for certain.
Value FunctionEmitter::anyReader(int tensor) {
  Location loc = state.location(program.tensors[tensor].span, program.tensors[tensor].label);
  Value out;
  for (int reader : plan.readers[tensor]) {
    Value elements;
    for (const Axis &a : program.tensors[reader].axes) {
      Size extent = a.extent + Size(a.before + a.after);
      if (bounds.atLeast(extent, 1) || !isKnown(extent))
        continue;
      Value any = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sgt, value(extent),
                                        constant(0));
      elements = elements ? Value(arith::AndIOp::create(builder, loc, elements, any)) : any;
    }
    if (!elements)
      return {};
    out = out ? Value(arith::OrIOp::create(builder, loc, out, elements)) : elements;
  }
  return out;
}

/// A table of functions, of no input, that nobody may ask: a step's, of whole blocks, where it has
/// none.
bool FunctionEmitter::computeAsked(int tensor) {
  const Tensor &t = program.tensors[tensor];
  constexpr int64_t few = 64;
  if (plan.ofInput[tensor] || t.pieces.size() != 1 || plan.isResult[tensor] ||
      local.count(tensor) || prepared.checks.count(tensor) || tensors.count(tensor))
    return false;
  Size size(1);
  for (size_t a = 0; a < t.axes.size(); ++a) {
    if (t.pieces[0].indices[a].letter < 0 ||
        !runsOver(program, t.pieces[0].indices[a].letter, t.axes[a]))
      return false;
    size = size * t.axes[a].extent;
  }
  bool costly = false;
  forEachNode(t.pieces[0].value,
              [&](const Expr &e) { costly |= e.kind == Expr::Kind::Apply && isCostly(e.op); });
  if (!costly || !bounds.atLeast(size, few))
    return false;
  Value asked = anyReader(tensor);
  if (!asked)
    return false;
  Location loc = state.location(t.span, t.name);
  SmallVector<OpFoldResult> shape;
  for (const Axis &axis : t.axes)
    shape.push_back(extent(axis.extent));
  Value empty = tensor::EmptyOp::create(builder, loc, shape, elementType(tensor));
  auto branch = scf::IfOp::create(builder, loc, TypeRange{empty.getType()}, asked, true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(branch.thenBlock());
  Value made = computePiece(tensor, 0, {});
  SmallVector<OpFoldResult> none(shape.size(), builder.getIndexAttr(0)),
      ones(shape.size(), builder.getIndexAttr(1));
  made = tensor::InsertSliceOp::create(builder, loc, made, empty, none, shape, ones);
  scf::YieldOp::create(builder, loc, made);
  builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(builder, loc, empty);
  tensors[tensor] = branch.getResult(0);
  return true;
}

void FunctionEmitter::computeWhole(int tensor) {
  if (computeAsked(tensor))
    return;
  const Tensor &t = program.tensors[tensor];
  Location loc = state.location(t.span, t.label);
  if (auto chosen = prepared.chosen.find(tensor); chosen != prepared.chosen.end()) {
    computeChosen(tensor, chosen->second);
    return;
  }
  if (prepared.firsts.count(tensor)) {
    computeFirsts(tensor);
    return;
  }
  for (const Group &group : prepared.groups)
    if (tensor == group.order || tensor == group.place || tensor == group.begins) {
      if (!tensors.count(tensor)) // all three at once
        computeOrder(group);
      return;
    }
  if (int other = sameAs(program, t); other >= 0 && !prepared.checks.count(tensor) &&
                                      !panels(other) && elementType(other) == elementType(tensor)) {
    tensors[tensor] = tensors.at(other);
    return;
  }
  if (auto of = divided(program, bounds, t);
      of && isWhole(of->from) && !plan.isResult[tensor] && !local.count(tensor) &&
      !prepared.checks.count(tensor) && !prepared.grouped.count(tensor) && !panels(of->from) &&
      elementType(of->from) == elementType(tensor)) {
    tensors[tensor] = computeDivided(tensor, of->from, of->axis, of->first);
    return;
  }
  if (auto joined = plan.joined.find(tensor); joined != plan.joined.end()) {
    computeJoined(tensor, joined->second);
    return;
  }
  if (auto from = continued(program, bounds, t);
      from && elementType(from->input) == elementType(tensor)) {
    tensors[tensor] = computeContinued(tensor, from->input, from->axis);
    return;
  }
  Value whole;
  // One piece at every position is the tensor; anything else is put together.
  if (t.pieces.size() == 1) {
    bool plain = true;
    for (size_t a = 0; a < t.axes.size(); ++a) {
      const PieceIndex &i = t.pieces[0].indices[a];
      plain &= isLocal(tensor, a) || (i.letter >= 0 && runsOver(program, i.letter, t.axes[a]));
    }
    if (plain) {
      tensors[tensor] = computePiece(tensor, 0, {});
      return;
    }
  }
  whole = zeros(tensor, loc);
  for (size_t p = t.pieces.size(); p-- > 0;)
    whole = computePiece(tensor, static_cast<int>(p), whole);
  tensors[tensor] = whole;
}

Value FunctionEmitter::computePiece(int tensor, int piece, Value into) {
  const Tensor &t = program.tensors[tensor];
  const Piece &p = t.pieces[piece];
  Location loc = state.location(p.span ? p.span : t.span, t.label);
  std::vector<Dimension> dimensions;
  SmallVector<OpFoldResult> offsets, sizes;
  LetterValues outer = letters;
  for (size_t a = 0; a < p.indices.size(); ++a) {
    const PieceIndex &index = p.indices[a];
    OpFoldResult before = builder.getIndexAttr(t.axes[a].before);
    auto loop = at.find({tensor, static_cast<int>(a)});
    if (loop != at.end()) { // one position
      if (index.letter >= 0)
        letters[index.letter] = loop->second;
      if (isLocal(tensor, a))
        continue;
      OpFoldResult offset = add(loc, OpFoldResult(loop->second), before);
      if (keptOf(tensor, a))
        offset = getAsOpFoldResult(slot(builder, loc, asValue(offset), tensor, a));
      offsets.push_back(offset);
      sizes.push_back(builder.getIndexAttr(1));
    } else if (index.letter >= 0) {
      PieceRange range = bounds.range(tensor, piece, static_cast<int>(a));
      if (auto group = prepared.grouped.find(tensor); group != prepared.grouped.end() && a == 0)
        range = {Size::atom(prepared.groups[group->second].begin),
                 Size::atom(prepared.groups[group->second].count),
                 {}};
      dimensions.push_back({index.letter, range.base, range.extent});
      offsets.push_back(add(loc, getAsOpFoldResult(value(range.base)), before));
      sizes.push_back(extent(range.extent));
    } else {
      offsets.push_back(add(loc, getAsOpFoldResult(value(index.position)), before));
      sizes.push_back(builder.getIndexAttr(1));
    }
  }
  emitChecks(tensor, piece);
  Value result = compute(p.value, dimensions, elementType(tensor), bounds.facts(tensor, piece),
                         p.span ? p.span : t.span, t.name);
  if (Operation *op = result.getDefiningOp()) {
    auto note = [&](const std::map<int, std::string> &of, const char *attribute) {
      if (auto found = of.find(tensor); found != of.end())
        op->setAttr(attribute, builder.getStringAttr(found->second));
    };
    note(prepared.notes.equations, equationsAttribute);
    note(prepared.notes.why, whyAttribute);
    if (auto found = prepared.notes.sums.find(Notes::sumKey(*p.value, t.instance));
        found != prepared.notes.sums.end() && p.value->kind == Expr::Kind::Reduce)
      op->setAttr(whyAttribute, builder.getStringAttr(found->second));
  }
  letters = outer;
  if (!into)
    return result;
  SmallVector<OpFoldResult> strides(offsets.size(), builder.getIndexAttr(1));
  return tensor::InsertSliceOp::create(builder, loc, result, into, offsets, sizes, strides);
}

} // namespace qkv::irgen

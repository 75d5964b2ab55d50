// What falls from position to position (Decays.h).
#include "compiler/streams/Decays.h"

#include "compiler/streams/Factors.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

ExprPtr plain(ExprPtr e) {
  while (e->kind == K::Convert)
    e = e->args[0];
  return e;
}

bool isLetter(const ExprPtr &e, int letter) {
  ExprPtr at = plain(e);
  return at->kind == K::Letter && at->letter == letter;
}

/// Whether a condition says a < b, or with `orEqual` a <= b, of two letters.
bool says(const ExprPtr &e, int a, int b, bool orEqual) {
  if (e->kind != K::Apply || e->args.size() != 2)
    return false;
  Op up = orEqual ? Op::LessEqual : Op::Less, down = orEqual ? Op::GreaterEqual : Op::Greater;
  return (e->op == up && isLetter(e->args[0], a) && isLetter(e->args[1], b)) ||
         (e->op == down && isLetter(e->args[0], b) && isLetter(e->args[1], a));
}

/// An int as row * a + key * b + c.
struct Distance {
  int64_t row = 0, key = 0, rest = 0;
};
std::optional<Distance> distanceOf(const ExprPtr &e, int row, int key) {
  if (e->kind == K::Int)
    return Distance{0, 0, e->integer};
  if (e->kind == K::Letter && (e->letter == row || e->letter == key))
    return Distance{e->letter == row, e->letter == key, 0};
  if (e->kind == K::Convert)
    return distanceOf(e->args[0], row, key);
  if (e->kind != K::Apply || (e->op != Op::Add && e->op != Op::Sub))
    return std::nullopt;
  auto a = distanceOf(e->args[0], row, key), b = distanceOf(e->args[1], row, key);
  if (!a || !b)
    return std::nullopt;
  int64_t sign = e->op == Op::Add ? 1 : -1;
  return Distance{a->row + sign * b->row, a->key + sign * b->key, a->rest + sign * b->rest};
}

/// letter - 1.
bool isBefore(const ExprPtr &e, int letter) {
  return e->kind == K::Apply && e->op == Op::Sub && isLetter(e->args[0], letter) &&
         e->args[1]->kind == K::Int && e->args[1]->integer == 1;
}

} // namespace

std::optional<Decay> Decays::of(const ExprPtr &factor, int row, int key) {
  if (factor->kind == K::Reduce && factor->reduction == Reduction::Prod) {
    ExprPtr step = ofProduct(factor, row, key);
    return step ? std::optional(ofStep(step, row)) : std::nullopt;
  }
  if (factor->kind != K::Apply)
    return std::nullopt;
  if (factor->op == Op::Pow)
    return ofPower(factor, factor->args[0], plain(factor->args[1]), row, key);
  if (factor->op == Op::Exp)
    return ofPower(factor, nullptr, factor->args[0], row, key);
  return std::nullopt;
}

Decay Decays::ofStep(const ExprPtr &step, int row) {
  bool same = !letters_.of(step).count(row);
  return {step, same ? nullptr : logarithmOf(step, 8), same, false};
}

/// The logarithm of what is an exponential or a sigmoid, also by its name; null of others.
ExprPtr Decays::logarithmOf(const ExprPtr &step, int depth) {
  if (step->kind == K::Apply && step->op == Op::Exp)
    return step->args[0];
  if (step->kind == K::Apply && step->op == Op::Sigmoid) {
    // log(sigmoid(x)) = min(x, 0) - log1p(exp(-|x|))
    const ExprPtr &x = step->args[0];
    ExprPtr small =
        apply(Op::Exp, {apply(Op::Neg, {apply(Op::Abs, {x}, x->span)}, x->span)}, x->span);
    return apply(Op::Sub,
                 {apply(Op::Min, {x, number(0)}, x->span), apply(Op::Log1p, {small}, x->span)},
                 x->span);
  }
  ExprPtr definition = depth > 0 ? definitionOf(program_, step) : nullptr;
  return definition ? logarithmOf(definition, depth - 1) : nullptr;
}

/// prod[m](g[m] where key < m <= row)
ExprPtr Decays::ofProduct(const ExprPtr &product, int row, int key) {
  if (product->letters.size() != 1 || !product->args[1])
    return nullptr;
  int m = product->letters[0];
  std::vector<ExprPtr> guards = conjuncts(product->args[1]);
  if (guards.size() != 2 || program_.letters[m].extent != program_.letters[row].extent)
    return nullptr;
  auto between = [&](const ExprPtr &above, const ExprPtr &below) {
    return says(above, key, m, false) && says(below, m, row, true);
  };
  const std::set<int> &free = letters_.of(product->args[0]);
  if ((!between(guards[0], guards[1]) && !between(guards[1], guards[0])) || free.count(row) ||
      free.count(key))
    return nullptr;
  return substitute(product->args[0], {{m, letter(row)}});
}

/// base ^ (row - key), base ^ (row - 1 - key), base ^ (key - row).
std::optional<Decay> Decays::ofDistance(const ExprPtr &base, const ExprPtr &exponent, int row,
                                        int key) {
  auto distance = distanceOf(exponent, row, key);
  if (!distance)
    return std::nullopt;
  if (distance->row == 1 && distance->key == -1 && (distance->rest == 0 || distance->rest == -1))
    return Decay{base, nullptr, true, distance->rest == -1};
  if (distance->row == -1 && distance->key == 1 && distance->rest == 0)
    return Decay{apply(Op::Div, {number(1), toFloat(base)}, base->span), nullptr, true, false};
  return std::nullopt;
}

/// base ^ (c[row] - c[key]); of no base e.
std::optional<Decay> Decays::ofPower(const ExprPtr &power, const ExprPtr &base,
                                     const ExprPtr &exponent, int row, int key) {
  if (exponent->kind != K::Apply || exponent->op != Op::Sub)
    return std::nullopt;
  if (base && (letters_.of(base).count(row) || letters_.of(base).count(key)))
    return std::nullopt;
  if (base)
    if (auto decay = ofDistance(base, exponent, row, key))
      return decay;
  ExprPtr ofRow = exponent->args[0], ofKey = exponent->args[1];
  bool turned = letters_.of(ofRow).count(key) > 0;
  if (turned)
    std::swap(ofRow, ofKey);
  if (letters_.of(ofRow).count(key) || !letters_.of(ofRow).count(row) ||
      letters_.of(ofKey).count(row))
    return std::nullopt;
  ExprPtr own = ofRow;
  bool early = !same(ofRow, row, ofKey, key);
  if (early) {
    own = substitute(ofKey, {{key, letter(row)}});
    ExprPtr before = apply(Op::Sub, {letter(row), integer(1)}, exponent->span);
    if (!same(ofRow, row, substitute(ofKey, {{key, before}}), row))
      return std::nullopt;
  }
  ExprPtr step = difference(own, row);
  if (turned)
    step = apply(Op::Neg, {step}, step->span);
  if (base)
    return Decay{apply(Op::Pow, {base, step}, power->span), nullptr, false, early};
  return Decay{apply(Op::Exp, {step}, power->span), step, false, early};
}

/// Whether two expressions are the same but that one has the row where the other has the key.
bool Decays::same(const ExprPtr &ofRow, int row, const ExprPtr &ofKey, int key) const {
  auto text = [&](const ExprPtr &e, int own) {
    std::string out;
    Text(program_, [&](int l) {
      return l == own ? std::string("p") : "l" + std::to_string(l);
    }).write(e, out);
    return out;
  };
  return text(ofRow, row) == text(ofKey, key);
}

/// e[row] - e[row - 1], where there is a row before.
ExprPtr Decays::difference(const ExprPtr &e, int row) const {
  ExprPtr value = plain(e), step;
  if (value->kind == K::Read)
    step = lastTerm(*value, row);
  if (!step) {
    ExprPtr before = apply(Op::Sub, {letter(row), integer(1)}, e->span);
    step = apply(Op::Sub, {e, substitute(e, {{row, before}})}, e->span);
  }
  if (step->type == Type::Int)
    step = toFloat(step);
  return step;
}

/// Of a read of c[t] = c[t-1] + a[t] or c[t-1] - (-a[t]), or of sum[m](a[m] where m <= t): a[t].
/// Null of others.
ExprPtr Decays::lastTerm(const Expr &read, int row) const {
  const Tensor &t = program_.tensors[read.tensor];
  if (t.kind != Tensor::Kind::Equation)
    return nullptr;
  const Piece *general = nullptr;
  for (const Piece &piece : t.pieces) {
    bool all = std::all_of(piece.indices.begin(), piece.indices.end(),
                           [](const PieceIndex &i) { return i.letter >= 0; });
    if (all && !piece.guard && !general)
      general = &piece;
    else if (all)
      return nullptr;
    // Others are of the first position, and of what is before it.
    for (const PieceIndex &i : piece.indices)
      if (i.letter < 0 && i.position != Size(0) && i.position != Size(-1))
        return nullptr;
  }
  std::optional<size_t> axis;
  for (size_t a = 0; a < read.args.size(); ++a)
    if (isLetter(read.args[a], row) && !axis)
      axis = a;
    else if (!general || letters_.of(read.args[a]).count(row))
      return nullptr;
  if (!general || !axis)
    return nullptr;
  for (const Piece &piece : t.pieces)
    for (size_t a = 0; a < piece.indices.size(); ++a)
      if (a != *axis && piece.indices[a].letter < 0)
        return nullptr;
  std::unordered_map<int, ExprPtr> letters;
  for (size_t a = 0; a < read.args.size(); ++a)
    letters[general->indices[a].letter] = read.args[a];
  int own = general->indices[*axis].letter;
  const ExprPtr &v = general->value;
  if (v->kind == K::Reduce && v->reduction == Reduction::Sum && v->letters.size() == 1 &&
      v->args[1] && program_.letters[v->letters[0]].extent == program_.letters[own].extent &&
      says(v->args[1], v->letters[0], own, true) && !letters_.of(v->args[0]).count(own)) {
    letters[v->letters[0]] = read.args[*axis];
    return substitute(v->args[0], letters);
  }
  if (v->kind != K::Apply || (v->op != Op::Add && v->op != Op::Sub))
    return nullptr;
  for (size_t side : {size_t(0), size_t(1)}) {
    if (side == 1 && v->op == Op::Sub)
      break;
    const ExprPtr &before = v->args[side], &rest = v->args[1 - side];
    if (before->kind != K::Read || before->tensor != read.tensor)
      continue;
    bool previous = true, reads = false;
    for (size_t a = 0; a < before->args.size(); ++a)
      previous = previous && (a == *axis ? isBefore(before->args[a], own)
                                         : isLetter(before->args[a], general->indices[a].letter));
    forEachNode(rest, [&](const Expr &n) {
      reads = reads || (n.kind == K::Read && n.tensor == read.tensor);
    });
    if (previous && !reads)
      return substitute(v->op == Op::Sub ? apply(Op::Neg, {rest}, rest->span) : rest, letters);
  }
  return nullptr;
}

} // namespace qkv::streams

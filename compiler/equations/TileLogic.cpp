// Guards over tiles: does a condition hold somewhere, does it hold everywhere?
//
// In: a condition over a row and a key letter. Out: two conditions over the bounds of a tile.
// Must hold: `any` is true if some element satisfies the condition, `all` only if every element
// does. What intervals cannot say is (true, false): the tile is masked.
#include "compiler/equations/Attention.h"

namespace qkv::equations {

using K = Expr::Kind;
using Interval = TileLogic::Interval;

static ExprPtr boolean(bool value) {
  auto e = std::make_shared<Expr>();
  e->kind = K::Bool;
  e->type = Type::Bool;
  e->constant = true;
  e->integer = value;
  return e;
}

static std::optional<bool> known(const ExprPtr &e) {
  if (e->kind == K::Bool)
    return e->integer != 0;
  return std::nullopt;
}

static ExprPtr conjunction(const ExprPtr &a, const ExprPtr &b) {
  if (auto k = known(a))
    return *k ? b : a;
  if (auto k = known(b))
    return *k ? a : b;
  return apply(Op::And, {a, b}, a->span);
}

static ExprPtr negation(const ExprPtr &e) {
  if (auto k = known(e))
    return boolean(!*k);
  return apply(Op::Not, {e}, e->span);
}

static ExprPtr disjunction(const ExprPtr &a, const ExprPtr &b) {
  if (auto k = known(a))
    return *k ? a : b;
  if (auto k = known(b))
    return *k ? b : a;
  return apply(Op::Or, {a, b}, a->span);
}

bool TileLogic::moves(const ExprPtr &e) {
  const std::set<int> &letters = free_.of(e);
  return letters.count(row_) || letters.count(key_);
}

std::optional<Interval> TileLogic::interval(const ExprPtr &e) {
  if (!moves(e))
    return Interval{e, e};
  auto ap = [&](Op op, const ExprPtr &a, const ExprPtr &b) { return apply(op, {a, b}, e->span); };
  if (e->kind == K::Letter)
    return e->letter == row_ ? Interval{letter(tile_.firstRow), letter(tile_.lastRow)}
                             : Interval{letter(tile_.firstKey), letter(tile_.lastKey)};
  if (e->kind == K::Read) {
    int at = -1, count = 0;
    for (auto &a : e->args)
      if (moves(a)) {
        at = a->kind == K::Letter ? a->letter : -1;
        ++count;
      }
    return count == 1 && at >= 0 ? table_(e, at) : std::nullopt;
  }
  if (e->kind == K::If) {
    auto a = interval(e->args[1]), b = interval(e->args[2]);
    if (!a || !b)
      return std::nullopt;
    return Interval{ap(Op::Min, a->least, b->least), ap(Op::Max, a->greatest, b->greatest)};
  }
  if (e->kind != K::Apply || e->type != Type::Int || e->args.empty() ||
      e->args[0]->type != Type::Int)
    return std::nullopt;
  auto a = interval(e->args[0]);
  if (!a)
    return std::nullopt;
  if (e->op == Op::Neg)
    return Interval{apply(Op::Neg, {a->greatest}, e->span), apply(Op::Neg, {a->least}, e->span)};
  if (e->args.size() < 2)
    return std::nullopt;
  auto b = interval(e->args[1]);
  if (!b)
    return std::nullopt;
  switch (e->op) {
  case Op::Add:
    return Interval{ap(Op::Add, a->least, b->least), ap(Op::Add, a->greatest, b->greatest)};
  case Op::Sub:
    return Interval{ap(Op::Sub, a->least, b->greatest), ap(Op::Sub, a->greatest, b->least)};
  case Op::Min:
  case Op::Max:
    return Interval{ap(e->op, a->least, b->least), ap(e->op, a->greatest, b->greatest)};
  case Op::Mul: {
    ExprPtr p = ap(Op::Mul, a->least, b->least), q = ap(Op::Mul, a->least, b->greatest),
            r = ap(Op::Mul, a->greatest, b->least), s = ap(Op::Mul, a->greatest, b->greatest);
    return Interval{ap(Op::Min, ap(Op::Min, p, q), ap(Op::Min, r, s)),
                    ap(Op::Max, ap(Op::Max, p, q), ap(Op::Max, r, s))};
  }
  case Op::FloorDiv:
  case Op::Mod: {
    const ExprPtr &divisor = e->args[1];
    if (divisor->kind != K::Int || divisor->integer <= 0)
      return std::nullopt;
    ExprPtr low = ap(Op::FloorDiv, a->least, divisor),
            high = ap(Op::FloorDiv, a->greatest, divisor);
    if (e->op == Op::FloorDiv)
      return Interval{low, high};
    ExprPtr one = ap(Op::Equal, low, high);
    return Interval{
        choose(one, ap(Op::Mod, a->least, divisor), integer(0), e->span),
        choose(one, ap(Op::Mod, a->greatest, divisor), integer(divisor->integer - 1), e->span)};
  }
  default:
    return std::nullopt;
  }
}

std::pair<ExprPtr, ExprPtr> TileLogic::compare(const ExprPtr &e) {
  auto a = interval(e->args[0]), b = interval(e->args[1]);
  if (!a || !b)
    return {boolean(true), boolean(false)};
  auto ap = [&](Op op, const ExprPtr &x, const ExprPtr &y) { return apply(op, {x, y}, e->span); };
  switch (e->op) {
  case Op::Less:
  case Op::LessEqual: // the least against the greatest; the greatest against the least
    return {ap(e->op, a->least, b->greatest), ap(e->op, a->greatest, b->least)};
  case Op::Greater:
  case Op::GreaterEqual:
    return {ap(e->op, a->greatest, b->least), ap(e->op, a->least, b->greatest)};
  default:
    break;
  }
  ExprPtr meet = conjunction(ap(Op::LessEqual, a->least, b->greatest),
                             ap(Op::LessEqual, b->least, a->greatest));
  ExprPtr one =
      conjunction(ap(Op::Equal, a->least, b->greatest), ap(Op::Equal, a->greatest, b->least));
  if (e->op == Op::Equal)
    return {meet, one};
  return {negation(one), negation(meet)};
}

std::pair<ExprPtr, ExprPtr> TileLogic::of(const ExprPtr &e) {
  if (!moves(e))
    return {e, e};
  if (e->kind == K::If) {
    auto c = of(e->args[0]), a = of(e->args[1]), b = of(e->args[2]);
    // (c and a) or (not c and b)
    return {disjunction(conjunction(c.first, a.first), conjunction(negation(c.second), b.first)),
            disjunction(conjunction(a.second, b.second),
                        disjunction(conjunction(c.second, a.second),
                                    conjunction(negation(c.first), b.second)))};
  }
  if (e->kind != K::Apply)
    return {boolean(true), boolean(false)};
  switch (e->op) {
  case Op::Not: {
    auto a = of(e->args[0]);
    return {negation(a.second), negation(a.first)};
  }
  case Op::And: {
    auto a = of(e->args[0]), b = of(e->args[1]);
    return {conjunction(a.first, b.first), conjunction(a.second, b.second)};
  }
  case Op::Or: {
    auto a = of(e->args[0]), b = of(e->args[1]);
    return {disjunction(a.first, b.first), disjunction(a.second, b.second)};
  }
  default:
    if (e->op >= Op::Equal && e->args[0]->type == Type::Int)
      return compare(e);
    return {boolean(true), boolean(false)};
  }
}

} // namespace qkv::equations

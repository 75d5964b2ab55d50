// In: a reduction with a guard. Out: the conjunct of the guard that bounds one of its letters by
// something that what is reduced does not depend on (Scans.h).
#include "compiler/equations/Scans.h"

#include "dsl/proof/LeftOut.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Rows fewer than these are reduced one by one, vectors at a time.
static constexpr double fewRows = 8;

bool mayFail(const ExprPtr &e) {
  bool fails = false;
  if (e)
    forEachNode(e, [&](const Expr &n) {
      bool divides = n.kind == K::Apply && (n.op == Op::FloorDiv || n.op == Op::Mod);
      fails = fails || std::count(n.checked.begin(), n.checked.end(), true) > 0 ||
              (divides && n.type == Type::Float &&
               (n.args[1]->kind != K::Float || n.args[1]->number == 0));
    });
  return fails;
}

double nominalCount(const Program &program, const std::set<int> &letters) {
  std::vector<int64_t> values(program.atoms.count(), 0);
  for (int a = 0; a < program.atoms.count(); ++a)
    values[a] = std::max<int64_t>(1, program.atoms[a].max / 4);
  double product = 1;
  for (int l : letters)
    product *= static_cast<double>(
        std::max<int64_t>(1, program.letters[l].extent.evaluate(program.atoms, values)));
  return product;
}

namespace {

/// letter <= value, or letter >= value
struct LetterBound {
  bool upper;
  ExprPtr value;
};

/// a <= b, as far as a comparison of ints says that.
std::optional<std::pair<ExprPtr, ExprPtr>> ordered(const ExprPtr &condition) {
  const Expr *e = condition.get();
  bool negated = e->kind == K::Apply && e->op == Op::Not;
  if (negated)
    e = e->args[0].get();
  if (e->kind != K::Apply || e->args.size() != 2 || e->args[0]->type != Type::Int ||
      e->args[1]->type != Type::Int)
    return std::nullopt;
  const ExprPtr &a = e->args[0], &b = e->args[1];
  auto less = [&](const ExprPtr &x, const ExprPtr &y) {
    return std::make_pair(x, apply(Op::Sub, {y, integer(1)}, e->span));
  };
  switch (e->op) {
  case Op::Less:
    return negated ? std::make_pair(b, a) : less(a, b);
  case Op::LessEqual:
    return negated ? less(b, a) : std::make_pair(a, b);
  case Op::Greater:
    return negated ? std::make_pair(a, b) : less(b, a);
  case Op::GreaterEqual:
    return negated ? less(a, b) : std::make_pair(b, a);
  default:
    return std::nullopt;
  }
}

/// What a condition says of a letter alone.
std::optional<LetterBound> boundOn(const ExprPtr &condition, int letter, FreeLetters &free) {
  auto sides = ordered(condition);
  if (!sides)
    return std::nullopt;
  auto has = [&](const ExprPtr &e) { return free.of(e).count(letter) > 0; };
  auto &[side, other] = *sides;
  bool upper = has(side);
  if (upper == has(other))
    return std::nullopt;
  if (!upper)
    side.swap(other);
  // side <= other (or >=), the letter being in `side` alone: what is beside it goes to the other.
  while (side->kind == K::Apply) {
    const ExprPtr e = side;
    if (e->op == Op::Neg) {
      side = e->args[0];
      other = apply(Op::Neg, {other}, e->span);
      upper = !upper;
      continue;
    }
    if ((e->op != Op::Add && e->op != Op::Sub) || has(e->args[0]) == has(e->args[1]))
      return std::nullopt;
    bool first = has(e->args[0]);
    side = e->args[first ? 0 : 1];
    if (e->op == Op::Add) {
      other = apply(Op::Sub, {other, e->args[first ? 1 : 0]}, e->span);
    } else if (first) {
      other = apply(Op::Add, {other, e->args[1]}, e->span);
    } else {
      other = apply(Op::Sub, {e->args[0], other}, e->span);
      upper = !upper;
    }
  }
  if (side->kind != K::Letter)
    return std::nullopt;
  return LetterBound{upper, other};
}

bool readsData(const ExprPtr &e) {
  bool reads = false;
  forEachNode(e, [&](const Expr &n) { reads = reads || n.kind == K::Read; });
  return reads;
}

bool isPlainKind(const Expr &e) {
  switch (e.reduction) {
  case Reduction::Sum:
  case Reduction::Mean:
  case Reduction::Prod:
  case Reduction::Max:
  case Reduction::Min:
    return true;
  case Reduction::LogSumExp:
  case Reduction::ArgMax:
  case Reduction::ArgMin:
    return e.letters.size() == 1;
  default:
    return false;
  }
}

} // namespace

std::optional<Running> runningReduction(const Program &program, FreeLetters &free,
                                        const ExprPtr &e) {
  if (e->kind != K::Reduce || !isPlainKind(*e))
    return std::nullopt;
  ExprPtr body = e->args[0], guard = e->args[1];
  // sum[m](if c then x else 0) is sum[m](x where c).
  while (e->reduction == Reduction::Sum && body->kind == K::If && isZeroLiteral(body->args[2])) {
    guard = both(guard, body->args[0]);
    body = body->args[1];
  }
  std::optional<Running> best;
  double least = 0;
  const std::vector<ExprPtr> parts = conjuncts(guard);
  for (size_t c = 0; c < parts.size(); ++c)
    for (int l : e->letters) {
      auto bound = boundOn(parts[c], l, free);
      // (What stands behind another condition may be read only where that holds.)
      if (!bound || mayFail(bound->value) || (c > 0 && readsData(bound->value)))
        continue;
      ExprPtr rest;
      for (size_t other = 0; other < parts.size(); ++other)
        if (other != c)
          rest = both(rest, parts[other]);
      std::set<int> kept = free.of(body);
      kept.insert(free.of(rest).begin(), free.of(rest).end());
      std::set<int> rows;
      bool bindsOwn = false;
      for (int row : free.of(bound->value)) {
        bindsOwn = bindsOwn || std::count(e->letters.begin(), e->letters.end(), row);
        if (!kept.count(row))
          rows.insert(row);
      }
      if (bindsOwn || nominalCount(program, rows) < fewRows)
        continue;
      for (int own : e->letters)
        kept.erase(own);
      double values = nominalCount(program, kept);
      if (best && values >= least)
        continue;
      least = values;
      best = Running{l, bound->upper, bound->value, body, rest, std::move(rows)};
    }
  return best;
}

} // namespace qkv::equations

// In: a score as it is written. Out: the same over reads of queries and keys (Scores.h): what
// depends on rows alone or on keys alone is computed once each, what depends on both is written
// out where the keys stream by.
#include "compiler/equations/Scores.h"

#include "compiler/equations/Scans.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Whether the emitter of scores has no form for a reduction.
static bool isHard(const Expr &e) {
  switch (e.reduction) {
  case Reduction::Sum:
  case Reduction::Max:
  case Reduction::Min:
  case Reduction::Prod:
    return e.type != Type::Float || e.constant;
  default:
    return true;
  }
}

bool any(const ExprPtr &e, const std::function<bool(const Expr &)> &holds) {
  bool has = false;
  forEachNode(e, [&](const Expr &n) { has = has || holds(n); });
  return has;
}

static bool isCostlyNode(const Expr &n) {
  return n.kind == K::Reduce || (n.kind == K::Apply && (isCostly(n.op) || n.op == Op::Div));
}

ExprPtr Scores::extract(const ExprPtr &e, const std::vector<int> &letters, const char *suffix) {
  std::vector<NewAxis> axes;
  for (int l : letters)
    axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
  ExprPtr guard;
  if (any(e, [](const Expr &n) { return std::count(n.checked.begin(), n.checked.end(), true); }))
    for (const ExprPtr &c : conditions_) {
      const std::set<int> &of = free_.of(c);
      if (std::all_of(of.begin(), of.end(),
                      [&](int l) { return std::count(letters.begin(), letters.end(), l) > 0; }))
        guard = both(guard, c);
    }
  return made_.make({tensor_, piece_, suffix}, axes, e, guard);
}

bool Scores::isComputed(const ExprPtr &e, int row, int key) {
  bool computed = false, ofParameter = false;
  std::set<const Expr *> seen;
  std::function<void(const ExprPtr &)> visit = [&](const ExprPtr &n) {
    if (!n || !seen.insert(n.get()).second)
      return;
    const std::set<int> &letters = free_.of(n);
    bool both = letters.count(key) && letters.count(row);
    computed = computed || (both && !n->constant && isCostlyNode(*n));
    ofParameter = ofParameter || (n->kind == K::Read && letters.count(key) &&
                                  program_.tensors[n->tensor].kind == Tensor::Kind::Param);
    for (auto &a : n->args)
      visit(a);
  };
  visit(e);
  return computed && !ofParameter;
}

// What holds a row or a key, or none of them.
ExprPtr Scores::ofOneSide(const ExprPtr &e, int row, int key, const std::vector<int> &inner) {
  const std::set<int> letters = free_.of(e);
  bool hasKey = letters.count(key), hasRow = letters.count(row);
  if (e->type != Type::Float)
    return e;
  if (e->kind == K::Read) {
    // Keys that stand elsewhere would be gathered for each row again.
    bool gathers = hasKey && !inner.empty() &&
                   std::any_of(e->args.begin(), e->args.end(), [&](const ExprPtr &a) {
                     return a->kind != K::Letter && free_.of(a).count(key);
                   });
    if (!gathers)
      return e;
  } else if (inner.empty() && !any(e, isCostlyNode)) {
    return e;
  }
  std::vector<int> order;
  for (int l : letters)
    if (l != key && l != row && !std::count(inner.begin(), inner.end(), l))
      order.push_back(l);
  if (hasKey || hasRow)
    order.push_back(hasKey ? key : row);
  for (int l : inner)
    if (letters.count(l))
      order.push_back(l);
  // (A number for all rows and keys is computed once, if it takes a reduction.)
  if (order.empty() && !any(e, [](const Expr &n) { return n.kind == K::Reduce; }))
    return e;
  return extract(e, order, hasKey ? "key" : "query");
}

/// Whether a reduction of `e` is not for each pair to compute: the emitter has no form for it, or
/// it is a running one, of which all elements together cost what one of them does (R5).
bool Scores::hasOwnLoop(const ExprPtr &e) {
  bool has = false;
  forEachNode(e, [&](const Expr &n) {
    has =
        has || (n.kind == K::Reduce &&
                (isHard(n) || runningReduction(program_, free_, std::make_shared<const Expr>(n))));
  });
  return has;
}

// `inner`: letters of the sums around.
ExprPtr Scores::written(const ExprPtr &e, int row, int key, std::vector<int> inner) {
  if (!e || e->constant)
    return e;
  const std::set<int> letters = free_.of(e);
  if (!letters.count(key) || !letters.count(row))
    return ofOneSide(e, row, key, inner);
  if (e->kind == K::Read) {
    ExprPtr inside = softmaxes_.definition(e);
    return inside && !hasOwnLoop(inside) ? written(inside, row, key, inner) : e;
  }
  if (e->kind != K::Reduce) {
    std::vector<ExprPtr> args;
    for (auto &a : e->args)
      args.push_back(written(a, row, key, inner));
    return withArgs(e, std::move(args));
  }
  if (isHard(*e) || runningReduction(program_, free_, e)) { // over all of its letters
    std::vector<int> order;
    for (int l : letters)
      if (l != row && l != key)
        order.push_back(l);
    order.insert(order.end(), {row, key});
    return extract(e, order, "score");
  }
  inner.insert(inner.end(), e->letters.begin(), e->letters.end());
  if (e->reduction == Reduction::Sum && !e->args[1])
    return sum(e, row, key, inner);
  return withArgs(e, {written(e->args[0], row, key, inner), written(e->args[1], row, key, inner)});
}

// Factors of one side are one operand; those that are not summed stand outside.
ExprPtr Scores::sum(const ExprPtr &e, int row, int key, const std::vector<int> &inner) {
  std::vector<ExprPtr> all, query, keys, mixed, front, operands;
  factorsOf(e->args[0], all);
  for (auto &f : all) {
    const std::set<int> of = free_.of(f);
    bool summed =
        std::any_of(e->letters.begin(), e->letters.end(), [&](int l) { return of.count(l) > 0; });
    bool both = of.count(key) && of.count(row);
    (!summed ? front : both ? mixed : of.count(key) ? keys : query).push_back(f);
  }
  for (auto *side : {&query, &keys})
    if (!side->empty())
      operands.push_back(written(product(*side, e->span), row, key, inner));
  for (auto &f : mixed)
    operands.push_back(written(f, row, key, inner));
  if (operands.empty()) // nothing is summed but the letters themselves
    return withArgs(e, {written(e->args[0], row, key, inner), nullptr});
  ExprPtr out = reduce(Reduction::Sum, e->letters, product(operands, e->span), nullptr, e->span);
  for (auto &f : front)
    out = apply(Op::Mul, {out, written(f, row, key, inner)}, e->span);
  return out;
}

} // namespace qkv::equations

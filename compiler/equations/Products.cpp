// Sums of products: which factors are multiplied and summed first.
//
// In: the body of a sum. Out: a sum of a product of at most two factors, other factors and
// sums being tensors of their own. Real-number algebra (C4): a factor without summed letters
// moves in front, sum[h,d,j](W * alpha * v) is split where that takes fewer operations.
#include "compiler/equations/Splitter.h"

#include <algorithm>
#include <cmath>

namespace qkv::equations {

using K = Expr::Kind;

// A read whose indices are letters (with an offset, inside), each once, or the same everywhere
// at one position of a recurrence: an operand as it is.
bool Splitter::plainRead(const ExprPtr &e) {
  if (e->kind != K::Read)
    return false;
  std::set<int> loops; // letters that loops around give one value
  for (auto &[loop, axis] : loopsOf(e))
    loops.insert(program_.tensors[tensor_].pieces[piece_].indices[axis].letter);
  std::set<int> seen;
  for (size_t i = 0; i < e->args.size(); ++i) {
    const ExprPtr &a = e->args[i];
    std::set<int> moving;
    for (int l : free_.of(a))
      if (!loops.count(l))
        moving.insert(l);
    if (moving.empty())
      continue;
    bool offset = a->kind == K::Apply && (a->op == Op::Add || a->op == Op::Sub) &&
                  (a->args[0]->kind == K::Letter || a->args[1]->kind == K::Letter);
    if (moving.size() > 1 || !seen.insert(*moving.begin()).second ||
        (a->kind != K::Letter && !offset) ||
        !bounds_.inside(a, program_.tensors[e->tensor].axes[i], {}))
      return false;
  }
  return true;
}

// The factors of a float; constants stay whole (T3: they are doubles among themselves).
static void flatten(const ExprPtr &e, std::vector<ExprPtr> &factors, std::vector<ExprPtr> &divisors,
                    bool &negative, const std::function<bool(const ExprPtr &)> &outer) {
  if (!e->constant && e->kind == K::Apply) {
    if (e->op == Op::Mul) {
      flatten(e->args[0], factors, divisors, negative, outer);
      flatten(e->args[1], factors, divisors, negative, outer);
      return;
    }
    if (e->op == Op::Neg) {
      negative = !negative;
      flatten(e->args[0], factors, divisors, negative, outer);
      return;
    }
    if (e->op == Op::Div && outer(e->args[1])) {
      divisors.push_back(e->args[1]);
      flatten(e->args[0], factors, divisors, negative, outer);
      return;
    }
  }
  factors.push_back(e);
}

bool Splitter::skips(const ExprPtr &e) {
  return e->kind == K::Apply && e->op == Op::Mul &&
         (leftOut_.may(e->args[0]) || leftOut_.may(e->args[1]));
}

/// A number that is finite whatever the data.
static bool isFinite(const ExprPtr &e) {
  switch (e->kind) {
  case K::Float:
    return std::isfinite(e->number);
  case K::Int:
  case K::Letter:
  case K::Size:
  case K::Step:
    return true;
  case K::Convert:
    return e->args[0]->constant;
  default:
    return false;
  }
}

// What is 0 by a guard is 0 in its tensor as well; where data is 0, too, another factor that is no
// number would make the product none, and then any value is right (C4).
ExprPtr Splitter::times(const ExprPtr &x, const ExprPtr &y, Span span) {
  auto keptFrom = [&](const ExprPtr &factor, const ExprPtr &other) {
    if (factor->type != Type::Float || isFinite(factor) || !leftOut_.may(other))
      return factor;
    ExprPtr none = apply(Op::Equal, {toFloat(other), number(0)}, span);
    return choose(none, number(0), factor, span);
  };
  return apply(Op::Mul, {keptFrom(x, y), keptFrom(y, x)}, span);
}

/// Whether something in `e` is checked when the program runs.
static bool isChecked(const ExprPtr &e) {
  bool found = false;
  forEachNode(e, [&](const Expr &n) {
    found = found || std::find(n.checked.begin(), n.checked.end(), true) != n.checked.end();
  });
  return found;
}

ExprPtr Splitter::rewriteProduct(const ExprPtr &e) {
  int first = leftOut_.may(e->args[0]) ? 0 : 1;
  const ExprPtr &other = e->args[1 - first];
  ExprPtr part = isChecked(other) ? leftOut_.takesPart(e->args[first]) : nullptr;
  ExprPtr factors[2];
  factors[first] = rewrite(e->args[first]);
  if (part)
    part = rewrite(part);
  factors[1 - first] = under(part, [&] { return rewrite(other); });
  return times(factors[0], factors[1], e->span);
}

// Under a guard the sum of a row may be empty, and a factor in front of it anything at all: only
// numbers move.
Splitter::Outer Splitter::outerOf(const std::vector<int> &letters, bool guarded) {
  return [this, letters, guarded](const ExprPtr &f) {
    const std::set<int> &of = free_.of(f);
    if (guarded)
      return f->constant && of.empty();
    return std::none_of(letters.begin(), letters.end(), [&](int l) { return of.count(l) > 0; });
  };
}

ExprPtr Splitter::rewriteFactors(const ExprPtr &e, const Outer &outer) {
  if (e->constant || e->type != Type::Float || e->kind != K::Apply)
    return rewrite(e);
  if (e->op == Op::Neg)
    return withArgs(e, {rewriteFactors(e->args[0], outer)});
  if (e->op == Op::Div && outer(e->args[1]))
    return withArgs(e, {rewriteFactors(e->args[0], outer), rewrite(e->args[1])});
  if (e->op != Op::Mul)
    return rewrite(e);
  int first = leftOut_.may(e->args[0]) || !leftOut_.may(e->args[1]) ? 0 : 1;
  const ExprPtr &other = e->args[1 - first];
  ExprPtr part = isChecked(other) ? leftOut_.takesPart(e->args[first]) : nullptr;
  ExprPtr factors[2];
  factors[first] = rewriteFactors(e->args[first], outer);
  if (part)
    part = rewrite(part);
  factors[1 - first] = under(part, [&] { return rewriteFactors(other, outer); });
  return withArgs(e, {factors[0], factors[1]});
}

ExprPtr Splitter::sum(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard, bool root) {
  auto plain = [&] {
    return finish(reduce(Reduction::Sum, e->letters, body, guard, e->span), "sum", root);
  };
  if (body->type != Type::Float || body->constant)
    return plain();
  const Outer outer = outerOf(e->letters, guard != nullptr);
  std::vector<ExprPtr> all, factors, front, divisors;
  bool negative = false;
  flatten(body, all, divisors, negative, outer);
  for (auto &f : all)
    (outer(f) ? front : factors).push_back(f);
  if (factors.empty())
    return plain();

  ExprPtr result;
  std::set<int> scope;
  for (auto &f : factors) {
    const std::set<int> &letters = free_.of(f);
    scope.insert(letters.begin(), letters.end());
  }
  scope.insert(e->letters.begin(), e->letters.end());
  // A factor that is computed becomes an operand, if that computes it less often.
  if (factors.size() > 1)
    for (auto &f : factors)
      if (!plainRead(f) && !f->constant && nominal(scope) >= 4 * nominal(free_.of(f)))
        f = under(guard, [&] { return extract(f, "factor"); });
  if (!guard && factors.size() > 1 && factors.size() <= 8) {
    result = contract(factors, e->letters, e->span, body->span);
  } else {
    ExprPtr product = factors[0];
    for (size_t i = 1; i < factors.size(); ++i)
      product = times(product, factors[i], body->span);
    result = reduce(Reduction::Sum, e->letters, product, guard, e->span);
  }
  bool bare = front.empty() && divisors.empty() && !negative;
  // Where all of a sum is left out, so is what stands in front of it.
  bool mayBeOut = std::any_of(factors.begin(), factors.end(),
                              [&](const ExprPtr &f) { return leftOut_.may(f); });
  result = finish(result, "sum", root && bare);
  if (mayBeOut && result->kind == K::Read && !front.empty())
    leftOut_.mark(result->tensor);
  for (auto &f : front)
    result = times(result, f, e->span);
  for (auto &d : divisors)
    result = apply(Op::Div, {result, d}, e->span);
  return negative ? apply(Op::Neg, {result}, e->span) : result;
}

// The cheapest order in pairs. cost(S) for a set S of factors, summed over the letters that no
// factor outside of S has: min over S = A + B of cost(A) + cost(B) + the joint range of what is
// left of A and B. Against it: one loop over everything.
namespace {

/// Which factors of a sum are multiplied and summed before the others. A set of factors is a
/// number, a bit each.
class ContractionOrder {
public:
  using Letters = std::set<int>;
  /// `nominal`: what a product over some letters costs.
  ContractionOrder(std::vector<Letters> factors, const Letters &summed,
                   const std::function<double(const Letters &)> &nominal)
      : factors_(std::move(factors)), summed_(summed), sets_(size_t(1) << factors_.size()),
        cost_(sets_, 0), split_(sets_, 0) {
    for (size_t set = 1; set < sets_; ++set)
      find(set, nominal);
  }

  size_t whole() const { return sets_ - 1; }
  double cost() const { return cost_[whole()]; }
  /// The part of a set that is computed by itself; 0: the set is one factor.
  size_t split(size_t set) const { return split_[set]; }

  /// All letters of a set's factors.
  Letters joint(size_t set) const {
    Letters out;
    for (size_t i = 0; i < factors_.size(); ++i)
      if (set >> i & 1)
        out.insert(factors_[i].begin(), factors_[i].end());
    return out;
  }
  /// The letters that a set of factors still has after its own sums.
  Letters left(size_t set) const {
    Letters inside = joint(set), outside = joint(~set & whole()), out;
    for (int l : inside)
      if (!summed_.count(l) || outside.count(l))
        out.insert(l);
    return out;
  }
  /// The letters that the two parts of a set still have.
  Letters leftOfParts(size_t set) const {
    Letters out = left(split_[set]), more = left(set & ~split_[set]);
    out.insert(more.begin(), more.end());
    return out;
  }

private:
  void find(size_t set, const std::function<double(const Letters &)> &nominal) {
    if ((set & (set - 1)) == 0) {
      if (left(set) != joint(set))
        cost_[set] = nominal(joint(set));
      return;
    }
    for (size_t a = (set - 1) & set; a; a = (a - 1) & set) {
      size_t b = set & ~a;
      if (a < b)
        continue;
      Letters both = left(a), more = left(b);
      both.insert(more.begin(), more.end());
      double c = cost_[a] + cost_[b] + nominal(both);
      if (!split_[set] || c < cost_[set]) {
        cost_[set] = c;
        split_[set] = a;
      }
    }
  }

  std::vector<Letters> factors_;
  Letters summed_;
  size_t sets_;
  std::vector<double> cost_;
  std::vector<size_t> split_;
};

} // namespace

ExprPtr Splitter::contract(const std::vector<ExprPtr> &factors, const std::vector<int> &letters,
                           Span span, Span bodySpan) {
  size_t count = factors.size();
  std::set<int> summed(letters.begin(), letters.end());
  std::vector<std::set<int>> free;
  for (const ExprPtr &factor : factors)
    free.push_back(free_.of(factor));
  ContractionOrder order(free, summed, [&](const std::set<int> &over) { return nominal(over); });
  const std::set<int> anywhere = order.joint(order.whole());
  std::set<int> everything = anywhere;
  everything.insert(summed.begin(), summed.end());
  double direct = nominal(everything) * static_cast<double>(count - 1);
  auto sumOver = [&](const std::set<int> &from, const std::set<int> &to, ExprPtr body) {
    std::vector<int> over;
    for (int l : letters)
      if (from.count(l) && !to.count(l))
        over.push_back(l);
    return over.empty() ? body : reduce(Reduction::Sum, over, body, nullptr, span);
  };
  if (order.cost() * 1.25 >= direct) {
    ExprPtr product = factors[0];
    for (size_t i = 1; i < count; ++i)
      product = times(product, factors[i], bodySpan);
    return reduce(Reduction::Sum, letters, product, nullptr, span);
  }
  std::function<ExprPtr(size_t)> make = [&](size_t set) -> ExprPtr {
    ExprPtr body;
    std::set<int> before;
    if (!order.split(set)) {
      for (size_t i = 0; i < count; ++i)
        if (set >> i & 1)
          body = factors[i];
      before = order.joint(set);
    } else {
      size_t a = order.split(set);
      ExprPtr rest = make(set & ~a);
      body = times(rest, make(a), bodySpan); // (a has the last of them)
      before = order.leftOfParts(set);
    }
    bool whole = set == order.whole();
    if (whole) // letters that no factor has are summed here
      for (int l : summed)
        if (!anywhere.count(l))
          before.insert(l);
    ExprPtr result = sumOver(before, whole ? std::set<int>() : order.left(set), body);
    // (`left` of the whole set is what is free in the sum.)
    if (whole || (result == body && !order.split(set)))
      return result;
    return extract(result, "sum");
  };
  return make(order.whole());
}

} // namespace qkv::equations

// Each reduction in terms of sum, max, min and prod (S1, S2).
//
// In: a reduction. Out: an elementwise expression over reads of tensors that are one plain
// reduction each; or, for a whole equation, the plain reduction itself.
#include "compiler/equations/Reductions.h"
#include "compiler/equations/Splitter.h"

#include "dsl/proof/Proof.h"

#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr int64_t kGreatest = std::numeric_limits<int64_t>::max();

ExprPtr Splitter::rewriteReduction(const ExprPtr &e, bool root) {
  size_t outerLetters = order_.size();
  std::set<int> outerScope = scope_;
  bool outerSettled = settled_;
  order_.insert(order_.end(), e->letters.begin(), e->letters.end());
  scope_ = free_.of(e);
  scope_.insert(e->letters.begin(), e->letters.end());
  settled_ = false;

  ExprPtr guard = e->args[1] ? rewrite(e->args[1]) : nullptr;
  bool sums = (e->reduction == Reduction::Sum || e->reduction == Reduction::Mean) &&
              !e->args[0]->constant && e->args[0]->type == Type::Float && leftOut_.may(e->args[0]);
  ExprPtr body = under(guard, [&] {
    return sums ? rewriteFactors(e->args[0], outerOf(e->letters, guard != nullptr))
                : rewrite(e->args[0]);
  });
  ExprPtr result;
  switch (e->reduction) {
  case Reduction::Sum:
    result = sum(e, body, guard, root);
    break;
  case Reduction::Max:
  case Reduction::Min:
  case Reduction::Prod:
    result = finish(reduce(e->reduction, e->letters, body, guard, e->span),
                    reductionName(e->reduction), root);
    break;
  case Reduction::Mean:
    result = mean(e, body, guard);
    break;
  case Reduction::LogSumExp:
    result = logSumExp(e, body, guard);
    break;
  case Reduction::ArgMax:
  case Reduction::ArgMin:
    result = placeOfExtremum(e, body, guard);
    break;
  case Reduction::Rank:
    result = rank(e, body, guard);
    break;
  case Reduction::Softmax:
    result = softmax(e, body, guard);
    break;
  }
  order_.resize(outerLetters);
  scope_ = outerScope;
  settled_ = outerSettled;
  if (infoOf(e->reduction).ofElement) { // from the row's letters to the element's position
    std::unordered_map<int, ExprPtr> position;
    for (size_t i = 0; i < e->letters.size(); ++i)
      position[e->letters[i]] = rewrite(e->args[i + 2]);
    result = substitute(result, position);
  }
  return result;
}

ExprPtr Splitter::score(const ExprPtr &body, bool exact) {
  if (body->kind == K::Read && !expensive(body))
    return body;
  return exact || expensive(body) ? extract(body, "score") : body;
}

// max = max[j](s), and its finite form: with it exp(-inf - max) is 0, not NaN.
std::pair<ExprPtr, ExprPtr> Splitter::rowMax(const ExprPtr &e, const ExprPtr &score,
                                             const ExprPtr &guard) {
  ExprPtr max = finish(reduce(Reduction::Max, e->letters, score, guard, e->span), "max", false);
  ExprPtr empty = apply(Op::Equal, {max, number(-kInfinity)}, e->span);
  return {max, choose(empty, number(0), max, e->span)};
}

// power = exp(s - max) where it takes part, else 0;  softmax = power / sum[j](power)
ExprPtr Splitter::softmax(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard) {
  ExprPtr s = under(guard, [&] { return score(body, false); });
  ExprPtr max = rowMax(e, s, guard).second;
  ExprPtr power = apply(Op::Exp, {apply(Op::Sub, {s, max}, e->span)}, e->span);
  if (guard)
    power = choose(guard, power, number(0), e->span);
  power = extract(power, "power");
  leftOut_.mark(power->tensor); // (by a score of -inf)
  ExprPtr sum = finish(reduce(Reduction::Sum, e->letters, power, nullptr, e->span), "sum", false);
  // An empty row has the sum 0 and only powers of 0; any other has a sum of at least 1.
  ExprPtr empty = apply(Op::Equal, {sum, number(0)}, e->span);
  return apply(Op::Div, {power, choose(empty, number(1), sum, e->span)}, e->span);
}

// max + log sum[j](exp(s - max))
ExprPtr Splitter::logSumExp(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard) {
  ExprPtr s = under(guard, [&] { return score(body, false); });
  ExprPtr max = rowMax(e, s, guard).second;
  ExprPtr power = apply(Op::Exp, {apply(Op::Sub, {s, max}, e->span)}, e->span);
  ExprPtr sum = finish(reduce(Reduction::Sum, e->letters, power, guard, e->span), "sum", false);
  return apply(Op::Add, {max, apply(Op::Log, {sum}, e->span)}, e->span);
}

ExprPtr meanOf(const Program &program, const ExprPtr &mean, const ExprPtr &total, ExprPtr counted) {
  if (!counted) {
    Size product(1);
    for (int l : mean->letters)
      product = product * program.letters[l].extent;
    counted = size(product);
    if (auto known = product.constant(); known && *known > 0)
      return apply(Op::Div, {total, toFloat(counted)}, mean->span);
  }
  ExprPtr empty = apply(Op::Equal, {counted, integer(0)}, mean->span);
  return choose(empty, number(0), apply(Op::Div, {total, toFloat(counted)}, mean->span),
                mean->span);
}

ExprPtr Splitter::mean(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard) {
  ExprPtr total = sum(e, body, guard, /*root=*/false);
  ExprPtr count;
  if (guard)
    count = finish(reduce(Reduction::Sum, e->letters, integer(1), guard, e->span), "count", false);
  return meanOf(program_, e, total, count);
}

// argmax: the least j at which s is max[j](s), argmin: min[j](s); -1 where there is none. What is
// not a number takes no part.
ExprPtr Splitter::placeOfExtremum(const ExprPtr &e, const ExprPtr &body, ExprPtr guard) {
  bool greatest = e->reduction == Reduction::ArgMax;
  // Equality asks for the same bits twice, so the score is computed once.
  ExprPtr s = under(guard, [&] { return score(body, true); });
  if (s->type == Type::Float)
    guard = both(guard, apply(Op::Equal, {s, s}, e->span));
  ExprPtr best =
      finish(reduce(greatest ? Reduction::Max : Reduction::Min, e->letters, s, guard, e->span),
             greatest ? "max" : "min", false);
  ExprPtr at = both(guard, apply(Op::Equal, {s, best}, e->span));
  ExprPtr least =
      finish(reduce(Reduction::Min, e->letters, letter(e->letters[0]), at, e->span), "at", false);
  ExprPtr none = apply(Op::Equal, {least, integer(kGreatest)}, e->span);
  return choose(none, integer(-1), least, e->span);
}

// rank = sum[k](1 where k takes part and s[k] > s[j], or s[k] == s[j] and k is before j), and the
// greatest int where j takes no part. NaN is greater than any number, and equal to itself.
ExprPtr Splitter::rank(const ExprPtr &e, const ExprPtr &body, const ExprPtr &guard) {
  // Compared with all others, so it is computed once.
  ExprPtr s = under(guard, [&] { return score(body, true); });
  std::vector<int> others;
  std::unordered_map<int, ExprPtr> toOther;
  for (int l : e->letters) {
    Letter copy = program_.letters[l];
    others.push_back(static_cast<int>(program_.letters.size()));
    program_.letters.push_back(std::move(copy));
    toOther[l] = letter(others.back());
  }
  auto compared = [&](Op op, const ExprPtr &x, const ExprPtr &y) {
    return apply(op, {x, y}, e->span);
  };
  ExprPtr before; // in row-major order
  for (size_t i = others.size(); i-- > 0;) {
    ExprPtr k = letter(others[i]), j = letter(e->letters[i]);
    ExprPtr less = compared(Op::Less, k, j);
    before = before ? compared(Op::Or, less, compared(Op::And, compared(Op::Equal, k, j), before))
                    : less;
  }
  ExprPtr other = substitute(s, toOther);
  ExprPtr greater = compared(Op::Greater, other, s), equal = compared(Op::Equal, other, s);
  if (s->type == Type::Float) { // what is no number comes first
    ExprPtr none = compared(Op::NotEqual, s, s), otherNone = compared(Op::NotEqual, other, other);
    equal = compared(Op::Or, equal, compared(Op::And, none, otherNone));
    greater = compared(Op::Or, greater, compared(Op::And, otherNone, compared(Op::Equal, s, s)));
  }
  ExprPtr first = compared(Op::Or, greater, compared(Op::And, equal, before));
  ExprPtr counted = both(guard ? substitute(guard, toOther) : nullptr, first);
  ExprPtr count =
      finish(reduce(Reduction::Sum, others, integer(1), counted, e->span), "rank", false);
  return guard ? choose(guard, count, integer(kGreatest), e->span) : count;
}

} // namespace qkv::equations

// In: reads, products, differences, ratios. Out: which of them are softmaxes (Softmaxes.h).
#include "compiler/equations/Softmaxes.h"

#include "dsl/proof/LeftOut.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

bool isSoftmax(const Expr &e) {
  return e.kind == K::Reduce && e.reduction == Reduction::Softmax && !e.constant;
}

/// A product's factors; constants whole (T3).
void factorsOf(const ExprPtr &e, std::vector<ExprPtr> &out) {
  if (!e->constant && e->kind == K::Apply && e->op == Op::Mul) {
    factorsOf(e->args[0], out);
    factorsOf(e->args[1], out);
  } else {
    out.push_back(e);
  }
}

ExprPtr product(const std::vector<ExprPtr> &factors, Span span) {
  ExprPtr out;
  for (auto &f : factors)
    out = out ? apply(Op::Mul, {out, f}, span) : f;
  return out;
}

Softmaxes::Softmaxes(const Program &program) : program_(program) {
  for (const Result &r : program.results)
    results_.insert(r.tensor);
  Diagnostics diagnostics;
  if (auto nodes = schedule(program, diagnostics))
    findLoops(*nodes, false);
}

void Softmaxes::findLoops(const std::vector<ScheduleNode> &nodes, bool inside) {
  for (const ScheduleNode &n : nodes) {
    if (n.tensor >= 0 && inside)
      looped_.insert(n.tensor);
    findLoops(n.children, true);
  }
}

/// Whether a tensor's definition may stand where it is read.
bool Softmaxes::inlinable(int tensor) const {
  return hasOneDefinition(tensor) && !results_.count(tensor) && !kept_.count(tensor);
}

bool Softmaxes::hasOneDefinition(int tensor) const {
  const Tensor &t = program_.tensors[tensor];
  if (t.kind != Tensor::Kind::Equation || t.constant || t.pieces.size() != 1 ||
      looped_.count(tensor))
    return false;
  // A weighted sum that was fused is an equation of its own and stands in no other.
  if (t.pieces[0].value->kind == Expr::Kind::Weighted)
    return false;
  const Piece &p = t.pieces[0];
  for (size_t a = 0; a < t.axes.size(); ++a)
    if (p.indices[a].letter < 0 || !runsOver(program_, p.indices[a].letter, t.axes[a]))
      return false;
  return true;
}

ExprPtr Softmaxes::definition(const ExprPtr &e) {
  if (e->kind != K::Read || !inlinable(e->tensor) ||
      std::find(e->checked.begin(), e->checked.end(), true) != e->checked.end())
    return nullptr;
  if (!std::count(inlined.begin(), inlined.end(), e->tensor))
    inlined.push_back(e->tensor);
  return definitionAt(e);
}

ExprPtr Softmaxes::definitionAt(const ExprPtr &e) const {
  const Piece &p = program_.tensors[e->tensor].pieces[0];
  std::unordered_map<int, ExprPtr> letters;
  for (size_t a = 0; a < e->args.size(); ++a)
    letters[p.indices[a].letter] = e->args[a];
  return substitute(p.value, letters);
}

ExprPtr Softmaxes::resolved(ExprPtr e) {
  while (ExprPtr inside = e->kind == K::Read ? definition(e) : nullptr)
    e = inside;
  return e;
}

std::string Softmaxes::textOf(const ExprPtr &e) {
  std::string out;
  Text(program_, [](int l) { return "l" + std::to_string(l); }).write(e, out);
  return out;
}

/// What is added to a score and free of the key changes no weight.
ExprPtr Softmaxes::withoutShift(ExprPtr score, int key) {
  while (score->kind == K::Apply && (score->op == Op::Sub || score->op == Op::Add) &&
         !free_.of(score->args[1]).count(key))
    score = score->args[0];
  return score;
}

/// What is exp(..) where its guard holds and 0 elsewhere.
Softmaxes::Power Softmaxes::powerOf(const ExprPtr &e) {
  Power out{resolved(e), nullptr};
  while (out.power->kind == K::If && !out.power->constant && isZeroLiteral(out.power->args[2])) {
    out.guard = both(out.guard, out.power->args[0]);
    out.power = resolved(out.power->args[1]);
  }
  if (out.power->kind != K::Apply || out.power->op != Op::Exp)
    out.power = nullptr;
  return out;
}

/// What divides a softmax whose total has another addend: 1 + beside / sum, with
///     exp(y - c) / sum[l](exp(s - c)) = exp(y - logsumexp[l](s)).
ExprPtr Softmaxes::divisorOf(const ExprPtr &beside, const ExprPtr &sum, const ExprPtr &below,
                             const ExprPtr &each, const ExprPtr &guard) {
  Span span = beside->span;
  auto isShifted = [](const ExprPtr &e) { return e->kind == K::Apply && e->op == Op::Sub; };
  const std::vector<int> before = inlined;
  ExprPtr sink = resolved(beside);
  ExprPtr part;
  if (sink->kind == K::Apply && sink->op == Op::Exp && isShifted(sink->args[0]) &&
      isShifted(each->args[0]) && !free_.of(each->args[0]->args[1]).count(below->letters[0]) &&
      textOf(sink->args[0]->args[1]) == textOf(each->args[0]->args[1])) {
    ExprPtr log = reduce(Reduction::LogSumExp, below->letters, each->args[0]->args[0], guard, span);
    part = apply(Op::Exp, {apply(Op::Sub, {sink->args[0]->args[0], log}, span)}, span);
  } else {
    inlined = before;
    part = apply(Op::Exp, {apply(Op::Neg, {apply(Op::Log, {sum}, span)}, span)}, span);
    part = apply(Op::Mul, {beside, part}, span);
  }
  return apply(Op::Add, {number(1), part}, span);
}

/// The softmax that power / total is, for power = exp(score) and total = sum[l](exp(score) where
/// g). A guard g is one of the power as well (0 where it does not hold), or of `guard`, which holds
/// where the quotient is wanted. With another addend c in the total,
///     power / (c + sum) = power / sum / (1 + c / sum).
std::optional<Share> Softmaxes::writtenOut(const ExprPtr &power, const ExprPtr &total,
                                           const ExprPtr &guard) {
  std::vector<int> before = inlined;
  Power above = powerOf(power);
  ExprPtr below = resolved(total), sum = total, beside;
  if (below->kind == K::Apply && below->op == Op::Add && !below->constant)
    for (int side : {0, 1})
      if (ExprPtr part = resolved(below->args[side]); part->kind == K::Reduce) {
        sum = below->args[side];
        beside = below->args[1 - side];
        below = part;
        break;
      }
  inlined.swap(before); // those count only if it is one
  if (!above.power || above.power->constant || below->kind != K::Reduce ||
      below->reduction != Reduction::Sum || below->letters.size() != 1)
    return std::nullopt;
  Power each = powerOf(below->args[0]);
  ExprPtr part = both(below->args[1], each.guard);
  if (!each.power || (!part && above.guard))
    return std::nullopt;
  ExprPtr softmax = softmaxOf(above.power->args[0], each.power->args[0], below->letters[0],
                              free_.of(total), power->span);
  if (!softmax)
    return std::nullopt;
  if (part) {
    const std::string text = textOf(substitute(part, {{below->letters[0], softmax->args[2]}}));
    bool holds = above.guard ? textOf(above.guard) == text : guard && textOf(guard) == text;
    if (!holds)
      return std::nullopt;
    softmax = withArgs(softmax, {softmax->args[0], part, softmax->args[2]});
  }
  inlined = before;
  if (!beside)
    return Share{softmax, nullptr};
  return Share{softmax, divisorOf(beside, sum, below, each.power, part)};
}

/// The softmax over `bound` of `each`, if `above` is the same at another letter, which is none of
/// those outside of the sum; or null.
ExprPtr Softmaxes::softmaxOf(const ExprPtr &above, const ExprPtr &each, int bound,
                             const std::set<int> &outside, Span span) {
  for (int l : free_.of(above)) {
    if (outside.count(l) || program_.letters[l].extent != program_.letters[bound].extent ||
        textOf(substitute(each, {{bound, letter(l)}})) != textOf(above))
      continue;
    auto out = std::make_shared<Expr>();
    out->kind = K::Reduce;
    out->type = Type::Float;
    out->span = span;
    out->reduction = Reduction::Softmax;
    out->letters = {bound};
    out->args = {withoutShift(each, bound), nullptr, letter(l)};
    return out;
  }
  return nullptr;
}

std::optional<LogSum> Softmaxes::logSum(const ExprPtr &e) {
  if (e->constant || e->type != Type::Float)
    return std::nullopt;
  if (e->kind == K::Reduce && e->reduction == Reduction::LogSumExp && e->letters.size() == 1 &&
      e->args.size() == 2)
    return LogSum{e->args[0], e->args[1], e->letters[0]};
  if (e->kind != K::Apply)
    return std::nullopt;
  const std::vector<int> before = inlined;
  if (e->op == Op::Log) {
    ExprPtr total = resolved(e->args[0]);
    if (total->kind == K::Reduce && total->reduction == Reduction::Sum &&
        total->letters.size() == 1) {
      ExprPtr power = resolved(total->args[0]);
      if (power->kind == K::Apply && power->op == Op::Exp && !power->constant)
        return LogSum{power->args[0], total->args[1], total->letters[0]};
    }
  }
  if (e->op == Op::Add)
    for (int side : {0, 1}) {
      const ExprPtr &shift = e->args[1 - side];
      ExprPtr rest = resolved(e->args[side]);
      if (rest->kind == K::Apply && rest->op == Op::Log)
        if (auto inner = logSum(rest)) {
          const ExprPtr &s = inner->score;
          if (s->kind == K::Apply && s->op == Op::Sub && !free_.of(shift).count(inner->key) &&
              textOf(s->args[1]) == textOf(shift))
            return LogSum{s->args[0], inner->guard, inner->key};
        }
      inlined = before;
    }
  inlined = before;
  return std::nullopt;
}

/// exp(s - logsumexp[l](s)) is a softmax; or null. (Where the logarithm is a result, what it is
/// still says so.)
ExprPtr Softmaxes::normalized(const ExprPtr &power) {
  if (power->kind != K::Apply || power->op != Op::Exp || power->constant ||
      power->args[0]->kind != K::Apply || power->args[0]->op != Op::Sub)
    return nullptr;
  ExprPtr total = power->args[0]->args[1];
  const std::vector<int> before = inlined;
  while (total->kind == K::Read && hasOneDefinition(total->tensor) &&
         std::find(total->checked.begin(), total->checked.end(), true) == total->checked.end())
    total = definitionAt(total);
  auto sum = logSum(total);
  ExprPtr out = sum && !sum->guard ? softmaxOf(power->args[0]->args[0], sum->score, sum->key,
                                               free_.of(total), power->span)
                                   : nullptr;
  inlined = before;
  return out;
}

std::optional<Share> Softmaxes::ratio(const ExprPtr &e) {
  if (e->kind != K::Apply || e->op != Op::Div || e->constant || e->type != Type::Float)
    return std::nullopt;
  ExprPtr above = resolved(e->args[0]);
  if (above->kind != K::Reduce || above->reduction != Reduction::Sum)
    return std::nullopt;
  std::vector<ExprPtr> factors;
  factorsOf(above->args[0], factors);
  for (ExprPtr &f : factors)
    if (auto share = writtenOut(f, e->args[1], above->args[1])) {
      f = share->value;
      // (Of its guard, what the weights say already is dropped where it becomes one equation.)
      return Share{reduce(Reduction::Sum, above->letters, product(factors, e->span), above->args[1],
                          e->span),
                   share->divisor};
    }
  return std::nullopt;
}

bool Softmaxes::tensorWeighs(int tensor) {
  auto [at, fresh] = weighs_.try_emplace(tensor, false);
  if (fresh && inlinable(tensor)) {
    bool does = weighs(program_.tensors[tensor].pieces[0].value);
    weighs_[tensor] = does;
    return does;
  }
  return weighs_[tensor];
}

/// Whether a softmax stands in `e` as a factor or a term.
bool Softmaxes::weighs(const ExprPtr &e, const ExprPtr &guard) {
  if (!e || e->constant)
    return false;
  if (isSoftmax(*e))
    return true;
  if (e->kind == K::Read)
    return tensorWeighs(e->tensor);
  if (e->kind != K::Apply)
    return false;
  switch (e->op) {
  case Op::Mul:
  case Op::Add:
  case Op::Sub:
    return weighs(e->args[0], guard) || weighs(e->args[1], guard);
  case Op::Div:
    return weighs(e->args[0], guard) || writtenOut(e->args[0], e->args[1], guard).has_value();
  case Op::Neg:
    return weighs(e->args[0], guard);
  case Op::Exp:
    return normalized(e) != nullptr;
  default:
    return false;
  }
}

/// `e` as a sum of products with at most one softmax each; false if it is none.
bool Softmaxes::distribute(const ExprPtr &e, std::vector<Term> &out, const ExprPtr &guard) {
  if (!weighs(e, guard)) {
    out.push_back({nullptr, {e}, {}, false});
    return true;
  }
  if (isSoftmax(*e)) {
    out.push_back({e, {}, {}, false});
    return true;
  }
  if (e->kind == K::Read) {
    ExprPtr inside = definition(e);
    return inside && distribute(inside, out, guard);
  }
  if (auto share = e->op == Op::Div ? writtenOut(e->args[0], e->args[1], guard) : std::nullopt) {
    out.push_back({share->value, {}, {}, false});
    if (share->divisor)
      out.back().divisors.push_back(share->divisor);
    return true;
  }
  if (ExprPtr softmax = e->op == Op::Exp ? normalized(e) : nullptr) {
    out.push_back({softmax, {}, {}, false});
    return true;
  }
  std::vector<Term> a, b;
  if (!distribute(e->args[0], a, guard))
    return false;
  if (e->op == Op::Neg || e->op == Op::Div) {
    for (Term &t : a)
      if (e->op == Op::Neg)
        t.negative = !t.negative;
      else
        t.divisors.push_back(e->args[1]);
    out.insert(out.end(), a.begin(), a.end());
    return true;
  }
  if (!distribute(e->args[1], b, guard))
    return false;
  if (e->op != Op::Mul) {
    for (Term &t : b)
      t.negative = t.negative != (e->op == Op::Sub);
    out.insert(out.end(), a.begin(), a.end());
    out.insert(out.end(), b.begin(), b.end());
    return out.size() <= mostTerms;
  }
  for (const Term &x : a)
    for (const Term &y : b) {
      if ((x.softmax && y.softmax) || out.size() >= mostTerms)
        return false;
      Term t = x;
      t.softmax = x.softmax ? x.softmax : y.softmax;
      t.factors.insert(t.factors.end(), y.factors.begin(), y.factors.end());
      t.divisors.insert(t.divisors.end(), y.divisors.begin(), y.divisors.end());
      t.negative = x.negative != y.negative;
      out.push_back(std::move(t));
    }
  return true;
}

} // namespace qkv::equations

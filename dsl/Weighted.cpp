// Weighted sums in terms of the language's own reductions: their meaning.
#include "dsl/Program.h"

namespace qkv {

using K = Expr::Kind;

bool binds(const Expr &e, size_t arg) {
  // (A softmax's position stands outside of the letters that it binds.)
  return (e.kind == K::Reduce && arg < 2) || (e.kind == K::Weighted && arg != WeightedArg::Row);
}

static std::shared_ptr<Expr> like(const Expr &e, K kind, std::vector<ExprPtr> args) {
  auto out = std::make_shared<Expr>();
  out->kind = kind;
  out->type = Type::Float;
  out->span = e.span;
  out->args = std::move(args);
  return out;
}

ExprPtr writtenOut(const Expr &e) {
  const ExprPtr &score = e.args[WeightedArg::Score], &guard = e.args[WeightedArg::Guard];
  const ExprPtr &factor = e.args[WeightedArg::Factor], &value = e.args[WeightedArg::Value];
  auto reduce = [&](Reduction reduction, int letter, std::vector<ExprPtr> args) {
    auto out = like(e, K::Reduce, std::move(args));
    out->reduction = reduction;
    out->letters = {letter};
    return out;
  };
  auto times = [&](ExprPtr weight) {
    for (const ExprPtr &by : {factor, value})
      if (by) {
        auto product = like(e, K::Apply, {weight, by});
        product->op = Op::Mul;
        weight = product;
      }
    return weight;
  };
  if (e.reduction == Reduction::LogSumExp)
    return reduce(e.reduction, e.letters[0], {score, guard});
  if (e.reduction == Reduction::Sum) // (k is j)
    return reduce(e.reduction, e.letters[0], {times(score), guard});
  auto at = like(e, K::Letter, {});
  at->type = Type::Int;
  at->letter = e.letters[1];
  ExprPtr weight = reduce(Reduction::Softmax, e.letters[0], {score, guard, at});
  return reduce(Reduction::Sum, e.letters[1], {times(weight), nullptr});
}

} // namespace qkv

// Factors of products. In: expressions. Out: Factors.h.
#include "compiler/streams/Factors.h"

#include "compiler/equations/Expressions.h"

namespace qkv::streams {

void allFactorsOf(const ExprPtr &e, std::vector<ExprPtr> &out) {
  if (e->kind == Expr::Kind::Apply && e->op == Op::Mul) {
    allFactorsOf(e->args[0], out);
    allFactorsOf(e->args[1], out);
  } else {
    out.push_back(e);
  }
}

ExprPtr productOf(const std::vector<ExprPtr> &factors) {
  ExprPtr out;
  for (const ExprPtr &f : factors)
    out = out ? equations::apply(Op::Mul, {out, f}, f->span) : f;
  return out ? out : equations::number(1);
}

} // namespace qkv::streams

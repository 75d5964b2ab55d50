// Factors of products. In: expressions. Out: Factors.h.
#include "compiler/streams/Factors.h"

#include "compiler/equations/Expressions.h"
#include "dsl/proof/Proof.h"

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

ExprPtr definitionOf(const Program &program, const ExprPtr &e) {
  if (e->kind != Expr::Kind::Read)
    return nullptr;
  const Tensor &t = program.tensors[e->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1 || t.pieces[0].guard)
    return nullptr;
  std::unordered_map<int, ExprPtr> letters;
  for (size_t a = 0; a < e->args.size(); ++a) {
    int l = t.pieces[0].indices[a].letter;
    if (l < 0)
      return nullptr;
    letters[l] = e->args[a];
  }
  return substitute(t.pieces[0].value, letters);
}

} // namespace qkv::streams

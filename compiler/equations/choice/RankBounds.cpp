// In: a condition. Out: RankBounds.h. A comparison of a rank over one letter, at the position of a
// letter, with a number that the compiler knows.
#include "compiler/equations/choice/RankBounds.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// What a read means, where its tensor has one equation for all positions.
ExprPtr RankBounds::definition(const ExprPtr &read) const {
  const Tensor &t = program_.tensors[read->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1 || opaque_.count(read->tensor))
    return nullptr;
  std::unordered_map<int, ExprPtr> letters;
  for (size_t i = 0; i < t.axes.size(); ++i) {
    if (t.pieces[0].indices[i].letter < 0)
      return nullptr;
    letters[t.pieces[0].indices[i].letter] = read->args[i];
  }
  return substitute(t.pieces[0].value, letters);
}

std::optional<int64_t> RankBounds::known(const ExprPtr &e) const {
  Prover prover(program_);
  bool value = false;
  Linear form = prover.linear(e, value);
  if (value || !form.valid() || !form.isConstant())
    return std::nullopt;
  return form.constant();
}

std::vector<ExprPtr> RankBounds::conjunctsOf(const ExprPtr &condition) const {
  constexpr size_t most = 64;
  std::vector<ExprPtr> open = conjuncts(condition), out;
  std::reverse(open.begin(), open.end());
  while (!open.empty()) {
    ExprPtr c = open.back();
    open.pop_back();
    ExprPtr inside =
        c->kind == K::Read && out.size() + open.size() < most ? definition(c) : nullptr;
    if (!inside || inside->kind != K::Apply || inside->op != Op::And) {
      out.push_back(c);
      continue;
    }
    std::vector<ExprPtr> parts = conjuncts(inside);
    open.insert(open.end(), parts.rbegin(), parts.rend());
  }
  return out;
}

/// What a condition (or its negation) says of a rank, through names (A5).
std::optional<RankBound> RankBounds::of(const ExprPtr &condition, bool truth, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest)
    return std::nullopt;
  if (condition->kind == K::Read) {
    ExprPtr inside = definition(condition);
    return inside ? of(inside, truth, depth + 1) : std::nullopt;
  }
  if (condition->kind != K::Apply)
    return std::nullopt;
  if (condition->op == Op::Not)
    return of(condition->args[0], !truth, depth);
  Op op = condition->op;
  if (op < Op::Equal || op > Op::GreaterEqual || condition->args[0]->type != Type::Int)
    return std::nullopt;
  ExprPtr rank = condition->args[0], bound = condition->args[1];
  auto mirrored = [](Op op) {
    return op == Op::Less           ? Op::Greater
           : op == Op::Greater      ? Op::Less
           : op == Op::LessEqual    ? Op::GreaterEqual
           : op == Op::GreaterEqual ? Op::LessEqual
                                    : op;
  };
  auto most = known(bound);
  if (!most) {
    std::swap(rank, bound);
    op = mirrored(op);
    most = known(bound);
  }
  if (!most || *most > (1 << 30))
    return std::nullopt;
  for (int i = 0; i < deepest && rank && rank->kind == K::Read; ++i)
    rank = definition(rank);
  if (!rank || rank->kind != K::Reduce || rank->reduction != Reduction::Rank ||
      rank->letters.size() != 1 || rank->args[2]->kind != K::Letter)
    return std::nullopt;
  bool first = true;
  if (truth ? op == Op::LessEqual : op == Op::Greater)
    ++*most;
  else if (truth ? op == Op::Equal : op == Op::NotEqual) {
    first = false;
    *most = 1; // one element has that place
  } else if (truth ? op != Op::Less : op != Op::GreaterEqual)
    return std::nullopt;
  return RankBound{rank->args[2]->letter, *most, rank, first};
}

} // namespace qkv::equations

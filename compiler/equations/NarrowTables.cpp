// Tables that are only read where they meet data are stored as f32.
//
// In: equations; constant float tensors are doubles (T3). Out: those of them that no other
// constant reads are floats: the rounding that every reader would do is done once.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"

#include <unordered_set>

namespace qkv::equations {

using K = Expr::Kind;

/// Marks the tensors that are read inside of a larger constant, or are one.
static void findExact(const ExprPtr &root, bool constant, std::set<int> &exact) {
  std::unordered_set<const Expr *> seen[2];
  std::vector<std::pair<const Expr *, bool>> work{{root.get(), constant}};
  while (!work.empty()) {
    auto [e, inside] = work.back();
    work.pop_back();
    if (!e || !seen[inside].insert(e).second)
      continue;
    if (e->kind == K::Read && e->constant && inside)
      exact.insert(e->tensor);
    for (auto &a : e->args)
      work.push_back({a.get(), e->constant});
  }
}

void narrowTables(Prepared &prepared) {
  Program &program = prepared.program;
  std::set<int> exact;
  for (auto &[tensor, checks] : prepared.checks)
    for (const Check &c : checks) {
      findExact(c.value, true, exact);
      for (auto &condition : c.conditions)
        findExact(condition, true, exact);
    }
  std::set<int> live = liveTensors(program);
  for (int t : live)
    for (const Piece &p : program.tensors[t].pieces) {
      findExact(p.value, program.tensors[t].constant, exact);
      findExact(p.guard, true, exact);
    }
  std::set<int> narrowed;
  for (int t : live) {
    Tensor &tensor = program.tensors[t];
    if (tensor.kind == Tensor::Kind::Equation && tensor.constant && tensor.type == Type::Float &&
        !exact.count(t)) {
      narrowed.insert(t);
      tensor.constant = false;
    }
  }
  if (narrowed.empty())
    return;
  Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
    if (e->kind != K::Read || !narrowed.count(e->tensor))
      return e;
    auto copy = std::make_shared<Expr>(*e);
    copy->constant = false;
    return copy;
  });
  for (int t : live)
    for (Piece &p : program.tensors[t].pieces) {
      p.value = mapper(p.value);
      p.guard = mapper(p.guard);
    }
  for (auto &[tensor, checks] : prepared.checks)
    for (Check &c : checks) {
      c.value = mapper(c.value);
      for (ExprPtr &condition : c.conditions)
        condition = mapper(condition);
    }
}

} // namespace qkv::equations

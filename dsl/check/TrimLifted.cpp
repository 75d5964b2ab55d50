// Axes that a call's letters gave and nothing depends on (R3).
//
// In: untyped equations, as calls made them. Out: the same with fewer axes, in the tensors and in
// all that reads them.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <unordered_map>

namespace qkv::sema {

using K = Expr::Kind;

// An axis that a call's letter gave is dropped where the values do not depend on the letter,
// other than by handing it to axes that are dropped too: what a call does not take from a
// letter is computed once for all of them (R3).
void trimLifted(Program &program) {
  std::vector<std::vector<bool>> drop(program.tensors.size());
  for (size_t t = 0; t < program.tensors.size(); ++t)
    drop[t].assign(program.tensors[t].lifted, program.tensors[t].kind == Tensor::Kind::Equation);
  // Letters that a value uses otherwise.
  auto used = [&](const ExprPtr &root) {
    std::set<int> out;
    std::set<const Expr *> seen;
    std::vector<const Expr *> work{root.get()};
    while (!work.empty()) {
      const Expr *e = work.back();
      work.pop_back();
      if (!e)
        continue;
      if (e->kind == K::Letter) {
        out.insert(e->letter);
        continue;
      }
      if (!seen.insert(e).second)
        continue;
      for (size_t i = 0; i < e->args.size(); ++i)
        if (!(e->kind == K::Read && i < drop[e->tensor].size() && drop[e->tensor][i]))
          work.push_back(e->args[i].get());
    }
    return out;
  };
  bool changed = true, any = false;
  while (changed) {
    changed = false;
    any = false;
    for (size_t t = 0; t < program.tensors.size(); ++t) {
      if (std::find(drop[t].begin(), drop[t].end(), true) == drop[t].end())
        continue;
      for (auto &p : program.tensors[t].pieces) {
        std::set<int> letters = used(p.value);
        for (size_t a = 0; a < drop[t].size(); ++a)
          if (drop[t][a] && letters.count(p.indices[a].letter)) {
            drop[t][a] = false;
            changed = true;
          }
      }
      for (bool d : drop[t])
        any |= d;
    }
  }
  if (!any)
    return;
  std::unordered_map<const Expr *, ExprPtr> done;
  std::function<ExprPtr(const ExprPtr &)> rewrite = [&](const ExprPtr &e) -> ExprPtr {
    if (!e || e->args.empty())
      return e;
    auto &slot = done[e.get()];
    if (slot)
      return slot;
    auto n = std::make_shared<Expr>(*e);
    n->args.clear();
    for (size_t i = 0; i < e->args.size(); ++i)
      if (!(e->kind == K::Read && i < drop[e->tensor].size() && drop[e->tensor][i]))
        n->args.push_back(rewrite(e->args[i]));
      else if (static_cast<int>(i) < e->own)
        --n->own;
    if (e->kind == K::Read)
      n->checked.assign(n->args.size(), false);
    done[e.get()] = n;
    return n;
  };
  std::vector<ExprPtr> keepAlive; // keys of `done` are addresses
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    Tensor &tensor = program.tensors[t];
    for (auto &p : tensor.pieces) {
      keepAlive.push_back(p.value);
      keepAlive.push_back(p.guard);
      std::set<int> dropped;
      std::vector<PieceIndex> indices;
      for (size_t a = 0; a < p.indices.size(); ++a)
        if (a < drop[t].size() && drop[t][a])
          dropped.insert(p.indices[a].letter);
        else
          indices.push_back(p.indices[a]);
      if (p.guard && !dropped.empty()) {
        std::vector<ExprPtr> conjuncts, kept, work{p.guard};
        while (!work.empty()) {
          ExprPtr g = work.back();
          work.pop_back();
          if (g->kind == K::Apply && g->op == Op::And) {
            work.push_back(g->args[1]);
            work.push_back(g->args[0]);
          } else {
            conjuncts.push_back(g);
          }
        }
        for (auto &g : conjuncts) {
          auto letters = used(g);
          if (std::none_of(letters.begin(), letters.end(), [&](int l) { return dropped.count(l); }))
            kept.push_back(g);
        }
        p.guard = nullptr;
        for (auto &g : kept) {
          if (!p.guard) {
            p.guard = g;
            continue;
          }
          auto n = std::make_shared<Expr>();
          n->kind = K::Apply;
          n->op = Op::And;
          n->span = g->span;
          n->args = {p.guard, g};
          p.guard = n;
          keepAlive.push_back(n);
        }
      }
      p.indices = indices;
      p.value = rewrite(p.value);
      p.guard = rewrite(p.guard);
    }
  }
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    Tensor &tensor = program.tensors[t];
    std::vector<Axis> axes;
    int lifted = 0;
    for (size_t a = 0; a < tensor.axes.size(); ++a)
      if (!(a < drop[t].size() && drop[t][a])) {
        axes.push_back(tensor.axes[a]);
        lifted += a < drop[t].size();
      }
    tensor.axes = axes;
    tensor.lifted = lifted;
  }
}

} // namespace qkv::sema

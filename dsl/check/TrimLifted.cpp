// Axes that a call's letters gave and nothing depends on (R3).
//
// In: untyped equations, as calls made them. Out: the same with fewer axes, in the tensors and in
// all that reads them.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <unordered_map>

namespace qkv::sema {

using K = Expr::Kind;

namespace {

/// For each tensor, whether each of its lifted axes is dropped.
using Dropped = std::vector<std::vector<bool>>;

bool isDropped(const Dropped &drop, int tensor, size_t axis) {
  return axis < drop[tensor].size() && drop[tensor][axis];
}

/// The letters of a value, but those that it only hands to axes that are dropped.
std::set<int> usedLetters(const ExprPtr &root, const Dropped &drop) {
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
      if (!(e->kind == K::Read && isDropped(drop, e->tensor, i)))
        work.push_back(e->args[i].get());
  }
  return out;
}

/// What can be dropped of all tensors together. False: nothing.
bool find(const Program &program, Dropped &drop) {
  drop.resize(program.tensors.size());
  for (size_t t = 0; t < program.tensors.size(); ++t)
    drop[t].assign(program.tensors[t].lifted, program.tensors[t].kind == Tensor::Kind::Equation);
  bool changed = true, any = false;
  while (changed) {
    changed = false;
    any = false;
    for (size_t t = 0; t < program.tensors.size(); ++t) {
      if (std::find(drop[t].begin(), drop[t].end(), true) == drop[t].end())
        continue;
      for (auto &p : program.tensors[t].pieces) {
        std::set<int> letters = usedLetters(p.value, drop);
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
  return any;
}

/// The conditions of a guard that say nothing of the letters that are dropped.
ExprPtr guardWithout(const ExprPtr &guard, const std::set<int> &letters, const Dropped &drop) {
  std::vector<ExprPtr> work{guard};
  ExprPtr out;
  while (!work.empty()) {
    ExprPtr g = work.back();
    work.pop_back();
    if (g->kind == K::Apply && g->op == Op::And) {
      work.push_back(g->args[1]);
      work.push_back(g->args[0]);
      continue;
    }
    auto used = usedLetters(g, drop);
    if (std::any_of(used.begin(), used.end(), [&](int l) { return letters.count(l) > 0; }))
      continue;
    if (!out) {
      out = g;
      continue;
    }
    auto both = std::make_shared<Expr>();
    both->kind = K::Apply;
    both->op = Op::And;
    both->span = g->span;
    both->args = {out, g};
    out = both;
  }
  return out;
}

/// Expressions that read tensors without the axes that are dropped.
class Rewriter {
public:
  explicit Rewriter(const Dropped &drop) : drop_(drop) {}

  ExprPtr operator()(const ExprPtr &e) {
    if (!e || e->args.empty())
      return e;
    auto &slot = done_[e];
    if (slot)
      return slot;
    auto n = std::make_shared<Expr>(*e);
    n->args.clear();
    for (size_t i = 0; i < e->args.size(); ++i)
      if (!(e->kind == K::Read && isDropped(drop_, e->tensor, i)))
        n->args.push_back((*this)(e->args[i]));
      else if (static_cast<int>(i) < e->own)
        --n->own;
    if (e->kind == K::Read)
      n->checked.assign(n->args.size(), false);
    return done_[e] = n;
  }

private:
  const Dropped &drop_;
  std::unordered_map<ExprPtr, ExprPtr> done_;
};

} // namespace

// An axis that a call's letter gave is dropped where the values do not depend on the letter,
// other than by handing it to axes that are dropped too: what a call does not take from a
// letter is computed once for all of them (R3).
void trimLifted(Program &program) {
  Dropped drop;
  if (!find(program, drop))
    return;
  Rewriter rewrite(drop);
  for (size_t t = 0; t < program.tensors.size(); ++t) {
    Tensor &tensor = program.tensors[t];
    for (auto &p : tensor.pieces) {
      std::set<int> dropped;
      std::vector<PieceIndex> indices;
      for (size_t a = 0; a < p.indices.size(); ++a)
        if (isDropped(drop, static_cast<int>(t), a))
          dropped.insert(p.indices[a].letter);
        else
          indices.push_back(p.indices[a]);
      if (p.guard && !dropped.empty())
        p.guard = guardWithout(p.guard, dropped, drop);
      p.indices = indices;
      p.value = rewrite(p.value);
      p.guard = rewrite(p.guard);
    }
    std::vector<Axis> axes;
    int lifted = 0;
    for (size_t a = 0; a < tensor.axes.size(); ++a)
      if (!isDropped(drop, static_cast<int>(t), a)) {
        axes.push_back(tensor.axes[a]);
        lifted += a < drop[t].size();
      }
    tensor.axes = axes;
    tensor.lifted = lifted;
  }
}

} // namespace qkv::sema

// Walks over the reads of a tensor with the guards that hold at each (A3, A6), and letters replaced
// in expressions. In: expressions, shared or not. Out: visits, each node once for each set of
// guards around it.
#include "dsl/proof/Proof.h"

#include <map>
#include <set>
#include <tuple>

namespace qkv {

ExprPtr substitute(const ExprPtr &e, const std::unordered_map<int, ExprPtr> &letters) {
  std::unordered_map<const Expr *, ExprPtr> done;
  std::function<ExprPtr(const ExprPtr &)> walk = [&](const ExprPtr &n) -> ExprPtr {
    if (!n)
      return n;
    if (n->kind == Expr::Kind::Letter) {
      auto it = letters.find(n->letter);
      return it == letters.end() ? n : it->second;
    }
    if (n->args.empty())
      return n;
    auto &slot = done[n.get()];
    if (slot)
      return slot;
    std::vector<ExprPtr> args;
    bool changed = false;
    for (auto &a : n->args) {
      args.push_back(walk(a));
      changed |= args.back() != a;
    }
    ExprPtr result = n;
    if (changed) {
      auto copy = std::make_shared<Expr>(*n);
      copy->args = std::move(args);
      result = copy;
    }
    done[n.get()] = result;
    return result;
  };
  return walk(e);
}

// Walks with the guards that hold at each node (A3).
void forEachRead(
    Prover &prover, const Tensor &tensor, const std::function<void(const ReadPlace &)> &visit,
    const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision) {
  for (const Piece &piece : tensor.pieces) {
    std::vector<Facts> known{prover.facts(tensor, piece)};
    // A shared node is visited once for each set of guards around it.
    int context = 0;
    std::map<std::tuple<int, const Expr *, bool>, int> contexts;
    std::set<std::pair<const Expr *, int>> visited;
    std::map<ExprPtr, ExprPtr> parts;    // the conditions under which factors take part (A6)
    constexpr size_t maxContexts = 1000; // beyond, guards are not used
    auto enter = [&](const ExprPtr &condition, bool truth) {
      bool more = contexts.size() < maxContexts;
      known.push_back(more ? prover.facts(condition, truth) : Facts());
      if (!more)
        return context;
      int outer = context;
      context = contexts.try_emplace({context, condition.get(), truth}, contexts.size() + 1)
                    .first->second;
      return outer;
    };
    auto leave = [&](int outer) {
      known.pop_back();
      context = outer;
    };
    std::function<void(const ExprPtr &)> walk = [&](const ExprPtr &root) {
      // The left spine of a long sum is walked without recursion (G9).
      ExprPtr e = root;
      while (e) {
        using K = Expr::Kind;
        if (e.use_count() > 2 && !e->args.empty() && !visited.insert({e.get(), context}).second)
          return;
        if (e->kind == K::Read) {
          visit({e.get(), &tensor, &piece, &known});
          for (auto &a : e->args)
            walk(a);
          return;
        }
        if (e->kind == K::If) {
          walk(e->args[0]);
          for (int side : {1, 2}) {
            int outer = enter(e->args[0], side == 1);
            walk(e->args[side]);
            leave(outer);
          }
          return;
        }
        if (e->kind == K::Apply && (e->op == Op::And || e->op == Op::Or)) {
          walk(e->args[0]);
          int outer = enter(e->args[0], e->op == Op::And);
          walk(e->args[1]);
          leave(outer);
          return;
        }
        if (e->kind == K::Reduce || e->kind == K::Weighted) {
          // (The guard of a weighted sum stands where that of a reduction does.)
          if (e->args[1]) {
            walk(e->args[1]);
            int outer = enter(e->args[1], true);
            walk(e->args[0]);
            leave(outer);
          } else {
            walk(e->args[0]);
          }
          for (size_t i = 2; i < e->args.size(); ++i)
            if (e->args[i])
              walk(e->args[i]);
          return;
        }
        if (e->kind == K::Apply && e->op == Op::Mul) {
          // A factor that may be 0 by a guard comes first; of two such the left one.
          const ExprPtr &left = e->args[0], &right = e->args[1];
          bool ofLeft = prover.leftOut().may(left);
          if (ofLeft || prover.leftOut().may(right)) {
            const ExprPtr &first = ofLeft ? left : right;
            walk(first);
            auto [known, fresh] = parts.try_emplace(first, nullptr);
            if (fresh)
              known->second = prover.leftOut().takesPart(first);
            const ExprPtr part = known->second;
            int outer = part ? enter(part, true) : context;
            walk(ofLeft ? right : left);
            if (part)
              leave(outer);
            return;
          }
        }
        if (e->kind == K::Apply && (e->op == Op::FloorDiv || e->op == Op::Mod) && visitDivision)
          visitDivision(*e, known);
        for (size_t i = 1; i < e->args.size(); ++i)
          walk(e->args[i]);
        if (e->args.empty())
          return;
        e = e->args[0];
      }
    };
    if (piece.guard) {
      // Inside a guard its own truth is not known.
      std::vector<Facts> saved;
      std::swap(saved, known);
      walk(piece.guard);
      std::swap(saved, known);
    }
    walk(piece.value);
  }
}

} // namespace qkv

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

namespace {

/// Walks over a piece with the guards that hold at each node (A3).
class GuardedWalk {
public:
  GuardedWalk(Prover &prover, const Tensor &tensor, const Piece &piece,
              const std::function<void(const ReadPlace &)> &visit,
              const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision)
      : prover_(prover), tensor_(tensor), piece_(piece), visit_(visit),
        visitDivision_(visitDivision), known_{prover.facts(tensor, piece)} {}

  void run() {
    if (piece_.guard) {
      // Inside a guard its own truth is not known.
      std::vector<Facts> saved;
      std::swap(saved, known_);
      walk(piece_.guard);
      std::swap(saved, known_);
    }
    walk(piece_.value);
  }

private:
  using K = Expr::Kind;
  static constexpr size_t maxContexts = 1000; ///< beyond, guards are not used

  /// `e` where `condition` is `truth`.
  void walkWhere(const ExprPtr &condition, bool truth, const ExprPtr &e) {
    int outer = context_;
    bool more = contexts_.size() < maxContexts;
    known_.push_back(more ? prover_.facts(condition, truth) : Facts());
    if (more)
      context_ = contexts_.try_emplace({context_, condition.get(), truth}, contexts_.size() + 1)
                     .first->second;
    walk(e);
    known_.pop_back();
    context_ = outer;
  }

  void walk(const ExprPtr &root) {
    // The left spine of a long sum is walked without recursion (G9).
    for (ExprPtr e = root; e; e = e->args[0]) {
      if (e.use_count() > 2 && !e->args.empty() && !visited_.insert({e.get(), context_}).second)
        return;
      if (walkGuarded(e))
        return;
      if (e->kind == K::Apply && (e->op == Op::FloorDiv || e->op == Op::Mod) && visitDivision_)
        visitDivision_(*e, known_);
      for (size_t i = 1; i < e->args.size(); ++i)
        walk(e->args[i]);
      if (e->args.empty())
        return;
    }
  }

  /// Reads, and what makes some of its arguments count under a condition alone; false: `e` is
  /// neither.
  bool walkGuarded(const ExprPtr &e) {
    switch (e->kind) {
    case K::Read:
      visit_({e.get(), &tensor_, &piece_, &known_});
      for (auto &a : e->args)
        walk(a);
      return true;
    case K::If:
      walk(e->args[0]);
      walkWhere(e->args[0], true, e->args[1]);
      walkWhere(e->args[0], false, e->args[2]);
      return true;
    case K::Reduce:
    case K::Weighted:
      // (The guard of a weighted sum stands where that of a reduction does.)
      if (e->args[1]) {
        walk(e->args[1]);
        walkWhere(e->args[1], true, e->args[0]);
      } else {
        walk(e->args[0]);
      }
      for (size_t i = 2; i < e->args.size(); ++i)
        if (e->args[i])
          walk(e->args[i]);
      return true;
    case K::Apply:
      if (e->op == Op::And || e->op == Op::Or) {
        walk(e->args[0]);
        walkWhere(e->args[0], e->op == Op::And, e->args[1]);
        return true;
      }
      return e->op == Op::Mul && walkProduct(*e);
    default:
      return false;
    }
  }

  /// A factor that may be 0 by a guard comes first; of two such the left one. What stands beside it
  /// counts where it takes part (A6). False: neither may be.
  bool walkProduct(const Expr &e) {
    bool ofLeft = prover_.leftOut().may(e.args[0]);
    if (!ofLeft && !prover_.leftOut().may(e.args[1]))
      return false;
    const ExprPtr &first = e.args[ofLeft ? 0 : 1], &second = e.args[ofLeft ? 1 : 0];
    walk(first);
    auto [known, fresh] = parts_.try_emplace(first, nullptr);
    if (fresh)
      known->second = prover_.leftOut().takesPart(first);
    if (const ExprPtr part = known->second)
      walkWhere(part, true, second);
    else
      walk(second);
    return true;
  }

  Prover &prover_;
  const Tensor &tensor_;
  const Piece &piece_;
  const std::function<void(const ReadPlace &)> &visit_;
  const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision_;
  std::vector<Facts> known_;
  // A shared node is visited once for each set of guards around it.
  int context_ = 0;
  std::map<std::tuple<int, const Expr *, bool>, int> contexts_;
  std::set<std::pair<const Expr *, int>> visited_;
  std::map<ExprPtr, ExprPtr> parts_; ///< the conditions under which factors take part
};

} // namespace

void forEachRead(
    Prover &prover, const Tensor &tensor, const std::function<void(const ReadPlace &)> &visit,
    const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision) {
  for (const Piece &piece : tensor.pieces)
    GuardedWalk(prover, tensor, piece, visit, visitDivision).run();
}

} // namespace qkv

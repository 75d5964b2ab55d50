// In: the factors under a weighted sum. Out: Values.h; a value that is no plain read, with its own
// letters last, becomes a tensor of its own.
#include "compiler/equations/Values.h"

#include "compiler/equations/Attention.h"
#include "compiler/equations/Bounds.h"
#include "compiler/equations/Joint.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Whether a read has an axis for each of its letters, whole or from a place on, the last of them
/// among `own`; `except`: an axis that need not.
bool Values::isPlain(const ExprPtr &e, const std::vector<int> &own, int except) {
  if (e->kind != K::Read || e->type != Type::Float || e->constant ||
      program_.tensors[e->tensor].constant || own.empty())
    return false;
  const Tensor &t = program_.tensors[e->tensor];
  std::set<int> seen;
  for (size_t a = 0; a < e->args.size(); ++a) {
    if (static_cast<int>(a) == except)
      continue;
    auto at = letterPlus(e->args[a]);
    if (!at || at->letter < 0 || !seen.insert(at->letter).second)
      return false;
    bool whole = at->rest == Size(0) && runsOver(program_, at->letter, t.axes[a]);
    if (!whole && !(a + 1 < e->args.size() && Bounds(program_).inside(e->args[a], t.axes[a], {})))
      return false;
  }
  return e->args.back()->kind == K::Letter &&
         std::count(own.begin(), own.end(), e->args.back()->letter);
}

ExprPtr Values::valueOf(const ExprPtr &e, const std::set<int> &score, int key,
                        std::vector<int> &own) {
  if (isPlain(e, own, -1) && free_.of(e).count(key)) {
    own.clear();
    for (auto &a : e->args)
      if (int l = letterPlus(a)->letter; l != key && !score.count(l))
        own.push_back(l);
    return e;
  }
  std::vector<int> order;
  for (int l : free_.of(e))
    if (score.count(l) && l != key)
      order.push_back(l);
  order.push_back(key);
  order.insert(order.end(), own.begin(), own.end());
  return scores_.extract(e, order, "value");
}

ExprPtr Values::placedValue(const ExprPtr &e, const std::set<int> &score, int key,
                            std::vector<int> &own) {
  int axis = placeAxis(e, key);
  if (isPlain(e, own, axis)) {
    own.clear();
    for (size_t a = 0; a < e->args.size(); ++a)
      if (static_cast<int>(a) != axis && !score.count(letterPlus(e->args[a])->letter))
        own.push_back(letterPlus(e->args[a])->letter);
    return e;
  }
  // What it is read of, over all places.
  const Axis of = program_.tensors[e->tensor].axes[axis];
  program_.letters.push_back({of.name, of.extent + Size(of.before + of.after)});
  int position = static_cast<int>(program_.letters.size()) - 1;
  std::vector<ExprPtr> args = e->args;
  args[axis] = apply(Op::Sub, {letter(position), integer(of.before)}, e->span);
  ExprPtr all = valueOf(withArgs(e, std::move(args)), score, position, own);
  args = all->args;
  for (ExprPtr &a : args)
    a = substitute(a, {{position, apply(Op::Add, {e->args[axis], integer(of.before)}, e->span)}});
  return withArgs(all, std::move(args));
}

/// Whether a value may be read at a place: one index alone depends on the key, surely inside of
/// its axis, and on no letter of the value's own.
bool Values::hasPlace(const ExprPtr &e, int key, const std::set<int> &score) {
  if (e->kind != K::Read || e->type != Type::Float)
    return false;
  int axis = placeAxis(e, key);
  if (axis < 0 || (axis < static_cast<int>(e->checked.size()) && e->checked[axis]))
    return false;
  for (size_t a = 0; a < e->args.size(); ++a)
    if (static_cast<int>(a) != axis && free_.of(e->args[a]).count(key))
      return false;
  for (int l : free_.of(e->args[axis]))
    if (l != key && !score.count(l))
      return false;
  return !any(e->args[axis], [](const Expr &n) { return n.kind == K::Reduce; });
}

Values::Factors Values::sort(const std::vector<ExprPtr> &factors, int key,
                             const std::set<int> &score) {
  Factors out;
  std::vector<ExprPtr> inside, owners;
  for (auto &f : factors)
    (free_.of(f).count(key) ? inside : out.front).push_back(f);
  auto lettersOf = [&](const std::vector<ExprPtr> &of) {
    std::set<int> letters;
    for (auto &f : of) {
      const std::set<int> &more = free_.of(f);
      letters.insert(more.begin(), more.end());
    }
    letters.erase(key);
    return letters;
  };
  for (auto &f : inside) {
    const std::set<int> letters = lettersOf({f});
    if (!std::includes(score.begin(), score.end(), letters.begin(), letters.end()))
      owners.push_back(f);
  }
  std::set<int> fixed = lettersOf(owners.empty() ? inside : owners);
  int best = rowLetter(program_, score, {});
  bool ofPairs = std::any_of(owners.begin(), owners.end(),
                             [&](const ExprPtr &f) { return isOfPairs(f, best, {key}); });
  if (owners.empty() && fixed.count(best)) { // numbers for pairs: the value is 1
    fixed.clear();
  } else if (ofPairs && owners.size() == 1 && hasPlace(owners[0], key, score)) {
    out.placed = owners[0];
    fixed.clear();
    for (size_t a = 0; a < out.placed->args.size(); ++a)
      if (static_cast<int>(a) != placeAxis(out.placed, key)) {
        const std::set<int> &more = free_.of(out.placed->args[a]);
        fixed.insert(more.begin(), more.end());
      }
    ofPairs = fixed.count(best) > 0;
  }
  out.row = ofPairs ? -1 : rowLetter(program_, score, fixed);
  for (auto &f : inside) {
    bool owns = std::count(owners.begin(), owners.end(), f) > 0;
    if (f == out.placed)
      continue;
    bool ofPair = !owns && (out.placed || free_.of(f).count(out.row));
    (ofPair ? out.pairs : out.values).push_back(f);
  }
  const std::set<int> letters = lettersOf(owners);
  std::set_difference(letters.begin(), letters.end(), score.begin(), score.end(),
                      std::inserter(out.own, out.own.end()));
  return out;
}

} // namespace qkv::equations

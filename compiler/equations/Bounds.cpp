// Proofs for IR generation. In: an index and the piece it stands in. Out: whether it is inside.
#include "compiler/equations/Bounds.h"

#include "compiler/equations/Expressions.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Whether a piece takes every position of `of` that is at its own position on `axis`.
static bool covers(const Piece &p, const Piece &of, size_t axis) {
  for (size_t i = 0; i < p.indices.size(); ++i)
    if (i != axis && p.indices[i].letter < 0 &&
        !(of.indices[i].letter < 0 && of.indices[i].position == p.indices[i].position))
      return false;
  return true;
}

PieceRange Bounds::range(int tensor, int piece, int axis) {
  const Tensor &t = program_.tensors[tensor];
  const Piece &p = t.pieces[piece];
  const Size &extent = program_.letters[p.indices[axis].letter].extent;
  std::vector<Size> taken;
  for (const Piece &o : t.pieces)
    if (&o != &p && o.indices[axis].letter < 0 && covers(o, p, axis))
      taken.push_back(o.indices[axis].position);
  auto take = [&](const Size &s) {
    auto at = std::find(taken.begin(), taken.end(), s);
    if (at == taken.end())
      return false;
    taken.erase(at);
    return true;
  };
  PieceRange out{Size(0), extent, {}};
  Size last = extent - Size(1);
  while (take(out.base)) {
    out.base = out.base + Size(1);
    out.extent = out.extent - Size(1);
  }
  while (take(last)) {
    last = last - Size(1);
    out.extent = out.extent - Size(1);
  }
  for (const Size &s : taken) {
    // Positions outside of the range (P4) are none of the letter's.
    auto known = s.constant();
    if ((known && *known < 0) || atLeast(s - extent, 0))
      continue;
    out.holes.push_back(s);
  }
  return out;
}

const std::vector<Facts> &Bounds::facts(int tensor, int piece) {
  auto [at, fresh] = facts_.try_emplace({tensor, piece});
  if (!fresh)
    return at->second;
  const Piece &p = program_.tensors[tensor].pieces[piece];
  Facts out;
  for (size_t a = 0; a < p.indices.size(); ++a) {
    if (p.indices[a].letter < 0)
      continue;
    PieceRange r = range(tensor, piece, static_cast<int>(a));
    bool ignored = false;
    Linear x = prover_.linear(letter(p.indices[a].letter), ignored);
    if (r.base != Size(0))
      out.all.push_back(x - prover_.linear(r.base));
    if (r.base + r.extent != program_.letters[p.indices[a].letter].extent)
      out.all.push_back(prover_.linear(r.base + r.extent) - Linear(1) - x);
  }
  if (!out.all.empty())
    at->second.push_back(std::move(out));
  return at->second;
}

bool Bounds::inside(const ExprPtr &index, const Axis &axis, const std::vector<Facts> &facts) {
  if (index->kind == K::Letter && program_.letters[index->letter].extent == axis.extent)
    return true;
  if (index->kind == K::Int && axis.extent.isConstant())
    return index->integer >= -axis.before && index->integer < *axis.extent.constant() + axis.after;
  // A step's number is an argument: what holds for one step may not hold for the next. And what
  // an int tensor's definition says of its values does not hold for an element that is read in
  // place of one outside.
  bool knows = true;
  forEachNode(index, [&](const Expr &e) {
    knows = knows && e.kind != K::Step;
    if (e.kind == K::Read)
      for (size_t i = 0; i < e.args.size(); ++i)
        knows = knows && inside(e.args[i], program_.tensors[e.tensor].axes[i], facts);
  });
  if (!knows)
    return false;
  bool ignored = false;
  Linear at = prover_.linear(index, ignored);
  return prover_.provable(at + Linear(axis.before), facts) &&
         prover_.provable(prover_.linear(axis.extent) + Linear(axis.after - 1) - at, facts);
}

bool Bounds::positive(const ExprPtr &divisor, const std::vector<Facts> &facts) {
  if (divisor->kind == K::Int)
    return divisor->integer > 0;
  bool steps = false;
  forEachNode(divisor, [&](const Expr &e) { steps |= e.kind == K::Step; });
  bool ignored = false;
  return !steps && prover_.provable(prover_.linear(divisor, ignored) - Linear(1), facts);
}

bool Bounds::atLeast(const Size &size, int64_t least) {
  if (auto known = size.constant())
    return *known >= least;
  return prover_.provable(prover_.linear(size) - Linear(least), {});
}

} // namespace qkv::equations

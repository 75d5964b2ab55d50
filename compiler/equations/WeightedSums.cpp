// Weighted sums among the equations that are split.
//
// In: an equation of the form of Attention.h. Out: the same, its checks (A1, T2) taken out, its
// tables (T3) made, and what its guard says of tiles written beside it.
#include "compiler/equations/Splitter.h"

#include "dsl/proof/Proof.h"

namespace qkv::equations {

using K = Expr::Kind;

/// Rows and keys of a tile of a guard's tables.
static constexpr int64_t blockSize = 64;

// Reductions inside of a score stay where they are.
ExprPtr Splitter::keep(const ExprPtr &e) {
  if (!e)
    return e;
  bool reduces = false;
  forEachNode(e, [&](const Expr &n) { reduces |= n.kind == K::Reduce && !n.constant; });
  if (e->constant || !reduces)
    return rewrite(e);
  std::vector<ExprPtr> args;
  if (e->kind == K::Reduce) {
    size_t outer = order_.size();
    order_.insert(order_.end(), e->letters.begin(), e->letters.end());
    ExprPtr guard = keep(e->args[1]);
    args = {under(guard, [&] { return keep(e->args[0]); }), guard};
    order_.resize(outer);
  } else {
    for (auto &a : e->args)
      args.push_back(keep(a));
    if (skips(e))
      return times(args[0], args[1], e->span);
  }
  return withArgs(e, std::move(args));
}

ExprPtr Splitter::weighted(const ExprPtr &e) {
  WeightedSum sum = *asWeightedSum(program_, e);
  size_t outer = order_.size();
  bool outerSettled = settled_;
  settled_ = true; // what is cheap for each pair stays with it
  order_.push_back(sum.key);
  sum.part = keep(sum.part);
  sum.score = under(sum.part, [&] { return keep(sum.score); });
  order_.back() = sum.sumKey;
  sum.factor = keep(sum.factor);
  if (sum.value)
    sum.value = rewrite(sum.value);
  order_.resize(outer);
  settled_ = outerSettled;
  auto tileLetter = [&](int of, const char *name) {
    program_.letters.push_back({name, of < 0 ? Size(1) : program_.letters[of].extent});
    return static_cast<int>(program_.letters.size()) - 1;
  };
  TileLetters tile;
  tile.firstRow = tileLetter(sum.row, "first_row");
  tile.lastRow = tileLetter(sum.row, "last_row");
  tile.firstKey = tileLetter(sum.key, "first_key");
  tile.lastKey = tileLetter(sum.key, "last_key");
  sum.tile = tile;
  if (sum.part) {
    TileLogic logic(sum.row, sum.key, tile, [&](const ExprPtr &read, int l) {
      return blockInterval(read, l, l == sum.row ? tile.firstRow : tile.firstKey);
    });
    std::tie(sum.any, sum.all) = logic.of(sum.part);
  }
  return weightedSum(sum, e->span);
}

// least[.., b] = min[l](x[.., 64*b + l] where 64*b + l < extent), and the greatest.
std::optional<TileLogic::Interval> Splitter::blockInterval(const ExprPtr &e, int l, int first) {
  if (e->type != Type::Int)
    return std::nullopt;
  Size extent = program_.letters[l].extent;
  Size blocks = floorDiv(extent + Size(blockSize - 1), Size(blockSize), program_.atoms);
  program_.letters.push_back({"block", blocks});
  int block = static_cast<int>(program_.letters.size()) - 1;
  program_.letters.push_back({"lane", Size(blockSize)});
  int lane = static_cast<int>(program_.letters.size()) - 1;
  ExprPtr at =
      apply(Op::Add, {apply(Op::Mul, {letter(block), integer(blockSize)}, e->span), letter(lane)},
            e->span);
  ExprPtr inside = apply(Op::Less, {at, size(extent)}, e->span);
  ExprPtr element = substitute(e, {{l, at}});
  ExprPtr here = apply(Op::FloorDiv, {letter(first), integer(blockSize)}, e->span);
  TileLogic::Interval out;
  for (bool least : {true, false}) {
    order_.push_back(block);
    ExprPtr table =
        extract(reduce(least ? Reduction::Min : Reduction::Max, {lane}, element, inside, e->span),
                least ? "least" : "greatest");
    order_.pop_back();
    (least ? out.least : out.greatest) = substitute(table, {{block, here}});
  }
  return out;
}

} // namespace qkv::equations

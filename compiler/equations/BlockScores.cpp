// Scores that several sums share. In: sums over the keys of a block. Out: BlockScores.h.
#include "compiler/equations/BlockScores.h"

#include "compiler/equations/Softmaxes.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

ExprPtr BlockScores::apart(const Tensor &like, const ExprPtr &sum, const std::vector<int> &places,
                           int key) {
  std::vector<ExprPtr> factors;
  factorsOf(sum->args[0], factors);
  bool any = false;
  for (ExprPtr &f : factors)
    if (isShared(f, factors, *sum, places.back(), key)) {
      f = named(like, f, places, key);
      any = true;
    }
  return any ? reduce(Reduction::Sum, sum->letters, product(factors, sum->span), sum->args[1],
                      sum->span)
             : sum;
}

/// Whether a factor is a sum of products of what is of the row and what is of the key, and another
/// factor of the pair goes along letters that it knows nothing of. Both lie along what is summed,
/// so that its order is the same wherever they are read from.
bool BlockScores::isShared(const ExprPtr &score, const std::vector<ExprPtr> &factors,
                           const Expr &sum, int row, int key) {
  auto isPair = [&](const ExprPtr &e) {
    const std::set<int> &of = free_.of(e);
    return of.count(row) && of.count(key);
  };
  if (score->kind != K::Reduce || score->reduction != Reduction::Sum || score->args[1] ||
      score->letters.size() != 1 || !isPair(score))
    return false;
  std::vector<ExprPtr> parts;
  factorsOf(score->args[0], parts);
  for (const ExprPtr &p : parts)
    if (p->kind != K::Read || isPair(p) || p->args.back()->kind != K::Letter ||
        p->args.back()->letter != score->letters[0])
      return false;
  const std::set<int> own = free_.of(score);
  return std::any_of(factors.begin(), factors.end(), [&](const ExprPtr &f) {
    const std::set<int> &of = free_.of(f);
    return isPair(f) && std::any_of(of.begin(), of.end(), [&](int l) {
             return !own.count(l) && !std::count(sum.letters.begin(), sum.letters.end(), l);
           });
  });
}

ExprPtr BlockScores::named(const Tensor &like, const ExprPtr &score, const std::vector<int> &places,
                           int key) {
  std::vector<int> order(places.begin(), places.end() - 1);
  for (int l : free_.of(score))
    if (l != key && !std::count(places.begin(), places.end(), l))
      order.push_back(l);
  order.push_back(places.back());
  order.push_back(key);
  Tensor t;
  t.name = like.name + ".scores" + std::to_string(program_.tensors.size());
  t.label = like.label;
  t.type = Type::Float;
  t.region = like.region;
  t.instance = like.instance;
  t.span = score->span;
  Piece piece;
  piece.span = t.span;
  std::vector<ExprPtr> args;
  std::unordered_map<int, ExprPtr> letters;
  for (int l : order) {
    const Letter copy = program_.letters[l];
    program_.letters.push_back(copy);
    int own = static_cast<int>(program_.letters.size()) - 1;
    letters[l] = letter(own);
    t.axes.push_back({copy.name, copy.extent, 0, 0});
    piece.indices.push_back({own, {}});
    args.push_back(letter(l));
  }
  piece.value = substitute(score, letters);
  t.pieces = {std::move(piece)};
  program_.tensors.push_back(std::move(t));
  int made = static_cast<int>(program_.tensors.size()) - 1;
  stored_.insert(made);
  return read(program_, made, std::move(args), score->span);
}

} // namespace qkv::equations

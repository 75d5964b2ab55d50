// The form of a weighted sum: made and taken apart (Attention.h).
#include "compiler/equations/Attention.h"

#include <algorithm>
#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

ExprPtr weightedSum(const WeightedSum &sum, Span span) {
  auto weights = std::make_shared<Expr>();
  weights->kind = K::Reduce;
  weights->type = Type::Float;
  weights->span = span;
  weights->reduction = sum.plain   ? Reduction::Sum
                       : sum.value ? Reduction::Softmax
                                   : Reduction::LogSumExp;
  weights->letters = {sum.key};
  if (sum.tile)
    weights->letters.insert(weights->letters.end(), {sum.tile->firstRow, sum.tile->lastRow,
                                                     sum.tile->firstKey, sum.tile->lastKey});
  int at = sum.value ? sum.sumKey : sum.row;
  weights->args = {sum.score, sum.part, at >= 0 ? letter(at) : integer(0), sum.any, sum.all};
  if (!sum.value)
    return weights;
  ExprPtr product = weights;
  if (sum.factor)
    product = apply(Op::Mul, {product, sum.factor}, span);
  product = apply(Op::Mul, {product, sum.value}, span);
  return reduce(Reduction::Sum, {sum.sumKey}, product, nullptr, span);
}

bool overSequences(const Program &program, int letter) {
  return program.batch >= 0 && program.letters[letter].extent == Size::atom(program.batch);
}

int rowLetter(const Program &program, const std::set<int> &score, const std::set<int> &value) {
  int row = -1;
  auto rank = [&](int l) { // letters that only the run knows, then the longest
    auto extent = program.letters[l].extent.constant();
    return extent ? *extent : std::numeric_limits<int64_t>::max();
  };
  for (int l : score)
    if (!value.count(l) && !overSequences(program, l) && (row < 0 || rank(l) > rank(row)))
      row = l;
  return row;
}

int placeAxis(const ExprPtr &read, int letter) {
  FreeLetters free;
  for (size_t a = 0; a < read->args.size(); ++a)
    if (read->args[a]->kind != K::Letter && free.of(read->args[a]).count(letter))
      return static_cast<int>(a);
  return -1;
}

/// Whether a node has a guard over tiles, as weights have.
static bool isWeights(const ExprPtr &e) { return e->kind == K::Reduce && e->args.size() == 5; }

/// What all weights have alike.
static void readWeights(const ExprPtr &weights, WeightedSum &out) {
  out.plain = weights->reduction == Reduction::Sum;
  out.score = weights->args[0];
  out.part = weights->args[1];
  out.any = weights->args[3];
  out.all = weights->args[4];
  out.key = weights->letters[0];
  if (const std::vector<int> &l = weights->letters; l.size() == 5)
    out.tile = TileLetters{l[1], l[2], l[3], l[4]};
}

std::optional<WeightedSum> asWeightedSum(const Program &program, const ExprPtr &e) {
  if (!e || e->kind != K::Reduce)
    return std::nullopt;
  if (isWeights(e)) {
    WeightedSum out;
    readWeights(e, out);
    out.sumKey = out.key;
    if (e->args[2]->kind == K::Letter) // (else at one position)
      out.row = e->args[2]->letter;
    return out;
  }
  if (e->reduction != Reduction::Sum || e->letters.size() != 1)
    return std::nullopt;
  ExprPtr product = e->args[0];
  if (product->kind != K::Apply || product->op != Op::Mul || product->args[1]->kind != K::Read)
    return std::nullopt;
  WeightedSum out;
  out.value = product->args[1];
  ExprPtr weights = product->args[0];
  if (weights->kind == K::Apply && weights->op == Op::Mul) {
    out.factor = weights->args[1];
    weights = weights->args[0];
  }
  if (!isWeights(weights))
    return std::nullopt;
  readWeights(weights, out);
  out.sumKey = e->letters[0];
  out.placeAxis = placeAxis(out.value, out.sumKey);
  FreeLetters free;
  std::set<int> score = free.of(weights), value;
  for (size_t a = 0; a < out.value->args.size(); ++a)
    if (static_cast<int>(a) != out.placeAxis) {
      const std::set<int> &more = free.of(out.value->args[a]);
      value.insert(more.begin(), more.end());
    }
  if (out.factor) {
    const std::set<int> &more = free.of(out.factor);
    score.insert(more.begin(), more.end());
  }
  score.erase(out.sumKey);
  value.erase(out.sumKey);
  out.row = rowLetter(program, score, value);
  for (auto &a : out.value->args)
    if (a->kind == K::Letter && a->letter != out.sumKey && !score.count(a->letter) &&
        !overSequences(program, a->letter))
      out.values.push_back(a->letter);
  return out;
}

} // namespace qkv::equations

// The form of a weighted sum: made and taken apart (Attention.h).
#include "compiler/equations/Attention.h"

#include "dsl/proof/Proof.h"

#include <algorithm>
#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

ExprPtr weightedSum(const WeightedSum &sum, Span span) {
  auto out = std::make_shared<Expr>();
  out->kind = K::Weighted;
  out->type = Type::Float;
  out->span = span;
  out->reduction = sum.plain   ? Reduction::Sum
                   : sum.value ? Reduction::Softmax
                               : Reduction::LogSumExp;
  out->letters = {sum.key, sum.sumKey};
  if (sum.tile)
    out->letters.insert(out->letters.end(), {sum.tile->firstRow, sum.tile->lastRow,
                                             sum.tile->firstKey, sum.tile->lastKey});
  out->args = {sum.score, sum.part, sum.factor, sum.value, sum.row >= 0 ? letter(sum.row) : nullptr,
               sum.any,   sum.all};
  // Plain weights and their values are over one letter.
  if (sum.plain && sum.sumKey != sum.key) {
    out->letters[1] = sum.key;
    for (int a : {WeightedArg::Factor, WeightedArg::Value})
      out->args[a] = substitute(out->args[a], {{sum.sumKey, letter(sum.key)}});
  }
  return out;
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
  for (size_t a = 0; a < read->args.size(); ++a) {
    auto plain = letterPlus(read->args[a]);
    if (!(plain && plain->letter == letter) && free.of(read->args[a]).count(letter))
      return static_cast<int>(a);
  }
  return -1;
}

std::optional<WeightedSum> asWeightedSum(const Program &program, const ExprPtr &e) {
  if (!e || e->kind != K::Weighted)
    return std::nullopt;
  WeightedSum out;
  out.plain = e->reduction == Reduction::Sum;
  out.score = e->args[WeightedArg::Score];
  out.part = e->args[WeightedArg::Guard];
  out.factor = e->args[WeightedArg::Factor];
  out.value = e->args[WeightedArg::Value];
  out.any = e->args[WeightedArg::Any];
  out.all = e->args[WeightedArg::All];
  out.key = e->letters[0];
  out.sumKey = e->letters[1];
  if (const std::vector<int> &l = e->letters; l.size() == 6)
    out.tile = TileLetters{l[2], l[3], l[4], l[5]};
  if (!out.value) {
    // (The row is at one position where nobody wants another.)
    if (const ExprPtr &row = e->args[WeightedArg::Row]; row && row->kind == K::Letter)
      out.row = row->letter;
    return out;
  }
  out.placeAxis = placeAxis(out.value, out.sumKey);
  FreeLetters free;
  std::set<int> score, value;
  for (const ExprPtr &part : {out.score, out.part, out.factor}) {
    const std::set<int> &more = free.of(part);
    score.insert(more.begin(), more.end());
  }
  for (size_t a = 0; a < out.value->args.size(); ++a)
    if (static_cast<int>(a) != out.placeAxis) {
      const std::set<int> &more = free.of(out.value->args[a]);
      value.insert(more.begin(), more.end());
    }
  score.erase(out.key);
  score.erase(out.sumKey);
  value.erase(out.sumKey);
  out.row = rowLetter(program, score, value);
  for (auto &a : out.value->args) {
    auto at = letterPlus(a);
    if (at && at->letter >= 0 && at->letter != out.sumKey && !score.count(at->letter) &&
        !overSequences(program, at->letter))
      out.values.push_back(at->letter);
  }
  return out;
}

} // namespace qkv::equations

// In: a sum weighed by a softmax of several letters; values that are sums. Out: Joint.h.
#include "compiler/equations/Joint.h"

#include "compiler/equations/Attention.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Where in `letters` a position of `flat` is, the last letter running fastest.
static std::vector<ExprPtr> positions(const Program &program, const std::vector<int> &letters,
                                      int flat, Span span) {
  std::vector<ExprPtr> out(letters.size());
  ExprPtr rest = letter(flat);
  for (size_t k = letters.size(); k-- > 0;) {
    ExprPtr extent = size(program.letters[letters[k]].extent);
    if (extent->kind != K::Int) // (Nothing is computed over an axis of none, but what is divided
      extent = apply(Op::Max, {extent, integer(1)}, span); // by may be computed in front.)
    out[k] = k == 0 ? rest : apply(Op::Mod, {rest, extent}, span);
    rest = apply(Op::FloorDiv, {rest, extent}, span);
  }
  return out;
}

std::optional<WeighedBy> singleKey(Program &program, const WeighedBy &sum) {
  // Pairs of the softmax's letter and the sum's, those of known extents last: to divide by.
  std::vector<std::pair<int, int>> keys;
  for (size_t k = 0; k < sum.softmax->letters.size(); ++k) {
    const ExprPtr &share = sum.softmax->args[2 + k];
    if (share->kind != K::Letter ||
        !std::count(sum.letters.begin(), sum.letters.end(), share->letter) ||
        std::any_of(keys.begin(), keys.end(),
                    [&](const auto &other) { return other.second == share->letter; }))
      return std::nullopt;
    keys.push_back({sum.softmax->letters[k], share->letter});
  }
  if (keys.size() == 1)
    return sum;
  std::stable_partition(keys.begin(), keys.end(), [&](const auto &key) {
    return !program.letters[key.first].extent.isConstant();
  });

  std::unordered_map<int, ExprPtr> at; // what a letter is of a single one
  Size extent(1);
  std::string name;
  std::vector<int> bound, summed;
  for (auto [b, s] : keys) {
    extent = extent * program.letters[b].extent;
    name += program.letters[s].name;
    bound.push_back(b);
    summed.push_back(s);
  }
  auto flatten = [&](const std::vector<int> &letters) {
    program.letters.push_back({name, extent});
    int flat = static_cast<int>(program.letters.size()) - 1;
    std::vector<ExprPtr> where = positions(program, letters, flat, sum.span);
    for (size_t k = 0; k < letters.size(); ++k)
      at[letters[k]] = where[k];
    return flat;
  };
  int key = flatten(bound), sumKey = flatten(summed);
  auto flat = [&](const ExprPtr &e) { return e ? substitute(e, at) : e; };
  WeighedBy out{{}, nullptr, {}, flat(sum.guard), sum.span};
  for (int l : sum.letters)
    if (!std::count(summed.begin(), summed.end(), l))
      out.letters.push_back(l);
  out.letters.push_back(sumKey);
  for (auto &f : sum.factors)
    out.factors.push_back(flat(f));
  auto softmax = std::make_shared<Expr>(*sum.softmax);
  softmax->letters = {key};
  softmax->args = {flat(sum.softmax->args[0]), flat(sum.softmax->args[1]), letter(sumKey)};
  out.softmax = softmax;
  return out;
}

/// The summands of an expression, with their signs.
static void summandsOf(const ExprPtr &e, bool negative,
                       std::vector<std::pair<ExprPtr, bool>> &out) {
  if (!e->constant && e->kind == K::Apply && (e->op == Op::Add || e->op == Op::Sub)) {
    summandsOf(e->args[0], negative, out);
    summandsOf(e->args[1], negative != (e->op == Op::Sub), out);
  } else if (!e->constant && e->kind == K::Apply && e->op == Op::Neg) {
    summandsOf(e->args[0], !negative, out);
  } else {
    out.push_back({e, negative});
  }
}

bool isOfPairs(const ExprPtr &value, int row, const std::vector<int> &keys) {
  FreeLetters free;
  const std::set<int> &letters = free.of(value);
  if (!letters.count(row) ||
      std::none_of(keys.begin(), keys.end(), [&](int k) { return letters.count(k) > 0; }))
    return false;
  bool inMemory = false;
  std::set<const Expr *> seen;
  std::function<void(const ExprPtr &)> visit = [&](const ExprPtr &e) {
    if (!e || !seen.insert(e.get()).second)
      return;
    if (e->kind == K::Read) { // (Where it reads is no value.)
      auto has = [&](int l) {
        return std::any_of(e->args.begin(), e->args.end(), [&](const ExprPtr &a) {
          return a->kind == K::Letter && a->letter == l;
        });
      };
      inMemory = inMemory || (has(row) && std::any_of(keys.begin(), keys.end(), has));
      return;
    }
    for (auto &a : e->args)
      visit(a);
  };
  visit(value);
  return !inMemory;
}

std::vector<Term> apart(const Program &program, const std::vector<Term> &terms,
                        const std::vector<int> &letters) {
  FreeLetters free;
  std::vector<Term> out, work(terms.rbegin(), terms.rend());
  while (!work.empty()) {
    Term term = work.back();
    work.pop_back();
    std::set<int> score;
    if (term.softmax)
      score = free.of(term.softmax);
    std::vector<ExprPtr> factors;
    for (auto &f : term.factors)
      factorsOf(f, factors);
    term.factors = std::move(factors);
    for (int l : letters)
      score.erase(l);
    int row = rowLetter(program, score, {});
    bool split = false;
    for (size_t f = 0; f < term.factors.size() && row >= 0 && !split; ++f) {
      std::vector<std::pair<ExprPtr, bool>> summands;
      summandsOf(term.factors[f], false, summands);
      // (A number for each pair multiplies the weight.)
      const std::set<int> &all = free.of(term.factors[f]);
      bool owns = std::any_of(all.begin(), all.end(), [&](int l) {
        return !score.count(l) && !std::count(letters.begin(), letters.end(), l);
      });
      split = owns && isOfPairs(term.factors[f], row, letters) &&
              out.size() + work.size() + summands.size() <= mostTerms &&
              std::any_of(summands.begin(), summands.end(),
                          [&](const auto &s) { return !isOfPairs(s.first, row, letters); });
      for (size_t s = summands.size(); split && s-- > 0;) {
        Term part = term;
        part.factors[f] = summands[s].first;
        part.negative = term.negative != summands[s].second;
        work.push_back(std::move(part));
      }
    }
    if (!split)
      out.push_back(std::move(term));
  }
  return out;
}

} // namespace qkv::equations

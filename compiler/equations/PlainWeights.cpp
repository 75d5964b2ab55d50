// In: sum[j](product where guard), as it is written. Out: PlainWeights.h, through definitions,
// quotients and conditions. The law: a weight w(i,j) that costs an inner sum or a function for each
// pair is computed once for its pair, whether the keys stream by or a tensor holds it; so it need
// not be held. What is left as it is:
//   - a bare product of sums without a guard over pairs: its factors may be multiplied in another
//     order, which is cheaper;
//   - a sum over the columns of a parameter (a layer of a network): a contraction with packed
//     weights, which its own kernel does better;
//   - weights that are themselves reduced over their keys, or contracted over a length.
#include "compiler/equations/PlainWeights.h"

#include "compiler/equations/Attention.h"
#include "compiler/equations/Scans.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Factors that a product may come to have by definitions that are written out.
static constexpr size_t mostFactors = 64;

static bool isZero(const ExprPtr &e) {
  return (e->kind == K::Float && e->number == 0) || (e->kind == K::Int && e->integer == 0) ||
         (e->kind == K::Convert && isZero(e->args[0]));
}

static bool isFunction(const Expr &e) { return e.kind == K::Apply && isCostly(e.op); }

static bool has(const std::vector<int> &letters, int l) {
  return std::count(letters.begin(), letters.end(), l) > 0;
}

/// What a read is defined as, without counting it as written out.
ExprPtr PlainWeights::inside(const ExprPtr &read) {
  const std::vector<int> before = softmaxes_.inlined;
  ExprPtr out = softmaxes_.definition(read);
  softmaxes_.inlined = before;
  return out;
}

/// Whether a tensor depends on an input.
bool PlainWeights::isData(int tensor) {
  auto [at, fresh] = data_.try_emplace(tensor, true); // (a recurrence is data)
  if (!fresh)
    return at->second;
  const Tensor &t = program_.tensors[tensor];
  bool data = t.kind != Tensor::Kind::Param && t.kind != Tensor::Kind::Equation;
  for (const Piece &p : t.pieces)
    for (const ExprPtr &e : {p.value, p.guard})
      if (e)
        forEachNode(e,
                    [&](const Expr &n) { data = data || (n.kind == K::Read && isData(n.tensor)); });
  return data_[tensor] = data;
}

bool PlainWeights::isOneSided(const ExprPtr &e, int row, int key) {
  const std::set<int> &letters = free_.of(e);
  return !letters.count(row) || !letters.count(key);
}

PlainWeights::Makeup PlainWeights::makeup(const ExprPtr &e, int row, int key) {
  Makeup out;
  const std::set<int> &letters = free_.of(e);
  bool ofRow = letters.count(row), ofKey = letters.count(key);
  if (!ofRow && !ofKey)
    return out;
  if (ofRow && ofKey && runningReduction(program_, free_, e)) { // a table of its own
    out.inMemory = true;
    return out;
  }
  if (e->kind == K::Letter || (e->kind == K::Read && (!ofRow || !ofKey))) {
    out.ofRow = ofRow;
    out.ofKey = ofKey;
    out.keyData = ofKey && e->kind == K::Read && isData(e->tensor);
    out.keyLetter = ofKey && e->kind == K::Letter;
    return out;
  }
  if (e->kind == K::Read)
    return makeupOfRead(e, row, key);
  for (auto &a : e->args) {
    if (!a)
      continue;
    Makeup part = makeup(a, row, key);
    out.ofRow |= part.ofRow;
    out.ofKey |= part.ofKey;
    out.keyData |= part.keyData;
    out.keyLetter |= part.keyLetter;
    out.inMemory |= part.inMemory;
    out.computed |= part.computed;
    if (out.refusal.empty())
      out.refusal = part.refusal;
  }
  if (!ofRow || !ofKey || e->constant)
    return out;
  bool joins = out.ofRow && out.ofKey && !out.inMemory;
  if (e->kind == K::Reduce) {
    bool simple = e->reduction == Reduction::Sum || e->reduction == Reduction::Max ||
                  e->reduction == Reduction::Min || e->reduction == Reduction::Prod;
    if (!simple)
      out.refusal = "the weights are reduced over their keys themselves";
    else if (std::any_of(e->letters.begin(), e->letters.end(),
                         [&](int l) { return !program_.letters[l].extent.constant(); }))
      out.refusal = "each weight is a sum over a length";
    else if (joins && !out.keyData)
      out.refusal = "a contraction with a parameter";
    out.computed |= joins && out.keyData;
  } else if (isFunction(*e)) {
    out.computed |= joins && (out.keyData || out.keyLetter);
  }
  return out;
}

/// The tensor of a read and what its indices are made of. All that is asked here of the tensor's
/// definition at these indices follows from it, so a tensor is looked through once for equal ones:
/// a layer that reads the one below several times would be looked through exponentially often.
std::string PlainWeights::indicesOf(const ExprPtr &read, int row, int key) {
  std::string out = std::to_string(read->tensor);
  for (auto &a : read->args) {
    const std::set<int> &of = free_.of(a);
    Makeup index = makeup(a, row, key);
    out += ":";
    for (bool is : {of.count(row) > 0, of.count(key) > 0, index.ofRow, index.ofKey, index.keyData,
                    index.keyLetter, index.inMemory, index.computed, a->constant})
      out += is ? '1' : '0';
    out += index.refusal;
  }
  return out;
}

/// A read that depends on a row and a key.
PlainWeights::Makeup PlainWeights::makeupOfRead(const ExprPtr &e, int row, int key) {
  std::string indices = indicesOf(e, row, key);
  if (auto known = found_.find(indices); known != found_.end())
    return known->second;
  Makeup out;
  if (ExprPtr definition = inside(e)) {
    out = makeup(definition, row, key);
  } else {
    // (At a place that depends on both, few elements stand for all pairs: it moves with the row.)
    bool atRow = false, atKey = false, atBoth = false;
    for (auto &a : e->args) {
      const std::set<int> &of = free_.of(a);
      atBoth = atBoth || (of.count(row) && of.count(key));
      atRow = atRow || (of.count(row) && !of.count(key));
      atKey = atKey || (of.count(key) && !of.count(row));
    }
    out.inMemory = (atRow && (atKey || atBoth)) || (atKey && atBoth);
    out.ofRow = !out.inMemory;
  }
  return found_[indices] = out;
}

/// Whether an expression is a sum of products of what is of the row and what is of the key.
bool PlainWeights::isLinear(const ExprPtr &e, int row, int key) {
  if (isOneSided(e, row, key))
    return true;
  auto linear = [&](size_t a) { return isLinear(e->args[a], row, key); };
  if (e->kind == K::Read) {
    std::string indices = indicesOf(e, row, key);
    if (auto known = linear_.find(indices); known != linear_.end())
      return known->second;
    ExprPtr definition = inside(e);
    bool is = definition && isLinear(definition, row, key);
    return linear_[indices] = is;
  }
  if (e->kind == K::Reduce)
    return e->reduction == Reduction::Sum && !e->args[1] && linear(0);
  if (e->kind != K::Apply)
    return false;
  switch (e->op) {
  case Op::Neg:
    return linear(0);
  case Op::Add:
  case Op::Sub:
    return linear(0) && linear(1);
  case Op::Mul:
    return linear(0) && linear(1) &&
           (isOneSided(e->args[0], row, key) || isOneSided(e->args[1], row, key));
  case Op::Div:
    return linear(0) && isOneSided(e->args[1], row, key);
  default:
    return false;
  }
}

// `letters`: of the sum.
void PlainWeights::flatten(const ExprPtr &e, const std::vector<int> &letters, Product &out) {
  const std::set<int> &all = free_.of(e);
  bool summed = std::any_of(all.begin(), all.end(), [&](int l) { return has(letters, l); });
  if (e->constant || !summed) {
    out.factors.push_back(e);
    return;
  }
  if (e->kind == K::Apply && e->op == Op::Mul) {
    flatten(e->args[0], letters, out);
    flatten(e->args[1], letters, out);
    return;
  }
  if (e->kind == K::Apply && e->op == Op::Neg) {
    out.negative = !out.negative;
    flatten(e->args[0], letters, out);
    return;
  }
  if (e->kind == K::Apply && e->op == Op::Div) {
    const std::set<int> &below = free_.of(e->args[1]);
    if (std::none_of(below.begin(), below.end(), [&](int l) { return has(letters, l); })) {
      flatten(e->args[0], letters, out);
      out.divisors.push_back(e->args[1]);
      return;
    }
  }
  // What is 0 under a condition takes part under the other: it is not computed there.
  if (e->kind == K::If && (isZero(e->args[1]) || isZero(e->args[2]))) {
    bool zeroFirst = isZero(e->args[1]);
    const ExprPtr &condition = e->args[0];
    out.guard =
        both(out.guard, zeroFirst ? apply(Op::Not, {condition}, condition->span) : condition);
    flatten(e->args[zeroFirst ? 2 : 1], letters, out);
    return;
  }
  // (A product of many factors is none that streams by.)
  if (out.factors.size() >= mostFactors) {
    out.factors.push_back(e);
    return;
  }
  if (ExprPtr definition = e->kind == K::Read ? inside(e) : nullptr) {
    for (int key : letters)
      for (int row : all)
        if (row != key && all.count(key) && makeup(definition, row, key).computed) {
          softmaxes_.definition(e); // it is written out
          flatten(definition, letters, out);
          return;
        }
  }
  out.factors.push_back(e);
}

/// Letters that the weights alone are summed over are a sum inside of them; whether that leaves the
/// key alone.
bool PlainWeights::sumInside(const std::vector<int> &letters, int key, Product &product) {
  std::vector<int> inner;
  for (int l : letters)
    if (l != key && program_.letters[l].extent.constant())
      inner.push_back(l);
  std::vector<ExprPtr> together, rest;
  for (auto &f : product.factors) {
    const std::set<int> &of = free_.of(f);
    bool inside = std::any_of(inner.begin(), inner.end(), [&](int l) { return of.count(l) > 0; });
    (inside ? together : rest).push_back(f);
  }
  if (inner.size() + 1 != letters.size() || together.size() < 2)
    return false;
  Span span = together.front()->span;
  rest.push_back(reduce(Reduction::Sum, inner, equations::product(together, span), nullptr, span));
  product.factors = std::move(rest);
  return true;
}

/// The letter of rows: the longest one for which a weight is computed; or -1.
int PlainWeights::rowOf(const Product &product, int key, const std::vector<int> &letters) {
  std::set<int> rows;
  for (auto &f : product.factors)
    for (int l : free_.of(f))
      if (!has(letters, l) && program_.letters[l].extent != Size(1) && makeup(f, l, key).computed)
        rows.insert(l);
  return rowLetter(program_, rows, {});
}

std::optional<PlainSum> PlainWeights::of(const ExprPtr &sum, std::string &reason) {
  reason.clear();
  Product product;
  flatten(sum->args[0], sum->letters, product);
  std::vector<int> letters = sum->letters;
  int key = rowLetter(program_, {letters.begin(), letters.end()}, {});
  if (key < 0)
    return std::nullopt;
  if (letters.size() > 1 && sum->args[1] && sumInside(letters, key, product))
    letters = {key};
  product.guard = both(sum->args[1], product.guard);
  int row = rowOf(product, key, letters);
  if (row < 0)
    return std::nullopt;

  // The weights are the factors that are computed, and whatever else has their letters.
  std::set<int> of;
  std::vector<ExprPtr> weights, rest;
  bool data = false;
  int pairs = 0;
  auto sort = [&](bool computed) {
    std::vector<ExprPtr> left;
    for (auto &f : rest) {
      const std::set<int> &mine = free_.of(f);
      bool pair = mine.count(row) && mine.count(key);
      Makeup made = makeup(f, row, key);
      if (pair && reason.empty())
        reason = made.refusal;
      bool isWeight = computed
                          ? made.computed
                          : pair && std::includes(of.begin(), of.end(), mine.begin(), mine.end());
      data = data || made.keyData;
      if (computed && isWeight)
        of.insert(mine.begin(), mine.end());
      pairs += isWeight;
      (isWeight ? weights : left).push_back(f);
    }
    rest = std::move(left);
  };
  rest = product.factors;
  sort(true);
  if (product.guard)
    of.insert(free_.of(product.guard).begin(), free_.of(product.guard).end());
  sort(false);
  if (!reason.empty())
    return std::nullopt;
  if (!data) {
    reason = "a contraction with a parameter";
    return std::nullopt;
  }
  for (int l : letters)
    if (l != key && of.count(l)) {
      reason = "the weights are summed over several letters";
      return std::nullopt;
    }
  if (pairs == 1 && isLinear(weights.front(), row, key) &&
      (!product.guard || isOneSided(product.guard, row, key))) {
    reason = "without a guard it is cheaper to multiply keys and values first";
    return std::nullopt;
  }
  program_.letters.push_back(program_.letters[key]);
  int bound = static_cast<int>(program_.letters.size()) - 1;
  auto at = [&](const ExprPtr &e) { return e ? substitute(e, {{key, letter(bound)}}) : e; };
  auto weight = std::make_shared<Expr>();
  weight->kind = K::Reduce;
  weight->type = Type::Float;
  weight->span = sum->span;
  weight->reduction = Reduction::Sum;
  weight->letters = {bound};
  weight->args = {at(equations::product(weights, sum->span)), at(product.guard), letter(key)};
  return PlainSum{{letters, weight, rest, nullptr, sum->span}, product.divisors, product.negative};
}

} // namespace qkv::equations

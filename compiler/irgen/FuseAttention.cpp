// Softmax-weighted sums become one equation each, whatever the score: attention.
//
// In: sum[j](w * v) where w is a softmax over j of anything, through definitions, products,
// sums and differences. Out: equations of the form of Attention.h; what depends on rows alone or
// on keys alone is a tensor of its own, what depends on both is written out in the score. The
// law: maximum, sum and weighted sum of two ranges of j combine, so j can stream by and the
// score is in no tensor. What is no such sum stays as it is.
#include "compiler/irgen/Attention.h"
#include "compiler/irgen/Rewrite.h"
#include "compiler/irgen/Softmaxes.h"

#include "dsl/Proof.h"

#include <algorithm>

namespace qkv::irgen {

using K = Expr::Kind;

namespace {

/// Keys fewer than these are a few vectors: not worth a loop of their own.
constexpr int64_t fewKeys = 32;
/// Whether the emitter of scores has no form for a reduction.
bool isHard(const Expr &e) {
  switch (e.reduction) {
  case Reduction::Sum:
  case Reduction::Max:
  case Reduction::Min:
  case Reduction::Prod:
    return e.type != Type::Float || e.constant;
  default:
    return true;
  }
}

bool any(const ExprPtr &e, const std::function<bool(const Expr &)> &holds) {
  bool has = false;
  forEachNode(e, [&](const Expr &n) { has = has || holds(n); });
  return has;
}
bool isCostly(const ExprPtr &e) {
  return any(e, [](const Expr &n) {
    return n.kind == K::Reduce || (n.kind == K::Apply && ((n.op >= Op::Exp && n.op <= Op::Cos) ||
                                                          n.op == Op::Pow || n.op == Op::Div));
  });
}

class AttentionFuser {
public:
  AttentionFuser(Program &program, Notes &notes)
      : program_(program), notes_(notes), softmaxes_(program) {
    for (const Tensor &t : program.tensors)
      names_[t.name] = 1;
  }

  void run() {
    for (int t : liveTensors(program_)) {
      if (program_.tensors[t].kind != Tensor::Kind::Equation || program_.tensors[t].constant ||
          softmaxes_.isLooped(t))
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) { // (tensors are added)
        tensor_ = t;
        piece_ = static_cast<int>(p);
        ExprPtr value = program_.tensors[t].pieces[p].value;
        Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
          ExprPtr sum = softmaxes_.ratio(e);
          ExprPtr fused = sum || e != value ? fuse(sum ? sum : e, false) : nullptr;
          return fused ? fused : e;
        });
        ExprPtr inside = mapper(value);
        ExprPtr fused = fuse(inside, true);
        program_.tensors[t].pieces[p].value = fused ? fused : inside;
      }
    }
    explainRest();
  }

private:
  /// A new tensor over `letters` in that order whose element is `e`; returns its read.
  ExprPtr extract(const ExprPtr &e, const std::vector<int> &letters, const char *suffix) {
    const Tensor &from = program_.tensors[tensor_];
    Tensor t;
    Piece p;
    std::vector<ExprPtr> args;
    std::unordered_map<int, ExprPtr> renamed;
    std::unordered_map<int, int> number;
    std::string meaning = std::to_string(from.region) + suffix;
    size_t lettersBefore = program_.letters.size();
    for (int l : letters) {
      Letter copy = program_.letters[l];
      int fresh = static_cast<int>(program_.letters.size());
      number[l] = static_cast<int>(args.size());
      meaning += "," + copy.extent.text(program_.atoms);
      renamed[l] = letter(fresh);
      p.indices.push_back({fresh, {}});
      t.axes.push_back({copy.name, copy.extent, 0, 0});
      program_.letters.push_back(std::move(copy));
      args.push_back(letter(l));
    }
    Text text(
        program_, [&](int l) { return "l" + std::to_string(number.count(l) ? number[l] : -1 - l); },
        [](int tensor) { return "t" + std::to_string(tensor); },
        [](const Expr &step) { return "s" + std::to_string(step.region); });
    text.write(e, meaning);
    auto [at, fresh] = made_.try_emplace(meaning, static_cast<int>(program_.tensors.size()));
    if (!fresh) {
      program_.letters.resize(lettersBefore);
      return read(program_, at->second, std::move(args), e->span);
    }
    t.name = from.name + "." + suffix;
    if (int &n = names_[t.name]; n++ > 0)
      t.name += std::to_string(n);
    t.label = from.label;
    t.type = e->type;
    t.region = from.region;
    t.instance = from.instance;
    t.span = e->span ? e->span : from.pieces[piece_].span;
    p.value = substitute(e, renamed);
    p.span = t.span;
    t.pieces = {std::move(p)};
    program_.tensors.push_back(std::move(t));
    return read(program_, at->second, std::move(args), e->span);
  }

  /// The score: sums that hold both a row and a key are written out, through definitions; what
  /// holds one of them is a read, or made one where it would be computed again and again.
  /// `inner`: letters of the sums around.
  ExprPtr scoreOf(const ExprPtr &e, int row, int key, std::vector<int> inner = {}) {
    const std::set<int> letters = free_.of(e);
    bool hasKey = letters.count(key), hasRow = letters.count(row);
    if (e->constant)
      return e;
    if (!hasKey || !hasRow) {
      if (e->kind == K::Read || e->type != Type::Float || (inner.empty() && !isCostly(e)))
        return e;
      std::vector<int> order;
      for (int l : letters)
        if (l != key && l != row && !std::count(inner.begin(), inner.end(), l))
          order.push_back(l);
      if (hasKey || hasRow)
        order.push_back(hasKey ? key : row);
      for (int l : inner)
        if (letters.count(l))
          order.push_back(l);
      return order.empty() ? e : extract(e, order, hasKey ? "key" : "query");
    }
    if (e->kind == K::Read) {
      ExprPtr inside = softmaxes_.definition(e);
      return inside && !any(inside, [](const Expr &n) { return n.kind == K::Reduce && isHard(n); })
                 ? scoreOf(inside, row, key, inner)
                 : e;
    }
    if (e->kind != K::Reduce) {
      std::vector<ExprPtr> args;
      for (auto &a : e->args)
        args.push_back(a ? scoreOf(a, row, key, inner) : nullptr);
      return withArgs(e, std::move(args));
    }
    if (isHard(*e)) { // over all of its letters
      std::vector<int> order(letters.begin(), letters.end());
      return extract(e, order, "score");
    }
    inner.insert(inner.end(), e->letters.begin(), e->letters.end());
    if (e->reduction != Reduction::Sum || e->args[1])
      return withArgs(e, {scoreOf(e->args[0], row, key, inner),
                          e->args[1] ? scoreOf(e->args[1], row, key, inner) : nullptr});
    // Factors of one side are one operand; those that are not summed stand outside.
    std::vector<ExprPtr> all, query, keys, mixed, front, operands;
    factorsOf(e->args[0], all);
    for (auto &f : all) {
      const std::set<int> of = free_.of(f);
      bool summed =
          std::any_of(e->letters.begin(), e->letters.end(), [&](int l) { return of.count(l) > 0; });
      bool both = of.count(key) && of.count(row);
      (!summed ? front : both ? mixed : of.count(key) ? keys : query).push_back(f);
    }
    for (auto *side : {&query, &keys})
      if (!side->empty())
        operands.push_back(scoreOf(product(*side, e->span), row, key, inner));
    for (auto &f : mixed)
      operands.push_back(scoreOf(f, row, key, inner));
    if (operands.empty()) // nothing is summed but the letters themselves
      return withArgs(e, {scoreOf(e->args[0], row, key, inner), nullptr});
    ExprPtr sum = reduce(Reduction::Sum, e->letters, product(operands, e->span), nullptr, e->span);
    for (auto &f : front)
      sum = apply(Op::Mul, {sum, scoreOf(f, row, key, inner)}, e->span);
    return sum;
  }

  /// The value as a read over `outer` letters, the key and its own, the last contiguous.
  ExprPtr valueOf(const ExprPtr &e, const std::set<int> &score, int key, std::vector<int> &own) {
    const Tensor *t = e->kind == K::Read ? &program_.tensors[e->tensor] : nullptr;
    std::set<int> seen;
    bool fits = t && e->type == Type::Float && !e->constant && !t->constant && !own.empty();
    for (size_t a = 0; fits && a < e->args.size(); ++a)
      fits = e->args[a]->kind == K::Letter && seen.insert(e->args[a]->letter).second &&
             program_.letters[e->args[a]->letter].extent == t->axes[a].extent &&
             !t->axes[a].before && !t->axes[a].after;
    fits = fits && seen.count(key) && !seen.empty() &&
           std::count(own.begin(), own.end(), e->args.back()->letter);
    if (fits) {
      own.clear();
      for (auto &a : e->args)
        if (a->letter != key && !score.count(a->letter))
          own.push_back(a->letter);
      return e;
    }
    std::vector<int> order;
    for (int l : free_.of(e))
      if (score.count(l) && l != key)
        order.push_back(l);
    order.push_back(key);
    order.insert(order.end(), own.begin(), own.end());
    return extract(e, order, "value");
  }

  /// sum[others](front * sum[j](softmax * factor * value)), or null.
  ExprPtr attend(const ExprPtr &e, const ExprPtr &softmax, const std::vector<ExprPtr> &factors,
                 bool root) {
    const ExprPtr &share = softmax->args[2], &guard = e->args[1];
    if (softmax->letters.size() != 1 || softmax->args.size() != 3)
      return refuse("a joint softmax of several letters");
    if (share->kind != K::Letter ||
        std::find(e->letters.begin(), e->letters.end(), share->letter) == e->letters.end())
      return refuse("the sum is not over the softmax's letter");
    WeightedSum sum;
    sum.key = softmax->letters[0];
    sum.sumKey = share->letter;
    if (auto keys = program_.letters[sum.key].extent.constant(); keys && *keys < fewKeys)
      return refuse("there are few keys");
    std::vector<int> others;
    for (int l : e->letters)
      if (l != sum.sumKey)
        others.push_back(l);
    if (guard && !others.empty())
      return refuse("a guarded sum over several letters");

    std::set<int> score = free_.of(softmax), value;
    score.erase(sum.sumKey);
    std::vector<ExprPtr> front, inside, values, pairs;
    for (auto &f : factors)
      (free_.of(f).count(sum.sumKey) ? inside : front).push_back(f);
    auto addValue = [&](const ExprPtr &f) {
      values.push_back(f);
      for (int l : free_.of(f))
        if (l != sum.sumKey)
          value.insert(l);
    };
    auto hasOwn = [&](const ExprPtr &f) {
      const std::set<int> &letters = free_.of(f);
      return std::any_of(letters.begin(), letters.end(),
                         [&](int l) { return l != sum.sumKey && !score.count(l); });
    };
    bool some = std::any_of(inside.begin(), inside.end(), hasOwn);
    for (auto &f : inside)
      if (!some || hasOwn(f))
        addValue(f);
    int row = rowLetter(program_, score, value);
    if (row < 0)
      return refuse("the value depends on the row");
    for (auto &f : inside)
      if (some && !hasOwn(f)) {
        if (free_.of(f).count(row))
          pairs.push_back(f);
        else
          addValue(f);
      }
    std::vector<int> own;
    for (int l : value)
      if (!score.count(l))
        own.push_back(l);
    if (guard)
      for (int l : free_.of(guard))
        if (l != sum.sumKey && !score.count(l))
          return refuse("the sum's guard depends on the value's letters");

    int one = -1;
    if (own.empty()) { // a number for each key
      one = static_cast<int>(program_.letters.size());
      program_.letters.push_back({"one", Size(1)});
      own.push_back(one);
    }
    sum.value = valueOf(values.empty() ? toFloat(integer(1)) : product(values, e->span), score,
                        sum.sumKey, own);
    sum.part = softmax->args[1] ? scoreOf(softmax->args[1], row, sum.key) : nullptr;
    sum.score = scoreOf(softmax->args[0], row, sum.key);
    std::vector<ExprPtr> factor;
    if (guard)
      factor.push_back(choose(scoreOf(guard, row, sum.sumKey), number(1), number(0), guard->span));
    for (auto &f : pairs)
      factor.push_back(scoreOf(f, row, sum.sumKey));
    sum.factor = product(factor, e->span);

    ExprPtr result = weightedSum(sum, e->span);
    std::vector<int> order;
    for (int l : score)
      if (l != row)
        order.push_back(l);
    order.push_back(row);
    order.insert(order.end(), own.begin(), own.end());
    if (root && others.empty() && front.empty() && isWhole(order)) {
      noteFused(tensor_);
      return result;
    }
    std::vector<ExprPtr> args;
    ExprPtr got = extract(result, order, "attention");
    noteFused(got->tensor);
    for (auto &a : got->args)
      args.push_back(a->letter == one ? integer(0) : a);
    result = withArgs(got, std::move(args));
    for (auto &f : front)
      result = apply(Op::Mul, {f, result}, e->span);
    return others.empty() ? result : reduce(Reduction::Sum, others, result, nullptr, e->span);
  }

  /// Whether the piece at hand is its tensor, over these letters, the last one last.
  bool isWhole(const std::vector<int> &letters) {
    const Tensor &t = program_.tensors[tensor_];
    const Piece &p = t.pieces[piece_];
    if (t.pieces.size() != 1 || p.indices.size() != letters.size() ||
        p.indices.back().letter != letters.back())
      return false;
    for (size_t a = 0; a < p.indices.size(); ++a)
      if (!std::count(letters.begin(), letters.end(), p.indices[a].letter) || t.axes[a].before ||
          t.axes[a].after || program_.letters[p.indices[a].letter].extent != t.axes[a].extent)
        return false;
    return true;
  }

  ExprPtr fuse(const ExprPtr &e, bool root) {
    if (e->kind != K::Reduce || e->reduction != Reduction::Sum || e->type != Type::Float ||
        e->constant || asWeightedSum(program_, e) || !softmaxes_.weighs(e->args[0]))
      return nullptr;
    std::vector<Term> terms;
    softmaxes_.inlined.clear();
    reason_ = "a product of two softmaxes";
    if (!softmaxes_.distribute(e->args[0], terms))
      return refused();
    std::vector<int> weights = softmaxes_.inlined;
    bool bare = terms.size() == 1 && terms[0].divisors.empty() && !terms[0].negative;
    ExprPtr out;
    for (const Term &t : terms) {
      std::vector<ExprPtr> factors, divisors;
      for (auto &f : t.factors)
        factorsOf(f, factors);
      for (auto &d : t.divisors) {
        const std::set<int> &letters = free_.of(d);
        bool summed = std::any_of(e->letters.begin(), e->letters.end(),
                                  [&](int l) { return letters.count(l) > 0; });
        if (summed)
          factors.push_back(apply(Op::Div, {number(1), d}, d->span));
        else
          divisors.push_back(d);
      }
      softmaxes_.inlined = weights;
      ExprPtr value = t.softmax ? attend(e, t.softmax, factors, root && bare)
                                : reduce(Reduction::Sum, e->letters, product(factors, e->span),
                                         e->args[1], e->span);
      if (!value)
        return refused();
      for (auto &d : divisors)
        value = apply(Op::Div, {value, d}, e->span);
      if (!out)
        out = t.negative ? apply(Op::Neg, {value}, e->span) : value;
      else
        out = apply(t.negative ? Op::Sub : Op::Add, {out, value}, e->span);
    }
    return out;
  }

  ExprPtr refused() {
    refused_[tensor_] = reason_;
    for (int t : softmaxes_.inlined)
      refused_[t] = reason_;
    return nullptr;
  }

  /// The equations that tensor `t` computes, as they were written, for the notes.
  void noteFused(int t) {
    std::string &names = notes_.equations[t];
    auto add = [&](const Tensor &of) {
      std::string one = of.label + ":" + std::to_string(of.span.line());
      if (("," + names + ",").find("," + one + ",") == std::string::npos)
        names += (names.empty() ? "" : ",") + one;
    };
    for (size_t i = softmaxes_.inlined.size(); i-- > 0;)
      add(program_.tensors[softmaxes_.inlined[i]]);
    add(program_.tensors[tensor_]);
    notes_.why[t] = "a softmax-weighted sum: keys stream by, the score is in no buffer";
  }

  /// Fails to fuse, and says why to whoever asks what became of the softmax.
  ExprPtr refuse(const std::string &reason) {
    reason_ = reason;
    return nullptr;
  }

  /// Of each softmax that is left: why.
  void explainRest() {
    for (int t : liveTensors(program_)) {
      const Tensor &tensor = program_.tensors[t];
      bool left = false;
      for (const Piece &p : tensor.pieces) {
        if (asWeightedSum(program_, p.value))
          continue;
        left = left || any(p.value, [](const Expr &n) { return isSoftmax(n); });
      }
      if (!left)
        continue;
      auto refused = refused_.find(t);
      notes_.why[t] = softmaxes_.isLooped(t)   ? "not fused: the softmax is inside a recurrence"
                      : softmaxes_.isResult(t) ? "not fused: the weights are a result"
                      : refused != refused_.end()
                          ? "not fused: " + refused->second
                          : "not fused: no sum over its letter weighs by it";
    }
  }

  Program &program_;
  Notes &notes_;
  std::string reason_;                 // of the last refusal
  std::map<int, std::string> refused_; // by the tensor that the softmax is in
  Softmaxes softmaxes_;
  FreeLetters free_;
  std::unordered_map<std::string, int> made_; // tensors by meaning
  std::map<std::string, int> names_;
  int tensor_ = -1, piece_ = -1; // at hand
};

} // namespace

void fuseAttention(Program &program, Notes &notes) { AttentionFuser(program, notes).run(); }

} // namespace qkv::irgen

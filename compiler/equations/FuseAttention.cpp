// Weighted sums become one equation each, whatever the score: attention.
//
// In: sum[j](w * v) where w is a softmax over j of anything, through definitions, products,
// sums and differences; logarithms of sums of powers; sums whose weights are no softmax, where it
// pays (PlainWeights). Out: equations of the form of Attention.h;
// what depends on rows alone or on keys alone is a tensor of its own, what depends on both is
// written out in the score. The law: maximum, sum and weighted sum of two ranges of j combine, so j
// can stream by and the score is in no tensor. What is no such sum stays as it is.
#include "compiler/equations/Attention.h"
#include "compiler/equations/Joint.h"
#include "compiler/equations/PlainWeights.h"
#include "compiler/equations/Reductions.h"
#include "compiler/equations/Rewrite.h"
#include "compiler/equations/Scores.h"
#include "compiler/equations/Softmaxes.h"
#include "compiler/equations/Values.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

/// Keys fewer than these are a few vectors: not worth a loop of their own.
constexpr int64_t fewKeys = 32;

/// A sum (null: none yet) and another term of it.
ExprPtr withTerm(const ExprPtr &sum, const ExprPtr &term, bool negative, Span span) {
  if (sum)
    return apply(negative ? Op::Sub : Op::Add, {sum, term}, span);
  return negative ? apply(Op::Neg, {term}, span) : term;
}

class AttentionFuser {
public:
  AttentionFuser(Program &program, Notes &notes, const std::set<int> &stored)
      : program_(program), notes_(notes), softmaxes_(program), scores_(program, softmaxes_),
        values_(program, scores_), plain_(program, softmaxes_) {
    for (int t : stored)
      softmaxes_.keep(t);
  }

  void run() {
    eachEquation([&](const ExprPtr &value) {
      Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
        auto share = softmaxes_.ratio(e);
        ExprPtr fused = share || e != value ? fuse(share ? share->value : e, false) : nullptr;
        if (fused && share && share->divisor)
          fused = apply(Op::Div, {fused, share->divisor}, e->span);
        return fused ? fused : e;
      });
      ExprPtr inside = mapper(value);
      ExprPtr fused = fuse(inside, true);
      return fused ? fused : inside;
    });
    // Behind them: a logarithm joins the sums that have its weights.
    // Those with their maximum added back first: a part of them is one as well.
    for (bool sums : {true, false})
      eachEquation([&](const ExprPtr &value) {
        Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
          bool isSum = e->kind == K::Apply && e->op == Op::Add;
          ExprPtr fused = isSum == sums ? fuseLogarithm(e, e == value) : nullptr;
          return fused ? fused : e;
        });
        return asWeightedSum(program_, value) ? value : mapper(value);
      });
    while (!fusePlain())
      ;
    explainRest();
  }

private:
  /// Sums whose weights are no softmax; false, with nothing done, where the elements of a tensor
  /// are wanted that was written out (which it is not any more).
  bool fusePlain() {
    std::map<int, std::vector<Piece>> before;
    for (int t : liveTensors(program_))
      before[t] = program_.tensors[t].pieces;
    Notes notes = notes_;
    std::set<int> written;
    eachEquation([&](const ExprPtr &value) {
      Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
        softmaxes_.inlined.clear();
        ExprPtr fused = fusePlain(e, e == value);
        if (fused)
          written.insert(softmaxes_.inlined.begin(), softmaxes_.inlined.end());
        return fused ? fused : e;
      });
      if (asWeightedSum(program_, value))
        return value;
      ExprPtr inside = mapper(value);
      softmaxes_.inlined.clear();
      return inside;
    });
    const std::set<int> live = liveTensors(program_);
    bool wanted = false;
    for (int t : written)
      if (live.count(t)) {
        softmaxes_.keep(t);
        wanted = true;
      }
    if (wanted) {
      for (auto &[t, pieces] : before)
        program_.tensors[t].pieces = pieces;
      plain_.forget();
      notes_ = notes;
    }
    return !wanted;
  }

  ExprPtr fusePlain(const ExprPtr &e, bool root) {
    if (e->kind != K::Reduce || e->type != Type::Float || e->constant || e->args.size() != 2 ||
        (e->reduction != Reduction::Sum && e->reduction != Reduction::Mean) || isLeft(*e))
      return nullptr;
    std::string why;
    auto sum = plain_.of(e, why);
    bool bare = sum && !sum->negative && sum->divisors.empty() && e->reduction == Reduction::Sum;
    ExprPtr out;
    if (sum) {
      std::vector<ExprPtr> factors;
      for (auto &f : sum->by.factors)
        factorsOf(f, factors);
      // Values of pairs and others are terms of their own.
      std::vector<Term> terms = apart(
          program_, {{sum->by.softmax, std::move(factors), {}, sum->negative}}, sum->by.letters);
      const std::vector<int> weights = softmaxes_.inlined;
      std::vector<int> written = weights;
      for (const Term &t : terms) {
        softmaxes_.inlined = weights;
        WeighedBy by = sum->by;
        by.factors = t.factors;
        ExprPtr value = attend(by, root && bare && terms.size() == 1);
        for (int i : softmaxes_.inlined)
          if (!std::count(written.begin(), written.end(), i))
            written.push_back(i);
        if (!value) {
          why = reason_;
          out = nullptr;
          break;
        }
        out = withTerm(out, value, t.negative, e->span);
      }
      softmaxes_.inlined = written;
    }
    if (!out) {
      if (!why.empty())
        notes_.sums.try_emplace(Notes::sumKey(*e, program_.tensors[tensor_].instance),
                                "not fused: " + why);
      return nullptr;
    }
    for (auto &d : sum->divisors)
      out = apply(Op::Div, {out, d}, e->span);
    if (e->reduction == Reduction::Sum)
      return out;
    ExprPtr count;
    if (e->args[1])
      count = reduce(Reduction::Sum, e->letters, integer(1), e->args[1], e->span);
    return meanOf(program_, e, out, count);
  }

  /// Whether it is said already why a sum is not fused (ChooseByRank.cpp).
  bool isLeft(const Expr &sum) const {
    return notes_.sums.count(Notes::sumKey(sum, program_.tensors[tensor_].instance)) > 0;
  }

  /// Gives each piece that may be rewritten the value that `change` makes of it.
  void eachEquation(const std::function<ExprPtr(const ExprPtr &)> &change) {
    for (int t : liveTensors(program_)) {
      if (program_.tensors[t].kind != Tensor::Kind::Equation || program_.tensors[t].constant ||
          softmaxes_.isLooped(t))
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) { // (tensors are added)
        tensor_ = t;
        piece_ = static_cast<int>(p);
        scores_.standAt(tensor_, piece_);
        ExprPtr value = change(program_.tensors[t].pieces[p].value);
        if (value != program_.tensors[t].pieces[p].value)
          plain_.forget();
        program_.tensors[t].pieces[p].value = value;
      }
    }
  }

  /// What of a sum over a single key is what.
  struct Parts {
    int key, sumKey;
    bool plain;
    std::vector<int> others; ///< letters that the weighted sum is summed over itself
    std::set<int> score;     ///< letters of the weights, without the key
    ExprPtr guard;           ///< of the sum alone
    Values::Factors factors;
    std::vector<int> own; ///< the value's letters
    int one = -1;         ///< a letter of one position, where the value has none
    bool alone = false;   ///< a number for each key: a part of a plain weight; the value is 1
  };

  /// Nothing, with the reason, where it is no sum that keys can stream by for.
  std::optional<Parts> partsOf(const WeighedBy &sum) {
    auto no = [&](const std::string &reason) {
      reason_ = reason;
      return std::nullopt;
    };
    Parts out;
    out.plain = sum.softmax->reduction != Reduction::Softmax;
    out.key = sum.softmax->letters[0];
    out.sumKey = sum.softmax->args[2]->letter;
    if (auto keys = program_.letters[out.key].extent.constant(); keys && *keys < fewKeys)
      return no("there are few keys: " + std::to_string(*keys) + " of " +
                program_.letters[out.key].name);
    for (int l : sum.letters)
      if (l != out.sumKey)
        out.others.push_back(l);
    // (What the softmax leaves out weighs nothing, and is not read.)
    out.guard = beside(sum.guard, sum.softmax);
    if (out.guard && !out.others.empty())
      return no("a guarded sum over several letters");
    out.score = free_.of(sum.softmax);
    out.score.erase(out.sumKey);
    if (out.score.empty())
      return no("there is one row of weights");
    out.factors = values_.sort(sum.factors, out.sumKey, out.score);
    if (out.factors.row < 0)
      return no("each row has values of its own");
    out.own.assign(out.factors.own.begin(), out.factors.own.end());
    if (out.guard)
      for (int l : free_.of(out.guard))
        if (l != out.sumKey && !out.score.count(l))
          return no("the sum's guard depends on the value's letters");
    out.alone = out.plain && out.own.empty() && !out.factors.placed;
    if (out.alone) {
      std::vector<ExprPtr> &pairs = out.factors.pairs;
      pairs.insert(pairs.end(), out.factors.values.begin(), out.factors.values.end());
    } else if (out.own.empty()) {
      out.one = static_cast<int>(program_.letters.size());
      program_.letters.push_back({"one", Size(1)});
      out.own.push_back(out.one);
    }
    return out;
  }

  /// The value that the weights are multiplied with, as the kernel reads it; null where it is 1.
  ExprPtr valueOf(Parts &parts, Span span) {
    const Values::Factors &of = parts.factors;
    if (of.placed)
      return values_.placedValue(of.placed, parts.score, parts.sumKey, parts.own);
    if (parts.alone)
      return nullptr;
    return values_.valueOf(of.values.empty() ? toFloat(integer(1)) : product(of.values, span),
                           parts.score, parts.sumKey, parts.own);
  }

  /// The form of the sum; its value's letters are in the kernel's order then.
  WeightedSum formOf(const WeighedBy &whole, Parts &parts) {
    const ExprPtr &softmax = whole.softmax;
    WeightedSum sum;
    sum.plain = parts.plain;
    sum.key = parts.key;
    sum.sumKey = parts.alone ? parts.key : parts.sumKey;
    sum.row = parts.factors.row;
    scores_.takePart(conditionsOf(softmax, parts.guard));
    sum.value = valueOf(parts, whole.span);
    ExprPtr weight = softmax->args[0];
    std::vector<ExprPtr> pairs = parts.factors.pairs;
    if (sum.plain) {
      pairs.insert(pairs.begin(), substitute(weight, {{parts.key, letter(parts.sumKey)}}));
      weight = substitute(product(pairs, whole.span), {{parts.sumKey, letter(parts.key)}});
      pairs.clear();
    } else {
      std::string meaning = meaningOf(weight, softmax->args[1], parts.key);
      weighed_[meaning] = rowNumber_[sum.row];
    }
    sum.part = scores_.written(softmax->args[1], sum.row, parts.key);
    sum.score = scores_.written(weight, sum.row, parts.key);
    std::vector<ExprPtr> factor;
    for (auto &f : pairs)
      factor.push_back(scores_.written(f, sum.row, parts.sumKey));
    sum.factor = product(factor, whole.span);
    if (const ExprPtr &guard = parts.guard)
      sum.factor = choose(scores_.written(guard, sum.row, parts.sumKey),
                          sum.factor ? toFloat(sum.factor) : number(1), number(0), guard->span);
    scores_.takePart({});
    return sum;
  }

  /// sum[others](front * sum[j](softmax * factor * value)), or null. The weights may be plain.
  ExprPtr attend(const WeighedBy &whole, bool root) {
    auto single = singleKey(program_, whole);
    if (!single)
      return refuse("the sum is not over the softmax's letters");
    auto parts = partsOf(*single);
    if (!parts)
      return nullptr;
    Span span = single->span;
    ExprPtr result = weightedSum(formOf(*single, *parts), span);
    const std::vector<ExprPtr> &front = parts->factors.front;
    std::vector<int> order;
    for (int l : parts->score)
      if (l != parts->factors.row)
        order.push_back(l);
    order.push_back(parts->factors.row);
    order.insert(order.end(), parts->own.begin(), parts->own.end());
    result = stored(result, order,
                    root && parts->others.empty() && front.empty() &&
                        isWhole(order, parts->alone ? -1 : order.back()));
    if (result->kind == K::Read && parts->one >= 0) {
      std::vector<ExprPtr> args;
      for (auto &a : result->args)
        args.push_back(a->letter == parts->one ? integer(0) : a);
      result = withArgs(result, std::move(args));
    }
    for (auto &f : front)
      result = apply(Op::Mul, {f, result}, span);
    return parts->others.empty() ? result
                                 : reduce(Reduction::Sum, parts->others, result, nullptr, span);
  }

  /// What a sum's guard says beside the guard of its weights; or null.
  ExprPtr beside(const ExprPtr &guard, const ExprPtr &softmax) {
    auto text = [&](const ExprPtr &e) {
      std::string out;
      Text(program_, [](int l) { return "l" + std::to_string(l); }).write(e, out);
      return out;
    };
    std::set<std::string> known;
    if (softmax->args[1])
      for (const ExprPtr &c :
           conjuncts(substitute(softmax->args[1], {{softmax->letters[0], softmax->args[2]}})))
        known.insert(text(c));
    ExprPtr out;
    for (const ExprPtr &c : conjuncts(guard))
      if (!known.count(text(c)))
        out = both(out, c);
    return out;
  }

  /// What holds of a pair of row and key that takes part, at the softmax's letter and at the sum's.
  static std::vector<ExprPtr> conditionsOf(const ExprPtr &softmax, const ExprPtr &guard) {
    std::vector<ExprPtr> out;
    auto add = [&](const ExprPtr &condition) {
      if (condition)
        for (const ExprPtr &c : conjuncts(condition))
          out.push_back(c);
    };
    add(softmax->args[1]);
    if (softmax->args[1])
      add(substitute(softmax->args[1], {{softmax->letters[0], softmax->args[2]}}));
    add(guard);
    return out;
  }

  /// The equation at hand, or the read of a new one.
  ExprPtr stored(const ExprPtr &sum, const std::vector<int> &letters, bool inPlace) {
    ExprPtr out = inPlace ? sum : scores_.extract(sum, letters, "attention");
    noteFused(inPlace ? tensor_ : out->tensor, sum);
    return out;
  }

  /// Whether the piece at hand is its tensor, over these letters, `last` (or any) the last one.
  bool isWhole(const std::vector<int> &letters, int last) {
    const Tensor &t = program_.tensors[tensor_];
    const Piece &p = t.pieces[piece_];
    if (t.pieces.size() != 1 || p.indices.size() != letters.size() ||
        (last >= 0 && p.indices.back().letter != last))
      return false;
    for (size_t a = 0; a < p.indices.size(); ++a)
      if (!std::count(letters.begin(), letters.end(), p.indices[a].letter) ||
          !runsOver(program_, p.indices[a].letter, t.axes[a]))
        return false;
    return true;
  }

  /// What a softmax is over its key: equal for weights that are the same. Numbers the letters that
  /// it depends on.
  std::string meaningOf(const ExprPtr &score, const ExprPtr &part, int key) {
    rowNumber_.clear();
    std::string out;
    Text text(program_, [&](int l) {
      if (l == key)
        return std::string("key");
      auto [at, fresh] = rowNumber_.try_emplace(l, static_cast<int>(rowNumber_.size()));
      return std::to_string(at->second) + ":" + program_.letters[l].extent.text(program_.atoms);
    });
    const std::vector<int> inlined = softmaxes_.inlined;
    text.write(softmaxes_.resolved(score), out);
    softmaxes_.inlined = inlined;
    out += "|";
    text.write(part, out);
    return out;
  }

  /// logsumexp[j](s) where a sum has the same weights, or where s would be computed into a tensor
  /// over rows and keys; or null.
  ExprPtr fuseLogarithm(const ExprPtr &e, bool root) {
    softmaxes_.inlined.clear();
    auto log = softmaxes_.logSum(e);
    if (!log)
      return nullptr;
    auto keys = program_.letters[log->key].extent.constant();
    auto sibling = weighed_.find(meaningOf(log->score, log->guard, log->key));
    std::set<int> letters = free_.of(log->score);
    if (log->guard)
      letters.insert(free_.of(log->guard).begin(), free_.of(log->guard).end());
    letters.erase(log->key);
    int row = -1;
    for (auto &[l, number] : rowNumber_)
      if (sibling != weighed_.end() && number == sibling->second)
        row = l;
    if (sibling == weighed_.end())
      row = rowLetter(program_, letters, {});
    if (row < 0 || (keys && *keys < fewKeys))
      return nullptr;
    WeightedSum sum;
    sum.key = sum.sumKey = log->key;
    sum.row = row;
    scores_.takePart(log->guard ? conjuncts(log->guard) : std::vector<ExprPtr>());
    sum.part = scores_.written(log->guard, row, log->key);
    sum.score = scores_.written(log->score, row, log->key);
    scores_.takePart({});
    if (sibling == weighed_.end() && !scores_.isComputed(sum.score, row, log->key))
      return nullptr;
    std::vector<int> order;
    for (int l : letters)
      if (l != row)
        order.push_back(l);
    order.push_back(row);
    return stored(weightedSum(sum, e->span), order, root && isWhole(order, -1));
  }

  ExprPtr fuse(const ExprPtr &e, bool root) {
    if (e->kind != K::Reduce || e->reduction != Reduction::Sum || e->type != Type::Float ||
        e->constant || asWeightedSum(program_, e) || isLeft(*e) ||
        !softmaxes_.weighs(e->args[0], e->args[1]))
      return nullptr;
    std::vector<Term> terms;
    softmaxes_.inlined.clear();
    reason_ = "a product of two softmaxes";
    if (!softmaxes_.distribute(e->args[0], terms, e->args[1]))
      return refused(nullptr);
    terms = apart(program_, terms, e->letters);
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
      ExprPtr value =
          t.softmax
              ? attend({e->letters, t.softmax, factors, e->args[1], e->span}, root && bare)
              : reduce(Reduction::Sum, e->letters, product(factors, e->span), e->args[1], e->span);
      if (!value)
        return refused(t.softmax);
      for (auto &d : divisors)
        value = apply(Op::Div, {value, d}, e->span);
      out = withTerm(out, value, t.negative, e->span);
    }
    return out;
  }

  /// A sum stays as it is because of one softmax in it (null: of all).
  ExprPtr refused(const ExprPtr &softmax) {
    std::vector<int> tensors = softmaxes_.inlined;
    tensors.push_back(tensor_);
    auto isIn = [&](int t) {
      const std::vector<Piece> &pieces = program_.tensors[t].pieces;
      return std::any_of(pieces.begin(), pieces.end(), [&](const Piece &p) {
        return any(p.value, [&](const Expr &n) {
          return isSoftmax(n) && n.span.begin == softmax->span.begin &&
                 n.span.end == softmax->span.end;
        });
      });
    };
    bool known = softmax && std::any_of(tensors.begin(), tensors.end(), isIn);
    for (int t : tensors)
      refused_[t] = !known || isIn(t) ? reason_ : "another term of its sum is not: " + reason_;
    return nullptr;
  }

  /// The equations that tensor `t` computes, as they were written, for the notes.
  void noteFused(int t, const ExprPtr &sum) {
    std::string &names = notes_.equations[t];
    auto add = [&](const Tensor &of) {
      std::string one = of.name + ":" + std::to_string(of.span.line());
      // (A comma ends the name of an equation; in a file's name it says nothing.)
      if (of.span.source && program_.span.source && of.span.source != program_.span.source) {
        one += ":" + of.span.source->path();
        std::replace(one.begin(), one.end(), ',', '_');
      }
      if (("," + names + ",").find("," + one + ",") == std::string::npos)
        names += (names.empty() ? "" : ",") + one;
    };
    for (size_t i = softmaxes_.inlined.size(); i-- > 0;)
      add(program_.tensors[softmaxes_.inlined[i]]);
    add(program_.tensors[tensor_]);
    notes_.why[t] = asWeightedSum(program_, sum)->plain
                        ? "a weighted sum: keys stream by, the weights are in no buffer"
                        : "a softmax-weighted sum: keys stream by, the score is in no buffer";
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
      notes_.why[t] =
          softmaxes_.isLooped(t)
              ? "not fused: the softmax is inside a recurrence, where a step has one row of it"
          : softmaxes_.isResult(t)    ? "not fused: the weights are a result"
          : refused != refused_.end() ? "not fused: " + refused->second
                                      : "not fused: no sum over its letters is linear in it";
    }
  }

  Program &program_;
  Notes &notes_;
  std::string reason_;                 // of the last refusal
  std::map<int, std::string> refused_; // by the tensor that the softmax is in
  Softmaxes softmaxes_;
  Scores scores_;
  Values values_;
  PlainWeights plain_;
  FreeLetters free_;
  std::map<std::string, int> weighed_; // softmaxes that are fused, and which letter is the row
  std::map<int, int> rowNumber_;       // of the letters of the last meaning
  int tensor_ = -1, piece_ = -1;       // at hand
};

} // namespace

void fuseAttention(Prepared &prepared) {
  AttentionFuser(prepared.program, prepared.notes, prepared.stored).run();
}

} // namespace qkv::equations

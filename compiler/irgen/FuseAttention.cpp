// Softmax-weighted sums become one equation each, whatever the score: attention.
//
// In: sum[j](w * v) where w is a softmax over j of anything, through definitions, products,
// sums and differences. Out: equations of the form of Attention.h; what depends on rows alone or
// on keys alone is a tensor of its own, what depends on both is written out in the score. The
// law: maximum, sum and weighted sum of two ranges of j combine, so j can stream by and the
// score is in no tensor. What is no such sum stays as it is.
#include "compiler/irgen/Attention.h"
#include "compiler/irgen/Rewrite.h"

#include "dsl/Proof.h"
#include "dsl/Schedule.h"

#include <algorithm>

namespace qkv::irgen {

using K = Expr::Kind;

namespace {

/// Keys fewer than these are a few vectors: not worth a loop of their own.
constexpr int64_t fewKeys = 32;
/// Terms that a product of sums may become.
constexpr size_t mostTerms = 16;

/// A product with a softmax in it (or without: null).
struct Term {
  ExprPtr softmax;
  std::vector<ExprPtr> factors, divisors;
  bool negative = false;
};

bool isSoftmax(const Expr &e) {
  return e.kind == K::Reduce && e.reduction == Reduction::Softmax && !e.constant;
}

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

/// A product's factors; constants whole (T3).
void factorsOf(const ExprPtr &e, std::vector<ExprPtr> &out) {
  if (!e->constant && e->kind == K::Apply && e->op == Op::Mul) {
    factorsOf(e->args[0], out);
    factorsOf(e->args[1], out);
  } else {
    out.push_back(e);
  }
}

ExprPtr product(const std::vector<ExprPtr> &factors, Span span) {
  ExprPtr out;
  for (auto &f : factors)
    out = out ? apply(Op::Mul, {out, f}, span) : f;
  return out;
}

class AttentionFuser {
public:
  explicit AttentionFuser(Program &program) : program_(program) {
    for (const Tensor &t : program.tensors)
      names_[t.name] = 1;
    for (const Result &r : program.results)
      results_.insert(r.tensor);
    Diagnostics diagnostics;
    if (auto nodes = schedule(program, diagnostics))
      findLoops(*nodes, false);
  }

  void run() {
    for (int t : liveTensors(program_)) {
      if (program_.tensors[t].kind != Tensor::Kind::Equation || program_.tensors[t].constant ||
          looped_.count(t))
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) { // (tensors are added)
        tensor_ = t;
        piece_ = static_cast<int>(p);
        ExprPtr value = program_.tensors[t].pieces[p].value;
        Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
          ExprPtr sum = ratio(e);
          ExprPtr fused = sum || e != value ? fuse(sum ? sum : e, false) : nullptr;
          return fused ? fused : e;
        });
        ExprPtr inside = mapper(value);
        ExprPtr fused = fuse(inside, true);
        program_.tensors[t].pieces[p].value = fused ? fused : inside;
      }
    }
  }

private:
  void findLoops(const std::vector<ScheduleNode> &nodes, bool inside) {
    for (const ScheduleNode &n : nodes) {
      if (n.tensor >= 0 && inside)
        looped_.insert(n.tensor);
      findLoops(n.children, true);
    }
  }

  /// Whether a tensor's definition may stand where it is read.
  bool inlinable(int tensor) const {
    const Tensor &t = program_.tensors[tensor];
    if (t.kind != Tensor::Kind::Equation || t.constant || t.pieces.size() != 1 ||
        results_.count(tensor) || looped_.count(tensor))
      return false;
    const Piece &p = t.pieces[0];
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (p.indices[a].letter < 0 || t.axes[a].before || t.axes[a].after ||
          program_.letters[p.indices[a].letter].extent != t.axes[a].extent)
        return false;
    return true;
  }

  ExprPtr definition(const ExprPtr &e) {
    if (e->kind != K::Read || !inlinable(e->tensor) ||
        std::find(e->checked.begin(), e->checked.end(), true) != e->checked.end())
      return nullptr;
    const Piece &p = program_.tensors[e->tensor].pieces[0];
    std::unordered_map<int, ExprPtr> letters;
    for (size_t a = 0; a < e->args.size(); ++a)
      letters[p.indices[a].letter] = e->args[a];
    return substitute(p.value, letters);
  }

  /// `e`, or what it is defined as, as long as that is a name for it.
  ExprPtr resolved(ExprPtr e) {
    while (ExprPtr inside = e->kind == K::Read ? definition(e) : nullptr)
      e = inside;
    return e;
  }

  std::string textOf(const ExprPtr &e) {
    std::string out;
    Text text(
        program_, [](int l) { return "l" + std::to_string(l); },
        [](int tensor) { return "t" + std::to_string(tensor); },
        [](const Expr &step) { return "s" + std::to_string(step.region); });
    text.write(e, out);
    return out;
  }

  /// What is added to a score and free of the key changes no weight.
  ExprPtr withoutShift(ExprPtr score, int key) {
    while (score->kind == K::Apply && (score->op == Op::Sub || score->op == Op::Add) &&
           !free_.of(score->args[1]).count(key))
      score = score->args[0];
    return score;
  }

  /// The softmax that power / total is, for power = exp(score) and total = sum[l](exp(score));
  /// or null.
  ExprPtr writtenOut(const ExprPtr &power, const ExprPtr &total) {
    ExprPtr above = resolved(power), below = resolved(total);
    if (above->kind != K::Apply || above->op != Op::Exp || above->constant ||
        below->kind != K::Reduce || below->reduction != Reduction::Sum ||
        below->letters.size() != 1 || below->args[1])
      return nullptr;
    ExprPtr each = resolved(below->args[0]);
    if (each->kind != K::Apply || each->op != Op::Exp)
      return nullptr;
    int bound = below->letters[0];
    const std::set<int> outside = free_.of(below);
    for (int l : free_.of(above)) {
      if (outside.count(l) || program_.letters[l].extent != program_.letters[bound].extent ||
          textOf(substitute(each->args[0], {{bound, letter(l)}})) != textOf(above->args[0]))
        continue;
      auto out = std::make_shared<Expr>();
      out->kind = K::Reduce;
      out->type = Type::Float;
      out->span = power->span;
      out->reduction = Reduction::Softmax;
      out->letters = {bound};
      out->args = {withoutShift(each->args[0], bound), nullptr, letter(l)};
      return out;
    }
    return nullptr;
  }

  /// sum[j](exp(s) * v) / sum[l](exp(s)): a weighted sum; or null.
  ExprPtr ratio(const ExprPtr &e) {
    if (e->kind != K::Apply || e->op != Op::Div || e->constant || e->type != Type::Float)
      return nullptr;
    ExprPtr above = resolved(e->args[0]);
    if (above->kind != K::Reduce || above->reduction != Reduction::Sum || above->args[1])
      return nullptr;
    std::vector<ExprPtr> factors;
    factorsOf(above->args[0], factors);
    for (ExprPtr &f : factors)
      if (ExprPtr softmax = writtenOut(f, e->args[1])) {
        f = softmax;
        return reduce(Reduction::Sum, above->letters, product(factors, e->span), nullptr, e->span);
      }
    return nullptr;
  }

  bool tensorWeighs(int tensor) {
    auto [at, fresh] = weighs_.try_emplace(tensor, false);
    if (fresh && inlinable(tensor)) {
      bool does = weighs(program_.tensors[tensor].pieces[0].value);
      weighs_[tensor] = does;
      return does;
    }
    return weighs_[tensor];
  }

  /// Whether a softmax stands in `e` as a factor or a term.
  bool weighs(const ExprPtr &e) {
    if (!e || e->constant)
      return false;
    if (isSoftmax(*e))
      return true;
    if (e->kind == K::Read)
      return tensorWeighs(e->tensor);
    if (e->kind != K::Apply)
      return false;
    switch (e->op) {
    case Op::Mul:
    case Op::Add:
    case Op::Sub:
      return weighs(e->args[0]) || weighs(e->args[1]);
    case Op::Div:
      return weighs(e->args[0]) || writtenOut(e->args[0], e->args[1]);
    case Op::Neg:
      return weighs(e->args[0]);
    default:
      return false;
    }
  }

  /// `e` as a sum of products with at most one softmax each; false if it is none.
  bool distribute(const ExprPtr &e, std::vector<Term> &out) {
    if (!weighs(e)) {
      out.push_back({nullptr, {e}, {}, false});
      return true;
    }
    if (isSoftmax(*e)) {
      out.push_back({e, {}, {}, false});
      return true;
    }
    if (e->kind == K::Read) {
      ExprPtr inside = definition(e);
      return inside && distribute(inside, out);
    }
    if (ExprPtr softmax = e->op == Op::Div ? writtenOut(e->args[0], e->args[1]) : nullptr) {
      out.push_back({softmax, {}, {}, false});
      return true;
    }
    std::vector<Term> a, b;
    if (!distribute(e->args[0], a))
      return false;
    if (e->op == Op::Neg || e->op == Op::Div) {
      for (Term &t : a)
        if (e->op == Op::Neg)
          t.negative = !t.negative;
        else
          t.divisors.push_back(e->args[1]);
      out.insert(out.end(), a.begin(), a.end());
      return true;
    }
    if (!distribute(e->args[1], b))
      return false;
    if (e->op != Op::Mul) {
      for (Term &t : b)
        t.negative = t.negative != (e->op == Op::Sub);
      out.insert(out.end(), a.begin(), a.end());
      out.insert(out.end(), b.begin(), b.end());
      return out.size() <= mostTerms;
    }
    for (const Term &x : a)
      for (const Term &y : b) {
        if ((x.softmax && y.softmax) || out.size() >= mostTerms)
          return false;
        Term t = x;
        t.softmax = x.softmax ? x.softmax : y.softmax;
        t.factors.insert(t.factors.end(), y.factors.begin(), y.factors.end());
        t.divisors.insert(t.divisors.end(), y.divisors.begin(), y.divisors.end());
        t.negative = x.negative != y.negative;
        out.push_back(std::move(t));
      }
    return true;
  }

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
      ExprPtr inside = definition(e);
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
    if (softmax->letters.size() != 1 || softmax->args.size() != 3 || share->kind != K::Letter ||
        std::find(e->letters.begin(), e->letters.end(), share->letter) == e->letters.end())
      return nullptr;
    WeightedSum sum;
    sum.key = softmax->letters[0];
    sum.sumKey = share->letter;
    if (auto keys = program_.letters[sum.key].extent.constant(); keys && *keys < fewKeys)
      return nullptr;
    std::vector<int> others;
    for (int l : e->letters)
      if (l != sum.sumKey)
        others.push_back(l);
    if (guard && !others.empty())
      return nullptr;

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
      return nullptr;
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
          return nullptr;

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
    if (root && others.empty() && front.empty() && isWhole(order))
      return result;
    std::vector<ExprPtr> args;
    ExprPtr got = extract(result, order, "attention");
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
        e->constant || asWeightedSum(program_, e) || !weighs(e->args[0]))
      return nullptr;
    std::vector<Term> terms;
    if (!distribute(e->args[0], terms))
      return nullptr;
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
      ExprPtr value = t.softmax ? attend(e, t.softmax, factors, root && bare)
                                : reduce(Reduction::Sum, e->letters, product(factors, e->span),
                                         e->args[1], e->span);
      if (!value)
        return nullptr;
      for (auto &d : divisors)
        value = apply(Op::Div, {value, d}, e->span);
      if (!out)
        out = t.negative ? apply(Op::Neg, {value}, e->span) : value;
      else
        out = apply(t.negative ? Op::Sub : Op::Add, {out, value}, e->span);
    }
    return out;
  }

  Program &program_;
  FreeLetters free_;
  std::set<int> results_, looped_;
  std::unordered_map<int, bool> weighs_;      // by tensor
  std::unordered_map<std::string, int> made_; // tensors by meaning
  std::map<std::string, int> names_;
  int tensor_ = -1, piece_ = -1; // at hand
};

} // namespace

void fuseAttention(Program &program) { AttentionFuser(program).run(); }

} // namespace qkv::irgen

// What a rank chooses is computed for the chosen alone (S3).
//
// In: sums that take in what `rank[e](..) < K` says, by their guard or by a factor that is 0
// otherwise (A6):
//
//   y[i,c] = sum[e](w[i,e] * out[i,e,c] where rank[e](g[i,e]) < K)
//
// Out: the chosen positions, in ascending order, and sums over them, which read by value:
//
//   first[i,e]  = rank[e](g[i,e]) < K
//   taken[i,e]  = first[i,e], and what else is known of i and e
//   chosen[i,k] = the k-th e of those that are taken, a negative number where there is none
//   y[i,c]      = sum[k](w[i,chosen[i,k]] * out.chosen[i,k,c] where chosen[i,k] >= 0)
//
// What is computed for a row and a position (`out`, and what that is computed from) is computed for
// the row and its k-th choice, through definitions. What holds: the sum's order is that of e; what
// others read at all positions is computed as before, and read by value. Left alone are sums whose
// terms cost little, and recurrences.
#include "compiler/equations/choice/RankChooser.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

/// Whether few enough are chosen. (Of a length the most that it may be counts.)
bool RankChooser::paysOff(const RankBound &bound) const {
  constexpr double rate = 8; // of computing many together to computing each by itself
  const Size &over = program_.letters[bound.letter].extent;
  if (auto known = over.constant())
    return bound.most >= 1 && bound.most < *known;
  return bound.most >= 1 &&
         static_cast<double>(bound.most) * rate <= over.magnitude(program_.atoms);
}

static bool readsRank(const Program &program) {
  for (const Tensor &t : program.tensors)
    for (const Piece &p : t.pieces) {
      bool found = false;
      forEachNode(p.value, [&](const Expr &e) {
        found |= e.kind == K::Reduce && e.reduction == Reduction::Rank;
      });
      if (found)
        return true;
    }
  return false;
}

void RankChooser::findLoops(const std::vector<ScheduleNode> &nodes, bool inside) {
  for (const ScheduleNode &node : nodes) {
    if (inside && node.tensor >= 0)
      inLoops_.insert(node.tensor);
    for (auto &[tensor, axis] : node.axes)
      inLoops_.insert(tensor);
    findLoops(node.children, true);
  }
}

bool RankChooser::run() {
  Diagnostics diagnostics;
  auto nodes = schedule(program_, diagnostics);
  if (!nodes)
    return false; // the caller asks again and finds the cycle
  findLoops(*nodes, false);
  bounds_.keepFrom(inLoops_);
  for (const Tensor &t : program_.tensors)
    names_.insert(t.name);
  bool changed = false;
  for (int t : liveTensors(program_)) {
    if (program_.tensors[t].kind != Tensor::Kind::Equation || inLoops_.count(t) ||
        program_.tensors[t].constant)
      continue;
    for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
      tensor_ = t;
      piece_ = static_cast<int>(p);
      Mapper mapper([&](const ExprPtr &e) { return rewriteSum(e); });
      ExprPtr value = program_.tensors[t].pieces[p].value, made = mapper(value);
      changed |= made != value;
      program_.tensors[t].pieces[p].value = made;
    }
  }
  return changed;
}

std::set<int> RankChooser::readAnyway() const {
  std::set<int> live = liveTensors(program_), out;
  std::set_intersection(clonedFrom_.begin(), clonedFrom_.end(), live.begin(), live.end(),
                        std::inserter(out, out.end()));
  return out;
}

/// Which are the first in the order of their scores, as an equation of its own: they are found
/// without a rank for each (Prepared::firsts). The scores have a tensor, their guard if it is data.
ExprPtr RankChooser::firstOf(const RankBound &bound, NewTensors::Origin origin,
                             std::vector<NewAxis> axes) {
  const Expr &rank = *bound.rank;
  const Span span = rank.span;
  int own = rank.letters[0];
  auto tensorOf = [&](const ExprPtr &e, const ExprPtr &where, const char *suffix) {
    origin.suffix = suffix;
    std::vector<NewAxis> over = axes;
    over.back().letter = own;
    return made_.make(origin, over, e, where);
  };
  ExprPtr guard = rank.args[1], score = tensorOf(rank.args[0], guard, "score");
  if (guard && !guard->constant)
    guard = tensorOf(guard, nullptr, "open");
  auto again = std::make_shared<Expr>(rank);
  again->args[0] = score;
  again->args[1] = guard;
  origin.suffix = "first";
  ExprPtr first =
      made_.make(origin, axes, apply(Op::Less, {ExprPtr(again), integer(bound.most)}, span));
  firsts_.insert(first->tensor);
  return first;
}

/// Whether comparing each score with each other would take long.
bool RankChooser::isLong(const RankBound &bound) const {
  constexpr int64_t most = 512;
  auto extent = program_.letters[bound.letter].extent.constant();
  return bound.first && (!extent || *extent > most);
}

/// The equations of what is taken and of the chosen.
Choice RankChooser::choose(const RankBound &bound, const std::vector<int> &rows,
                           const std::vector<ExprPtr> &conditions, const ExprPtr &decisive) {
  NewTensors::Origin origin{tensor_, piece_, "first"};
  std::vector<NewAxis> axes;
  for (int l : rows)
    axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
  const Letter over = program_.letters[bound.letter];
  axes.push_back({bound.letter, {}, {over.name, over.extent, 0, 0}});
  const Span span = bound.rank->span;
  ExprPtr all;
  for (const ExprPtr &c : conditions)
    all = both(all, c == decisive && isLong(bound) ? firstOf(bound, origin, axes) : c);
  origin.suffix = "taken";
  ExprPtr taken = made_.make(origin, axes, all);

  // The k-th: so many that are taken come before it.
  auto takenAt = [&](int l) { return substitute(taken, {{bound.letter, letter(l)}}); };
  int seat = newLetter("k", Size(bound.most)), at = newLetter(over.name, over.extent),
      before = newLetter(over.name, over.extent);
  auto place = std::make_shared<Expr>(*reduce(
      Reduction::Rank, {before}, apply(Op::Neg, {letter(before)}, span), takenAt(before), span));
  place->args.push_back(letter(at));
  ExprPtr here = apply(Op::Equal, {place, letter(seat)}, span);
  ExprPtr value = reduce(Reduction::Max, {at}, letter(at), here, span);
  axes.back() = {seat, {}, {"k", Size(bound.most), 0, 0}};
  origin.suffix = "chosen";
  ExprPtr chosen = made_.make(origin, axes, value);
  chosen_[chosen->tensor] = taken->tensor;
  return {chosen->tensor, rows, bound.most};
}

/// Whether a sum over the chosen letter may stand inside of the sum over others: no condition joins
/// them.
bool RankChooser::canBeApart(const ExprPtr &sum, int letter, const std::vector<ExprPtr> &left) {
  if (sum->letters.size() == 1)
    return true;
  Factors factors = factorsOf(sum, letter);
  return factors.chosen && (factors.outer.empty() || left.empty());
}

/// The sum over the chosen; of letters that only come with it a sum inside, of the others one
/// around.
ExprPtr RankChooser::sumOfChosen(const ExprPtr &sum, const Choice &choice, int letter,
                                 const std::vector<ExprPtr> &left) {
  Place place{choice.tensor, choice.rows, letter, newLetter("k", Size(choice.most))};
  ExprPtr inside, outside = apply(Op::GreaterEqual, {chosenAt(place), integer(0)}, sum->span);
  if (sum->letters.size() == 1) {
    for (const ExprPtr &c : left)
      outside = both(outside, c);
    return reduce(sum->reduction, {place.seat}, move(sum->args[0], place), move(outside, place),
                  sum->span);
  }
  Factors factors = factorsOf(sum, letter);
  for (const ExprPtr &c : left) {
    const std::set<int> &letters = free_.of(c);
    bool inner = std::any_of(factors.inner.begin(), factors.inner.end(),
                             [&](int l) { return letters.count(l) > 0; });
    (inner ? inside : outside) = both(inner ? inside : outside, c);
  }
  auto times = [&](const ExprPtr &a, const ExprPtr &b) {
    return a ? apply(Op::Mul, {a, b}, sum->args[0]->span) : b;
  };
  // Factors without the inner letters stay in front of their sum.
  ExprPtr body = factors.chosen;
  if (!factors.inner.empty()) {
    ExprPtr front, summed;
    std::function<void(const ExprPtr &)> take = [&](const ExprPtr &e) {
      if (!e->constant && e->kind == K::Apply && e->op == Op::Mul) {
        take(e->args[0]);
        take(e->args[1]);
        return;
      }
      const std::set<int> &letters = free_.of(e);
      ExprPtr &to = std::any_of(factors.inner.begin(), factors.inner.end(),
                                [&](int l) { return letters.count(l) > 0; })
                        ? summed
                        : front;
      to = times(to, e);
    };
    take(factors.chosen);
    if (!summed)
      summed = body->type == Type::Int ? integer(1) : number(1);
    body = times(front, reduce(Reduction::Sum, factors.inner, summed, inside, sum->span));
  }
  bool around = !factors.outer.empty();
  if (!around && factors.rest)
    body = times(factors.rest, body);
  if (!around && factors.front)
    body = times(factors.front, body);
  ExprPtr out =
      reduce(Reduction::Sum, {place.seat}, move(body, place), move(outside, place), sum->span);
  if (around) {
    out = reduce(Reduction::Sum, factors.outer, times(factors.rest, out), nullptr, sum->span);
    out = times(factors.front, out);
  }
  for (const ExprPtr &d : factors.under)
    out = apply(Op::Div, {out, d}, sum->span);
  return out;
}

ExprPtr RankChooser::rewriteSum(const ExprPtr &e) {
  if (e->kind != K::Reduce || infoOf(e->reduction).ofElement || e->constant ||
      e->reduction == Reduction::ArgMax || e->reduction == Reduction::ArgMin ||
      e->reduction == Reduction::LogSumExp)
    return e;
  bool isSum = e->reduction == Reduction::Sum;
  if (!isSum && e->letters.size() != 1)
    return e;
  std::vector<ExprPtr> guards = bounds_.conjunctsOf(e->args[1]), weights, known = guards;
  if (isSum && leftOut_.may(e->args[0]))
    weights = bounds_.conjunctsOf(leftOut_.takesPart(e->args[0]));
  known.insert(known.end(), weights.begin(), weights.end());
  for (size_t n = 0; n < known.size(); ++n) {
    const ExprPtr &c = known[n];
    auto bound = bounds_.of(c);
    if (!bound ||
        std::find(e->letters.begin(), e->letters.end(), bound->letter) == e->letters.end())
      continue;
    if (!paysOff(*bound))
      continue;
    std::set<int> own = free_.of(c); // the rows that are chosen for
    own.erase(bound->letter);
    if (std::any_of(e->letters.begin(), e->letters.end(), [&](int l) { return own.count(l) > 0; }))
      continue;
    std::vector<int> rows(own.begin(), own.end());
    Place place{-1, rows, bound->letter, -1};
    if (!isWorthIt(e->args[0], place))
      continue;
    // What else is known of the rows and the position decides as well.
    auto decides = [&](const ExprPtr &c) {
      const std::set<int> &letters = free_.of(c);
      return std::all_of(letters.begin(), letters.end(),
                         [&](int l) { return l == bound->letter || own.count(l) > 0; });
    };
    bool byGuard = n < guards.size();
    std::vector<ExprPtr> conditions, left;
    for (const ExprPtr &k : byGuard ? guards : weights)
      if (decides(k))
        conditions.push_back(k);
    for (const ExprPtr &g : guards)
      if (!byGuard || !decides(g))
        left.push_back(g);
    if (!canBeApart(e, bound->letter, left))
      continue;
    Choice choice = choose(*bound, rows, conditions, c);
    Meaning &meaning = meanings_[choice.tensor];
    meaning.decisive = meaningOf(c, place);
    for (const ExprPtr &k : conditions)
      meaning.all.insert(meaningOf(k, place));
    sums_[Notes::sumKey(*e, program_.tensors[tensor_].instance)] =
        "at most " + std::to_string(bound->most) + " of " +
        program_.letters[bound->letter].extent.text(program_.atoms) +
        " positions are chosen by their rank; the others are neither computed nor read";
    return sumOfChosen(e, choice, bound->letter, left);
  }
  return e;
}

void chooseByRank(Prepared &prepared) {
  if (!readsRank(prepared.program))
    return;
  std::set<int> whole;
  for (;;) {
    RankChooser chooser(prepared.program, whole);
    if (!chooser.run())
      return;
    std::set<int> more = chooser.readAnyway();
    if (more.empty()) {
      prepared.program = std::move(chooser.program_);
      prepared.chosen = std::move(chooser.chosen_);
      prepared.firsts = std::move(chooser.firsts_);
      prepared.notes.sums.merge(chooser.sums_);
      return;
    }
    whole.insert(more.begin(), more.end());
  }
}

} // namespace qkv::equations

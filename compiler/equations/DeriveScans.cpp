// Running reductions become recurrences: one operation an element, in order (R5).
//
// In: sum[m](x[m] where m <= i), max, min, prod, mean, logsumexp, argmax likewise, backward too
// (m >= j), with other conditions on m. Out: a tensor s that each position makes of the one before,
// and s[i] where the reduction stood:
//
//   s[0] = x[0];  s[i] = s[i-1] + x[i]
//
// A bound that is no letter (m <= 2 * i, m < length[b]) reads the recurrence over m at that place.
// What holds: the elements of x are taken in order of m, whatever the rows; nothing is read that
// was not (what is past the last bound has no reader, and checks are left alone where it could be
// theirs); where the equations would have no order afterwards, those of recurrences stay.
#include "compiler/equations/NewTensors.h"
#include "compiler/equations/Reductions.h"
#include "compiler/equations/Rewrite.h"
#include "compiler/equations/Scans.h"

#include "dsl/proof/Proof.h"

#include <algorithm>
#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What costs more than adding it: it is computed for all positions at once, outside.
bool isCostly(const ExprPtr &e) {
  bool costly = false;
  forEachNode(e, [&](const Expr &n) {
    costly = costly || n.kind == K::Reduce ||
             (n.kind == K::Apply && ((n.op >= Op::Exp && n.op <= Op::Cos) || n.op == Op::Pow ||
                                     n.op == Op::Div || n.op == Op::FloorDiv || n.op == Op::Mod));
  });
  return costly;
}

/// The letter and the number that an index is the sum of, if it is one.
std::optional<std::pair<int, int64_t>> letterAndNumber(const ExprPtr &e) {
  if (e->kind == K::Letter)
    return std::make_pair(e->letter, int64_t{0});
  if (e->kind != K::Apply || (e->op != Op::Add && e->op != Op::Sub))
    return std::nullopt;
  ExprPtr a = e->args[0], b = e->args[1];
  if (e->op == Op::Add && a->kind == K::Int)
    std::swap(a, b);
  if (b->kind != K::Int || std::abs(b->integer) > 1)
    return std::nullopt;
  auto out = letterAndNumber(a);
  if (out)
    out->second += e->op == Op::Add ? b->integer : -b->integer;
  return out;
}

ExprPtr plus(const ExprPtr &e, int64_t number) {
  if (e->kind == K::Int)
    return integer(e->integer + number);
  return number == 0  ? e
         : number > 0 ? apply(Op::Add, {e, integer(number)}, e->span)
                      : apply(Op::Sub, {e, integer(-number)}, e->span);
}

/// Where a recurrence stands: over `at`, its position p taking in the element p + shift.
struct Place {
  std::vector<NewAxis> axes;
  std::vector<ExprPtr> args; ///< what the reduction reads of it, an index an axis
  size_t axis = 0;           ///< that it runs along
  int at = -1;
  int64_t shift = 0;
  bool outside = false; ///< it starts outside of its axis, with nothing taken in
  int lifted = 0;
};

class ScanDeriver {
public:
  /// `looped`: reductions in recurrences as well.
  ScanDeriver(Program &program, bool looped, const std::function<bool(const ExprPtr &)> &wanted)
      : program_(program), made_(program), derivesLooped_(looped), wanted_(wanted) {}

  const std::set<int> &scans() const { return scans_; }

  /// Whether there is nothing to be undone: always without `looped`.
  bool run() {
    std::vector<int> tensors;
    for (int t : liveTensors(program_))
      if (hasRunning(t))
        tensors.push_back(t);
    if (tensors.empty())
      return true;
    Diagnostics diagnostics;
    if (auto nodes = schedule(program_, diagnostics))
      findLoops(*nodes);
    for (int t : tensors)
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
        tensor_ = t;
        piece_ = static_cast<int>(p);
        ExprPtr value = program_.tensors[t].pieces[p].value;
        Mapper mapper([&](const ExprPtr &e) { return derived(e, e == value); });
        value = mapper(value);
        program_.tensors[t].pieces[p].value = value;
      }
    return !changedLoop_ || schedule(program_, diagnostics).has_value();
  }

private:
  bool hasRunning(int tensor) {
    bool found = false;
    const Tensor &t = program_.tensors[tensor];
    for (const Piece &p : t.pieces)
      if (p.value && p.value->kind != K::Weighted)
        forEachNode(p.value, [&](const Expr &n) {
          found = found || (n.kind == K::Reduce && n.args[1]) || n.kind == K::If;
        });
    return found;
  }

  void findLoops(const std::vector<ScheduleNode> &nodes) {
    for (const ScheduleNode &n : nodes) {
      if (n.tensor >= 0)
        continue;
      int loop = loopCount_++;
      for (auto &[tensor, axis] : n.axes)
        loops_[tensor][loop] = axis;
      findLoops(n.children);
    }
  }

  /// Axes of the tensor at hand along which loops run that compute what `e` reads.
  std::set<int> loopAxesOf(const ExprPtr &e) {
    std::set<int> out;
    auto mine = loops_.find(tensor_);
    if (mine != loops_.end())
      forEachNode(e, [&](const Expr &n) {
        if (n.kind != K::Read)
          return;
        if (auto its = loops_.find(n.tensor); its != loops_.end())
          for (auto &[loop, axis] : its->second)
            if (auto same = mine->second.find(loop); same != mine->second.end())
              out.insert(same->second);
      });
    return out;
  }

  ExprPtr derived(const ExprPtr &e, bool root) {
    auto running = runningReduction(program_, free_, e);
    if (!running || (wanted_ && !wanted_(e)))
      return e;
    std::set<int> loops = loopAxesOf(e);
    if (!loops.empty() && !derivesLooped_)
      return e;
    auto place = placeOf(e, *running, loops);
    if (!place || (anyFails(*running) && !(root && takesAll(*place, *running))))
      return e;
    changedLoop_ = changedLoop_ || !loops.empty();
    switch (e->reduction) {
    case Reduction::Mean:
      return mean(e, *running, *place);
    case Reduction::LogSumExp:
      return logSumExp(e, *running, *place);
    case Reduction::ArgMax:
    case Reduction::ArgMin:
      return placeOfExtremum(e, *running, *place);
    default:
      return plain(e->reduction, e, *running, *place);
    }
  }

  static bool anyFails(const Running &r) { return mayFail(r.body) || mayFail(r.rest); }

  /// Whether each position of the recurrence has a reader, so that what it checks is checked
  /// anyway.
  bool takesAll(const Place &place, const Running &running) {
    const Tensor &t = program_.tensors[tensor_];
    const Piece &p = t.pieces[piece_];
    if (place.outside || place.shift != 0 || p.guard || t.pieces.size() != 1 ||
        program_.letters[place.at].extent != program_.letters[running.letter].extent)
      return false;
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (p.indices[a].letter < 0 || !runsOver(program_, p.indices[a].letter, t.axes[a]))
        return false;
    return true;
  }

  /// Nothing where the equation has a loop's axis at one position, or a table would have two
  /// letters over dynamic sizes.
  std::optional<Place> placeOf(const ExprPtr &e, const Running &running,
                               const std::set<int> &loops) {
    Place out;
    const Size count = program_.letters[running.letter].extent;
    auto whole = letterAndNumber(running.bound);
    if (whole && running.rows.count(whole->first)) {
      const Size rows = program_.letters[whole->first].extent;
      int64_t shift = whole->second;
      bool fits = running.forward ? (shift == 0 || shift == -1) &&
                                        atLeast(program_, count - rows - Size(shift), 0)
                                  : (shift == 0 || shift == 1) && count == rows;
      if (fits && atLeast(program_, rows, 1)) { // (its first position is an equation of its own)
        out.at = whole->first;
        out.shift = shift;
      }
    }
    out.outside = out.at < 0;
    int replaced = -1; // by the recurrence's own letter
    if (out.outside) {
      program_.letters.push_back(program_.letters[running.letter]);
      out.at = static_cast<int>(program_.letters.size()) - 1;
      for (int l : running.rows)
        replaced = l;
    }
    std::set<int> letters = free_.of(running.body);
    letters.insert(free_.of(running.rest).begin(), free_.of(running.rest).end());
    for (int l : e->letters)
      letters.erase(l);
    letters.insert(out.at);
    if (e->constant && std::count_if(letters.begin(), letters.end(), [&](int l) {
                         return !program_.letters[l].extent.isConstant();
                       }) > 1)
      return std::nullopt;
    return arrange(out, running, letters, loops, replaced) ? std::optional(out) : std::nullopt;
  }

  /// Gives a place its axes: those of the equation in their order, but first those that loops
  /// around run along.
  bool arrange(Place &out, const Running &running, const std::set<int> &letters,
               const std::set<int> &loops, int replaced) {
    const Tensor &t = program_.tensors[tensor_];
    const Piece &p = t.pieces[piece_];
    std::vector<int> order;
    auto add = [&](int l) {
      if (letters.count(l) && !std::count(order.begin(), order.end(), l))
        order.push_back(l);
    };
    for (int a : loops) {
      int l = p.indices[a].letter;
      if (l < 0 || (!letters.count(l) && l != replaced))
        return false;
      if (l == out.at || l == replaced)
        continue;
      add(l);
      ++out.lifted;
    }
    for (size_t a = 0; a < p.indices.size(); ++a) {
      int l = p.indices[a].letter;
      l = l == replaced ? out.at : l;
      add(l);
      if (loops.empty() && letters.count(l) && static_cast<int>(a) < t.lifted)
        ++out.lifted;
    }
    for (int l : letters)
      if (l != out.at)
        add(l);
    add(out.at);
    for (int l : order) {
      Axis axis{program_.letters[l].name, program_.letters[l].extent, 0, 0};
      if (l == out.at) {
        out.axis = out.axes.size();
        axis.before = out.outside && running.forward;
        axis.after = out.outside && !running.forward;
      }
      out.axes.push_back({l, {}, std::move(axis)});
      out.args.push_back(letter(l));
    }
    if (out.outside) { // at the bound, as far as there are positions
      ExprPtr last = size(program_.letters[out.at].extent - Size(running.forward));
      ExprPtr at = apply(Op::Min, {running.bound, last}, running.bound->span);
      out.args[out.axis] = apply(Op::Max, {at, integer(running.forward ? -1 : 0)}, at->span);
    }
    return true;
  }

  /// The recurrence of one reduction: what it takes in at a position `q`, and what it becomes.
  struct Step {
    Reduction kind;
    ExprPtr identity;
    /// `before` is its value at the position before (null: nothing was taken in), `p` this
    /// position.
    std::function<ExprPtr(const ExprPtr &before, const ExprPtr &p)> next;
  };

  /// The tensor of a recurrence. `meaning`: the reduction over the letters of the place.
  int scan(const ExprPtr &meaning, const Running &running, const Place &place, const Step &step) {
    size_t count = program_.tensors.size();
    NewTensors::Origin origin{tensor_, piece_, reductionName(step.kind), place.lifted,
                              meaning->constant};
    int made = made_.make(origin, place.axes, meaning)->tensor;
    scans_.insert(made);
    if (program_.tensors.size() == count)
      return made;
    Piece general = program_.tensors[made].pieces[0];
    const Size extent = program_.letters[place.at].extent;
    Size first =
        running.forward ? Size(place.outside ? -1 : 0) : extent - Size(place.outside ? 0 : 1);
    std::vector<ExprPtr> args;
    for (const NewAxis &a : place.axes)
      args.push_back(letter(a.letter));
    args[place.axis] = plus(args[place.axis], running.forward ? -1 : 1);
    ExprPtr before = read(program_, made, args, meaning->span);
    general.value = step.next(before, letter(place.at));
    Piece start = general;
    start.value =
        place.outside || place.shift != 0 ? step.identity : step.next(nullptr, size(first));
    rename(general, place, nullptr);
    rename(start, place, &first);
    program_.tensors[made].pieces = {std::move(start), std::move(general)};
    return made;
  }

  /// Gives a piece letters of its own, or one position of the axis that it runs along.
  void rename(Piece &piece, const Place &place, const Size *position) {
    std::unordered_map<int, ExprPtr> letters;
    for (size_t a = 0; a < place.axes.size(); ++a) {
      if (position && a == place.axis) {
        piece.indices[a] = {-1, *position};
        continue;
      }
      program_.letters.push_back(Letter(program_.letters[place.axes[a].letter]));
      int own = static_cast<int>(program_.letters.size()) - 1;
      piece.indices[a] = {own, {}};
      letters[place.axes[a].letter] = letter(own);
    }
    piece.value = substitute(piece.value, letters);
  }

  /// The reduction over the letters of the place, which says what a recurrence means.
  ExprPtr meaningOf(Reduction kind, const ExprPtr &e, const ExprPtr &body, const Running &running,
                    const Place &place) {
    Op op = running.forward ? Op::LessEqual : Op::GreaterEqual;
    ExprPtr moves =
        apply(op, {letter(running.letter), plus(letter(place.at), place.shift)}, e->span);
    auto out =
        std::make_shared<Expr>(*reduce(kind, e->letters, body, both(moves, running.rest), e->span));
    bool isPlace = kind == Reduction::ArgMax || kind == Reduction::ArgMin;
    out->type = isPlace ? Type::Int : body->type;
    return out;
  }

  /// A tensor's element at position `p`.
  ExprPtr readAt(int tensor, const Place &place, const ExprPtr &p, Span span) {
    std::vector<ExprPtr> args;
    for (const NewAxis &a : place.axes)
      args.push_back(letter(a.letter));
    args[place.axis] = p;
    return read(program_, tensor, std::move(args), span);
  }

  /// A new tensor over the letters of `e`, at `letter`, read there.
  ExprPtr extract(const ExprPtr &e, const Place &place, const ExprPtr &guard, int at,
                  const char *suffix) {
    const std::set<int> letters = free_.of(e);
    std::vector<NewAxis> axes;
    NewTensors::Origin origin{tensor_, piece_, suffix, 0, e->constant};
    for (size_t a = 0; a < place.axes.size(); ++a) {
      int l = a == place.axis ? at : place.axes[a].letter;
      if (!letters.count(l))
        continue;
      axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
      origin.lifted += static_cast<int>(a) < place.lifted;
    }
    ExprPtr holds;
    for (const ExprPtr &c : conjuncts(guard))
      if (std::includes(letters.begin(), letters.end(), free_.of(c).begin(), free_.of(c).end()))
        holds = both(holds, c);
    return made_.make(origin, axes, e, holds);
  }

  /// What is reduced: read from a tensor where it is costly.
  ExprPtr bodyOf(const ExprPtr &e, const Running &running, const Place &place) {
    ExprPtr body = e->type == Type::Float ? toFloat(running.body) : running.body;
    return e->letters.size() == 1 && isCostly(body)
               ? extract(body, place, running.rest, running.letter, "each")
               : body;
  }

  static ExprPtr identityOf(Reduction kind, Type type) {
    bool least = kind == Reduction::Max;
    switch (kind) {
    case Reduction::Sum:
    case Reduction::Prod: {
      int value = kind == Reduction::Prod;
      return type == Type::Float ? number(value) : integer(value);
    }
    default:
      if (type == Type::Float)
        return number(least ? -infinity : infinity);
      return integer(least ? std::numeric_limits<int64_t>::min()
                           : std::numeric_limits<int64_t>::max());
    }
  }

  static Op operationOf(Reduction kind) {
    switch (kind) {
    case Reduction::Sum:
      return Op::Add;
    case Reduction::Prod:
      return Op::Mul;
    case Reduction::Max:
      return Op::Max;
    default:
      return Op::Min;
    }
  }

  /// s[p] = s[p-1] + x[p], or what stands for + of a sum, product, maximum or minimum.
  int plainScan(Reduction kind, const ExprPtr &e, const ExprPtr &body, const Running &running,
                const Place &place) {
    ExprPtr identity = identityOf(kind, body->type);
    ExprPtr element;
    std::vector<int> inner = e->letters;
    inner.erase(std::find(inner.begin(), inner.end(), running.letter));
    if (!inner.empty())
      element = reduce(kind, inner, body, running.rest, e->span);
    else
      element = running.rest ? choose(running.rest, body, identity, e->span) : body;
    Step step{kind, identity, [&](const ExprPtr &before, const ExprPtr &p) {
                ExprPtr here = substitute(element, {{running.letter, plus(p, place.shift)}});
                return before ? apply(operationOf(kind), {before, here}, e->span) : here;
              }};
    return scan(meaningOf(kind, e, body, running, place), running, place, step);
  }

  ExprPtr plain(Reduction kind, const ExprPtr &e, const Running &running, const Place &place) {
    int made = plainScan(kind, e, bodyOf(e, running, place), running, place);
    return read(program_, made, place.args, e->span);
  }

  ExprPtr mean(const ExprPtr &e, const Running &running, const Place &place) {
    ExprPtr total = plain(Reduction::Sum, e, running, place);
    if (!running.rest && !place.outside)
      return meanOf(program_, e, total, countUpTo(e, running));
    ExprPtr count = reduce(Reduction::Sum, e->letters, integer(1), e->args[1], e->span);
    return meanOf(program_, e, total, derived(count, false));
  }

  /// How many elements there are up to the bound, which is a position of the recurrence's axis or
  /// the one before it.
  ExprPtr countUpTo(const ExprPtr &e, const Running &running) {
    ExprPtr positions =
        running.forward
            ? plus(running.bound, 1)
            : apply(Op::Sub, {size(program_.letters[running.letter].extent), running.bound},
                    e->span);
    Size others(1);
    for (int l : e->letters)
      if (l != running.letter)
        others = others * program_.letters[l].extent;
    return others == Size(1) ? positions : apply(Op::Mul, {positions, size(others)}, e->span);
  }

  /// With m the running maximum and 0 where that is -inf:
  ///   l[p] = l[p-1] * exp(m[p-1] - m[p]) + exp(s[p] - m[p]);  m + log(l)
  ExprPtr logSumExp(const ExprPtr &e, const Running &running, const Place &place) {
    Span span = e->span;
    ExprPtr score = bodyOf(e, running, place);
    int max = plainScan(Reduction::Max, e, score, running, place);
    auto finite = [&](const ExprPtr &m) {
      return choose(apply(Op::Equal, {m, number(-infinity)}, span), number(0), m, span);
    };
    auto maxAt = [&](const ExprPtr &p) { return readAt(max, place, p, span); };
    ExprPtr p = letter(place.at);
    ExprPtr taken = plus(p, place.shift);
    ExprPtr here = substitute(score, {{running.letter, taken}});
    if (running.rest)
      here = choose(substitute(running.rest, {{running.letter, taken}}), here, number(-infinity),
                    span);
    auto power = [&](const ExprPtr &of, const char *suffix) {
      ExprPtr value = apply(Op::Exp, {apply(Op::Sub, {of, finite(maxAt(p))}, span)}, span);
      return extract(value, place, nullptr, place.at, suffix);
    };
    ExprPtr share = power(here, "power");
    // (The first position has none before it, and needs none.)
    ExprPtr edge = running.forward
                       ? integer(place.outside ? -1 : 0)
                       : size(program_.letters[place.at].extent - Size(place.outside ? 0 : 1));
    ExprPtr before =
        apply(running.forward ? Op::Max : Op::Min, {plus(p, running.forward ? -1 : 1), edge}, span);
    ExprPtr decay = power(maxAt(before), "decay");
    Step step{Reduction::LogSumExp, number(0), [&](const ExprPtr &last, const ExprPtr &at) {
                ExprPtr one = substitute(share, {{place.at, at}});
                if (!last)
                  return one;
                return apply(Op::Add, {apply(Op::Mul, {last, decay}, span), one}, span);
              }};
    int total =
        scan(meaningOf(Reduction::LogSumExp, e, score, running, place), running, place, step);
    ExprPtr last = read(program_, max, place.args, span);
    ExprPtr sum = read(program_, total, place.args, span);
    return apply(Op::Add, {finite(last), apply(Op::Log, {sum}, span)}, span);
  }

  /// a[p] = p where s[p] is greater (or less) than what was before, or the first; else a[p-1]. What
  /// is not a number takes no part.
  ExprPtr placeOfExtremum(const ExprPtr &e, const Running &running, const Place &place) {
    Span span = e->span;
    bool greatest = e->reduction == Reduction::ArgMax;
    ExprPtr typed = ofBodysType(e, running);
    ExprPtr score = bodyOf(typed, running, place);
    Running numbers = running;
    if (score->type == Type::Float)
      numbers.rest = both(running.rest, apply(Op::Equal, {score, score}, span));
    int extremum =
        plainScan(greatest ? Reduction::Max : Reduction::Min, typed, score, numbers, place);
    Step step{e->reduction, integer(-1), [&](const ExprPtr &last, const ExprPtr &p) {
                ExprPtr taken = plus(p, place.shift);
                std::unordered_map<int, ExprPtr> here{{running.letter, taken}};
                ExprPtr wins;
                if (last) {
                  ExprPtr best = readAt(extremum, place, plus(p, running.forward ? -1 : 1), span);
                  ExprPtr fresh = apply(Op::Less, {last, integer(0)}, span);
                  // (Of equal ones the first wins, which is the last one that comes backward.)
                  Op better = greatest          ? running.forward ? Op::Greater : Op::GreaterEqual
                              : running.forward ? Op::Less
                                                : Op::LessEqual;
                  ExprPtr beats = apply(better, {substitute(score, here), best}, span);
                  wins = apply(Op::Or, {fresh, beats}, span);
                }
                if (numbers.rest)
                  wins = both(substitute(numbers.rest, here), wins);
                return wins ? choose(wins, taken, last ? last : integer(-1), span) : taken;
              }};
    int at = scan(meaningOf(e->reduction, e, score, numbers, place), numbers, place, step);
    return read(program_, at, place.args, span);
  }

  /// A reduction of the type of what it reduces.
  static ExprPtr ofBodysType(const ExprPtr &e, const Running &running) {
    auto out = std::make_shared<Expr>(*e);
    out->type = running.body->type;
    return out;
  }

  Program &program_;
  NewTensors made_;
  FreeLetters free_;
  bool derivesLooped_, changedLoop_ = false;
  const std::function<bool(const ExprPtr &)> &wanted_;
  std::set<int> scans_;
  std::map<int, std::map<int, int>> loops_; // by tensor: loop -> axis
  int loopCount_ = 0;
  int tensor_ = -1, piece_ = -1; // at hand
};

} // namespace

std::set<int> deriveScans(Program &program, const std::function<bool(const ExprPtr &)> &wanted) {
  Program before = program;
  ScanDeriver all(program, /*looped=*/true, wanted);
  if (all.run())
    return all.scans();
  program = std::move(before);
  ScanDeriver outside(program, /*looped=*/false, wanted);
  (void)outside.run();
  return outside.scans();
}

} // namespace qkv::equations

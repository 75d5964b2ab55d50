// What a rank chooses is computed for the chosen alone (S3).
//
// In: sums that take in what `rank[e](..) < K` says, by their guard or by a factor that is 0
// otherwise (A6):
//
//   y[i,c] = sum[e](w[i,e] * out[i,e,c] where rank[e](g[i,e]) < K)
//
// Out: the chosen positions, in ascending order, and sums over them, which read by value:
//
//   taken[i,e]  = rank[e](g[i,e]) < K
//   chosen[i,k] = the k-th e of those that are taken, a negative number where there is none
//   y[i,c]      = sum[k](w[i,chosen[i,k]] * out.chosen[i,k,c] where chosen[i,k] >= 0)
//
// What is computed for a row and a position (`out`, and what that is computed from) is computed for
// the row and its k-th choice, through definitions. What holds: the sum's order is that of e; what
// others read at all positions is computed as before, and read by value. Left alone are sums whose
// terms cost little, and recurrences.
#include "compiler/equations/NewTensors.h"
#include "compiler/equations/Rewrite.h"

#include "dsl/proof/LeftOut.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <limits>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

/// A condition `rank[e](..) < most` on a letter.
struct RankBound {
  int letter = -1;
  int64_t most = 0;
  ExprPtr rank;
};

/// The tensor of the chosen positions, and the letters that it is read with.
struct Choice {
  int tensor = -1;
  std::vector<int> rows;
  int64_t most = 0;
};

/// Where what is chosen is read: `letter` has the value chosen[rows, seat].
struct Place {
  int chosen = -1;
  std::vector<int> rows;
  int letter = -1, seat = -1;
};

class Chooser {
public:
  /// `whole`: tensors that are computed at all positions, whoever reads them.
  Chooser(Program program, const std::set<int> &whole)
      : program_(std::move(program)), whole_(whole), leftOut_(program_), made_(program_) {}

  /// Nothing where a rank chooses nothing.
  bool run();
  /// Tensors that were cloned, and yet are read as they were.
  std::set<int> readAnyway() const;

  Program program_;
  std::map<int, int> chosen_; ///< Prepared::chosen

private:
  void findLoops(const std::vector<ScheduleNode> &nodes, bool inside);
  ExprPtr definition(const ExprPtr &read) const;
  std::optional<RankBound> rankBound(const ExprPtr &condition, bool truth, int depth = 0);
  std::optional<int64_t> known(const ExprPtr &e);

  ExprPtr rewriteSum(const ExprPtr &e);
  Choice choose(const RankBound &bound, const std::vector<int> &rows,
                const std::vector<ExprPtr> &conditions);
  ExprPtr sumOfChosen(const ExprPtr &sum, const Choice &choice, int letter,
                      const std::vector<ExprPtr> &left);

  bool costsForEach(const ExprPtr &e, int letter);
  bool costs(int tensor, size_t axis);
  std::optional<size_t> movedAxis(const Expr &read, const Place &place);
  bool isWorthIt(const ExprPtr &body, const Place &place);
  ExprPtr chosenAt(const Place &place) const;
  ExprPtr move(const ExprPtr &e, const Place &place);
  ExprPtr move(const ExprPtr &e, const Place &place, std::unordered_map<ExprPtr, ExprPtr> &done);
  int clone(int tensor, size_t axis, const std::vector<size_t> &rows, int chosen);
  int newLetter(const std::string &name, const Size &extent) {
    program_.letters.push_back({name, extent});
    return static_cast<int>(program_.letters.size()) - 1;
  }

  std::set<int> whole_;
  LeftOut leftOut_;
  FreeLetters free_;
  NewTensors made_;
  std::set<int> inLoops_, clonedFrom_;
  std::map<std::pair<int, size_t>, bool> costs_;
  std::map<std::tuple<int, size_t, std::vector<size_t>, int, int>, int> clones_;
  std::set<std::string> names_;
  int tensor_ = -1, piece_ = -1; // where the walk stands
};

bool readsRank(const Program &program) {
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

void Chooser::findLoops(const std::vector<ScheduleNode> &nodes, bool inside) {
  for (const ScheduleNode &node : nodes) {
    if (inside && node.tensor >= 0)
      inLoops_.insert(node.tensor);
    for (auto &[tensor, axis] : node.axes)
      inLoops_.insert(tensor);
    findLoops(node.children, true);
  }
}

bool Chooser::run() {
  Diagnostics diagnostics;
  auto nodes = schedule(program_, diagnostics);
  if (!nodes)
    return false; // the caller asks again and finds the cycle
  findLoops(*nodes, false);
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

std::set<int> Chooser::readAnyway() const {
  std::set<int> live = liveTensors(program_), out;
  std::set_intersection(clonedFrom_.begin(), clonedFrom_.end(), live.begin(), live.end(),
                        std::inserter(out, out.end()));
  return out;
}

/// What a read means, where its tensor has one equation for all positions.
ExprPtr Chooser::definition(const ExprPtr &read) const {
  const Tensor &t = program_.tensors[read->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1 || inLoops_.count(read->tensor))
    return nullptr;
  std::unordered_map<int, ExprPtr> letters;
  for (size_t i = 0; i < t.axes.size(); ++i) {
    if (t.pieces[0].indices[i].letter < 0)
      return nullptr;
    letters[t.pieces[0].indices[i].letter] = read->args[i];
  }
  return substitute(t.pieces[0].value, letters);
}

std::optional<int64_t> Chooser::known(const ExprPtr &e) {
  Prover prover(program_);
  bool value = false;
  Linear form = prover.linear(e, value);
  if (value || !form.valid() || !form.isConstant())
    return std::nullopt;
  return form.constant();
}

/// What a condition (or its negation) says of a rank, through names (A5).
std::optional<RankBound> Chooser::rankBound(const ExprPtr &condition, bool truth, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest)
    return std::nullopt;
  if (condition->kind == K::Read) {
    ExprPtr inside = definition(condition);
    return inside ? rankBound(inside, truth, depth + 1) : std::nullopt;
  }
  if (condition->kind != K::Apply)
    return std::nullopt;
  if (condition->op == Op::Not)
    return rankBound(condition->args[0], !truth, depth);
  Op op = condition->op;
  if (op < Op::Equal || op > Op::GreaterEqual || condition->args[0]->type != Type::Int)
    return std::nullopt;
  ExprPtr rank = condition->args[0], bound = condition->args[1];
  auto mirrored = [](Op op) {
    return op == Op::Less           ? Op::Greater
           : op == Op::Greater      ? Op::Less
           : op == Op::LessEqual    ? Op::GreaterEqual
           : op == Op::GreaterEqual ? Op::LessEqual
                                    : op;
  };
  auto most = known(bound);
  if (!most) {
    std::swap(rank, bound);
    op = mirrored(op);
    most = known(bound);
  }
  if (!most || *most > (1 << 30))
    return std::nullopt;
  for (int i = 0; i < deepest && rank && rank->kind == K::Read; ++i)
    rank = definition(rank);
  if (!rank || rank->kind != K::Reduce || rank->reduction != Reduction::Rank ||
      rank->letters.size() != 1 || rank->args[2]->kind != K::Letter)
    return std::nullopt;
  if (truth ? op == Op::LessEqual : op == Op::Greater)
    ++*most;
  else if (truth ? op == Op::Equal : op == Op::NotEqual)
    *most = 1; // one element has that place
  else if (truth ? op != Op::Less : op != Op::GreaterEqual)
    return std::nullopt;
  return RankBound{rank->args[2]->letter, *most, rank};
}

/// Whether what `e` computes for each position of `letter` costs a sum or more.
bool Chooser::costsForEach(const ExprPtr &root, int letter) {
  bool found = false;
  forEachNode(root, [&](const Expr &e) {
    if (e.kind == K::Reduce) {
      for (size_t a = 0; a < 2 && !found; ++a)
        found = e.args[a] && free_.of(e.args[a]).count(letter) > 0;
    } else if (e.kind == K::Read) {
      for (size_t a = 0; a < e.args.size() && !found; ++a)
        found = e.args[a]->kind == K::Letter && e.args[a]->letter == letter && costs(e.tensor, a);
    }
  });
  return found;
}

/// The same of a tensor and one of its axes.
bool Chooser::costs(int tensor, size_t axis) {
  const Tensor &t = program_.tensors[tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1 || inLoops_.count(tensor) ||
      t.pieces[0].indices[axis].letter < 0)
    return false;
  auto [at, fresh] = costs_.try_emplace({tensor, axis}, false);
  if (!fresh)
    return at->second;
  bool found = costsForEach(t.pieces[0].value, t.pieces[0].indices[axis].letter);
  return costs_[{tensor, axis}] = found;
}

/// The axis along which a read tensor is computed for the chosen alone; none where it stays.
std::optional<size_t> Chooser::movedAxis(const Expr &read, const Place &place) {
  const Tensor &t = program_.tensors[read.tensor];
  std::optional<size_t> axis;
  size_t rows = 0;
  for (size_t a = 0; a < read.args.size(); ++a) {
    if (t.axes[a].before || t.axes[a].after)
      return std::nullopt;
    const ExprPtr &index = read.args[a];
    if (index->kind != K::Letter) {
      if (free_.of(index).count(place.letter))
        return std::nullopt;
      continue;
    }
    if (index->letter == place.letter) {
      if (axis)
        return std::nullopt;
      axis = a;
    }
    rows += std::count(place.rows.begin(), place.rows.end(), index->letter);
  }
  // (Of what is the same for all rows each position is computed once, not for each row.)
  if (!axis || rows != place.rows.size() || whole_.count(read.tensor) ||
      program_.tensors[read.tensor].constant || !costs(read.tensor, *axis))
    return std::nullopt;
  for (const PieceIndex &index : t.pieces[0].indices)
    if (index.letter < 0)
      return std::nullopt;
  return axis;
}

/// Whether a term of the sum has work of its own for each row and position.
bool Chooser::isWorthIt(const ExprPtr &body, const Place &place) {
  bool found = false;
  forEachNode(body, [&](const Expr &e) {
    if (e.kind == K::Read)
      found = found || movedAxis(e, place);
    if (e.kind != K::Reduce || infoOf(e.reduction).ofElement)
      return;
    const std::set<int> &letters = free_.of(e.args[0]);
    found = found || (letters.count(place.letter) &&
                      std::all_of(place.rows.begin(), place.rows.end(),
                                  [&](int row) { return letters.count(row) > 0; }));
  });
  return found;
}

ExprPtr Chooser::chosenAt(const Place &place) const {
  std::vector<ExprPtr> args;
  for (int row : place.rows)
    args.push_back(letter(row));
  args.push_back(letter(place.seat));
  return read(program_, place.chosen, std::move(args), {});
}

ExprPtr Chooser::move(const ExprPtr &e, const Place &place) {
  std::unordered_map<ExprPtr, ExprPtr> done;
  return move(e, place, done);
}

/// An expression with the chosen position for its letter, and what is computed for the chosen alone
/// in the place of what is computed for all.
ExprPtr Chooser::move(const ExprPtr &e, const Place &place,
                      std::unordered_map<ExprPtr, ExprPtr> &done) {
  if (!e || !free_.of(e).count(place.letter))
    return e;
  if (auto found = done.find(e); found != done.end())
    return found->second;
  ExprPtr out;
  if (e->kind == K::Letter) {
    out = chosenAt(place);
  } else if (auto axis = e->kind == K::Read ? movedAxis(*e, place) : std::nullopt) {
    std::vector<size_t> rows;
    for (int row : place.rows)
      for (size_t a = 0; a < e->args.size(); ++a)
        if (e->args[a]->kind == K::Letter && e->args[a]->letter == row) {
          rows.push_back(a);
          break;
        }
    int moved = clone(e->tensor, *axis, rows, place.chosen);
    auto copy = std::make_shared<Expr>(*e);
    copy->tensor = moved;
    copy->args[*axis] = letter(place.seat);
    out = copy;
  } else {
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(move(a, place, done));
    out = withArgs(e, std::move(args));
  }
  return done[e] = out;
}

/// The tensor for the chosen positions of one axis of another: the new axis stands in its place.
int Chooser::clone(int tensor, size_t axis, const std::vector<size_t> &rows, int chosen) {
  int region = program_.tensors[tensor_].region;
  auto key = std::make_tuple(tensor, axis, rows, chosen, region);
  if (auto found = clones_.find(key); found != clones_.end())
    return found->second;
  clonedFrom_.insert(tensor);
  Tensor t = program_.tensors[tensor];
  t.region = region;
  t.name += ".chosen";
  for (int n = 1; !names_.insert(t.name).second; ++n)
    t.name = program_.tensors[tensor].name + ".chosen" + std::to_string(n);
  const Axis seats = program_.tensors[chosen].axes.back();
  Piece piece = t.pieces[0];
  std::unordered_map<int, ExprPtr> renamed;
  Place place{chosen, {}, -1, -1};
  for (size_t a = 0; a < piece.indices.size(); ++a) {
    int &index = piece.indices[a].letter;
    const Letter old = program_.letters[index];
    int fresh = newLetter(old.name, old.extent);
    renamed[index] = letter(fresh);
    index = fresh;
    if (a == axis) {
      place.letter = fresh;
      index = place.seat = newLetter(seats.name, seats.extent);
    }
  }
  for (size_t a : rows)
    place.rows.push_back(piece.indices[a].letter);
  t.axes[axis] = {seats.name, seats.extent, 0, 0};
  piece.value = move(substitute(piece.value, renamed), place);
  ExprPtr there = apply(Op::GreaterEqual, {chosenAt(place), integer(0)}, piece.span);
  piece.guard = piece.guard ? both(there, move(substitute(piece.guard, renamed), place)) : there;
  t.pieces = {std::move(piece)};
  program_.tensors.push_back(std::move(t));
  return clones_[key] = static_cast<int>(program_.tensors.size()) - 1;
}

/// The equations of what is taken and of the chosen.
Choice Chooser::choose(const RankBound &bound, const std::vector<int> &rows,
                       const std::vector<ExprPtr> &conditions) {
  NewTensors::Origin origin{tensor_, piece_, "taken"};
  std::vector<NewAxis> axes;
  for (int l : rows)
    axes.push_back({l, {}, {program_.letters[l].name, program_.letters[l].extent, 0, 0}});
  const Letter over = program_.letters[bound.letter];
  axes.push_back({bound.letter, {}, {over.name, over.extent, 0, 0}});
  ExprPtr all;
  for (const ExprPtr &c : conditions)
    all = both(all, c);
  const Span span = bound.rank->span;
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

/// The factors of a product, and what it is divided by outside of `summed`.
void takeApart(const ExprPtr &e, const std::function<bool(const ExprPtr &)> &inner,
               std::vector<ExprPtr> &factors, std::vector<ExprPtr> &divisors) {
  if (!e->constant && e->kind == K::Apply && e->op == Op::Mul) {
    takeApart(e->args[0], inner, factors, divisors);
    takeApart(e->args[1], inner, factors, divisors);
  } else if (!e->constant && e->kind == K::Apply && e->op == Op::Div && !inner(e->args[1])) {
    divisors.push_back(e->args[1]);
    takeApart(e->args[0], inner, factors, divisors);
  } else {
    factors.push_back(e);
  }
}

/// The sum over the chosen; of the other letters a sum inside.
ExprPtr Chooser::sumOfChosen(const ExprPtr &sum, const Choice &choice, int letter,
                             const std::vector<ExprPtr> &left) {
  std::vector<int> others;
  for (int l : sum->letters)
    if (l != letter)
      others.push_back(l);
  auto inner = [&](const ExprPtr &e) {
    const std::set<int> &letters = free_.of(e);
    return std::any_of(others.begin(), others.end(), [&](int l) { return letters.count(l) > 0; });
  };
  ExprPtr inside, outside;
  for (const ExprPtr &c : left)
    (inner(c) ? inside : outside) = both(inner(c) ? inside : outside, c);
  ExprPtr body = sum->args[0];
  if (!others.empty()) {
    std::vector<ExprPtr> factors, divisors;
    takeApart(body, inner, factors, divisors);
    ExprPtr summed, front;
    for (const ExprPtr &f : factors) {
      ExprPtr &to = inner(f) ? summed : front;
      to = to ? apply(Op::Mul, {to, f}, body->span) : f;
    }
    if (!summed)
      summed = body->type == Type::Int ? integer(1) : number(1);
    summed = reduce(Reduction::Sum, others, summed, inside, sum->span);
    body = front ? apply(Op::Mul, {front, summed}, body->span) : summed;
    for (const ExprPtr &d : divisors)
      body = apply(Op::Div, {body, d}, body->span);
  }
  Place place{choice.tensor, choice.rows, letter, newLetter("k", Size(choice.most))};
  ExprPtr there = apply(Op::GreaterEqual, {chosenAt(place), integer(0)}, sum->span);
  return reduce(sum->reduction, {place.seat}, move(body, place), both(there, move(outside, place)),
                sum->span);
}

ExprPtr Chooser::rewriteSum(const ExprPtr &e) {
  if (e->kind != K::Reduce || infoOf(e->reduction).ofElement || e->constant ||
      e->reduction == Reduction::ArgMax || e->reduction == Reduction::ArgMin ||
      e->reduction == Reduction::LogSumExp)
    return e;
  bool isSum = e->reduction == Reduction::Sum;
  if (!isSum && e->letters.size() != 1)
    return e;
  std::vector<ExprPtr> guards = conjuncts(e->args[1]), known = guards;
  if (isSum && leftOut_.may(e->args[0]))
    for (const ExprPtr &c : conjuncts(leftOut_.takesPart(e->args[0])))
      known.push_back(c);
  for (const ExprPtr &c : known) {
    auto bound = rankBound(c, true);
    if (!bound ||
        std::find(e->letters.begin(), e->letters.end(), bound->letter) == e->letters.end())
      continue;
    auto over = program_.letters[bound->letter].extent.constant();
    if (bound->most < 1 || !over || bound->most >= *over)
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
    std::vector<ExprPtr> conditions, left;
    for (const ExprPtr &k : known)
      if (decides(k))
        conditions.push_back(k);
    for (const ExprPtr &g : guards)
      if (!decides(g))
        left.push_back(g);
    return sumOfChosen(e, choose(*bound, rows, conditions), bound->letter, left);
  }
  return e;
}

} // namespace

void chooseByRank(Prepared &prepared) {
  if (!readsRank(prepared.program))
    return;
  std::set<int> whole;
  for (;;) {
    Chooser chooser(prepared.program, whole);
    if (!chooser.run())
      return;
    std::set<int> more = chooser.readAnyway();
    if (more.empty()) {
      prepared.program = std::move(chooser.program_);
      prepared.chosen = std::move(chooser.chosen_);
      return;
    }
    whole.insert(more.begin(), more.end());
  }
}

} // namespace qkv::equations

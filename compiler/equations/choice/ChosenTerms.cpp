// What a sum over chosen positions reads, for the chosen alone (RankChooser.h).
//
// In: an expression of a letter that is chosen. Out: the same of the k-th choice. A tensor that
// costs a sum for each row and position has a clone that has the number of the choice in the place
// of its position; a softmax over what is chosen is one over the choices; all else is read by
// value.
#include "compiler/equations/choice/RankChooser.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

static ExprPtr withLetters(const ExprPtr &e, std::vector<int> letters) {
  auto copy = std::make_shared<Expr>(*e);
  copy->letters = std::move(letters);
  return copy;
}

/// A share of a softmax at the position of a letter.
static bool isShare(const Expr &e, int letter) {
  return e.kind == K::Reduce && e.reduction == Reduction::Softmax && e.letters.size() == 1 &&
         e.args[2]->kind == K::Letter && e.args[2]->letter == letter;
}

/// Whether what `e` computes for each position of `letter` costs a sum or more.
bool RankChooser::costsForEach(const ExprPtr &root, int letter) {
  bool found = false;
  forEachNode(root, [&](const Expr &e) {
    if (isShare(e, letter))
      found = found || costsForEach(e.args[0], e.letters[0]);
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
bool RankChooser::costs(int tensor, size_t axis) {
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
std::optional<size_t> RankChooser::movedAxis(const Expr &read, const Place &place) {
  const Tensor &t = program_.tensors[read.tensor];
  std::optional<size_t> axis;
  std::set<int> rows;
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
    if (std::find(place.rows.begin(), place.rows.end(), index->letter) != place.rows.end())
      rows.insert(index->letter);
  }
  // (Of what is the same for all rows each position is computed once, not for each row.)
  if (!axis || rows.size() != place.rows.size() || whole_.count(read.tensor) ||
      program_.tensors[read.tensor].constant || !costs(read.tensor, *axis))
    return std::nullopt;
  for (const PieceIndex &index : t.pieces[0].indices)
    if (index.letter < 0)
      return std::nullopt;
  return axis;
}

/// Whether a term of the sum has work of its own for each row and position.
bool RankChooser::isWorthIt(const ExprPtr &body, const Place &place) {
  bool found = false;
  forEachNode(body, [&](const Expr &e) {
    if (e.kind == K::Read)
      found = found || movedAxis(e, place);
    if (isShare(e, place.letter))
      found = found || costsForEach(e.args[0], e.letters[0]);
    if (e.kind != K::Reduce || infoOf(e.reduction).ofElement)
      return;
    const std::set<int> &letters = free_.of(e.args[0]);
    found = found || (letters.count(place.letter) &&
                      std::all_of(place.rows.begin(), place.rows.end(),
                                  [&](int row) { return letters.count(row) > 0; }));
  });
  return found;
}

ExprPtr RankChooser::chosenAt(const Place &place) const {
  std::vector<ExprPtr> args;
  for (int row : place.rows)
    args.push_back(letter(row));
  args.push_back(letter(place.seat));
  return read(program_, place.chosen, std::move(args), {});
}

/// A condition as a text, its rows and the position being those of a place.
std::string RankChooser::meaningOf(const ExprPtr &condition, const Place &place) const {
  Text text(program_, [&](int l) {
    if (l == place.letter)
      return std::string("p");
    auto row = std::find(place.rows.begin(), place.rows.end(), l);
    return row != place.rows.end() ? "r" + std::to_string(row - place.rows.begin())
                                   : "l" + std::to_string(l);
  });
  std::string out;
  text.write(condition, out);
  return out;
}

/// The share of a softmax over what is chosen, and no more: a softmax over the chosen. Null where
/// it is over more.
ExprPtr RankChooser::shareOfChosen(const ExprPtr &e, const Place &place) {
  std::set<std::string> known;
  for (const ExprPtr &c : bounds_.conjunctsOf(leftOut_.takesPart(e)))
    known.insert(meaningOf(c, place));
  const std::set<std::string> &chose = meanings_[place.chosen].all;
  if (!std::includes(known.begin(), known.end(), chose.begin(), chose.end()))
    return nullptr;
  Place inside = place;
  inside.letter = e->letters[0];
  inside.seat = newLetter("k", program_.tensors[place.chosen].axes.back().extent);
  ExprPtr there = apply(Op::GreaterEqual, {chosenAt(inside), integer(0)}, e->span);
  for (const ExprPtr &c : bounds_.conjunctsOf(e->args[1]))
    if (!chose.count(meaningOf(c, inside)))
      there = both(there, move(c, inside));
  return withArgs(withLetters(e, {inside.seat}),
                  {move(e->args[0], inside), there, letter(place.seat)});
}

/// Whether a condition is the one that chose, which holds for what is chosen.
bool RankChooser::decides(const ExprPtr &condition, const Place &place) {
  return condition->type == Type::Bool && free_.of(condition).count(place.letter) &&
         meaningOf(condition, place) == meanings_[place.chosen].decisive;
}

ExprPtr RankChooser::move(const ExprPtr &e, const Place &place) {
  std::unordered_map<ExprPtr, ExprPtr> done;
  return move(e, place, done);
}

/// An expression with the chosen position for its letter, and what is computed for the chosen alone
/// in the place of what is computed for all.
ExprPtr RankChooser::move(const ExprPtr &e, const Place &place,
                          std::unordered_map<ExprPtr, ExprPtr> &done) {
  if (!e || !free_.of(e).count(place.letter))
    return e;
  if (auto found = done.find(e); found != done.end())
    return found->second;
  ExprPtr out;
  if (e->kind == K::Letter) {
    out = chosenAt(place);
  } else if (decides(e, place)) {
    out = apply(Op::Equal, {integer(0), integer(0)}, e->span);
  } else if (ExprPtr share = isShare(*e, place.letter) ? shareOfChosen(e, place) : nullptr) {
    out = share;
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
int RankChooser::clone(int tensor, size_t axis, const std::vector<size_t> &rows, int chosen) {
  int region = program_.tensors[tensor_].region;
  auto key = std::make_tuple(tensor, axis, rows, chosen, region);
  if (auto found = clones_.find(key); found != clones_.end())
    return found->second;
  clonedFrom_.insert(tensor);
  Tensor t = program_.tensors[tensor];
  t.region = region;
  t.name += ".picked";
  for (int n = 1; !names_.insert(t.name).second; ++n)
    t.name = program_.tensors[tensor].name + ".picked" + std::to_string(n);
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

Factors RankChooser::factorsOf(const ExprPtr &sum, int letter) {
  Factors out;
  auto has = [&](const ExprPtr &e, int l) { return free_.of(e).count(l) > 0; };
  auto hasAny = [&](const ExprPtr &e) {
    return std::any_of(sum->letters.begin(), sum->letters.end(), [&](int l) { return has(e, l); });
  };
  auto add = [](ExprPtr &to, const ExprPtr &e) { to = to ? apply(Op::Mul, {to, e}, e->span) : e; };
  std::function<void(const ExprPtr &)> take = [&](const ExprPtr &e) {
    if (!e->constant && e->kind == K::Apply && e->op == Op::Mul) {
      take(e->args[0]);
      take(e->args[1]);
    } else if (!e->constant && e->kind == K::Apply && e->op == Op::Div && !hasAny(e->args[1])) {
      out.under.push_back(e->args[1]);
      take(e->args[0]);
    } else {
      add(has(e, letter) ? out.chosen : hasAny(e) ? out.rest : out.front, e);
    }
  };
  take(sum->args[0]);
  for (int l : sum->letters)
    if (l != letter)
      (out.rest && has(out.rest, l) ? out.outer : out.inner).push_back(l);
  return out;
}

} // namespace qkv::equations

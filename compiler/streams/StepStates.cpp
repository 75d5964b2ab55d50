// What a step keeps (StepBuilder.h). In: reads that go back. Out: states, with the tensors that
// join what is kept and what is new, and what is kept before the first step.
#include "compiler/streams/Positions.h"
#include "compiler/streams/StepBuilder.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

/// Up to so many latest positions are kept as negative rows.
constexpr int64_t mostLast = 16;
/// A window begins at a multiple of this: tiles of keys are the same whatever the chunks.
constexpr int64_t page = 64;

} // namespace

std::optional<Obstacle> StepBuilder::plan() {
  std::map<int, std::vector<const Reading *>> kept;
  for (const Reading &reading : found_.readings)
    if (found_.fromStream[reading.tensor] && isRows(reading.tensor) && !reading.lag.present &&
        (reading.lag.unbounded || reading.lag.first || reading.lag.latest))
      kept[reading.tensor].push_back(&reading);
  for (auto &[tensor, readings] : kept) {
    const Tensor &t = model_.tensors[tensor];
    Plan &plan = plans_[tensor];
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (std::all_of(readings.begin(), readings.end(),
                      [&](const Reading *r) { return r->lag.slice[a].has_value(); }))
        plan.constant.push_back(static_cast<int>(a));
    Lag all;
    for (const Reading *r : readings) {
      all.first = std::max(all.first, r->lag.first);
      all.latest = std::max(all.latest, r->lag.latest);
      all.unbounded = all.unbounded || r->lag.unbounded;
    }
    plan.history = all.unbounded;
    plan.first = all.unbounded ? 0 : all.first;
    int64_t latest = positionsIn(model_, rowAxis(tensor).extent, all.latest);
    if (!plan.history && all.latest)
      (latest <= mostLast ? plan.last : plan.windowPositions) = latest;
    plan.window = plan.windowPositions > 0;
    if (auto obstacle = planOutside(tensor, readings[0]->span))
      return obstacle;
    if (auto obstacle = planAcross(tensor, readings[0]->span))
      return obstacle;
    for (const Reading *r : readings)
      addStates(tensor, *r);
  }
  return std::nullopt;
}

/// Whether rows that came before may be read at a position outside along one of their axes (P4).
bool StepBuilder::isReadOutside(int tensor, size_t axis) {
  Prover prover(model_);
  const Axis &of = model_.tensors[tensor].axes[axis];
  bool outside = false;
  for (size_t t = 0; t < model_.tensors.size() && !outside; ++t)
    if (found_.live[t])
      forEachRead(prover, model_.tensors[t], [&](const ReadPlace &place) {
        auto lag = found_.lags.find(place.read);
        if (place.read->tensor != tensor || lag == found_.lags.end() || lag->second.present)
          return;
        bool value = false;
        Linear index = prover.linear(place.read->args[axis], value);
        outside = outside || !prover.provable(index, *place.known) ||
                  !prover.provable(prover.linear(of.extent) - index - Linear(1), *place.known);
      });
  return outside;
}

/// Of a tensor that has another axis over the stream, its latest rows can be kept: what earlier
/// rows have at later positions of that axis has not arrived when they are read, so nobody reads
/// it.
std::optional<Obstacle> StepBuilder::planAcross(int tensor, Span span) {
  const Tensor &t = model_.tensors[tensor];
  Plan &plan = plans_[tensor];
  size_t row = static_cast<size_t>(found_.roles[tensor].row);
  for (size_t a = 0; a < t.axes.size(); ++a) {
    if (a == row || !growsWith(step_, t.axes[a].extent) ||
        std::count(plan.constant.begin(), plan.constant.end(), static_cast<int>(a)))
      continue;
    if (plan.across >= 0 || plan.history || plan.window || plan.first || !plan.last)
      return Obstacle{tensor, span,
                      t.label + " has two axes over the stream and is read at rows that are not "
                                "among the latest",
                      ""};
    if (t.axes[a].before || t.axes[a].after)
      return Obstacle{tensor, span,
                      t.label + " has two axes over the stream, and positions outside of " +
                          t.axes[a].name,
                      ""};
    plan.across = static_cast<int>(a);
  }
  if (plan.across < 0)
    return std::nullopt;
  for (const Piece &piece : t.pieces) {
    const PieceIndex &index = piece.indices[row];
    auto position = index.letter >= 0 ? std::nullopt : index.position.constant();
    bool others = true; // letters along all other axes
    for (size_t a = 0; a < piece.indices.size(); ++a)
      others = others && (a == row || piece.indices[a].letter >= 0);
    if (position && *position < 0 && (!piece.value->constant || piece.guard || !others))
      return Obstacle{tensor, span,
                      t.label + " has two axes over the stream, and what it is before the first "
                                "position is no matter of positions alone",
                      ""};
  }
  return std::nullopt;
}

/// What stands outside along another axis than the rows' is kept nowhere: it can be computed again
/// where it is a matter of positions.
std::optional<Obstacle> StepBuilder::planOutside(int tensor, Span span) {
  const Tensor &t = model_.tensors[tensor];
  Plan &plan = plans_[tensor];
  for (size_t a = 0; a < t.axes.size(); ++a) {
    if (static_cast<int>(a) == found_.roles[tensor].row ||
        (!t.axes[a].before && !t.axes[a].after) || !isReadOutside(tensor, a))
      continue;
    bool constant = !plan.history && !plan.window && !plan.first;
    for (const Piece &piece : t.pieces)
      if (standsOutside(tensor, piece, a))
        constant = constant && piece.value->constant && !piece.guard;
    if (!constant)
      return Obstacle{tensor, span,
                      "what " + t.label + " is before or behind its axis " + t.axes[a].name +
                          " is read at earlier rows, and is no matter of positions alone",
                      ""};
    plan.outsideAxes.push_back(a);
  }
  return std::nullopt;
}

bool StepBuilder::standsOutside(int tensor, const Piece &piece, size_t axis) const {
  const PieceIndex &index = piece.indices[axis];
  const Size &extent = model_.tensors[tensor].axes[axis].extent;
  return index.letter < 0 &&
         (!atLeast(model_, index.position, 0) || !atLeast(model_, extent - index.position, 1));
}

Slice StepBuilder::sliceOf(int tensor, const Lag &lag) const {
  Slice slice(model_.tensors[tensor].axes.size());
  for (int a : plans_[tensor].constant)
    slice[a] = lag.slice[a];
  return slice;
}

void StepBuilder::addStates(int tensor, const Reading &reading) {
  Plan &plan = plans_[tensor];
  Slice slice = sliceOf(tensor, reading.lag);
  auto add = [&](std::map<Slice, int> &states, State::Kind kind, int64_t positions) {
    auto [at, fresh] = states.try_emplace(slice, static_cast<int>(out_.states.size()));
    if (!fresh) {
      Reading &cause = out_.states[at->second].cause;
      if (reading.lag.latest > cause.lag.latest || reading.lag.unbounded)
        cause = reading;
      return;
    }
    State state;
    state.kind = kind;
    state.name = nameOf(tensor, slice);
    state.tensor = tensor;
    state.slice = slice;
    state.positions = positions;
    state.outside = outsideOf(tensor);
    state.across = plan.across;
    state.cause = reading;
    out_.states.push_back(state);
  };
  if (plan.history && (reading.lag.unbounded || reading.lag.latest || reading.lag.first))
    add(plan.tailStates, State::History, 0);
  else {
    if (reading.lag.first)
      add(plan.firstStates, State::First, plan.first);
    if (reading.lag.latest)
      add(plan.tailStates,
          plan.window           ? State::Window
          : plan.across >= 0    ? State::Row
          : sums_.count(tensor) ? State::Sum
                                : State::Last,
          plan.window ? plan.windowPositions : plan.last);
  }
}

std::string StepBuilder::nameOf(int tensor, const Slice &slice) const {
  std::string name = model_.tensors[tensor].name;
  if (std::any_of(slice.begin(), slice.end(), [](auto &s) { return s.has_value(); })) {
    name += "[";
    for (size_t a = 0; a < slice.size(); ++a)
      name += (a ? "," : "") +
              (slice[a] ? std::to_string(*slice[a]) : model_.tensors[tensor].axes[a].name);
    name += "]";
  }
  return name;
}

void StepBuilder::makeState(State &state) {
  switch (state.kind) {
  case State::History:
    return makeHistory(state);
  case State::Window:
    return makeWindow(state);
  case State::First:
    return makeFirst(state);
  case State::Last:
  case State::Sum:
  case State::Row:
    return makeLast(state);
  case State::Session:
    return;
  }
}

size_t StepBuilder::rowAmong(int tensor, const Slice &slice) const {
  size_t at = 0;
  for (int a = 0; a < found_.roles[tensor].row; ++a)
    at += !slice[a];
  return at;
}

/// The rows of the step, `shift` behind the row's index.
ExprPtr StepBuilder::readRows(const State &state, std::vector<ExprPtr> left,
                              const Size &shift) const {
  if (growsInPlace(state.kind)) {
    auto row = static_cast<std::ptrdiff_t>(rowAmong(state.tensor, state.slice));
    std::rotate(left.begin(), left.begin() + 1, left.begin() + row + 1);
  }
  return read(
      step_, plans_[state.tensor].rows,
      expand(state.tensor, state.slice, left, [&](const ExprPtr &p) { return plus(p, shift); }),
      state.cause.span);
}

Tensor StepBuilder::shaped(const State &state, const std::string &name, const Size &rows) const {
  Tensor t = shaped(state.tensor, state.slice, name, rows);
  if (growsInPlace(state.kind))
    rowsToFront(t.axes, rowAmong(state.tensor, state.slice));
  return t;
}

void StepBuilder::giveInput(State &state, const Size &rows) {
  Tensor given = shaped(state, state.name + ".past", rows);
  given.kind = Tensor::Kind::Input;
  state.input = addTensor(step_, given);
  step_.inputs.push_back(state.input);
}

/// What is kept, and behind it what is new, rows first: `held` of them are kept, and position p of
/// the tensor stands at p + outside - base.
int StepBuilder::joined(const State &state, const Size &extent, const Size &held,
                        const Size &base) {
  Size old = before(state.tensor) + Size(state.outside);
  Tensor both = shaped(state, state.name + ".all", extent);
  both.pieces.push_back(whole(step_, both, [&](const std::vector<ExprPtr> &letters) {
    ExprPtr kept = read(step_, state.input, letters, state.cause.span);
    return choose(compare(Op::Less, letters[0], held), kept, readRows(state, letters, base - old),
                  state.cause.span);
  }));
  return addTensor(step_, both);
}

void StepBuilder::makeHistory(State &state) {
  Size outside(state.outside), old = before(state.tensor) + outside;
  giveInput(state, old);
  state.next = joined(state, total(state.tensor) + outside, old, Size(0));
  plans_[state.tensor].tails[state.slice] = state.next;
  begin(state, state.outside);
}

void StepBuilder::makeWindow(State &state) {
  Size outside(state.outside), old = before(state.tensor) + outside,
                               all = total(state.tensor) + outside;
  Size base = beginOfWindow(old, state.positions);
  bases_[state.tensor] = base - outside;
  giveInput(state, old - base);
  state.next = joined(state, all - base, old - base, base);
  plans_[state.tensor].tails[state.slice] = state.next;
  begin(state, state.outside);
}

void StepBuilder::makeFirst(State &state) {
  Size outside(state.outside), old = before(state.tensor) + outside,
                               all = total(state.tensor) + outside;
  int64_t extent = state.outside + state.positions;
  giveInput(state, Size(extent));
  Tensor both = shaped(state, state.name + ".first", Size(extent));
  both.pieces.push_back(whole(step_, both, [&](const std::vector<ExprPtr> &letters) {
    const ExprPtr &p = letters[rowAmong(state.tensor, state.slice)];
    ExprPtr fresh = readRows(state, letters, Size(0) - old);
    return choose(compare(Op::Less, p, old), read(step_, state.input, letters, {}),
                  choose(compare(Op::Less, p, all), fresh, zeroOf(both.type), {}), {});
  }));
  state.next = addTensor(step_, both);
  plans_[state.tensor].firsts[state.slice] = state.next;
  begin(state, extent);
}

void StepBuilder::stretch(const State &state, Tensor &kept, const Size &length) {
  if (state.across < 0)
    return;
  size_t at = 0;
  for (int a = 0; a < state.across; ++a)
    at += !state.slice[a];
  kept.axes[at].extent = this->at(model_.tensors[state.tensor].axes[state.across].extent, length);
}

void StepBuilder::makeLast(State &state) {
  giveInput(state, Size(state.positions));
  stretch(state, step_.tensors[state.input], n_);
  // Where a step may bring nothing new (a sum at a page's end), it gives nothing: what is kept
  // stays, unless it grows along the stream.
  Size fresh = count(state.tensor), rows(state.positions);
  bool always = state.positions > 1 || state.across >= 0 || fresh.least(step_.atoms) >= 1;
  if (!always)
    rows = minimum(fresh, rows, step_.atoms);
  Tensor later = shaped(state, state.name + ".next", rows);
  stretch(state, later, length_);
  later.pieces.push_back(whole(step_, later, [&](std::vector<ExprPtr> letters) {
    if (!always)
      letters[rowAmong(state.tensor, state.slice)] = integer(0);
    return readRows(state, letters, fresh - Size(state.positions));
  }));
  state.next = addTensor(step_, later);
  for (int64_t back = 1; back <= state.positions; ++back)
    addOutside(state, plans_[state.tensor].rows, back);
  begin(state, state.positions);
}

Size StepBuilder::beginOfWindow(const Size &rows, int64_t positions) {
  return floorDiv(maximum(rows - Size(positions), Size(0), step_.atoms), Size(page), step_.atoms) *
         Size(page);
}

/// The row -back of a tensor is what is kept of it.
void StepBuilder::addOutside(const State &state, int rows, int64_t back) {
  Tensor &t = step_.tensors[rows];
  int row = found_.roles[state.tensor].row;
  Piece piece;
  piece.span = t.span;
  std::vector<ExprPtr> args;
  for (size_t a = 0; a < t.axes.size(); ++a) {
    if (static_cast<int>(a) == row) {
      piece.indices.push_back({-1, Size(-back)});
      args.push_back(integer(state.positions - back));
    } else if (state.slice[a]) {
      piece.indices.push_back({-1, Size(*state.slice[a])});
    } else {
      int l = newLetter(step_, t.axes[a].name, t.axes[a].extent);
      piece.indices.push_back({l, {}});
      args.push_back(letter(l));
    }
  }
  piece.value = read(step_, state.input, args, t.span);
  if (state.across >= 0) {
    // What arrives along the other axis now was not there: nobody reads it.
    ExprPtr kept = compare(Op::Less, letter(piece.indices[state.across].letter),
                           at(model_.tensors[state.tensor].axes[state.across].extent, n_));
    piece.value = choose(kept, piece.value, zeroOf(t.type), t.span);
    std::vector<int> letters;
    for (const PieceIndex &index : piece.indices)
      letters.push_back(index.letter);
    piece.value = ownBeforeFirst(state, back, letters, piece.value);
  }
  std::vector<Piece> all = cornersOf(state, back);
  all.push_back(std::move(piece));
  outside_[rows].insert(outside_[rows].end(), all.begin(), all.end());
}

/// The row -back of a tensor as its own equations have it where that lies before the first
/// position: there what arrives along another axis now is asked for, too.
ExprPtr StepBuilder::ownBeforeFirst(const State &state, int64_t back,
                                    const std::vector<int> &letters, ExprPtr otherwise) {
  const Tensor &from = model_.tensors[state.tensor];
  size_t row = static_cast<size_t>(found_.roles[state.tensor].row);
  ExprPtr position = size(before(state.tensor) - Size(back));
  for (const Piece &piece : from.pieces) {
    const PieceIndex &index = piece.indices[row];
    auto at = index.letter >= 0 ? std::nullopt : index.position.constant();
    if (!at || *at >= 0)
      continue;
    std::unordered_map<int, ExprPtr> renamed;
    for (size_t a = 0; a < piece.indices.size(); ++a)
      if (a != row)
        renamed[piece.indices[a].letter] =
            letters[a] >= 0 ? letter(letters[a]) : integer(*state.slice[a]);
    otherwise = choose(compare(Op::Equal, position, Size(*at)), substitute(piece.value, renamed),
                       otherwise, piece.span);
  }
  return otherwise;
}

/// What the row -back is outside along other axes: of a row before the first as its own equations
/// say, of any other as those of all rows do.
std::vector<Piece> StepBuilder::cornersOf(const State &state, int64_t back) {
  const Tensor &from = model_.tensors[state.tensor];
  size_t row = static_cast<size_t>(found_.roles[state.tensor].row);
  ExprPtr position = size(before(state.tensor) - Size(back));
  std::vector<Piece> out;
  std::vector<std::vector<PieceIndex>> done;
  auto alike = [&](const std::vector<PieceIndex> &a, const std::vector<PieceIndex> &b) {
    for (size_t i = 0; i < a.size(); ++i)
      if (i != row && (a[i].letter < 0) != (b[i].letter < 0))
        return false;
      else if (i != row && a[i].letter < 0 && a[i].position != b[i].position)
        return false;
    return true;
  };
  for (const Piece &model : from.pieces) {
    const auto &axes = plans_[state.tensor].outsideAxes;
    if (std::none_of(axes.begin(), axes.end(),
                     [&](size_t a) { return standsOutside(state.tensor, model, a); }) ||
        std::any_of(done.begin(), done.end(),
                    [&](auto &other) { return alike(other, model.indices); }))
      continue;
    done.push_back(model.indices);
    Piece piece;
    piece.span = model.span;
    for (size_t a = 0; a < model.indices.size(); ++a)
      if (a == row)
        piece.indices.push_back({-1, Size(-back)});
      else if (int l = model.indices[a].letter; l >= 0)
        piece.indices.push_back(
            {newLetter(step_, step_.letters[l].name, step_.letters[l].extent), {}});
      else
        piece.indices.push_back(model.indices[a]);
    for (bool general : {true, false})
      for (const Piece &one : from.pieces) {
        if (!alike(one.indices, model.indices) || (one.indices[row].letter >= 0) != general)
          continue;
        std::unordered_map<int, ExprPtr> letters;
        for (size_t a = 0; a < one.indices.size(); ++a)
          if (int l = one.indices[a].letter; l >= 0)
            letters[l] = a == row ? position : letter(piece.indices[a].letter);
        nodes_.clear();
        ExprPtr value = substitute(found(state.tensor, one.value), letters);
        piece.value = general || !piece.value
                          ? value
                          : choose(compare(Op::Equal, position, one.indices[row].position), value,
                                   piece.value, piece.span);
      }
    out.push_back(std::move(piece));
  }
  std::stable_sort(out.begin(), out.end(), [](const Piece &a, const Piece &b) {
    auto constants = [](const Piece &p) {
      return std::count_if(p.indices.begin(), p.indices.end(),
                           [](const PieceIndex &i) { return i.letter < 0; });
    };
    return constants(a) > constants(b);
  });
  return out;
}

/// What is kept before the first step: the positions before the first, where they are defined.
void StepBuilder::begin(State &state, int64_t positions) {
  Program &session = out_.session;
  int t = state.tensor, row = found_.roles[t].row;
  if (state.across >= 0) { // no position of the other axis is there (ownBeforeFirst)
    Tensor none = shaped(state, state.name + ".begin", Size(positions));
    stretch(state, none, Size(0));
    none.pieces.push_back(whole(session, none, [&](auto &) { return zeroOf(none.type); }));
    state.begin = addTensor(session, none);
    session.results.push_back({none.name, state.begin});
    return;
  }
  bool early =
      state.kind != State::Last && state.kind != State::Sum; // position p stands at p + outside
  Size rows(positions);
  if (state.kind == State::Window || state.kind == State::History)
    rows = Size(state.outside);
  Tensor made = shaped(state, state.name + ".begin", rows);
  std::set<int64_t> defined; // for every element
  std::vector<Piece> outside;
  for (const Piece &piece : model_.tensors[t].pieces) {
    const PieceIndex &index = piece.indices[row];
    auto position = index.letter >= 0 ? std::nullopt : index.position.constant();
    if (!position || *position >= 0)
      continue;
    bool corner = false; // outside along another axis, too: kept nowhere
    for (size_t a = 0; a < piece.indices.size(); ++a)
      corner = corner || (static_cast<int>(a) != row && standsOutside(t, piece, a));
    if (corner)
      continue;
    int64_t at = early ? *position + state.outside : *position + state.positions;
    if (at < 0 || at >= positions)
      continue;
    Piece copy = piece;
    copy.indices[row] = {-1, Size(at)};
    bool other = false;
    std::unordered_map<int, ExprPtr> fixed;
    for (size_t a = state.slice.size(); a-- > 0;)
      if (state.slice[a]) {
        if (copy.indices[a].letter >= 0)
          fixed[copy.indices[a].letter] = integer(*state.slice[a]);
        else
          other = other || copy.indices[a].position != Size(*state.slice[a]);
        copy.indices.erase(copy.indices.begin() + static_cast<std::ptrdiff_t>(a));
      }
    if (other)
      continue;
    if (growsInPlace(state.kind))
      rowsToFront(copy.indices, rowAmong(t, state.slice));
    copy.value = substitute(copy.value, fixed);
    copy.guard = substitute(copy.guard, fixed);
    if (std::count_if(copy.indices.begin(), copy.indices.end(),
                      [](const PieceIndex &i) { return i.letter < 0; }) == 1 &&
        !copy.guard)
      defined.insert(at);
    outside.push_back(std::move(copy));
  }
  if (positions == 0 || static_cast<int64_t>(defined.size()) < positions)
    made.pieces.push_back(whole(session, made, [&](auto &) { return zeroOf(made.type); }));
  made.pieces.insert(made.pieces.begin(), outside.begin(), outside.end());
  state.begin = addTensor(session, made);
  session.results.push_back({made.name, state.begin});
}

} // namespace qkv::streams

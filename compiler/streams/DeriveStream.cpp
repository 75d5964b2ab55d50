// The equations of a step. In: a program. Out: DeriveStream.h.
//
// T becomes n + m. A tensor that gets rows has those of the step alone: its position p is the row
// p - before, where `before` of its positions came earlier. A read finds what it wants
//   - among the rows of the step, where what it reads arrives with its reader;
//   - at negative rows, where few of the latest positions are kept (as h[-1] before h[0]);
//   - in one tensor that holds what is kept and what is new; inside a recurrence, in either.
#include "compiler/streams/DeriveStream.h"

#include "compiler/equations/Expressions.h"
#include "compiler/streams/Positions.h"
#include "compiler/streams/Rearrange.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

const char *stateKindName(State::Kind kind) {
  switch (kind) {
  case State::First:
    return "first";
  case State::Last:
    return "last";
  case State::Sum:
    return "sum";
  case State::Window:
    return "window";
  case State::History:
    return "history";
  case State::Session:
    return "session";
  }
  return "";
}

namespace {

/// Up to so many latest positions are kept as negative rows.
constexpr int64_t mostLast = 16;
/// A window begins at a multiple of this: tiles of keys are the same whatever the chunks.
constexpr int64_t page = 64;

using Slice = std::vector<std::optional<int64_t>>;

ExprPtr zero(Type type) {
  if (type == Type::Float)
    return number(0);
  ExprPtr out = integer(0);
  if (type == Type::Int)
    return out;
  auto no = std::make_shared<Expr>(*out);
  no->kind = K::Bool;
  no->type = Type::Bool;
  return no;
}

ExprPtr plus(const ExprPtr &e, const Size &by) {
  if (by == Size(0))
    return e;
  if (e->kind == K::Int && by.isConstant())
    return integer(e->integer + *by.constant());
  if (e->kind == K::Size)
    return size(e->size + by);
  if (e->kind == K::Apply && (e->op == Op::Add || e->op == Op::Sub)) {
    // (letter + n) - n is the letter again.
    const ExprPtr &a = e->args[0], &b = e->args[1];
    if (a->kind == K::Size || a->kind == K::Int || a->kind == K::Apply) {
      ExprPtr left = plus(a, by);
      if (left->kind == K::Int && left->integer == 0 && e->op == Op::Add)
        return b;
      if (a->kind != K::Apply || left->kind != K::Apply || left->args[0] != a)
        return apply(e->op, {left, b}, e->span);
    }
  }
  return apply(Op::Add, {e, size(by)}, e->span);
}

ExprPtr compare(Op op, const ExprPtr &a, const Size &b) { return apply(op, {a, size(b)}, {}); }

class Builder {
public:
  Builder(Stream &out, std::set<int> sums)
      : model_(out.model), sums_(std::move(sums)), found_(arrivals(out.model)), out_(out),
        step_(out.step) {}

  std::optional<Obstacle> run() {
    step_ = model_;
    // n, which may be 0, and m.
    const SizeAtom &stream = model_.atoms[model_.stream];
    SizeAtom past{SizeAtom::Kind::Dynamic, stream.name + ".past", stream.max, {}, {}};
    past.min = 0;
    out_.past = step_.atoms.add(past);
    out_.fresh = step_.atoms.add(
        {SizeAtom::Kind::Dynamic, stream.name + ".new", stream.max, {}, {}});
    n_ = Size::atom(out_.past);
    length_ = n_ + Size::atom(out_.fresh);
    plans_.resize(model_.tensors.size());
    if (auto why = plan())
      return why;
    session();
    makeRows();
    for (State &state : out_.states)
      if (state.kind != State::Session)
        makeState(state);
    rewriteAll();
    finish();
    return std::nullopt;
  }

private:
  struct Plan {
    std::vector<int> constant; ///< axes along which single positions are kept
    int64_t first = 0;         ///< positions, 0: none
    int64_t last = 0;          ///< latest positions at negative rows
    bool window = false, history = false;
    int64_t windowPositions = 0;
    int rows = -1;               ///< the tensor of the step with its rows
    std::map<Slice, int> firsts; ///< tensors of the step: the first positions
    std::map<Slice, int> tails;  ///< what is kept and what is new
    std::map<Slice, int> firstStates, tailStates;
  };

  bool isRows(int tensor) const { return found_.roles[tensor].kind == Role::Rows; }
  const Axis &rowAxis(int tensor) const {
    return model_.tensors[tensor].axes[found_.roles[tensor].row];
  }
  int64_t outsideOf(int tensor) const { return rowAxis(tensor).before; }

  // --- sizes

  Size at(const Size &size, const Size &length) {
    if (!growsWith(step_, size))
      return size;
    Size out = atLength(size, length, step_);
    return out.least(step_.atoms) >= 0 ? out : maximum(out, Size(0), step_.atoms);
  }
  Size delayed(const Size &length, int64_t delay) {
    return delay ? maximum(length - Size(delay), Size(0), step_.atoms) : length;
  }
  Size before(int tensor) {
    return at(rowAxis(tensor).extent, delayed(n_, found_.roles[tensor].delay));
  }
  Size total(int tensor) {
    return at(rowAxis(tensor).extent, delayed(length_, found_.roles[tensor].delay));
  }
  Size count(int tensor) { return total(tensor) - before(tensor); }

  // --- what is kept

  std::optional<Obstacle> plan() {
    std::map<int, std::vector<const Reading *>> kept;
    for (const Reading &reading : found_.readings)
      if (found_.fromStream[reading.tensor] && isRows(reading.tensor) && !reading.lag.present &&
          (reading.lag.unbounded || reading.lag.first || reading.lag.latest))
        kept[reading.tensor].push_back(&reading);
    for (auto &[tensor, readings] : kept) {
      const Tensor &t = model_.tensors[tensor];
      for (size_t a = 0; a < t.axes.size(); ++a)
        if (static_cast<int>(a) != found_.roles[tensor].row && growsWith(step_, t.axes[a].extent))
          return Obstacle{tensor, readings[0]->span,
                          t.label + " has two axes over the stream and is read at earlier rows",
                          ""};
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
      for (const Reading *r : readings)
        addStates(tensor, *r);
    }
    return std::nullopt;
  }

  Slice sliceOf(int tensor, const Lag &lag) const {
    Slice slice(model_.tensors[tensor].axes.size());
    for (int a : plans_[tensor].constant)
      slice[a] = lag.slice[a];
    return slice;
  }

  void addStates(int tensor, const Reading &reading) {
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
      State state{kind, nameOf(tensor, slice), tensor, slice, positions, outsideOf(tensor)};
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
            plan.window              ? State::Window
            : sums_.count(tensor) ? State::Sum
                                  : State::Last,
            plan.window ? plan.windowPositions : plan.last);
    }
  }

  std::string nameOf(int tensor, const Slice &slice) const {
    std::string name = model_.tensors[tensor].name;
    if (std::any_of(slice.begin(), slice.end(), [](auto &s) { return s.has_value(); })) {
      name += "[";
      for (size_t a = 0; a < slice.size(); ++a)
        name += (a ? "," : "") + (slice[a] ? std::to_string(*slice[a])
                                           : model_.tensors[tensor].axes[a].name);
      name += "]";
    }
    return name;
  }

  // --- once per session

  void session() {
    out_.session = model_;
    out_.session.results.clear();
    out_.session.stream = -1;
    out_.session.generatorInput = out_.session.generatorSource = -1;
    std::erase_if(out_.session.inputs, [&](int t) { return found_.fromStream[t]; });
    std::erase(out_.session.dynamicSizes, model_.stream);
    std::vector<bool> fromInput = dependingOn(out_.session.inputs);
    std::set<int> wanted;
    for (size_t t = 0; t < model_.tensors.size(); ++t)
      if (found_.live[t] && found_.roles[t].kind != Role::Fixed)
        for (const Piece &piece : model_.tensors[t].pieces)
          for (const ExprPtr &root : {piece.value, piece.guard})
            if (root)
              forEachNode(root, [&](const Expr &e) {
                if (e.kind == K::Read && fromInput[e.tensor] &&
                    found_.roles[e.tensor].kind == Role::Fixed &&
                    model_.tensors[e.tensor].kind == Tensor::Kind::Equation)
                  wanted.insert(e.tensor);
              });
    for (int t : wanted) {
      State state{State::Session, model_.tensors[t].name, t,
                  Slice(model_.tensors[t].axes.size())};
      state.begin = t;
      out_.session.results.push_back({model_.tensors[t].name, t});
      Tensor &given = step_.tensors[t];
      given.kind = Tensor::Kind::Input;
      given.pieces.clear();
      for (Axis &axis : given.axes)
        axis.before = axis.after = 0;
      state.input = t;
      step_.inputs.push_back(t);
      out_.states.push_back(state);
    }
  }

  std::vector<bool> dependingOn(std::vector<int> open) const {
    std::vector<std::vector<int>> readers(model_.tensors.size());
    for (size_t t = 0; t < model_.tensors.size(); ++t)
      for (const Piece &piece : model_.tensors[t].pieces)
        for (const ExprPtr &root : {piece.value, piece.guard})
          if (root)
            forEachNode(root, [&](const Expr &e) {
              if (e.kind == K::Read)
                readers[e.tensor].push_back(static_cast<int>(t));
            });
    std::vector<bool> out(model_.tensors.size());
    while (!open.empty()) {
      int t = open.back();
      open.pop_back();
      if (out[t])
        continue;
      out[t] = true;
      open.insert(open.end(), readers[t].begin(), readers[t].end());
    }
    return out;
  }

  // --- tensors of the step

  int addTensor(Program &program, Tensor tensor) {
    program.tensors.push_back(std::move(tensor));
    return static_cast<int>(program.tensors.size()) - 1;
  }
  static int newLetter(Program &program, const std::string &name, const Size &extent) {
    program.letters.push_back({name, extent});
    return static_cast<int>(program.letters.size()) - 1;
  }

  /// A tensor with the axes of another that `slice` leaves, `rows` of them along the row's axis.
  Tensor shaped(int tensor, const Slice &slice, const std::string &name, const Size &rows) const {
    const Tensor &from = model_.tensors[tensor];
    Tensor t;
    t.name = name;
    t.label = name;
    t.type = from.type;
    t.span = from.span;
    t.region = from.region;
    for (size_t a = 0; a < from.axes.size(); ++a)
      if (!slice[a])
        t.axes.push_back({from.axes[a].name,
                          static_cast<int>(a) == found_.roles[tensor].row ? rows
                                                                          : from.axes[a].extent,
                          0, 0});
    return t;
  }

  /// A piece for all positions of a tensor; its value is made from its letters.
  Piece whole(Program &program, const Tensor &t,
              const std::function<ExprPtr(const std::vector<ExprPtr> &)> &value) const {
    Piece piece;
    piece.span = t.span;
    std::vector<ExprPtr> letters;
    for (const Axis &axis : t.axes) {
      int l = newLetter(program, axis.name, axis.extent);
      piece.indices.push_back({l, {}});
      letters.push_back(letter(l));
    }
    piece.value = value(letters);
    return piece;
  }

  /// The indices of a tensor from those that a slice leaves, with `row` along the row's axis.
  std::vector<ExprPtr> expand(int tensor, const Slice &slice, const std::vector<ExprPtr> &left,
                              const std::function<ExprPtr(const ExprPtr &)> &row) const {
    std::vector<ExprPtr> out;
    size_t at = 0;
    for (size_t a = 0; a < slice.size(); ++a) {
      ExprPtr index = slice[a] ? integer(*slice[a]) : left[at++];
      out.push_back(static_cast<int>(a) == found_.roles[tensor].row ? row(index) : index);
    }
    return out;
  }

  /// Tensors that get rows have those of the step; inputs that are kept at negative rows get an
  /// equation.
  void makeRows() {
    for (size_t i = 0; i < model_.tensors.size(); ++i) {
      int t = static_cast<int>(i);
      if (!found_.live[t] || !isRows(t))
        continue;
      Plan &plan = plans_[t];
      plan.rows = t;
      Axis &axis = step_.tensors[t].axes[found_.roles[t].row];
      axis.extent = count(t);
      axis.before = axis.after = 0;
      if (plan.last && model_.tensors[t].kind != Tensor::Kind::Equation) {
        Tensor copy = shaped(t, Slice(model_.tensors[t].axes.size()),
                             model_.tensors[t].name + ".rows", count(t));
        copy.pieces.push_back(whole(step_, copy, [&](const std::vector<ExprPtr> &letters) {
          return read(step_, t, letters, copy.span);
        }));
        plan.rows = addTensor(step_, copy);
      }
      step_.tensors[plan.rows].axes[found_.roles[t].row].before = plan.last;
    }
  }

  void makeState(State &state) {
    int t = state.tensor;
    Plan &plan = plans_[t];
    int row = found_.roles[t].row;
    Size b(state.outside), old = before(t) + b, all = total(t) + b;
    auto readRows = [&](const std::vector<ExprPtr> &left, const Size &shift) {
      return read(step_, plan.rows,
                  expand(t, state.slice, left,
                         [&](const ExprPtr &p) { return plus(p, shift); }),
                  state.cause.span);
    };
    auto rowLetter = [&](const std::vector<ExprPtr> &left) {
      size_t at = 0;
      for (int a = 0; a < row; ++a)
        at += !state.slice[a];
      return left[at];
    };
    auto input = [&](const Size &rows) {
      Tensor given = shaped(t, state.slice, state.name + ".past", rows);
      given.kind = Tensor::Kind::Input;
      state.input = addTensor(step_, given);
      step_.inputs.push_back(state.input);
    };
    // What is kept, and behind it what is new: kept positions are `held`, position p of the tensor
    // stands at p + b - base.
    auto joined = [&](const std::string &suffix, const Size &extent, const Size &held,
                      const Size &base) {
      Tensor both = shaped(t, state.slice, state.name + suffix, extent);
      both.pieces.push_back(whole(step_, both, [&](const std::vector<ExprPtr> &letters) {
        ExprPtr p = rowLetter(letters);
        ExprPtr kept = read(step_, state.input, letters, state.cause.span);
        ExprPtr fresh = readRows(letters, base - old);
        return choose(compare(Op::Less, p, held), kept, fresh, state.cause.span);
      }));
      return addTensor(step_, both);
    };
    switch (state.kind) {
    case State::History: {
      input(old);
      plan.tails[state.slice] = state.next = joined(".all", all, old, Size(0));
      begin(state, state.outside);
      break;
    }
    case State::Window: {
      Size base = beginOfWindow(old, state.positions), next = beginOfWindow(all, state.positions);
      bases_[t] = base - b;
      input(old - base);
      int joinedTensor = joined(".all", all - base, old - base, base);
      plan.tails[state.slice] = joinedTensor;
      Tensor later = shaped(t, state.slice, state.name + ".next", all - next);
      later.pieces.push_back(whole(step_, later, [&](std::vector<ExprPtr> letters) {
        size_t at = 0;
        for (int a = 0; a < row; ++a)
          at += !state.slice[a];
        letters[at] = plus(letters[at], next - base);
        return read(step_, joinedTensor, letters, state.cause.span);
      }));
      state.next = addTensor(step_, later);
      begin(state, state.outside);
      break;
    }
    case State::First: {
      Size extent(state.outside + state.positions);
      input(extent);
      Tensor both = shaped(t, state.slice, state.name + ".first", extent);
      both.pieces.push_back(whole(step_, both, [&](const std::vector<ExprPtr> &letters) {
        ExprPtr p = rowLetter(letters);
        ExprPtr fresh = readRows(letters, Size(0) - old);
        return choose(compare(Op::Less, p, old), read(step_, state.input, letters, {}),
                      choose(compare(Op::Less, p, all), fresh, zero(both.type), {}), {});
      }));
      plan.firsts[state.slice] = state.next = addTensor(step_, both);
      begin(state, extent.constant().value());
      break;
    }
    case State::Last:
    case State::Sum: {
      input(Size(state.positions));
      Tensor later = shaped(t, state.slice, state.name + ".next", Size(state.positions));
      later.pieces.push_back(whole(step_, later, [&](const std::vector<ExprPtr> &letters) {
        return readRows(letters, count(t) - Size(state.positions));
      }));
      state.next = addTensor(step_, later);
      for (int64_t back = 1; back <= state.positions; ++back)
        addOutside(state, plan.rows, back);
      begin(state, state.positions);
      break;
    }
    case State::Session:
      break;
    }
  }

  Size beginOfWindow(const Size &rows, int64_t positions) {
    return floorDiv(maximum(rows - Size(positions), Size(0), step_.atoms), Size(page),
                    step_.atoms) *
           Size(page);
  }

  /// The row -back of a tensor is what is kept of it.
  void addOutside(const State &state, int rows, int64_t back) {
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
    piece.value = read(step_, state.input, std::move(args), t.span);
    outside_[rows].push_back(std::move(piece));
  }

  /// What is kept before the first step: the positions before the first, where they are defined.
  void begin(State &state, int64_t positions) {
    Program &session = out_.session;
    int t = state.tensor, row = found_.roles[t].row;
    bool early = state.kind != State::Last && state.kind != State::Sum; // position p stands at p + outside
    Size rows(positions);
    if (state.kind == State::Window || state.kind == State::History)
      rows = Size(state.outside);
    Tensor made = shaped(t, state.slice, state.name + ".begin", rows);
    std::set<int64_t> defined; // for every element
    std::vector<Piece> outside;
    for (const Piece &piece : model_.tensors[t].pieces) {
      const PieceIndex &index = piece.indices[row];
      auto position = index.letter >= 0 ? std::nullopt : index.position.constant();
      if (!position || *position >= 0)
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
      copy.value = replaced(copy.value, fixed);
      copy.guard = copy.guard ? replaced(copy.guard, fixed) : nullptr;
      if (std::count_if(copy.indices.begin(), copy.indices.end(),
                        [](const PieceIndex &i) { return i.letter < 0; }) == 1 &&
          !copy.guard)
        defined.insert(at);
      outside.push_back(std::move(copy));
    }
    if (static_cast<int64_t>(defined.size()) < positions)
      made.pieces.push_back(whole(session, made, [&](auto &) { return zero(made.type); }));
    made.pieces.insert(made.pieces.begin(), outside.begin(), outside.end());
    state.begin = addTensor(session, made);
    session.results.push_back({made.name, state.begin});
  }

  static ExprPtr replaced(const ExprPtr &e, const std::unordered_map<int, ExprPtr> &letters) {
    Mapper mapper([&](const ExprPtr &n) -> ExprPtr {
      if (n->kind != K::Letter)
        return n;
      auto found = letters.find(n->letter);
      return found == letters.end() ? n : found->second;
    });
    return mapper(e);
  }

  // --- equations of the step

  void rewriteAll() {
    for (Letter &l : step_.letters)
      if (growsWith(step_, l.extent))
        l.extent = at(l.extent, length_);
    for (size_t i = 0; i < model_.tensors.size(); ++i) {
      int t = static_cast<int>(i);
      Tensor &tensor = step_.tensors[t];
      for (size_t a = 0; a < tensor.axes.size(); ++a)
        if (!(found_.live[t] && isRows(t) && found_.roles[t].row == static_cast<int>(a)))
          tensor.axes[a].extent = at(tensor.axes[a].extent, length_);
      if (!found_.live[t]) {
        tensor.pieces.clear();
        continue;
      }
      rewrite(t);
    }
    for (auto &[t, pieces] : outside_)
      step_.tensors[t].pieces.insert(step_.tensors[t].pieces.begin(), pieces.begin(),
                                     pieces.end());
  }

  void rewrite(int t) {
    Tensor &tensor = step_.tensors[t];
    bool rows = isRows(t);
    int row = found_.roles[t].row;
    std::vector<Piece> pieces;
    std::vector<Piece> single; // at one position of the stream
    for (Piece piece : tensor.pieces) {
      nodes_.clear();
      auto mapper = [&](const ExprPtr &e) { return found(t, e); };
      if (!rows) {
        piece.value = mapper(piece.value);
        piece.guard = piece.guard ? mapper(piece.guard) : nullptr;
        for (PieceIndex &index : piece.indices)
          if (index.letter < 0)
            index.position = at(index.position, length_);
        pieces.push_back(std::move(piece));
        continue;
      }
      PieceIndex &index = piece.indices[row];
      if (index.letter < 0) {
        auto position = index.position.constant();
        if (position && *position >= 0) {
          piece.value = mapper(piece.value);
          piece.guard = piece.guard ? mapper(piece.guard) : nullptr;
          single.push_back(std::move(piece));
        }
        continue; // before the first: kept; behind the last: read by nobody
      }
      // The letter is the position; the new one is the row.
      int fresh = newLetter(step_, step_.letters[index.letter].name, count(t));
      std::unordered_map<int, ExprPtr> letters{{index.letter, plus(letter(fresh), before(t))}};
      index.letter = fresh;
      piece.value = replaced(mapper(piece.value), letters);
      piece.guard = piece.guard ? replaced(mapper(piece.guard), letters) : nullptr;
      simplifyRows(piece.value);
      if (piece.guard)
        simplifyRows(piece.guard);
      pieces.push_back(std::move(piece));
    }
    if (!single.empty())
      pieces = {merged(t, single, pieces)};
    tensor.pieces = std::move(pieces);
  }

  /// (row + n) - n is the row.
  void simplifyRows(ExprPtr &root) const {
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      if (e->kind != K::Apply || e->op != Op::Add || e->args[1]->kind != K::Size)
        return e;
      const ExprPtr &inner = e->args[0];
      if (inner->kind != K::Apply || inner->type != Type::Int)
        return e;
      // a + s + t, (a - c) + t with a = x + s
      if (inner->op == Op::Add && inner->args[1]->kind == K::Size)
        return plus(inner->args[0], inner->args[1]->size + e->args[1]->size);
      if ((inner->op == Op::Add || inner->op == Op::Sub) && inner->args[1]->kind == K::Int) {
        const ExprPtr &left = inner->args[0];
        if (left->kind == K::Apply && left->op == Op::Add && left->args[1]->kind == K::Size) {
          int64_t c = inner->op == Op::Add ? inner->args[1]->integer : -inner->args[1]->integer;
          return plus(left->args[0], left->args[1]->size + e->args[1]->size + Size(c));
        }
      }
      return e;
    });
    root = mapper(root);
  }

  /// Pieces at single positions of the stream and the general ones as one piece, which decides for
  /// each element.
  Piece merged(int t, const std::vector<Piece> &single, const std::vector<Piece> &general) {
    const Tensor &tensor = step_.tensors[t];
    int row = found_.roles[t].row;
    return whole(step_, tensor, [&](const std::vector<ExprPtr> &at) {
      std::vector<const Piece *> order;
      for (const Piece &p : single)
        order.push_back(&p);
      for (const Piece &p : general)
        order.push_back(&p);
      auto constants = [](const Piece *p) {
        return std::count_if(p->indices.begin(), p->indices.end(),
                             [](const PieceIndex &i) { return i.letter < 0; });
      };
      std::stable_sort(order.begin(), order.end(), [&](const Piece *a, const Piece *b) {
        return constants(a) < constants(b);
      });
      ExprPtr value;
      for (const Piece *p : order) { // the most general one is the last to be asked for
        ExprPtr condition;
        std::unordered_map<int, ExprPtr> letters;
        for (size_t a = 0; a < p->indices.size(); ++a) {
          const PieceIndex &index = p->indices[a];
          if (index.letter >= 0) {
            letters[index.letter] = at[a];
            continue;
          }
          Size position = static_cast<int>(a) == row ? index.position - before(t) : index.position;
          condition = both(condition, compare(Op::Equal, at[a], position));
        }
        ExprPtr own = replaced(p->value, letters);
        if (p->guard)
          own = choose(replaced(p->guard, letters), own, zero(tensor.type), p->span);
        value = value && condition ? choose(condition, own, value, p->span) : own;
      }
      return value;
    });
  }

  // --- reads

  /// An expression of a reader with its reads where they now are; letters still count positions of
  /// the stream.
  ExprPtr found(int reader, const ExprPtr &e) {
    if (!e)
      return e;
    auto [at, fresh] = nodes_.try_emplace(e, nullptr);
    if (!fresh)
      return at->second;
    ExprPtr out;
    if (e->kind == K::Size && growsWith(step_, e->size)) {
      out = size(this->at(e->size, length_));
    } else {
      std::vector<ExprPtr> args;
      for (const ExprPtr &a : e->args)
        args.push_back(found(reader, a));
      out = withArgs(e, std::move(args));
      if (e->kind == K::Read && found_.live[e->tensor] && isRows(e->tensor))
        out = readOfRows(reader, *e, out);
    }
    return nodes_[e] = out;
  }

  ExprPtr readOfRows(int reader, const Expr &original, const ExprPtr &e) {
    int t = e->tensor, row = found_.roles[t].row;
    const Plan &plan = plans_[t];
    const ExprPtr &position = e->args[row];
    auto other = [&](int tensor, const Slice &slice, const ExprPtr &index) {
      auto copy = std::make_shared<Expr>(*e);
      copy->tensor = tensor;
      copy->args.clear();
      copy->checked.clear();
      for (size_t a = 0; a < e->args.size(); ++a)
        if (!slice[a]) {
          copy->args.push_back(static_cast<int>(a) == row ? index : e->args[a]);
          copy->checked.push_back(a < e->checked.size() && e->checked[a]);
        }
      copy->own = static_cast<int>(copy->args.size());
      return ExprPtr(copy);
    };
    ExprPtr fresh = other(plan.rows, Slice(e->args.size()), plus(position, -before(t)));
    auto lag = found_.lags.find(&original);
    if (lag == found_.lags.end() || lag->second.present || !found_.fromStream[t] ||
        !(lag->second.first || lag->second.latest || lag->second.unbounded))
      return fresh;
    Slice slice = sliceOf(t, lag->second);
    Size b(outsideOf(t));
    bool inside = found_.loops[reader] >= 0 && found_.loops[reader] == found_.loops[t];
    // Inside of a recurrence what is new is no part of the tensor that is joined behind it.
    auto either = [&](int state, const Size &shift) {
      return choose(compare(Op::Less, position, before(t)),
                    other(out_.states[state].input, slice, plus(position, shift)), fresh, e->span);
    };
    auto tail = [&] {
      Size shift = plan.window ? -bases_.at(t) : b;
      return inside ? either(plan.tailStates.at(slice), shift)
                    : other(plan.tails.at(slice), slice, plus(position, shift));
    };
    auto first = [&] {
      return inside ? either(plan.firstStates.at(slice), b)
                    : other(plan.firsts.at(slice), slice, plus(position, b));
    };
    if (plan.history)
      return tail();
    if (!lag->second.first)
      return plan.window ? tail() : fresh;
    if (!lag->second.latest)
      return first();
    return choose(compare(Op::Less, position, Size(plan.first)), first(),
                  plan.window ? tail() : fresh, e->span);
  }

  // --- inputs and results

  void finish() {
    for (const Result &result : model_.results) {
      const Role &role = found_.roles[result.tensor];
      StreamResult r{result.name, result.tensor};
      if (role.kind == Role::Rows && found_.fromStream[result.tensor])
        r.axis = role.row;
      if (role.kind == Role::Fixed && step_.tensors[result.tensor].kind == Tensor::Kind::Input &&
          model_.tensors[result.tensor].kind == Tensor::Kind::Equation)
        r.session = true;
      out_.results.push_back(r);
    }
    for (const Role &role : found_.roles)
      out_.rowOf.push_back(role.kind == Role::Rows ? role.row : -1);
    for (const Obstacle &o : found_.obstacles)
      out_.obstacles.push_back(o);
    step_.results.clear();
    for (const StreamResult &r : out_.results)
      if (!r.session)
        step_.results.push_back({r.name, r.tensor});
    for (const State &state : out_.states)
      if (state.next >= 0)
        step_.results.push_back({step_.tensors[state.next].name, state.next});
    std::replace(step_.dynamicSizes.begin(), step_.dynamicSizes.end(), model_.stream, out_.fresh);
    step_.dynamicSizes.push_back(out_.past);
    step_.stream = -1;
    step_.generatorInput = step_.generatorSource = -1;
    bool bound = false;
    for (int input : step_.inputs)
      for (const Axis &axis : step_.tensors[input].axes)
        bound = bound || axis.extent == n_;
    if (!bound) {
      Tensor count;
      count.kind = Tensor::Kind::Input;
      count.name = count.label = step_.atoms[out_.past].name;
      count.type = Type::Bool;
      count.axes.push_back({"p", n_, 0, 0});
      out_.count = addTensor(step_, count);
      step_.inputs.push_back(out_.count);
    }
  }


  const Program &model_;
  std::set<int> sums_; ///< tensors that are running sums
  Arrivals found_;
  Stream &out_;
  Program &step_;
  Size n_, length_;
  std::vector<Plan> plans_;
  std::map<int, Size> bases_; ///< the position at which a window's tensor begins
  std::map<int, std::vector<Piece>> outside_;
  std::unordered_map<ExprPtr, ExprPtr> nodes_; ///< of the piece at hand
};

} // namespace

std::variant<Stream, Obstacle> deriveStream(const Program &program) {
  Stream out;
  out.model = program;
  std::set<int> sums = runningSums(out.model);
  absorbMaps(out.model);
  nameSums(out.model);
  if (auto why = Builder(out, std::move(sums)).run())
    return *why;
  return out;
}

void wantLastRow(Stream &stream) {
  Program &step = stream.step;
  StreamResult &logits = stream.results[0];
  const Tensor from = step.tensors[logits.tensor];
  Tensor last;
  last.name = from.name + ".last";
  last.label = from.label;
  last.type = from.type;
  last.span = from.span;
  Piece piece;
  piece.span = from.span;
  std::vector<ExprPtr> args;
  for (size_t a = 0; a < from.axes.size(); ++a) {
    if (static_cast<int>(a) == logits.axis) {
      args.push_back(size(from.axes[a].extent - Size(1)));
      continue;
    }
    step.letters.push_back({from.axes[a].name, from.axes[a].extent});
    int l = static_cast<int>(step.letters.size()) - 1;
    last.axes.push_back({from.axes[a].name, from.axes[a].extent, 0, 0});
    piece.indices.push_back({l, {}});
    args.push_back(letter(l));
  }
  piece.value = read(step, logits.tensor, std::move(args), from.span);
  last.pieces = {std::move(piece)};
  logits.tensor = static_cast<int>(step.tensors.size());
  logits.axis = -1;
  step.tensors.push_back(std::move(last));
  std::vector<Result> results{{logits.name, logits.tensor}};
  for (const State &state : stream.states)
    if (state.next >= 0)
      results.push_back({step.tensors[state.next].name, state.next});
  stream.results.resize(1);
  step.results = std::move(results);
}

} // namespace qkv::streams

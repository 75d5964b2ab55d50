// Arrivals by proof. In: a program. Out: Arrivals.h.
//
// Two passes over the tensors: readers first, which choose the axis along which a tensor gets its
// rows; then what is read first, which finds the least delay with which each is there in time. What
// is late for every delay is Closing.
#include "compiler/streams/Arrivals.h"

#include "compiler/equations/Expressions.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/Marked.h"
#include "compiler/streams/Positions.h"
#include "dsl/proof/Proof.h"
#include "dsl/proof/Schedule.h"

#include <algorithm>
#include <functional>
#include <set>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

void Lag::join(const Lag &other) {
  present = present && other.present;
  own = own && other.own;
  first = std::max(first, other.first);
  latest = std::max(latest, other.latest);
  unbounded = unbounded || other.unbounded;
  for (size_t i = 0; i < slice.size(); ++i)
    if (slice[i] != other.slice[i])
      slice[i] = std::nullopt;
}

namespace {

constexpr int64_t mostDelay = 4096, mostRounds = 12, endless = int64_t(1) << 40;

/// One read of the marked program, with what is known there.
struct Place {
  int reader;
  const Piece *piece;
  const Expr *read;
  std::vector<Facts> known;
};

class Finder {
public:
  explicit Finder(const Program &program) : program_(program) {}

  Arrivals run() {
    size_t count = program_.tensors.size();
    out_.roles.resize(count);
    out_.live.assign(count, false);
    for (int t : liveTensors(program_))
      out_.live[t] = true;
    for (int input : program_.inputs) // they are given, read or not
      out_.live[input] = true;
    marked_ = mark(program_, out_.live);
    // What holds for the greatest T alone bounds nothing.
    marked_.program.atoms = {};
    for (int a = 0; a < program_.atoms.count(); ++a) {
      SizeAtom atom = program_.atoms[a];
      if (a == program_.stream)
        atom.max = endless;
      marked_.program.atoms.add(atom);
    }
    prover_ = std::make_unique<Prover>(marked_.program);
    out_.fromStream = dependents(program_, streamInputs());
    order();
    places_.resize(count);
    for (size_t t = 0; t < count; ++t)
      if (out_.live[t] && program_.tensors[t].kind == Tensor::Kind::Equation)
        forEachRead(*prover_, marked_.program.tensors[t], [&](const ReadPlace &p) {
          places_[t].push_back({static_cast<int>(t), p.piece, p.read, *p.known});
        });
    begin();
    for (size_t c = components_.size(); c-- > 0;)
      for (auto &[tensor, axis] : components_[c])
        chooseRow(tensor, axis);
    for (const auto &component : components_)
      settle(component);
    for (const auto &component : components_)
      for (auto &[tensor, axis] : component)
        findLags(tensor);
    tables();
    return std::move(out_);
  }

private:
  bool grows(const Size &size) const { return growsWith(program_, size); }
  bool isMark(int tensor) const { return marked_.marks.count(tensor) > 0; }

  std::vector<int> growing(int tensor) const {
    std::vector<int> axes;
    const auto &all = marked_.program.tensors[tensor].axes;
    for (size_t a = 0; a < all.size(); ++a)
      if (grows(all[a].extent))
        axes.push_back(static_cast<int>(a));
    return axes;
  }

  std::vector<int> streamInputs() const {
    std::vector<int> out;
    for (int input : program_.inputs)
      if (!growing(input).empty())
        out.push_back(input);
    return out;
  }

  /// The tensors in order, those of one recurrence together, each with the axis of its loop.
  void order() {
    Diagnostics ignored;
    auto nodes = schedule(program_, ignored);
    std::set<int> inputs(program_.inputs.begin(), program_.inputs.end());
    components_.push_back({});
    for (int input : program_.inputs)
      components_.back().push_back({input, -1});
    if (!nodes)
      return;
    out_.loops.assign(program_.tensors.size(), -1);
    for (const ScheduleNode &node : *nodes) {
      for (auto &[tensor, axis] : node.axes)
        out_.loops[tensor] = static_cast<int>(components_.size());
      if (node.tensor >= 0)
        components_.push_back({{node.tensor, -1}});
      else
        components_.push_back(node.axes);
    }
  }

  void begin() {
    for (size_t t = 0; t < program_.tensors.size(); ++t) {
      Role &role = out_.roles[t];
      std::vector<int> axes = growing(static_cast<int>(t));
      role.kind = !axes.empty() ? Role::Rows : out_.fromStream[t] ? Role::Settled : Role::Fixed;
      for (int a : axes)
        if (!paced(program_.tensors[t].axes[a]))
          role.kind = Role::Closing;
      role.row = axes.empty() ? -1 : axes[0];
    }
    for (const auto &component : components_)
      for (auto &[t, axis] : component)
        for (const Place &place : places_[t])
          readers_[place.read->tensor].push_back(&place);
    // What goes over the stream, or asks for T, may change with it, whatever it is made of.
    for (const auto &component : components_) {
      bool fixed = true;
      for (auto &[t, axis] : component)
        for (const Place &place : places_[t])
          fixed = fixed && !isMark(place.read->tensor) &&
                  (out_.roles[place.read->tensor].kind == Role::Fixed);
      for (auto &[t, axis] : component)
        if (!fixed && out_.roles[t].kind == Role::Fixed)
          out_.roles[t].kind = Role::Settled;
    }
  }

  /// Whether the positions of an axis arrive one after the other, the first with the stream.
  bool paced(const Axis &axis) {
    if (!arrivalOf(program_, axis.extent, integer(0)))
      return false;
    Size none = atLength(axis.extent, Size(0), marked_.program);
    return none.constant() && *none.constant() <= 0;
  }

  // --- arrivals as linear forms

  Linear linear(const ExprPtr &e) {
    bool value = false;
    return prover_->linear(e, value);
  }
  Linear arrival(const Size &extent, const ExprPtr &position) {
    auto at = arrivalOf(marked_.program, extent, position);
    return at ? linear(*at) : linear(size(Size::atom(program_.stream)));
  }
  static ExprPtr positionOf(const PieceIndex &index) {
    return index.letter >= 0 ? letter(index.letter) : size(index.position);
  }
  /// Of what a piece computes.
  Linear arrivalOfPiece(int tensor, const Piece &piece) {
    const Role &role = out_.roles[tensor];
    if (role.kind == Role::Settled)
      return Linear(role.settled);
    if (role.kind != Role::Rows)
      return linear(size(Size::atom(program_.stream)));
    return arrival(program_.tensors[tensor].axes[role.row].extent,
                   positionOf(piece.indices[role.row])) +
           Linear(role.delay);
  }
  /// Of an element that is read.
  Linear arrivalOfRead(const Expr &read) {
    const Role &role = out_.roles[read.tensor];
    return arrival(program_.tensors[read.tensor].axes[role.row].extent, read.args[role.row]) +
           Linear(role.delay);
  }

  /// What is known at a place, and that the reader's element is one that somebody wants: what
  /// there is along its other axes had arrived with its row.
  std::vector<Facts> knownAt(const Place &place) {
    std::vector<Facts> known = place.known;
    const Role &role = out_.roles[place.reader];
    if (role.kind != Role::Rows)
      return known;
    Facts wanted;
    Linear row = arrivalOfPiece(place.reader, *place.piece);
    for (int a : growing(place.reader))
      if (a != role.row)
        wanted.all.push_back(row - arrival(program_.tensors[place.reader].axes[a].extent,
                                           positionOf(place.piece->indices[a])));
    known.push_back(std::move(wanted));
    return known;
  }

  // --- the axis of the rows

  void chooseRow(int tensor, int loopAxis) {
    Role &role = out_.roles[tensor];
    std::vector<int> axes = growing(tensor);
    if (role.kind != Role::Rows || axes.size() < 2)
      return;
    if (std::find(axes.begin(), axes.end(), loopAxis) != axes.end()) {
      role.row = loopAxis;
      return;
    }
    for (int candidate : axes) {
      role.row = candidate;
      bool fits = true;
      for (const Place *place : readers_[tensor])
        fits = fits && othersHaveArrived(*place);
      if (fits)
        return;
    }
    role.row = axes[0];
  }

  /// Whether a read wants of the other axes only what is there with the row.
  bool othersHaveArrived(const Place &place) {
    const Expr &read = *place.read;
    const Role &role = out_.roles[read.tensor];
    std::vector<Facts> known = knownAt(place);
    for (int a : growing(read.tensor))
      if (a != role.row &&
          !prover_->provable(
              arrivalOfRead(read) -
                  arrival(program_.tensors[read.tensor].axes[a].extent, read.args[a]),
              known))
        return false;
    return true;
  }

  // --- delays

  void settle(const std::vector<std::pair<int, int>> &component) {
    for (int round = 0; round < mostRounds; ++round) {
      bool changed = false;
      for (auto &[tensor, axis] : component)
        changed = raise(tensor) || changed;
      if (!changed)
        return;
    }
    for (auto &[tensor, axis] : component)
      close(tensor, {tensor, program_.tensors[tensor].span,
                     "each position needs a later one than the position before", ""});
  }

  void close(int tensor, Obstacle why) {
    if (out_.roles[tensor].kind == Role::Closing)
      return;
    out_.roles[tensor].kind = Role::Closing;
    out_.obstacles.push_back(std::move(why));
  }

  static int64_t &waitOf(Role &role) {
    return role.kind == Role::Settled ? role.settled : role.delay;
  }

  /// Finds how long a tensor waits for what it reads. Whether that became longer.
  bool raise(int tensor) {
    Role &role = out_.roles[tensor];
    if ((role.kind != Role::Rows && role.kind != Role::Settled) ||
        program_.tensors[tensor].kind != Tensor::Kind::Equation)
      return false;
    if (definesFromEnd(tensor)) {
      close(tensor, {tensor, program_.tensors[tensor].span,
                     "has an equation for a position that is counted from the stream's end", ""});
      return true;
    }
    if (std::optional<Obstacle> late = othersLate(tensor)) {
      close(tensor, *late);
      return true;
    }
    int64_t before = waitOf(role);
    int64_t failing = before - 1;
    bool result = std::any_of(program_.results.begin(), program_.results.end(),
                              [&](const Result &r) { return r.tensor == tensor; });
    // A result must be there with its position.
    int64_t most = result && role.kind == Role::Rows ? 0 : mostDelay;
    for (int64_t wait = before;;) {
      waitOf(role) = wait;
      std::optional<Obstacle> obstacle = late(tensor);
      if (!obstacle)
        break;
      failing = wait;
      if (wait >= most) {
        waitOf(role) = before;
        close(tensor, *obstacle);
        return true;
      }
      wait = std::min(most, std::max<int64_t>(1, 2 * wait));
    }
    int64_t enough = waitOf(role);
    while (failing + 1 < enough) {
      int64_t middle = failing + (enough - failing) / 2;
      waitOf(role) = middle;
      (late(tensor) ? failing : enough) = middle;
    }
    waitOf(role) = enough;
    return enough != before;
  }

  /// A result must be wanted whole: along its other axes too.
  std::optional<Obstacle> othersLate(int tensor) {
    if (growing(tensor).size() < 2)
      return std::nullopt;
    for (const Result &result : program_.results)
      if (result.tensor == tensor)
        return Obstacle{tensor, program_.tensors[tensor].span,
                        "has two axes over the stream: each new position changes all earlier rows",
                        ""};
    for (const Place *place : readers_[tensor])
      if (!othersHaveArrived(*place))
        return Obstacle{place->reader, place->read->span,
                        "reads " + nameOf(tensor) + " at positions that may arrive later",
                        guardHint(*place)};
    return std::nullopt;
  }

  std::string nameOf(int tensor) const { return program_.tensors[tensor].label; }

  std::string guardHint(const Place &place) const {
    for (const ExprPtr &arg : place.read->args)
      if (arg->kind == K::Letter && grows(program_.letters[arg->letter].extent)) {
        const Role &role = out_.roles[place.reader];
        const PieceIndex *row =
            role.row >= 0 && role.row < static_cast<int>(place.piece->indices.size())
                ? &place.piece->indices[role.row]
                : nullptr;
        if (row && row->letter >= 0 &&
            program_.letters[row->letter].name != program_.letters[arg->letter].name)
          return "a guard bounds it: `where " + program_.letters[arg->letter].name +
                 " <= " + program_.letters[row->letter].name + "`";
      }
    return "";
  }

  /// The first read of a tensor that is not there when the tensor's element is.
  std::optional<Obstacle> late(int tensor) {
    for (const Place &place : places_[tensor]) {
      std::string why = lateRead(place);
      if (!why.empty())
        return Obstacle{tensor, place.read->span ? place.read->span : place.piece->span, why,
                        guardHint(place)};
    }
    return std::nullopt;
  }

  bool before(const Place &place, const Linear &arrival) {
    return prover_->provable(arrivalOfPiece(place.reader, *place.piece) - arrival, knownAt(place));
  }

  std::string lateRead(const Place &place) {
    const Expr &read = *place.read;
    if (isMark(read.tensor))
      return lateMark(place);
    const Role &role = out_.roles[read.tensor];
    switch (role.kind) {
    case Role::Fixed:
    case Role::Table:
      return "";
    case Role::Closing:
      return "reads " + nameOf(read.tensor) + ", which changes as the stream grows";
    case Role::Settled:
      return before(place, Linear(role.settled)) ? ""
                                                 : "reads " + nameOf(read.tensor) + " too early";
    case Role::Rows:
      break;
    }
    for (const ExprPtr &arg : read.args)
      if (countsFromEnd(arg))
        return "reads " + nameOf(read.tensor) + " at a position counted from the stream's end";
    if (!out_.fromStream[read.tensor] &&
        !(out_.loops[place.reader] >= 0 && out_.loops[place.reader] == out_.loops[read.tensor]))
      return "";
    if (isOutside(place))
      return "reads " + nameOf(read.tensor) + " for a position before the first";
    return before(place, arrivalOfRead(read))
               ? ""
               : "reads " + nameOf(read.tensor) + " at positions that may arrive later";
  }

  /// Whether an equation is for a position that is counted from the stream's end (`y[T-1] = 0`), or
  /// for one behind it (P4): these never settle.
  bool definesFromEnd(int tensor) {
    const Tensor &t = program_.tensors[tensor];
    for (const Piece &piece : t.pieces)
      for (size_t a = 0; a < piece.indices.size(); ++a) {
        const PieceIndex &index = piece.indices[a];
        if (index.letter < 0 && grows(index.position))
          return true;
      }
    return false;
  }

  std::string lateMark(const Place &place) {
    const Marked::Mark &mark = marked_.marks.at(place.read->tensor);
    switch (mark.kind) {
    case Marked::Mark::Axis:
      return before(place, arrival(mark.extent, place.read->args[0]))
                 ? ""
                 : "goes over positions that may arrive later";
    case Marked::Mark::Number:
      return "depends on the number of positions";
    case Marked::Mark::Comparison: {
      // One that is true, or false, for every T makes no difference.
      std::vector<Facts> known = knownAt(place);
      for (bool truth : {true, false}) {
        known.push_back(prover_->facts(mark.comparison, truth));
        bool never = prover_->provable(Linear(-1), known);
        known.pop_back();
        if (never)
          return "";
      }
      return "compares with the number of positions";
    }
    }
    return "";
  }

  bool countsFromEnd(const ExprPtr &e) const {
    if (e->kind == K::Size)
      return grows(e->size);
    if (e->kind == K::Read)
      return false;
    for (const ExprPtr &a : e->args)
      if (a && countsFromEnd(a))
        return true;
    return false;
  }

  /// Whether a piece defines positions before the first (P4).
  bool isOutside(const Place &place) const {
    const Role &role = out_.roles[place.reader];
    if (role.kind != Role::Rows)
      return false;
    const PieceIndex &index = place.piece->indices[role.row];
    auto position = index.letter >= 0 ? std::nullopt : index.position.constant();
    return position && *position < 0;
  }

  /// What no input over the stream has a part in and is read elsewhere than at its reader's row is
  /// there whole; and so is what that reads.
  void tables() {
    std::vector<int> open;
    for (const Reading &reading : out_.readings)
      if (!out_.fromStream[reading.tensor] && !reading.lag.own)
        open.push_back(reading.tensor);
    for (size_t t = 0; t < places_.size(); ++t)
      if (out_.roles[t].kind == Role::Closing)
        for (const Place &place : places_[t])
          if (!isMark(place.read->tensor) && !out_.fromStream[place.read->tensor])
            open.push_back(place.read->tensor);
    while (!open.empty()) {
      int t = open.back();
      open.pop_back();
      if (out_.roles[t].kind != Role::Rows || out_.fromStream[t])
        continue;
      out_.roles[t].kind = Role::Table;
      for (const Place &place : places_[t])
        if (!isMark(place.read->tensor))
          open.push_back(place.read->tensor);
    }
  }

  // --- lags

  void findLags(int tensor) {
    for (const Place &place : places_[tensor]) {
      const Expr &read = *place.read;
      if (isMark(read.tensor) || out_.roles[read.tensor].row < 0 ||
          out_.roles[read.tensor].kind == Role::Closing)
        continue;
      auto from = marked_.original.find(&read);
      if (from == marked_.original.end())
        continue;
      Lag lag = lagOf(place);
      out_.readings.push_back({tensor, read.tensor, read.span, lag});
      auto [at, fresh] = out_.lags.try_emplace(from->second, lag);
      if (!fresh)
        at->second.join(lag);
    }
  }

  Lag lagOf(const Place &place) {
    const Expr &read = *place.read;
    const Role &role = out_.roles[read.tensor];
    const Role &reader = out_.roles[place.reader];
    Lag lag;
    for (size_t i = 0; i < read.args.size(); ++i) {
      Linear at = linear(read.args[i]);
      lag.slice.push_back(static_cast<int>(i) != role.row && at.isConstant() && at.valid()
                              ? std::optional(at.constant())
                              : std::nullopt);
    }
    std::vector<Facts> known = knownAt(place);
    Linear difference = arrivalOfPiece(place.reader, *place.piece) - arrivalOfRead(read);
    lag.present = reader.kind != Role::Settled && prover_->provable(difference * -1, known);
    if (reader.kind == Role::Rows &&
        program_.tensors[place.reader].axes[reader.row].extent ==
            program_.tensors[read.tensor].axes[role.row].extent &&
        reader.delay == role.delay) {
      Linear apart =
          linear(positionOf(place.piece->indices[reader.row])) - linear(read.args[role.row]);
      lag.own = prover_->provable(apart, known) && prover_->provable(apart * -1, known);
    }
    if (!lag.present)
      bound(lag, reader.kind == Role::Settled, difference, linear(read.args[role.row]), known, 3);
    return lag;
  }

  /// The least number for which `holds` is true; nothing above `most`.
  static std::optional<int64_t> least(int64_t most, const std::function<bool(int64_t)> &holds) {
    int64_t failing = -1, enough = 1;
    while (!holds(enough)) {
      failing = enough;
      if (enough >= most)
        return std::nullopt;
      enough = std::min(most, enough * 4);
    }
    while (failing + 1 < enough) {
      int64_t middle = failing + (enough - failing) / 2;
      (holds(middle) ? enough : failing) = middle;
    }
    return enough;
  }

  /// How far back a read goes: at most some T, or to the first positions only, or, where the guards
  /// around it are a union, either.
  void bound(Lag &lag, bool settled, const Linear &difference, const Linear &position,
             const std::vector<Facts> &known, int cases) {
    int64_t most = program_.atoms[program_.stream].max;
    if (prover_->provable(Linear(-1), known))
      return; // never read
    auto back = least(most - 2, [&](int64_t n) {
      return !settled && prover_->provable(Linear(n) - difference, known);
    });
    if (back) {
      lag.latest = std::max(lag.latest, *back);
      return;
    }
    auto below = least(
        most - 1, [&](int64_t n) { return prover_->provable(Linear(n - 1) - position, known); });
    if (below) {
      lag.first = std::max(lag.first, *below);
      return;
    }
    for (size_t f = 0; cases > 0 && f < known.size(); ++f)
      for (size_t a = 0; a < known[f].any.size(); ++a) {
        Lag split = lag;
        for (const Facts &alternative : known[f].any[a]) {
          std::vector<Facts> narrower = known;
          narrower[f].any.erase(narrower[f].any.begin() + static_cast<std::ptrdiff_t>(a));
          narrower.push_back(alternative);
          bound(split, settled, difference, position, narrower, cases - 1);
        }
        if (!split.unbounded) {
          lag = split;
          return;
        }
      }
    lag.unbounded = true;
  }

  const Program &program_;
  Arrivals out_;
  Marked marked_;
  std::unique_ptr<Prover> prover_;
  std::vector<std::vector<std::pair<int, int>>> components_;
  std::vector<std::vector<Place>> places_;
  std::map<int, std::vector<const Place *>> readers_; ///< by what is read
};

} // namespace

Arrivals arrivals(const Program &program) { return Finder(program).run(); }

} // namespace qkv::streams

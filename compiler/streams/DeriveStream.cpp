// The step of a model. In: a program. Out: DeriveStream.h; its frame: sizes, what is computed once,
// tensors with the step's rows, inputs and results.
#include "compiler/equations/Rewrite.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/Positions.h"
#include "compiler/streams/Rearrange.h"
#include "compiler/streams/StepBuilder.h"

#include <algorithm>

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
  case State::Row:
    return "row";
  case State::Window:
    return "window";
  case State::History:
    return "history";
  case State::Session:
    return "session";
  }
  return "";
}

bool growsInPlace(State::Kind kind) { return kind == State::Window || kind == State::History; }

ExprPtr zeroOf(Type type) {
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

StepBuilder::StepBuilder(Stream &out, std::set<int> sums)
    : model_(out.model), sums_(std::move(sums)), found_(arrivals(out.model)), out_(out),
      step_(out.step) {}

std::optional<Obstacle> StepBuilder::run() {
  step_ = model_;
  // n, which may be 0, and m.
  const SizeAtom &stream = model_.atoms[model_.stream];
  SizeAtom past{SizeAtom::Kind::Dynamic, stream.name + ".past", stream.max, {}, {}};
  past.min = 0;
  out_.past = step_.atoms.add(past);
  out_.fresh = step_.atoms.add({SizeAtom::Kind::Dynamic, stream.name + ".new", stream.max, {}, {}});
  n_ = Size::atom(out_.past);
  length_ = n_ + Size::atom(out_.fresh);
  plans_.resize(model_.tensors.size());
  if (auto why = plan())
    return why;
  for (int input : model_.inputs) {
    const Tensor &t = model_.tensors[input];
    auto growing = std::count_if(t.axes.begin(), t.axes.end(),
                                 [&](const Axis &a) { return growsWith(step_, a.extent); });
    if (growing > 1 || (growing == 1 && !isRows(input)))
      return Obstacle{input, t.span,
                      "input " + t.name +
                          (growing > 1 ? " has two axes over the stream"
                                       : " has positions before the first arrives"),
                      ""};
  }
  session();
  makeRows();
  for (State &state : out_.states)
    if (state.kind != State::Session)
      makeState(state);
  rewriteAll();
  finish();
  return std::nullopt;
}

Size StepBuilder::at(const Size &size, const Size &length) {
  if (!growsWith(step_, size))
    return size;
  Size out = atLength(size, length, step_);
  return out.least(step_.atoms) >= 0 ? out : maximum(out, Size(0), step_.atoms);
}

Size StepBuilder::delayed(const Size &length, int64_t delay) {
  return delay ? maximum(length - Size(delay), Size(0), step_.atoms) : length;
}

Size StepBuilder::before(int tensor) {
  return at(rowAxis(tensor).extent, delayed(n_, found_.roles[tensor].delay));
}

Size StepBuilder::total(int tensor) {
  return at(rowAxis(tensor).extent, delayed(length_, found_.roles[tensor].delay));
}

void StepBuilder::session() {
  out_.session = model_;
  out_.session.results.clear();
  out_.session.stream = -1;
  out_.session.generatorInput = out_.session.generatorSource = -1;
  std::erase_if(out_.session.inputs, [&](int t) { return found_.fromStream[t]; });
  std::erase(out_.session.dynamicSizes, model_.stream);
  std::vector<bool> fromInput = dependents(model_, out_.session.inputs);
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
    State state;
    state.kind = State::Session;
    state.name = model_.tensors[t].name;
    state.tensor = t;
    state.slice.resize(model_.tensors[t].axes.size());
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

/// A tensor with the axes of another that `slice` leaves, `rows` of them along the row's axis.
Tensor StepBuilder::shaped(int tensor, const Slice &slice, const std::string &name,
                           const Size &rows) const {
  const Tensor &from = model_.tensors[tensor];
  Tensor t;
  t.name = name;
  t.label = from.label; // layers' steps are one function, whatever their states are called
  t.type = from.type;
  t.span = from.span;
  t.region = from.region;
  for (size_t a = 0; a < from.axes.size(); ++a)
    if (!slice[a])
      t.axes.push_back(
          {from.axes[a].name,
           static_cast<int>(a) == found_.roles[tensor].row ? rows : from.axes[a].extent, 0, 0});
  return t;
}

/// A piece for all positions of a tensor; its value is made from its letters.
Piece StepBuilder::whole(Program &program, const Tensor &t,
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
std::vector<ExprPtr> StepBuilder::expand(int tensor, const Slice &slice,
                                         const std::vector<ExprPtr> &left,
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
void StepBuilder::makeRows() {
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

void StepBuilder::finish() {
  for (const Result &result : model_.results) {
    const Role &role = found_.roles[result.tensor];
    StreamResult r{result.name, result.tensor};
    if (role.kind == Role::Rows)
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
  for (const State &state : out_.states)
    if (state.next >= 0)
      step_.results.push_back({step_.tensors[state.next].name, state.next});
  for (const StreamResult &r : out_.results)
    if (!r.session && r.axis >= 0)
      step_.results.push_back({r.name, r.tensor});
    else
      out_.closes = out_.closes || !r.session;
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
  if (!out_.closes)
    return;
  out_.last = step_;
  for (const StreamResult &r : out_.results)
    if (!r.session && r.axis < 0)
      out_.last.results.push_back({r.name, r.tensor});
}

std::variant<Stream, Obstacle> deriveStream(const Program &program) {
  Stream out;
  out.model = program;
  lettersFirst(out.model);
  std::set<int> sums = runningSums(out.model);
  sums.merge(foldClosing(out.model));
  sums.merge(runningReductions(out.model));
  absorbMaps(out.model);
  nameSums(out.model);
  guardNames(out.model);
  if (auto why = StepBuilder(out, std::move(sums)).run())
    return *why;
  return out;
}

bool generates(const Stream &stream) {
  return stream.model.generatorInput >= 0 && stream.results[0].axis == 0 &&
         !stream.results[0].session;
}

Program lastRowOf(const Stream &stream) {
  Program step = stream.step;
  step.results = {{stream.results[0].name, stream.results[0].tensor}};
  Program out = lastPosition(step);
  std::vector<Result> kept;
  for (const State &state : stream.states)
    if (state.next >= 0)
      kept.push_back({out.tensors[state.next].name, state.next});
  out.results.insert(out.results.begin(), kept.begin(), kept.end());
  return out;
}

} // namespace qkv::streams

// Equations with indices: what they define, piece by piece (E1, F4).
//
// In: the statements of one name. Out: a tensor of the program with a piece for each.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {

int Elaborator::addLetter(const std::string &name, const Size &extent) {
  program_->letters.push_back({name, extent});
  return static_cast<int>(program_->letters.size()) - 1;
}

int Elaborator::addTensor(const std::string &label, Scope &scope, Span span) {
  Tensor t;
  t.label = label;
  std::string name = scope.body->path + label;
  for (Scope *s = &scope; s && s->region >= 0 && s->parent; s = s->parent) {
    const Region &r = program_->regions[s->region];
    name = r.letter + std::to_string(r.step) + "." + name;
  }
  int &taken = unique_[name];
  t.name = taken++ ? name + "#" + std::to_string(taken) : name;
  t.region = scope.region >= 0 ? scope.region : scope.body->region;
  t.instance = scope.body->instance;
  t.lifted = static_cast<int>(scope.body->lifted.size());
  t.span = span;
  for (int l : scope.body->lifted)
    t.axes.push_back({program_->letters[l].name, program_->letters[l].extent, 0, 0});
  program_->tensors.push_back(std::move(t));
  return static_cast<int>(program_->tensors.size()) - 1;
}

std::string Elaborator::shapeText(const std::vector<Size> &extents) {
  std::string out = "[";
  for (size_t i = 0; i < extents.size(); ++i)
    out += (i ? ", " : "") + extents[i].text(program_->atoms);
  return out + "]";
}

const View *Elaborator::resolve(Variable &v) {
  using S = Variable::State;
  if (v.state == S::Done)
    return &v.view;
  if (v.state == S::Failed)
    return nullptr;
  if (v.state == S::Busy) {
    error(v.span,
          v.kind == Variable::Kind::Indexed ? "the shape of " + v.name + " follows from itself here"
                                            : v.name + " is defined by itself",
          v.kind == Variable::Kind::Indexed ? "F4" : "E1")
        .hint(v.kind == Variable::Kind::Whole && v.scope->parent
                  ? "there is no " + v.name + " before the first step: make it above the repeat"
              : v.kind == Variable::Kind::Indexed
                  ? "give one equation of " + v.name +
                        " all its indices, such as its start: " + v.name + "[-1,...] = 0"
                  : "a recurrence is written with indices: " + v.name + "[t] = ... " + v.name +
                        "[t-1] ...");
    v.state = S::Failed;
    return nullptr;
  }
  v.state = S::Busy;
  OneEquation inside(*this);
  size_t before = said_;
  bool ok = false;
  if (Level level(*this, v.span); level) {
    switch (v.kind) {
    case Variable::Kind::Given:
      ok = false;
      break;
    case Variable::Kind::Alias:
      if (Variable *w = find(v.aliasScope, v.name, v.aliasOrder))
        if (const View *view = resolve(*w)) {
          v.view = *view;
          ok = true;
        }
      break;
    case Variable::Kind::Param:
      ok = resolveParam(v);
      break;
    case Variable::Kind::Indexed:
      ok = resolveIndexed(v);
      break;
    case Variable::Kind::Whole:
      ok = resolveWhole(v);
      break;
    }
  }
  v.state = ok && v.state != S::Failed ? S::Done : S::Failed;
  if (v.state == S::Failed)
    return nullptr;
  if (said_ != before) {
    broken_.insert(v.view.tensor);
    unsure_ |= v.view.tensor < 0; // an expression, which may stand anywhere
  }
  return &v.view;
}

static bool isCall(const ast::Expr &e) { return e.kind == ast::Expr::Kind::Call && !e.indexed; }

std::optional<std::vector<View>> Elaborator::callStatement(const Item &item, Env &env) {
  auto key = std::make_pair(item.statement, item.scope);
  auto it = statementCalls_.find(key);
  if (it != statementCalls_.end())
    return it->second.empty() ? std::nullopt : std::optional(it->second);
  statementCalls_[key] = {};
  const ast::Statement &s = *item.statement;
  if (!isCall(*s.value)) {
    error(s.value->span, "several names on the left take the results of one call", "F4");
    return std::nullopt;
  }
  std::vector<WholeRead> others = std::exchange(wholeReads_, {});
  auto views = call(*s.value, env);
  statementReads_[key] = std::exchange(wholeReads_, std::move(others));
  if (!views)
    return std::nullopt;
  if (views->size() != s.targets.size()) {
    error(s.span,
          s.value->name.text + " has " + std::to_string(views->size()) +
              (views->size() == 1 ? " result, and " : " results, and ") +
              std::to_string(s.targets.size()) +
              (s.targets.size() == 1 ? " name stands" : " names stand") + " on the left",
          "F4")
        .hint("_ drops a result");
    return std::nullopt;
  }
  statementCalls_[key] = *views;
  return views;
}

// The letters of a left side, made once for all targets of a statement.
Env &Elaborator::statementEnv(const Item &item) {
  Env &env = statementEnvs_[{item.statement, item.scope}];
  if (!env.scope) {
    env.scope = item.scope;
    env.order = static_cast<int>(item.statement - item.scope->statements->data());
    env.equation = item.statement->value.get();
    env.bound = item.scope->body->lifted;
    env.guards = item.scope->body->guards;
  }
  return env;
}

void Elaborator::bindTarget(const TargetIndex &index, Env &env) {
  for (auto &[name, extent] : index.letters)
    if (!env.letters.count(name)) {
      env.letters[name] = addLetter(name, extent);
      env.bound.push_back(env.letters[name]);
    }
}

bool Elaborator::resolveIndexed(Variable &v) {
  auto sides = leftSides(v);
  if (!sides)
    return false;
  size_t rank = (*sides)[0].rank;
  Axes axes;
  axes.extents.resize(rank);
  axes.names.resize(rank);
  axes.before.resize(rank);
  axes.after.resize(rank);
  if (!lettersExtents(v, *sides, axes) || !callExtents(v, *sides, axes) ||
      !positionExtents(v, *sides, axes))
    return false;
  v.view = {};
  v.view.tensor = addTensor(v.name, *v.scope, v.span);
  Tensor &t = program_->tensors[v.view.tensor];
  for (int l : v.scope->body->lifted)
    v.view.leading.push_back(letterExpr(l, v.span));
  for (size_t a = 0; a < rank; ++a) {
    t.axes.push_back({axes.names[a], *axes.extents[a], axes.before[a], axes.after[a]});
    v.view.extents.push_back(*axes.extents[a]);
    v.view.names.push_back(axes.names[a]);
  }
  return checkPieces(v);
}

AxisSet Elaborator::setOf(const TargetIndex &index, const Size &extent) const {
  if (index.letters.empty())
    return AxisSet::at(positionOn(extent, index.first));
  if (index.step == 1 && index.first == Size(0) && index.count() == extent)
    return {};
  return AxisSet::stripe(index.first, index.step, index.count());
}

// Where a piece stands on one axis; a part of it, or several letters, go to `stripes` (P5).
PieceIndex Elaborator::pieceIndex(const TargetIndex &x, size_t axis, const Variable &v,
                                  const Env &env, Stripes &stripes) {
  const Size &extent = v.view.extents[axis];
  if (x.letters.empty())
    return {-1, positionOn(extent, x.first)};
  AxisSet set = setOf(x, extent);
  if (set.kind == AxisSet::Kind::Stripe || x.letters.size() > 1) {
    Stripe stripe;
    stripe.axis = v.scope->body->lifted.size() + axis;
    stripe.set = set;
    for (auto &[name, range] : x.letters)
      stripe.letters.push_back(env.letters.at(name));
    stripes.push_back(std::move(stripe));
  }
  return {env.letters.at(x.letters[0].first), {}};
}

// F4: the results of a call, over the letters that the left side leaves off.
bool Elaborator::resultsOf(const Item &item, const Variable &v, size_t given, Env &env,
                           Piece &piece) {
  auto views = callStatement(item, env);
  if (!views)
    return false;
  for (WholeRead read : statementReads_[{item.statement, item.scope}]) {
    read.reader = defining_;
    wholeReads_.push_back(read);
  }
  const View &view = (*views)[item.target];
  const ast::Expr &value = *item.statement->value;
  size_t rank = v.view.rank();
  if (view.rank() != rank - given) {
    error(item.statement->targets[item.target].span,
          v.name + " has " + std::to_string(rank) + " indices, and " + std::to_string(given) +
              " here with " + std::to_string(view.rank()) + " of the call's result",
          "F4");
    return false;
  }
  std::vector<ExprPtr> rest;
  for (size_t a = 0; a < view.rank(); ++a) {
    if (view.extents[a] != v.view.extents[given + a]) {
      error(value.span,
            "the result has the shape " + shapeText(view.extents) + ", and " + v.name + " has " +
                shapeText(v.view.extents),
            "E4");
      return false;
    }
    int l = addLetter(view.names[a], view.extents[a]);
    piece.indices.push_back({l, {}});
    rest.push_back(letterExpr(l, value.span));
  }
  piece.value = readView(view, rest, value.span);
  return piece.value != nullptr;
}

bool Elaborator::elaborateItem(Variable &v, size_t index) {
  const Item &item = v.items[index];
  auto indices = targetIndices(item);
  if (!indices)
    return false;
  Env &kept = statementEnv(item);
  size_t letters = 0;
  for (auto &x : *indices)
    letters += x.letters.size();
  for (auto &x : *indices)
    for (auto &[name, extent] : x.letters)
      if (!kept.letters.count(name) && (item.target > 0 || kept.letters.size() >= letters)) {
        error(x.span, "the names on the left of one call have the same letters", "F4");
        return false;
      }
  for (auto &x : *indices)
    bindTarget(x, kept);
  Env env = kept;
  Piece piece;
  Stripes stripes;
  piece.span = item.statement->span;
  for (int l : item.scope->body->lifted)
    piece.indices.push_back({l, {}});
  for (size_t a = 0; a < indices->size(); ++a)
    piece.indices.push_back(pieceIndex((*indices)[a], a, v, env, stripes));
  ExprPtr guard;
  for (auto &g : item.scope->body->guards)
    guard = guard ? apply(Op::And, {guard, g}, g->span) : g;
  piece.guard = guard;
  defining_ = v.view.tensor;
  if (item.statement->targets.size() > 1 || indices->size() < v.view.rank()) {
    if (!resultsOf(item, v, indices->size(), env, piece))
      return false;
  } else {
    piece.value = expr(*item.statement->value, env);
  }
  if (!piece.value)
    return false;
  auto &pieces = program_->tensors[v.view.tensor].pieces;
  if (!stripes.empty())
    stripes_[{v.view.tensor, pieces.size()}] = std::move(stripes);
  pieces.push_back(std::move(piece));
  return true;
}

} // namespace qkv::sema

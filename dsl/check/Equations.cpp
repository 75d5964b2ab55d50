// Equations with indices: the shape of what they define, and their pieces (E1, E2, E4, P2, F4).
//
// In: the statements of one name. Out: a tensor of the program with a piece for each.
#include "dsl/check/Elaborator.h"
#include "dsl/proof/Proof.h"

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

std::optional<std::vector<Elaborator::TargetIndex>> Elaborator::targetIndices(const Item &item) {
  const ast::Target &t = item.statement->targets[item.target];
  FileScope &file = *item.scope->body->file;
  std::vector<TargetIndex> out;
  bool ok = true;
  for (auto &ix : t.indices) {
    TargetIndex r;
    r.span = ix->span;
    if (ix->kind == ast::Expr::Kind::Name) {
      const std::string &n = ix->name.text;
      bool found = false;
      auto extent = letterExtent(n, item.scope, file, found);
      if (found) {
        if (!extent) {
          ok = false;
          continue;
        }
        for (auto &o : out)
          if (o.letter && o.name == n) {
            error(ix->span, "the letter " + n + " stands on the left twice", "E2")
                .hint("a diagonal is written with an if, or with a second letter");
            ok = false;
          }
        r.letter = true;
        r.name = n;
        r.value = *extent;
        out.push_back(r);
        continue;
      }
      bool isConstant = false;
      namedConstant(n, item.scope, file, isConstant);
      if (!isConstant) {
        auto &d = error(ix->span,
                        n + " is neither a letter nor a size; the range of a letter comes "
                            "from an argument or an index",
                        "L3");
        std::string near = nearest(n, namesIn(item.scope));
        if (item.scope->body->names.count(n))
          sayHidden(d, n, *item.scope->body);
        else
          d.hint(near.empty() ? "index " + n + " < ..." : "did you mean " + near + "?");
        ok = false;
        continue;
      }
    }
    if (ix->kind == ast::Expr::Kind::Access && find(item.scope, ix->name.text, 1 << 30)) {
      error(
          ix->span,
          "an index on the left is a letter or a number known at compile time, and an element of " +
              ix->name.text + " is a value",
          "E2")
          .hint("the right side says what goes where: " + t.name.text +
                (t.indices.size() > 1 ? "[...,k]" : "[k]") + " = sum[j](... where " +
                ix->name.text + "[j] == k)");
      ok = false;
      continue;
    }
    // A letter inside a larger expression is the mistake to name.
    std::function<bool(const ast::Expr &)> hasLetter = [&](const ast::Expr &e) {
      if (e.kind == ast::Expr::Kind::Name) {
        bool found = false;
        letterExtent(e.name.text, item.scope, file, found);
        return found;
      }
      for (auto &c : e.children)
        if (c && hasLetter(*c))
          return true;
      return false;
    };
    if (hasLetter(*ix)) {
      error(ix->span, "an index on the left is a letter or a number, not an expression of letters",
            "E2")
          .hint("shift the reads on the right instead");
      ok = false;
      continue;
    }
    auto size = sizeOf(*ix, item.scope, file, "an index on the left");
    if (!size) {
      ok = false;
      continue;
    }
    r.value = *size;
    out.push_back(r);
  }
  if (!ok)
    return std::nullopt;
  return out;
}

Size Elaborator::positionOn(const Size &extent, const Size &position) const {
  if (extent.terms().size() != 1 || extent.terms().begin()->first.size() != 1)
    return position;
  const SizeAtom &atom = program_->atoms[extent.terms().begin()->first[0]];
  if (atom.kind != SizeAtom::Kind::Max)
    return position;
  auto past = (position - *atom.lhs).constant();
  return past ? extent + Size(*past) : position;
}

// The letters of a statement's left side, made once for all its targets.
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

bool Elaborator::resolveIndexed(Variable &v) {
  struct Info {
    std::vector<TargetIndex> indices;
    size_t rank = 0;
    bool partial = false;
  };
  std::vector<Info> infos;
  bool ok = true;
  for (size_t i = 0; i < v.items.size(); ++i) {
    const Item &item = v.items[i];
    Info info;
    auto indices = targetIndices(item);
    if (!indices) {
      ok = false;
      infos.push_back(info);
      continue;
    }
    info.indices = *indices;
    info.rank = info.indices.size();
    const ast::Expr &value = *item.statement->value;
    if (isCall(value)) {
      FunctionRef f = function(value.name.text, item.scope);
      if (f.definition && item.target < f.definition->results.size()) {
        size_t more = f.definition->results[item.target].letters.size();
        info.rank += more;
        info.partial = more > 0;
      }
    }
    infos.push_back(info);
  }
  if (!ok)
    return false;
  size_t rank = infos[0].rank;
  for (size_t i = 1; i < infos.size(); ++i)
    if (infos[i].rank != rank) {
      const Item &item = v.items[i];
      error(item.statement->targets[item.target].span,
            v.name + " is defined with " + std::to_string(infos[i].rank) +
                (infos[i].rank == 1 ? " index" : " indices") + " here, and with " +
                std::to_string(rank) + " before",
            "E2")
          .note(v.items[0].statement->targets[v.items[0].target].span, "here");
      return false;
    }
  std::vector<std::optional<Size>> extents(rank);
  std::vector<std::string> names(rank);
  for (size_t i = 0; i < infos.size(); ++i)
    for (size_t a = 0; a < infos[i].indices.size(); ++a) {
      const TargetIndex &x = infos[i].indices[a];
      if (!x.letter)
        continue;
      if (!extents[a]) {
        extents[a] = x.value;
        names[a] = x.name;
      } else if (*extents[a] != x.value) {
        error(x.span,
              "index " + std::to_string(a + 1) + " of " + v.name + " ranges over " +
                  x.value.text(program_->atoms) + " here, and over " +
                  extents[a]->text(program_->atoms) + " before",
              "E4");
        return false;
      }
    }
  // Letters that an equation leaves off are those of its call's result (F4).
  for (size_t i = 0; i < infos.size(); ++i) {
    size_t given = infos[i].indices.size();
    bool missing = false;
    for (size_t a = given; a < rank; ++a)
      missing |= !extents[a];
    if (!infos[i].partial || !missing)
      continue;
    const Item &item = v.items[i];
    Env &env = statementEnvs_[{item.statement, item.scope}];
    if (!env.scope) {
      env.scope = item.scope;
      env.order = static_cast<int>(item.statement - item.scope->statements->data());
      env.bound = item.scope->body->lifted;
      env.guards = item.scope->body->guards;
      for (auto &x : infos[i].indices)
        if (x.letter) {
          env.letters[x.name] = addLetter(x.name, x.value);
          env.bound.push_back(env.letters[x.name]);
        }
    }
    auto views = callStatement(item, env);
    if (!views)
      return false;
    const View &view = (*views)[item.target];
    for (size_t a = given; a < rank && a - given < view.rank(); ++a)
      if (!extents[a]) {
        extents[a] = view.extents[a - given];
        names[a] = view.names[a - given];
      }
  }

  // P2: an axis with constants only spans from 0; P4: constants outside.
  std::vector<int64_t> before(rank, 0), after(rank, 0);
  for (size_t a = 0; a < rank; ++a) {
    if (!extents[a]) {
      int64_t top = 0;
      for (auto &info : infos) {
        auto n = info.indices[a].value.constant();
        if (!n) {
          error(info.indices[a].span,
                "an axis that is defined at numbers only has the extent they "
                "span, and " +
                    info.indices[a].value.text(program_->atoms) + " is not known",
                "P2");
          return false;
        }
        top = std::max(top, *n + 1);
      }
      extents[a] = Size(top);
      names[a] = "_";
    }
    for (auto &info : infos) {
      if (a >= info.indices.size() || info.indices[a].letter)
        continue;
      const Size p = positionOn(*extents[a], info.indices[a].value);
      auto fromStart = p.constant(), fromEnd = (p - *extents[a]).constant();
      if (fromStart && *fromStart < 0)
        before[a] = std::max(before[a], -*fromStart);
      else if (fromEnd && *fromEnd >= 0)
        after[a] = std::max(after[a], *fromEnd + 1);
      else if (!(fromStart && *fromStart == 0) && !(fromEnd && *fromEnd < 0) &&
               !(fromStart && extents[a]->constant()) && !symbolic_ &&
               !(atLeast(*program_, p, 0) && atLeast(*program_, *extents[a] - p, 1))) {
        // (The first position, and what is counted from the end, may be missing: mergeEmptyRanges.)
        error(info.indices[a].span,
              "whether position " + p.text(program_->atoms) + " is one of " + v.name +
                  "'s depends on the size " + extents[a]->text(program_->atoms),
              "E2");
        return false;
      }
    }
    if (before[a] > 4096 || after[a] > 4096) {
      error(v.span, "a start further than 4096 positions outside of " + v.name, "P4");
      return false;
    }
  }

  v.view = {};
  v.view.tensor = addTensor(v.name, *v.scope, v.span);
  Tensor &t = program_->tensors[v.view.tensor];
  for (int l : v.scope->body->lifted)
    v.view.leading.push_back(letterExpr(l, v.span));
  for (size_t a = 0; a < rank; ++a) {
    t.axes.push_back({names[a], *extents[a], before[a], after[a]});
    v.view.extents.push_back(*extents[a]);
    v.view.names.push_back(names[a]);
  }
  return checkPieces(v);
}

bool Elaborator::elaborateItem(Variable &v, size_t index) {
  const Item &item = v.items[index];
  auto indices = targetIndices(item);
  if (!indices)
    return false;
  Env &kept = statementEnvs_[{item.statement, item.scope}];
  if (!kept.scope) {
    kept.scope = item.scope;
    kept.order = static_cast<int>(item.statement - item.scope->statements->data());
    kept.bound = item.scope->body->lifted;
    kept.guards = item.scope->body->guards;
  }
  for (auto &x : *indices)
    if (x.letter && !kept.letters.count(x.name)) {
      if (item.target > 0 ||
          kept.bound.size() > item.scope->body->lifted.size() + indices->size()) {
        error(x.span, "the names on the left of one call have the same letters", "F4");
        return false;
      }
      kept.letters[x.name] = addLetter(x.name, x.value);
      kept.bound.push_back(kept.letters[x.name]);
    }
  Env env = kept;
  Piece piece;
  piece.span = item.statement->span;
  for (int l : item.scope->body->lifted)
    piece.indices.push_back({l, {}});
  for (size_t a = 0; a < indices->size(); ++a) {
    const TargetIndex &x = (*indices)[a];
    piece.indices.push_back(x.letter ? PieceIndex{env.letters[x.name], {}}
                                     : PieceIndex{-1, positionOn(v.view.extents[a], x.value)});
  }
  ExprPtr guard;
  for (auto &g : item.scope->body->guards)
    guard = guard ? apply(Op::And, {guard, g}, g->span) : g;
  piece.guard = guard;
  size_t rank = v.view.rank();
  const ast::Expr &value = *item.statement->value;
  defining_ = v.view.tensor;
  if (item.statement->targets.size() > 1 || indices->size() < rank) {
    auto views = callStatement(item, env);
    if (!views)
      return false;
    for (WholeRead read : statementReads_[{item.statement, item.scope}]) {
      read.reader = defining_;
      wholeReads_.push_back(read);
    }
    const View &view = (*views)[item.target];
    size_t given = indices->size();
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
  } else {
    piece.value = expr(value, env);
  }
  if (!piece.value)
    return false;
  program_->tensors[v.view.tensor].pieces.push_back(std::move(piece));
  return true;
}

} // namespace qkv::sema

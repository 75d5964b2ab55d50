// Equations: the shape of what they define, their pieces, and whether those cover it
// (E1, E2, E3, E4, P1, P2, P4), and parameters.
#include "dsl/Elaborator.h"

#include <algorithm>

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
        .hint(v.kind == Variable::Kind::Indexed
                  ? "give one equation of " + v.name + " all its indices, such as its start"
                  : "a recurrence is written with indices: " + v.name + "[t] = ... " + v.name +
                        "[t-1] ...");
    v.state = S::Failed;
    return nullptr;
  }
  v.state = S::Busy;
  bool ok = false;
  if (++depth_ < 20000) {
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
  --depth_;
  v.state = ok && v.state != S::Failed ? S::Done : S::Failed;
  return v.state == S::Done ? &v.view : nullptr;
}

bool Elaborator::resolveParam(Variable &v) {
  const ast::Param &p = *v.param;
  FileScope &file = *v.scope->body->file;
  std::vector<int64_t> shape;
  std::vector<Size> extents;
  std::vector<std::string> names;
  bool ok = true;
  for (size_t i = 0; i < p.letters.size(); ++i) {
    const ast::Name &l = p.letters[i];
    for (size_t k = 0; k < i; ++k)
      if (p.letters[k].text == l.text) {
        error(l.span, "a param uses a letter once, and " + l.text + " stands here twice", "L8")
            .hint("a second letter: index " + l.text + "2 < extent(" + l.text + ")");
        ok = false;
      }
    bool found = false;
    auto extent = letterExtent(l.text, v.scope, file, found);
    if (!found) {
      auto &d = error(l.span, l.text + " is not a letter; its range comes from an index", "L3");
      if (std::string near = nearest(l.text, namesIn(v.scope)); !near.empty())
        d.hint("did you mean " + near + "?");
      else
        d.hint("index " + l.text + " < ...");
    }
    if (!extent) {
      ok = false;
      continue;
    }
    auto number = extent->constant();
    if (!number && !symbolic_) {
      error(l.span, "the shape of a param is known at compile time, and " + l.text +
                        " ranges over " + extent->text(program_->atoms));
      ok = false;
    }
    shape.push_back(number.value_or(1));
    extents.push_back(*extent);
    names.push_back(l.text);
  }
  if (!ok)
    return false;
  ParamSource source;
  std::vector<std::string> inside = textLetters(p.text, p.letters);
  std::vector<int64_t> counts;
  int64_t total = 1;
  for (size_t i = 0; i < p.letters.size(); ++i)
    if (std::find(inside.begin(), inside.end(), p.letters[i].text) != inside.end()) {
      source.stacked.push_back(static_cast<int>(i));
      counts.push_back(shape[i]);
      total *= shape[i];
      if (total > 100000) {
        error(p.text.span, "the letters inside this name make more than 100000 tensors");
        return false;
      }
    }
  for (int64_t n = 0; n < total; ++n) {
    std::map<std::string, int64_t> values;
    int64_t rest = n;
    for (size_t k = counts.size(); k-- > 0;) {
      values[p.letters[source.stacked[k]].text] = rest % counts[k];
      rest /= counts[k];
    }
    auto name = expandText(p.text, v.scope, file, values);
    if (!name)
      return false;
    source.names.push_back(v.scope->body->prefix + *name);
  }
  if (p.fallback) {
    const ast::Expr &f = *p.fallback;
    Variable *w = f.kind == ast::Expr::Kind::Name ? find(v.scope, f.name.text, 1 << 30) : nullptr;
    if (w && w != &v) {
      const View *view = resolve(*w);
      if (!view)
        return false;
      if (view->tensor < 0 || program_->tensors[view->tensor].kind != Tensor::Kind::Param) {
        error(f.span, "the fallback of a param is another param or a number");
        return false;
      }
      if (view->extents != extents) {
        error(f.span,
              "the fallback has the shape " + shapeText(view->extents) + ", and " + v.name +
                  " has " + shapeText(extents),
              "E4");
        return false;
      }
      source.fallback = ParamSource::Fallback::Tensor;
      source.tensor = view->tensor;
    } else {
      auto c = constant(f, v.scope, file);
      if (!c)
        return false;
      source.fallback = ParamSource::Fallback::Number;
      source.number = c->kind == Constant::Kind::Int
                          ? static_cast<double>(c->size.constant().value_or(0))
                          : c->number;
    }
  }
  // The same tensor of the checkpoint in the same shape is one parameter.
  std::string key = shapeText(extents) + std::to_string(static_cast<int>(source.fallback)) + ":" +
                    std::to_string(source.tensor) + ":" + std::to_string(source.number);
  for (auto &n : source.names)
    key += "\n" + n;
  for (int s : source.stacked)
    key += "," + std::to_string(s);
  auto [it, fresh] = params_.try_emplace(key, 0);
  if (fresh) {
    it->second = addTensor(v.name, *v.scope, p.span);
    Tensor &t = program_->tensors[it->second];
    t.kind = Tensor::Kind::Param;
    t.type = Type::Float;
    t.lifted = 0;
    t.axes.clear();
    t.region = -1;
    for (size_t i = 0; i < extents.size(); ++i)
      t.axes.push_back({names[i], extents[i], 0, 0});
    t.param = std::move(source);
  }
  v.view = {};
  v.view.tensor = it->second;
  v.view.extents = extents;
  v.view.names = names;
  return true;
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
        d.hint(near.empty() ? "index " + n + " < ..." : "did you mean " + near + "?");
        ok = false;
        continue;
      }
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
  auto views = call(*s.value, env);
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
      const Size &p = info.indices[a].value;
      auto fromStart = p.constant(), fromEnd = (p - *extents[a]).constant();
      if (fromStart && *fromStart < 0)
        before[a] = std::max(before[a], -*fromStart);
      else if (fromEnd && *fromEnd >= 0)
        after[a] = std::max(after[a], *fromEnd + 1);
      else if (!(fromStart && *fromStart == 0) && !(fromEnd && *fromEnd < 0) &&
               !(fromStart && extents[a]->constant()) && !symbolic_) {
        // Inside only if the size is large enough: a size is at least 1.
        bool inside = false;
        if (fromStart) { // p < extent for the smallest sizes?
          std::vector<int64_t> ones(program_->atoms.count(), 1);
          inside = extents[a]->terms().size() <= 2 &&
                   *fromStart < extents[a]->evaluate(program_->atoms, ones);
        }
        if (!inside) {
          error(info.indices[a].span,
                "whether position " + p.text(program_->atoms) + " is one of " + v.name +
                    "'s depends on the size " + extents[a]->text(program_->atoms),
                "E2");
          return false;
        }
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

// P1: of two pieces that overlap one is inside the other, and all positions are covered.
bool Elaborator::checkPieces(Variable &v) {
  const Tensor &t = program_->tensors[v.view.tensor];
  size_t lifted = v.scope->body->lifted.size(), rank = v.view.rank();
  struct P {
    std::vector<std::optional<Size>> at; // nothing: a letter
    Span span;
  };
  std::vector<P> pieces;
  for (auto &item : v.items) {
    P p;
    p.span = item.statement->targets[item.target].span;
    auto indices = targetIndices(item);
    if (!indices)
      return false;
    for (auto &x : *indices)
      p.at.push_back(x.letter ? std::nullopt : std::optional(x.value));
    p.at.resize(rank);
    pieces.push_back(std::move(p));
  }
  for (size_t i = 0; i < pieces.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      bool apart = false, inI = true, inJ = true;
      for (size_t a = 0; a < rank; ++a) {
        auto &x = pieces[i].at[a], &y = pieces[j].at[a];
        if (x && y && *x != *y) {
          if (!(*x - *y).isConstant() && !symbolic_) {
            error(pieces[i].span,
                  "whether position " + x->text(program_->atoms) + " is position " +
                      y->text(program_->atoms) + " depends on the sizes",
                  "E2")
                .note(pieces[j].span, "the other one");
            return false;
          }
          apart = true;
        }
        inI &= !x || (y && *x == *y); // j inside i
        inJ &= !y || (x && *x == *y); // i inside j
      }
      if (apart || inI != inJ)
        continue;
      error(pieces[i].span,
            inI ? v.name + " is defined here and at another place for the same positions"
                : "these positions overlap with those of another equation of " + v.name +
                      ", and neither are inside the other",
            inI ? "E1" : "P1")
          .note(pieces[j].span, "the other one");
      return false;
    }
  // Coverage, axis by axis: general pieces take what numbers leave.
  std::function<bool(const std::vector<const P *> &, size_t, std::string)> cover =
      [&](const std::vector<const P *> &some, size_t axis, std::string where) -> bool {
    if (axis == rank)
      return !some.empty();
    std::vector<const P *> general;
    std::vector<Size> numbers;
    for (auto *p : some)
      if (!p->at[axis])
        general.push_back(p);
      else if (std::find(numbers.begin(), numbers.end(), *p->at[axis]) == numbers.end())
        numbers.push_back(*p->at[axis]);
    const Axis &ax = t.axes[lifted + axis];
    // Positions that a number names, inside or outside.
    for (auto &n : numbers) {
      std::vector<const P *> here = general;
      bool outside = (n.constant() && *n.constant() < 0) ||
                     ((n - ax.extent).constant() && *(n - ax.extent).constant() >= 0);
      if (outside)
        here.clear();
      for (auto *p : some)
        if (p->at[axis] && *p->at[axis] == n)
          here.push_back(p);
      if (!cover(here, axis + 1, where + (where.empty() ? "" : ", ") + n.text(program_->atoms)))
        return false;
    }
    // Between a start and the tensor nothing is left out (P4).
    auto named = [&](const Size &n) {
      return std::find(numbers.begin(), numbers.end(), n) != numbers.end();
    };
    bool anyBefore = false, anyAfter = false;
    for (auto &n : numbers) {
      anyBefore |= n.constant() && *n.constant() < 0;
      auto past = (n - ax.extent).constant();
      anyAfter |= past && *past >= 0;
    }
    for (int64_t k = 1; anyBefore && k <= ax.before; ++k)
      if (!named(Size(-k))) {
        error(v.span,
              v.name + " has no value at position " + std::to_string(-k) +
                  ", between its start and the tensor",
              "P4");
        return false;
      }
    for (int64_t k = 0; anyAfter && k < ax.after; ++k)
      if (!named(ax.extent + Size(k))) {
        error(v.span,
              v.name + " has no value at position " + (ax.extent + Size(k)).text(program_->atoms) +
                  ", between the tensor and its end",
              "P4");
        return false;
      }
    if (!general.empty())
      return cover(general, axis + 1, where + (where.empty() ? "" : ", ") + ax.name);
    auto extent = ax.extent.constant();
    if (!extent) {
      if (symbolic_)
        return true;
      error(v.span, v.name + " is not defined at all positions of " + ax.name, "P1");
      return false;
    }
    for (int64_t p = 0; p < *extent; ++p)
      if (!named(Size(p))) {
        error(v.span,
              v.name + " has no equation for position " + std::to_string(p) + " of index " +
                  std::to_string(axis + 1),
              "P1");
        return false;
      }
    return true;
  };
  std::vector<const P *> all;
  for (auto &p : pieces)
    all.push_back(&p);
  size_t errors = diagnostics_.errorCount();
  if (cover(all, 0, ""))
    return true;
  if (diagnostics_.errorCount() == errors)
    error(v.span, v.name + " is not defined at all of its positions", "P1")
        .hint("an equation with a letter in every place, or one more for what is missing");
  return false;
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
  for (auto &x : *indices)
    piece.indices.push_back(x.letter ? PieceIndex{env.letters[x.name], {}}
                                     : PieceIndex{-1, x.value});
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

bool Elaborator::wholeShape(const ast::Expr &e, Env &env, std::vector<Size> &shape, bool &known) {
  using K = ast::Expr::Kind;
  auto merge = [&](const std::vector<Size> &s, const std::string &what) {
    if (s.empty())
      return true;
    if (!known) {
      shape = s;
      known = true;
      return true;
    }
    if (shape == s)
      return true;
    error(e.span,
          what + " has the shape " + shapeText(s) + ", and another operand has " +
              shapeText(shape) + "; whole tensors meet in equal shapes only",
          "E3")
        .hint("indices say which element meets which: y[i,c] = x[i,c] + b[c]");
    return false;
  };
  switch (e.kind) {
  case K::Name: {
    if (env.letters.count(e.name.text))
      return true;
    bool found = false;
    namedConstant(e.name.text, env.scope, *env.scope->body->file, found);
    if (found)
      return true;
    Variable *v = find(env.scope, e.name.text, env.order);
    if (!v)
      return true; // said when it is elaborated
    const View *view = resolve(*v);
    return view && merge(view->extents, e.name.text);
  }
  case K::Call: {
    FunctionRef f = function(e.name.text, env.scope);
    if (f.definition && !elementwise(*f.definition)) {
      if (e.indexed)
        return true;
      auto views = call(e, env);
      if (!views)
        return false;
      return views->size() != 1 || merge((*views)[0].extents, "the result of " + e.name.text);
    }
    for (auto &a : e.arguments)
      if (!a.name && !wholeShape(*a.value, env, shape, known))
        return false;
    return true;
  }
  case K::If: {
    if (auto c = staticCondition(*e.children[0], env))
      return wholeShape(*e.children[*c ? 1 : 2], env, shape, known);
    [[fallthrough]];
  }
  case K::Unary:
  case K::Binary:
  case K::Compare:
    for (auto &c : e.children)
      if (!wholeShape(*c, env, shape, known))
        return false;
    return true;
  default:
    return true;
  }
}

// A whole-tensor expression as a tensor.
View Elaborator::wholeView(const ast::Expr &e, Env &env, bool &ok) {
  ok = false;
  std::vector<Size> shape;
  bool known = false;
  if (!wholeShape(e, env, shape, known))
    return {};
  View view;
  Env inner = env;
  inner.whole = true;
  inner.wholeLetters.clear();
  inner.wholeExtents = shape;
  if (shape.empty()) {
    view.scalar = expr(e, inner);
    ok = view.scalar != nullptr;
    return view;
  }
  Scope &scope = *env.scope;
  view.tensor = addTensor("value", scope, e.span);
  Piece piece;
  piece.span = e.span;
  for (int l : scope.body->lifted) {
    piece.indices.push_back({l, {}});
    view.leading.push_back(letterExpr(l, e.span));
  }
  for (size_t a = 0; a < shape.size(); ++a) {
    std::string letter = "_" + std::to_string(a);
    int l = addLetter(letter, shape[a]);
    inner.wholeLetters.push_back(letterExpr(l, e.span));
    inner.bound.push_back(l);
    piece.indices.push_back({l, {}});
    program_->tensors[view.tensor].axes.push_back({letter, shape[a], 0, 0});
    view.extents.push_back(shape[a]);
    view.names.push_back(letter);
  }
  for (auto &g : scope.body->guards)
    piece.guard = piece.guard ? apply(Op::And, {piece.guard, g}, g->span) : g;
  piece.value = expr(e, inner);
  if (!piece.value)
    return {};
  program_->tensors[view.tensor].pieces.push_back(std::move(piece));
  ok = true;
  return view;
}

bool Elaborator::resolveWhole(Variable &v) {
  const Item &item = v.items[0];
  const ast::Statement &s = *item.statement;
  const ast::Expr &value = *s.value;
  Env env;
  env.scope = item.scope;
  env.order = static_cast<int>(&s - item.scope->statements->data());
  env.bound = item.scope->body->lifted;
  env.guards = item.scope->body->guards;
  env.whole = true;
  FunctionRef f = isCall(value) ? function(value.name.text, item.scope) : FunctionRef{};
  if (s.targets.size() > 1 || (f.definition && !elementwise(*f.definition))) {
    auto views = callStatement(item, env);
    if (!views)
      return false;
    v.view = (*views)[item.target];
    return true;
  }
  bool ok = false;
  size_t before = program_->tensors.size();
  View view = wholeView(value, env, ok);
  if (!ok)
    return false;
  Body &body = *item.scope->body;
  if (view.scalar && body.lifted.empty() && !elementwise(*body.definition)) {
    // A tensor of rank 0, computed once.
    int t = addTensor(v.name, *item.scope, v.span);
    Piece piece;
    piece.span = s.span;
    piece.value = view.scalar;
    program_->tensors[t].pieces.push_back(std::move(piece));
    view = {};
    view.tensor = t;
  } else if (view.tensor >= static_cast<int>(before)) {
    Tensor &t = program_->tensors[view.tensor];
    if (t.label == "value" && t.span.begin == value.span.begin) {
      t.label = v.name;
      std::string name = t.name.substr(0, t.name.rfind("value")) + v.name;
      int &taken = unique_[name];
      t.name = taken++ ? name + "#" + std::to_string(taken) : name;
      t.span = v.span;
      t.pieces[0].span = s.span;
    }
  }
  v.view = view;
  return true;
}

} // namespace qkv::sema

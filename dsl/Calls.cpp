// Calls: a body of its own for each, over the letters that its arguments depend on
// (F1, F2, F3, F4, E4).
//
// In: a call and where it stands. Out: a view for each result. The called body's tensors get
// those letters as their first axes; what of it is of rank 0 stays an expression.
#include "dsl/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {

FunctionRef Elaborator::function(const std::string &name, Scope *scope) {
  if (scope) {
    auto given = scope->body->functions.find(name);
    if (given != scope->body->functions.end())
      return given->second;
  }
  FileScope *file = scope ? scope->body->file : nullptr;
  if (!file)
    return {};
  auto own = file->definitions.find(name);
  if (own != file->definitions.end())
    return {file, own->second, ""};
  for (FileScope *used : file->uses) {
    auto d = used->definitions.find(name);
    if (d != used->definitions.end() && d->second->kind != ast::Definition::Kind::Model)
      return {used, d->second, ""};
  }
  return {};
}

// Used on elements, and element by element on whole tensors (F3).
bool Elaborator::elementwise(const ast::Definition &d) {
  for (auto &f : d.formals)
    if (f.kind == ast::Formal::Kind::Tensor && !f.letters.empty())
      return false;
  for (auto &r : d.results)
    if (!r.letters.empty())
      return false;
  return std::any_of(d.formals.begin(), d.formals.end(),
                     [](auto &f) { return f.kind == ast::Formal::Kind::Tensor; });
}

std::optional<View> Elaborator::argumentView(const ast::Expr &e, Env &env,
                                             const ast::Formal &formal) {
  using K = ast::Expr::Kind;
  size_t rank = formal.letters.size();
  auto wrongRank = [&](size_t have) -> std::optional<View> {
    error(e.span,
          "argument " + formal.name.text + " has " + std::to_string(rank) +
              (rank == 1 ? " index" : " indices") + ", and " + std::to_string(have) +
              (have == 1 ? " is" : " are") + " handed over",
          "F4")
        .note(formal.span, "the argument");
    return std::nullopt;
  };
  if (rank == 0) {
    View v;
    v.scalar = expr(e, env);
    if (!v.scalar)
      return std::nullopt;
    return v;
  }
  Env inner = env;
  inner.whole = false;
  if (e.kind == K::Name || e.kind == K::Access) {
    Variable *v =
        env.letters.count(e.name.text) ? nullptr : find(env.scope, e.name.text, env.order);
    if (!v) {
      if (e.kind == K::Name)
        name(e, inner);
      else
        access(e, inner);
      return std::nullopt;
    }
    const View *whole = resolve(*v);
    if (!whole)
      return std::nullopt;
    View view = *whole;
    if (view.tensor >= 0 && e.indices.empty() && defining_ >= 0 &&
        static_cast<int>(view.leading.size()) == program_->tensors[view.tensor].lifted)
      wholeReads_.push_back({view.tensor, defining_, e.span});
    if (e.indices.size() + rank != view.rank())
      return wrongRank(view.rank() >= e.indices.size() ? view.rank() - e.indices.size() : 0);
    for (auto &ix : e.indices) {
      ExprPtr i = expr(*ix, inner);
      if (!i)
        return std::nullopt;
      view.leading.push_back(i);
    }
    if (view.tensor >= 0 && program_->tensors[view.tensor].instance == env.scope->body->instance)
      view.own = view.leading.size();
    view.extents.erase(view.extents.begin(), view.extents.begin() + e.indices.size());
    view.names.erase(view.names.begin(), view.names.begin() + e.indices.size());
    return view;
  }
  if (e.kind == K::Call) {
    FunctionRef f = function(e.name.text, env.scope);
    if (f.definition && !elementwise(*f.definition)) {
      auto views = call(e, env);
      if (!views)
        return std::nullopt;
      if (views->size() != 1) {
        error(e.span,
              e.name.text + " has " + std::to_string(views->size()) +
                  " results; an argument is one",
              "F4");
        return std::nullopt;
      }
      View view = (*views)[0];
      size_t given = e.indexed ? e.indices.size() : 0;
      if (view.rank() != rank + given)
        return wrongRank(view.rank() >= given ? view.rank() - given : 0);
      for (auto &ix : e.indices) {
        ExprPtr i = expr(*ix, inner);
        if (!i)
          return std::nullopt;
        view.leading.push_back(i);
      }
      view.extents.erase(view.extents.begin(), view.extents.begin() + given);
      view.names.erase(view.names.begin(), view.names.begin() + given);
      return view;
    }
  }
  if (e.kind == K::If)
    if (auto c = staticCondition(*e.children[0], env))
      return argumentView(*e.children[*c ? 1 : 2], env, formal);
  if (!env.whole) {
    error(e.span, "an argument is an element, a tensor with its first indices or none, or a call",
          "F4")
        .hint("an equation of its own for this tensor");
    return std::nullopt;
  }
  bool ok = false;
  View view = wholeView(e, env, ok);
  if (!ok)
    return std::nullopt;
  if (view.rank() != rank)
    return wrongRank(view.rank());
  return view;
}

std::optional<std::vector<View>> Elaborator::call(const ast::Expr &e, Env &env) {
  FunctionRef f = function(e.name.text, env.scope);
  Span at = e.name.span ? e.name.span : e.span;
  if (!f.definition) {
    if (find(env.scope, e.name.text, env.order)) {
      error(at, e.name.text + " is a tensor: it is read with [ ]", "L1");
      return std::nullopt;
    }
    std::vector<std::string> names;
    for (auto &[n, d] : env.scope->body->file->definitions)
      names.push_back(n);
    for (FileScope *u : env.scope->body->file->uses)
      for (auto &[n, d] : u->definitions)
        names.push_back(n);
    static const char *builtins[] = {"exp",     "log",  "sqrt",  "rsqrt", "tanh",
                                     "sigmoid", "erf",  "sin",   "cos",   "abs",
                                     "floor",   "ceil", "round", "min",   "max"};
    names.insert(names.end(), std::begin(builtins), std::end(builtins));
    auto &d = error(at, "there is no function named " + e.name.text);
    std::string near = nearest(e.name.text, names);
    if (!near.empty())
      d.hint("did you mean " + near + "?");
    else if (env.scope->body->file->uses.empty() && standardLibrary("nn"))
      d.hint("use nn brings the standard library in");
    return std::nullopt;
  }
  const ast::Definition &definition = *f.definition;
  if (definition.kind == ast::Definition::Kind::Model) {
    error(at, e.name.text + " is a model; models are compiled, not called", "L1");
    return std::nullopt;
  }
  auto key = std::make_pair(&e, env.scope);
  bool keep = env.whole && !elementwise(definition);
  if (keep) {
    auto it = wholeCalls_.find(key);
    if (it != wholeCalls_.end())
      return it->second;
    wholeCalls_[key] = std::nullopt;
  }
  if (definition.kind == ast::Definition::Kind::Block &&
      env.scope->body->definition->kind == ast::Definition::Kind::Fn) {
    error(at, "a fn does not call a block, and " + e.name.text + " is one", "F2")
        .hint("make " + env.scope->body->definition->name.text + " a block");
    return std::nullopt;
  }
  if (e.from && definition.kind != ast::Definition::Kind::Block) {
    error(e.from->span, "from gives a block its prefix, and " + e.name.text + " is a fn", "F2");
    return std::nullopt;
  }
  for (Body *b = env.scope->body; b; b = b->caller)
    if (b->definition == &definition) {
      error(at, e.name.text + " is called from inside itself", "F1");
      return std::nullopt;
    }
  std::vector<const ast::Formal *> formals;
  for (auto &x : definition.formals)
    if (x.kind == ast::Formal::Kind::Tensor)
      formals.push_back(&x);
  std::vector<const ast::Expr *> given;
  for (auto &a : e.arguments)
    if (!a.name)
      given.push_back(a.value.get());
  if (given.size() != formals.size()) {
    error(e.span,
          e.name.text + " takes " + std::to_string(formals.size()) +
              (formals.size() == 1 ? " tensor" : " tensors") + " by position, and " +
              std::to_string(given.size()) + (given.size() == 1 ? " is" : " are") + " given",
          "F1")
        .note(definition.signatureSpan ? definition.signatureSpan : definition.span,
              "its signature");
    return std::nullopt;
  }
  std::vector<View> views;
  bool ok = true;
  for (size_t i = 0; i < given.size(); ++i) {
    Env inner = env;
    // A rank-0 argument beside tensors is an element also in a whole-tensor equation.
    if (formals[i]->letters.empty() && !elementwise(definition))
      inner.whole = false;
    auto view = argumentView(*given[i], inner, *formals[i]);
    ok = ok && view;
    if (view)
      views.push_back(*view);
  }
  if (!ok)
    return std::nullopt;
  auto result = instantiate(e, f, views, env);
  if (keep)
    wholeCalls_[key] = result;
  return result;
}

bool Elaborator::bindFormal(Body &body, const ast::Formal &formal, const View &view, Span at) {
  for (size_t a = 0; a < formal.letters.size(); ++a) {
    const ast::Name &l = formal.letters[a];
    auto [it, fresh] = body.root->letters.try_emplace(l.text, view.extents[a]);
    if (!fresh && it->second != view.extents[a]) {
      error(at,
            "the letter " + l.text + " of " + body.definition->name.text + " ranges over " +
                it->second.text(program_->atoms) + " by another argument, and over " +
                view.extents[a].text(program_->atoms) + " by this one",
            "E4")
          .note(l.span, "the letter");
      return false;
    }
  }
  Variable *v = addVariable(*body.root, formal.name.text, Variable::Kind::Given, -1, formal.span);
  v->view = view;
  v->state = Variable::State::Done;
  return true;
}

bool Elaborator::bindNamed(const ast::Expr &e, Body &body, Env &env) {
  const ast::Definition &d = *body.definition;
  FileScope &callerFile = *env.scope->body->file;
  bool ok = true;
  std::set<std::string> given;
  for (auto &a : e.arguments) {
    if (!a.name)
      continue;
    const ast::Formal *formal = nullptr;
    for (auto &f : d.formals)
      if (f.name.text == a.name->text)
        formal = &f;
    if (!formal || formal->kind == ast::Formal::Kind::Tensor) {
      std::vector<std::string> names;
      for (auto &f : d.formals)
        if (f.kind != ast::Formal::Kind::Tensor)
          names.push_back(f.name.text);
      auto &x = error(a.name->span,
                      formal ? a.name->text + " is a tensor; tensors are given by position"
                             : d.name.text + " has no argument named " + a.name->text,
                      "F1");
      if (std::string near = nearest(a.name->text, names); !near.empty())
        x.hint("did you mean " + near + "?");
      ok = false;
      continue;
    }
    if (!given.insert(a.name->text).second) {
      error(a.name->span, a.name->text + " is given twice", "F1");
      ok = false;
      continue;
    }
    if (formal->kind == ast::Formal::Kind::Function) {
      FunctionRef f;
      if (a.value->kind == ast::Expr::Kind::Name)
        f = function(a.value->name.text, env.scope);
      if (!f && a.value->kind == ast::Expr::Kind::Name && isBuiltin(a.value->name.text))
        f.builtin = a.value->name.text;
      if (!f) {
        error(a.value->span, formal->name.text + " is a function, and this names none", "F1");
        ok = false;
        continue;
      }
      if (f.definition && f.definition->kind == ast::Definition::Kind::Block &&
          d.kind == ast::Definition::Kind::Fn) {
        error(a.value->span,
              a.value->name.text + " is a block, and the fn " + d.name.text + " cannot call it",
              "F2")
            .hint("make " + d.name.text + " a block");
        ok = false;
        continue;
      }
      body.functions[formal->name.text] = f;
      continue;
    }
    auto c = constant(*a.value, env.scope, callerFile);
    if (c && formal->kind == ast::Formal::Kind::Size && c->kind != Constant::Kind::Int) {
      error(a.value->span, formal->name.text + " is a size: an integer", "F1");
      c.reset();
    }
    if (!c) {
      ok = false;
      continue;
    }
    c->region = -1;
    body.root->constants[formal->name.text] = *c;
  }
  for (auto &f : d.formals) {
    if (f.kind == ast::Formal::Kind::Tensor || given.count(f.name.text))
      continue;
    if (!f.fallback) {
      error(e.span, d.name.text + " wants " + f.name.text + ": it has no default", "F1")
          .note(f.span, "the argument")
          .hint(d.name.text + "(..., " + f.name.text + ": ...)");
      ok = false;
      continue;
    }
    if (f.kind == ast::Formal::Kind::Function)
      continue;
    // A default sees the definition's own file, and the arguments before it.
    auto c = constant(*f.fallback, body.root, *body.file);
    if (!c) {
      ok = false;
      continue;
    }
    body.root->constants[f.name.text] = *c;
  }
  return ok;
}

std::optional<std::vector<View>> Elaborator::instantiate(const ast::Expr &e, FunctionRef f,
                                                         const std::vector<View> &tensors,
                                                         Env &env) {
  Body &caller = *env.scope->body;
  if (bodies_.size() > maxCalls) {
    if (!std::exchange(tooDeep_, true))
      error(e.span, "this model makes more than " + std::to_string(maxCalls) + " calls", "F1");
    return std::nullopt;
  }
  Level level(*this, e.span);
  if (!level)
    return std::nullopt;
  Body *body = makeBody(*f.file, *f.definition, &caller);
  body->prefix = caller.prefix;
  body->path = caller.path + f.definition->name.text + ".";
  body->region = env.scope->region >= 0 ? env.scope->region : caller.region;
  body->root->region = -1;
  if (e.from) {
    auto text = expandText(*e.from, env.scope, *caller.file, {});
    if (!text)
      return std::nullopt;
    body->prefix += *text;
    if (!text->empty())
      body->path = caller.path + *text + (text->back() == '.' ? "" : ".");
  }
  std::set<int> letters;
  for (auto &v : tensors) {
    if (v.scalar)
      letters.merge(std::set<int>(*freeLetters(v.scalar)));
    for (auto &i : v.leading)
      letters.merge(std::set<int>(*freeLetters(i)));
  }
  for (int l : env.bound)
    if (letters.count(l) &&
        std::find(body->lifted.begin(), body->lifted.end(), l) == body->lifted.end())
      body->lifted.push_back(l);
  // Only elements for which the guards around the call hold are needed. A guard that needs
  // another letter too cannot be said here.
  for (auto &g : env.guards) {
    auto need = freeLetters(g);
    if (std::includes(letters.begin(), letters.end(), need->begin(), need->end()))
      body->guards.push_back(g);
  }
  bool ok = true;
  size_t next = 0;
  std::vector<const ast::Expr *> given;
  for (auto &a : e.arguments)
    if (!a.name)
      given.push_back(a.value.get());
  for (auto &formal : f.definition->formals)
    if (formal.kind == ast::Formal::Kind::Tensor) {
      Span at = next < given.size() ? given[next]->span : e.span;
      ok = bindFormal(*body, formal, tensors[next++], at) && ok;
    }
  ok = bindNamed(e, *body, env) && ok;
  if (!ok)
    return std::nullopt;
  declare(*body);
  auto views = results(*body, e.span);
  work_.push_back(body->root);
  return views;
}

std::optional<std::vector<View>> Elaborator::results(Body &body, Span at) {
  std::vector<View> out;
  bool ok = true;
  resolveInOrder(*body.root);
  for (auto &r : body.definition->results) {
    Variable *v = find(body.root, r.name.text, 1 << 30);
    if (!v) {
      error(r.span, "the result " + r.name.text + " of " + body.definition->name.text +
                        " is not defined in its body")
          .hint(r.name.text + (r.letters.empty() ? " = ..." : "[...] = ..."));
      ok = false;
      continue;
    }
    const View *view = resolve(*v);
    if (!view) {
      ok = false;
      continue;
    }
    if (view->rank() != r.letters.size()) {
      error(r.span,
            "the result " + r.name.text + " has " + std::to_string(r.letters.size()) +
                (r.letters.size() == 1 ? " index" : " indices") +
                " in the signature, and is defined with " + std::to_string(view->rank()),
            "E2")
          .note(v->span, "here");
      ok = false;
      continue;
    }
    for (size_t a = 0; a < r.letters.size(); ++a) {
      bool found = false;
      auto extent = letterExtent(r.letters[a].text, body.root, *body.file, found);
      if (!found) {
        error(r.letters[a].span,
              r.letters[a].text + " is no letter of an argument; its range comes "
                                  "from an index",
              "L3")
            .hint("index " + r.letters[a].text + " < ...");
        ok = false;
        break;
      }
      if (!extent || *extent != view->extents[a]) {
        if (extent)
          error(r.letters[a].span,
                r.letters[a].text + " ranges over " + extent->text(program_->atoms) +
                    ", and index " + std::to_string(a + 1) + " of " + r.name.text + " over " +
                    view->extents[a].text(program_->atoms),
                "E4")
              .note(v->span, r.name.text + " is defined here");
        ok = false;
        break;
      }
    }
    out.push_back(*view);
  }
  (void)at;
  if (!ok)
    return std::nullopt;
  return out;
}

bool Elaborator::checkWholeReads() {
  // What each tensor reads, directly.
  std::map<int, std::set<int>> reads;
  auto readsOf = [&](int t) -> const std::set<int> & {
    auto [it, fresh] = reads.try_emplace(t);
    if (!fresh)
      return it->second;
    std::set<const Expr *> seen;
    std::vector<const Expr *> work;
    for (auto &p : program_->tensors[t].pieces) {
      work.push_back(p.value.get());
      work.push_back(p.guard.get());
    }
    while (!work.empty()) {
      const Expr *e = work.back();
      work.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        it->second.insert(e->tensor);
      for (auto &a : e->args)
        work.push_back(a.get());
    }
    return it->second;
  };
  auto reaches = [&](int from, int to) {
    std::set<int> seen;
    std::vector<int> work{from};
    while (!work.empty()) {
      int t = work.back();
      work.pop_back();
      for (int r : readsOf(t)) {
        if (r == to)
          return true;
        if (seen.insert(r).second)
          work.push_back(r);
      }
    }
    return false;
  };
  bool ok = true;
  for (auto &r : wholeReads_) {
    if (program_->tensors[r.tensor].kind != Tensor::Kind::Equation ||
        !reaches(r.tensor, r.reader) || !reaches(r.reader, r.tensor))
      continue;
    ok = false;
    const std::string &name = program_->tensors[r.tensor].label;
    error(
        r.span,
        name +
            " is handed over whole inside of its own recurrence, and so counts as read everywhere",
        "R2")
        .hint("hand over a slice, such as " + name + "[t-1]");
  }
  return ok;
}

void Elaborator::drain() {
  while (!work_.empty() && diagnostics_.errorCount() <= maxErrors && !tooDeep_) {
    Scope *s = work_.front();
    work_.pop_front();
    elaborateScope(*s);
  }
}

} // namespace qkv::sema

// One call's body: its arguments bound, its results found (F1, F2, F4, E4).
//
// In: a definition, the tensors handed to it, and the call. Out: a view for each result, and the
// body on the list of what is still to be elaborated.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {

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

// The size, constant or function of a definition that an argument names.
const ast::Formal *Elaborator::namedFormal(const ast::Argument &a, const ast::Definition &d) {
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
    return nullptr;
  }
  return formal;
}

bool Elaborator::bindFunction(const ast::Argument &a, const ast::Formal &formal, Body &body,
                              Env &env) {
  const ast::Definition &d = *body.definition;
  FunctionRef f;
  if (a.value->kind == ast::Expr::Kind::Name)
    f = function(a.value->name.text, env.scope);
  if (!f && a.value->kind == ast::Expr::Kind::Name && isBuiltin(a.value->name.text))
    f.builtin = a.value->name.text;
  if (!f) {
    error(a.value->span, formal.name.text + " is a function, and this names none", "F1");
    return false;
  }
  if (f.definition && f.definition->kind == ast::Definition::Kind::Block &&
      d.kind == ast::Definition::Kind::Fn) {
    error(a.value->span,
          a.value->name.text + " is a block, and the fn " + d.name.text + " cannot call it", "F2")
        .hint("make " + d.name.text + " a block");
    return false;
  }
  body.functions[formal.name.text] = f;
  return true;
}

// What an argument that is not given has: its default.
bool Elaborator::bindDefaults(const ast::Expr &e, Body &body, const std::set<std::string> &given) {
  const ast::Definition &d = *body.definition;
  bool ok = true;
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

bool Elaborator::bindNamed(const ast::Expr &e, Body &body, Env &env) {
  const ast::Definition &d = *body.definition;
  FileScope &callerFile = *env.scope->body->file;
  bool ok = true;
  std::set<std::string> given;
  for (auto &a : e.arguments) {
    if (!a.name)
      continue;
    const ast::Formal *formal = namedFormal(a, d);
    if (!formal) {
      ok = false;
      continue;
    }
    if (!given.insert(a.name->text).second) {
      error(a.name->span, a.name->text + " is given twice", "F1");
      ok = false;
      continue;
    }
    if (formal->kind == ast::Formal::Kind::Function) {
      ok &= bindFunction(a, *formal, body, env);
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
  return bindDefaults(e, body, given) && ok;
}

std::optional<std::vector<View>> Elaborator::instantiate(const ast::Expr &e, FunctionRef f,
                                                         const std::vector<View> &tensors,
                                                         Env &env) {
  Body &caller = *env.scope->body;
  if (bodies_.size() > maxCalls) {
    errorTooDeep(e.span, "this model makes more than " + std::to_string(maxCalls) + " calls", "F1");
    return std::nullopt;
  }
  Level level(*this, e.span);
  if (!level)
    return std::nullopt;
  size_t before = said_;
  Body *body = makeBody(*f.file, *f.definition, &caller);
  unsure_ |= said_ != before;
  body->prefix = caller.prefix;
  body->path = caller.path + f.definition->name.text + ".";
  body->region = env.scope->region >= 0 ? env.scope->region : caller.region;
  body->root->region = -1;
  if (e.from) {
    auto names =
        expandFormats(e.from->text, e.from->span, e.from->formats, env.scope, *caller.file, {});
    if (!names)
      return std::nullopt;
    body->prefix = behind(body->prefix, *names);
    if (const std::string &text = names->at(""); !text.empty())
      body->path = caller.path + text + (text.back() == '.' ? "" : ".");
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
  before = said_;
  declare(*body);
  unsure_ |= said_ != before;
  auto views = results(*body, e.span);
  work_.push_back(body->root);
  return views;
}

std::optional<std::vector<View>> Elaborator::results(Body &body, Span at) {
  OneEquation inside(*this); // of a result, and nothing else reads that
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

} // namespace qkv::sema

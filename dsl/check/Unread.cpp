// Equations that were meant to change something outside and change nothing (R6).
//
// In: the bodies of a model, their names declared. Out: an error for each tensor that no result
// needs although a tensor of its name stands outside of the repeat it is in, or a size or constant
// of its name in the file. What holds: a name that is mentioned counts as read, also in
// the branch of an `if` that this model's sizes do not take.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {
namespace {

/// One name on the left of a statement, whatever step or call it is made for.
using Defined = std::pair<const ast::Statement *, size_t>;

/// The names that an expression may read.
void mentioned(const ast::Expr &e, std::set<std::string> &names) {
  using K = ast::Expr::Kind;
  if (e.kind == K::Name || e.kind == K::Access)
    names.insert(e.name.text);
  for (auto &child : e.children)
    if (child)
      mentioned(*child, names);
  for (auto &index : e.indices)
    mentioned(*index, names);
  for (auto &argument : e.arguments)
    mentioned(*argument.value, names);
}

bool isEquation(const Variable &v) {
  return v.kind == Variable::Kind::Indexed || v.kind == Variable::Kind::Whole;
}

/// x = ... in a repeat for an x that the steps hand on.
bool bindsAnew(const Variable &v) {
  if (v.kind != Variable::Kind::Whole)
    return false;
  auto &versions = v.scope->variables.at(v.name);
  return versions[0]->kind == Variable::Kind::Alias;
}

/// The tensor that this equation does not change, or null.
const Variable *outside(const Variable &v) {
  for (Scope *s = v.scope->parent; s; s = s->parent)
    if (auto it = s->variables.find(v.name); it != s->variables.end())
      for (const Variable *w : it->second)
        if (w->kind != Variable::Kind::Alias)
          return w;
  return nullptr;
}

/// The declaration of the file that this equation hides, or null.
const ast::Declaration *hidden(const Variable &v, const char *&what) {
  const FileScope &file = *v.scope->body->file;
  auto search = [&](auto &map, const char *kind) -> const ast::Declaration * {
    auto it = map.find(v.name);
    if (it == map.end())
      return nullptr;
    what = kind;
    return it->second;
  };
  if (auto *d = search(file.sizes, "size"))
    return d;
  return search(file.consts, "constant");
}

} // namespace

// What is read, from the results of the body down to what they need.
void Elaborator::markNeeded(Body &body, std::set<Defined> &needed) {
  std::map<const ast::Statement *, std::set<Defined>> reads;
  auto add = [&](std::set<Defined> &to, Scope *scope, const std::string &name, int order) {
    Variable *v = find(scope, name, order);
    while (v && v->kind == Variable::Kind::Alias)
      v = find(v->aliasScope, v->name, v->aliasOrder);
    if (v)
      for (const Item &item : v->items)
        to.insert({item.statement, item.target});
  };
  std::vector<Scope *> scopes{body.root};
  while (!scopes.empty()) {
    Scope *scope = scopes.back();
    scopes.pop_back();
    for (size_t i = 0; i < scope->statements->size(); ++i) {
      const ast::Statement &s = (*scope->statements)[i];
      if (auto steps = scope->steps.find(&s); steps != scope->steps.end())
        scopes.insert(scopes.end(), steps->second.begin(), steps->second.end());
      if (s.kind != ast::Statement::Kind::Equation)
        continue;
      std::set<std::string> names;
      mentioned(*s.value, names);
      for (auto &name : names)
        add(reads[&s], scope, name, static_cast<int>(i));
    }
  }
  std::set<Defined> open;
  for (auto &result : body.definition->results)
    add(open, body.root, result.name.text, 1 << 30);
  std::set<const ast::Statement *> seen;
  while (!open.empty()) {
    Defined one = *open.begin();
    open.erase(open.begin());
    needed.insert(one);
    if (seen.insert(one.first).second)
      open.insert(reads[one.first].begin(), reads[one.first].end());
  }
}

void Elaborator::checkUnread() {
  std::vector<const Variable *> suspects;
  std::set<const ast::Definition *> definitions;
  for (auto &v : variables_) {
    const char *what = nullptr;
    if (!isEquation(*v) || v->state == Variable::State::Failed || v->items.empty() ||
        bindsAnew(*v) || (!outside(*v) && !hidden(*v, what)))
      continue;
    suspects.push_back(v.get());
    definitions.insert(v->scope->body->definition);
  }
  std::set<Defined> needed;
  for (auto &body : bodies_)
    if (definitions.count(body->definition) && !body->root->variables.empty())
      markNeeded(*body, needed);
  OneEquation inside(*this);
  std::set<Defined> said;
  for (const Variable *v : suspects) {
    auto unread = [&](const Item &item) { return !needed.count({item.statement, item.target}); };
    if (!std::all_of(v->items.begin(), v->items.end(), unread) ||
        !said.insert({v->items[0].statement, v->items[0].target}).second)
      continue;
    if (const Variable *w = outside(*v)) {
      error(v->span,
            "no result needs this " + v->name + ": it is a tensor of the step's own, and the " +
                v->name + " outside of the repeat stays as it is",
            "R6")
          .note(w->span, "the " + v->name + " outside")
          .hint("bind it anew without indices, " + v->name + " = ..., below an equation of " +
                v->name + "; or give the tensor of one step another name");
      continue;
    }
    const char *what = nullptr;
    const ast::Declaration *declaration = hidden(*v, what);
    error(v->span,
          "no result needs this " + v->name + ": it is a tensor, and the " + what + " " + v->name +
              " of the file stays as it is",
          "R6")
        .note(declaration->name.span, std::string("the ") + what)
        .hint("another name for the tensor; what the file declares holds wherever the file uses "
              "it");
  }
}

} // namespace qkv::sema

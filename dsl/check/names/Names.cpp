// What the names of a body are, and which version is meant where (L1, L2, E1).
//
// In: a definition. Out: a body whose names each have a class; versions of names, in the order of
// the statements that make them.
#include "dsl/check/names/Names.h"

#include <algorithm>

namespace qkv::sema {
namespace {

const char *className(NameClass c) {
  switch (c) {
  case NameClass::Letter:
    return "a letter";
  case NameClass::Size:
    return "a size";
  case NameClass::Const:
    return "a constant";
  case NameClass::Tensor:
    return "a tensor";
  case NameClass::Function:
    return "a function";
  }
  return "";
}

} // namespace

void Names::classify(Body &body, const std::string &name, NameClass c, Span span) {
  if (name == "_")
    return;
  auto [it, fresh] = body.names.try_emplace(name, c, span);
  if (fresh || it->second.first == c)
    return;
  error(span,
        name + " is " + className(it->second.first) + " of this body already, and cannot be " +
            className(c) + " as well",
        "L1")
      .note(it->second.second, std::string("it is ") + className(it->second.first) + " here");
}

void Names::sayHidden(Diagnostic &d, const std::string &name, Body &body) {
  auto own = body.names.find(name);
  if (own == body.names.end())
    return;
  const FileScope &file = *body.file;
  const char *what = file.indices.count(name)  ? "letter"
                     : file.sizes.count(name)  ? "size"
                     : file.consts.count(name) ? "constant"
                                               : nullptr;
  d.note(own->second.second,
         name + " is " + className(own->second.first) + " of this body" +
             (what ? std::string(", and hides the ") + what + " of the file" : std::string()));
  if (what)
    d.hint(std::string("another name, and ") + name + " stays the " + what);
}

void Names::classifyAll(Body &body, const std::vector<ast::Statement> &statements) {
  using K = ast::Statement::Kind;
  for (auto &s : statements) {
    for (auto &d : s.declarations)
      classify(body, d.name.text,
               s.kind == K::Size    ? NameClass::Size
               : s.kind == K::Const ? NameClass::Const
                                    : NameClass::Letter,
               d.name.span);
    for (auto &p : s.params)
      classify(body, p.name.text, NameClass::Tensor, p.name.span);
    for (auto &t : s.targets)
      classify(body, t.name.text, NameClass::Tensor, t.name.span);
    if (s.repeat) {
      classify(body, s.repeat->letter.text, NameClass::Size, s.repeat->letter.span);
      classifyAll(body, s.repeat->body);
    }
  }
}

Scope *Names::addScope(Body &body, const std::vector<ast::Statement> &statements) {
  scopes_.push_back(std::make_unique<Scope>());
  Scope *scope = scopes_.back().get();
  scope->body = &body;
  scope->statements = &statements;
  return scope;
}

Body *Names::makeBody(FileScope &file, const ast::Definition &definition, Body *caller) {
  bodies_.push_back(std::make_unique<Body>());
  Body *b = bodies_.back().get();
  b->file = &file;
  b->definition = &definition;
  b->caller = caller;
  b->instance = static_cast<int>(bodies_.size()) - 1;
  b->root = addScope(*b, definition.body);
  for (auto &f : definition.formals) {
    NameClass c = f.kind == ast::Formal::Kind::Tensor  ? NameClass::Tensor
                  : f.kind == ast::Formal::Kind::Size  ? NameClass::Size
                  : f.kind == ast::Formal::Kind::Const ? NameClass::Const
                                                       : NameClass::Function;
    auto it = b->names.find(f.name.text);
    if (it != b->names.end() && it->second.first == c)
      error(f.name.span, f.name.text + " is an argument already", "L1")
          .note(it->second.second, "here");
    classify(*b, f.name.text, c, f.name.span);
    if (c == NameClass::Tensor && definition.kind != ast::Definition::Kind::Model)
      for (auto &l : f.letters)
        classify(*b, l.text, NameClass::Letter, l.span);
  }
  classifyAll(*b, definition.body);
  return b;
}

Variable *Names::addVariable(Scope &scope, const std::string &name, Variable::Kind kind, int order,
                             Span span) {
  variables_.push_back(std::make_unique<Variable>());
  Variable *v = variables_.back().get();
  v->name = name;
  v->scope = &scope;
  v->kind = kind;
  v->order = order;
  v->span = span;
  auto &versions = scope.variables[name];
  versions.insert(std::upper_bound(versions.begin(), versions.end(), v,
                                   [](auto *a, auto *b) { return a->order < b->order; }),
                  v);
  return v;
}

bool Names::visible(Scope *scope, const std::string &name, int order) {
  for (Scope *s = scope; s; order = s->orderInParent, s = s->parent) {
    auto it = s->variables.find(name);
    if (it != s->variables.end())
      for (Variable *v : it->second)
        if (v->order < order)
          return true;
  }
  return false;
}

// Lines above a rebinding and its own right side see the old one, lines below the new one;
// a name that has no version above is found wherever it stands (E1).
Variable *Names::find(Scope *scope, const std::string &name, int order) {
  for (Scope *s = scope; s; order = s->orderInParent, s = s->parent) {
    auto it = s->variables.find(name);
    if (it == s->variables.end() || it->second.empty())
      continue;
    Variable *best = nullptr;
    for (Variable *v : it->second)
      if (v->order < order)
        best = v;
    if (best)
      return best;
    // The one below is meant, unless an outer scope has it already.
    if (s->parent && visible(s->parent, name, s->orderInParent))
      continue;
    return it->second[0];
  }
  return nullptr;
}

std::vector<std::string> Names::namesIn(Scope *scope) {
  std::vector<std::string> out;
  if (diagnostics_.errorCount() > maxErrors)
    return out;
  for (Scope *s = scope; s; s = s->parent) {
    for (auto &[n, v] : s->variables)
      out.push_back(n);
    for (auto &[n, v] : s->letters)
      out.push_back(n);
    for (auto &[n, v] : s->indices)
      out.push_back(n);
    for (auto &[n, v] : s->sizes)
      out.push_back(n);
    for (auto &[n, v] : s->consts)
      out.push_back(n);
    for (auto &[n, v] : s->constants)
      out.push_back(n);
  }
  FileScope &f = *scope->body->file;
  for (auto &[n, v] : f.indices)
    out.push_back(n);
  for (auto &[n, v] : f.sizes)
    out.push_back(n);
  for (auto &[n, v] : f.consts)
    out.push_back(n);
  return out;
}

} // namespace qkv::sema

// Calls: a body of its own for each, over the letters that its arguments depend on
// (F1, F2, F3, F4, E4).
//
// In: a call and where it stands. Out: a view for each result (Instances.cpp makes them). The
// called body's tensors get those letters as their first axes; what of it is of rank 0 stays an
// expression.
#include "dsl/check/Elaborator.h"
#include "dsl/syntax/Habits.h"

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

static std::string sourceText(Span span) {
  if (!span.source || span.end > span.source->text().size() || span.end - span.begin > 60)
    return "...";
  return span.source->text().substr(span.begin, span.end - span.begin);
}

/// "linear(x, O: 8)": the call with what stands by position behind its tensors given by name.
static std::string byName(const ast::Expr &e, const ast::Definition &definition,
                          const std::vector<const ast::Expr *> &given, size_t tensors) {
  std::vector<const ast::Formal *> named;
  for (auto &f : definition.formals) {
    bool there = f.kind == ast::Formal::Kind::Tensor;
    for (auto &a : e.arguments)
      there |= a.name && a.name->text == f.name.text;
    if (!there)
      named.push_back(&f);
  }
  std::string text = e.name.text + "(";
  if (given.size() <= tensors || given.size() - tensors > named.size()) {
    for (auto &f : definition.formals)
      if (f.kind == ast::Formal::Kind::Tensor)
        text += (text.back() == '(' ? "" : ", ") + f.name.text;
    return "its tensors stand in this order: " + text + ")";
  }
  for (size_t i = 0; i < given.size(); ++i)
    text += (i ? ", " : "") + (i < tensors ? "" : named[i - tensors]->name.text + ": ") +
            sourceText(given[i]->span);
  for (auto &a : e.arguments)
    if (a.name)
      text += ", " + a.name->text + ": " + sourceText(a.value->span);
  return "sizes, constants and functions are given by name: " + text + ")";
}

// An argument with more indices than the function has: "q[h] = rms_norm(q[h])".
std::string Elaborator::mappedCall(const ast::Expr &argument, const View &view, size_t rank,
                                   const Env &env) {
  if (argument.kind != ast::Expr::Kind::Name || view.names.size() <= rank)
    return "";
  std::string letters;
  for (size_t a = 0; a + rank < view.names.size(); ++a)
    letters += (a ? "," : "") + view.names[a];
  std::string slice = argument.name.text + "[" + letters + "]";
  const ast::Statement *s = nullptr;
  if (env.order >= 0 && env.order < static_cast<int>(env.scope->statements->size()))
    s = &(*env.scope->statements)[env.order];
  std::string hint = "a slice hands over the rest, for each value of its letters: ";
  if (!s || s->targets.size() != 1 || !s->value || s->value->kind != ast::Expr::Kind::Call ||
      s->targets[0].indexed)
    return hint + slice;
  std::string call = s->value->name.text + "(";
  for (auto &a : s->value->arguments)
    call += (call.back() == '(' ? "" : ", ") + (a.name ? a.name->text + ": " : std::string()) +
            (a.value->span.begin == argument.span.begin ? slice : sourceText(a.value->span));
  return hint + s->targets[0].name.text + "[" + letters + "] = " + call + ")";
}

std::nullopt_t Elaborator::wrongRank(const ast::Expr &e, const ast::Formal &formal, size_t have,
                                     const std::string &hint) {
  size_t rank = formal.letters.size();
  auto &d = error(e.span,
                  "argument " + formal.name.text + " has " + std::to_string(rank) +
                      (rank == 1 ? " index" : " indices") + ", and " + std::to_string(have) +
                      (have == 1 ? " is" : " are") + " handed over",
                  "F4");
  d.note(formal.span, "the argument");
  if (!hint.empty())
    d.hint(hint);
  return std::nullopt;
}

bool Elaborator::giveLeading(View &view, const std::vector<ast::ExprPtr> &indices, Env &env) {
  for (auto &ix : indices) {
    ExprPtr i = expr(*ix, env);
    if (!i)
      return false;
    view.leading.push_back(i);
  }
  auto given = static_cast<ptrdiff_t>(indices.size());
  view.extents.erase(view.extents.begin(), view.extents.begin() + given);
  view.names.erase(view.names.begin(), view.names.begin() + given);
  return true;
}

std::optional<View> Elaborator::namedArgument(const ast::Expr &e, Env &env,
                                              const ast::Formal &formal) {
  size_t rank = formal.letters.size();
  Env inner = env;
  inner.whole = false;
  Variable *v = env.letters.count(e.name.text) ? nullptr : find(env.scope, e.name.text, env.order);
  if (!v) {
    if (e.kind == ast::Expr::Kind::Name)
      name(e, inner);
    else
      access(e, inner);
    return std::nullopt;
  }
  const View *whole = resolve(*v);
  if (!whole)
    return std::nullopt;
  View view = *whole;
  if (view.tensor >= 0 && e.indices.empty() &&
      static_cast<int>(view.leading.size()) == program_->tensors[view.tensor].lifted)
    wholeReads_.push_back({view.tensor, defining_, e.span});
  if (e.indices.size() + rank != view.rank())
    return wrongRank(e, formal,
                     view.rank() >= e.indices.size() ? view.rank() - e.indices.size() : 0,
                     mappedCall(e, view, rank, env));
  if (!giveLeading(view, e.indices, inner))
    return std::nullopt;
  if (view.tensor >= 0 && program_->tensors[view.tensor].instance == env.scope->body->instance)
    view.own = view.leading.size();
  return view;
}

std::optional<View> Elaborator::calledArgument(const ast::Expr &e, Env &env,
                                               const ast::Formal &formal) {
  size_t rank = formal.letters.size();
  Env inner = env;
  inner.whole = false;
  auto views = call(e, env);
  if (!views)
    return std::nullopt;
  if (views->size() != 1) {
    error(e.span,
          e.name.text + " has " + std::to_string(views->size()) + " results; an argument is one",
          "F4");
    return std::nullopt;
  }
  View view = (*views)[0];
  size_t given = e.indexed ? e.indices.size() : 0;
  if (view.rank() != rank + given)
    return wrongRank(e, formal, view.rank() >= given ? view.rank() - given : 0);
  if (given && !giveLeading(view, e.indices, inner))
    return std::nullopt;
  return view;
}

std::optional<View> Elaborator::argumentView(const ast::Expr &e, Env &env,
                                             const ast::Formal &formal) {
  using K = ast::Expr::Kind;
  size_t rank = formal.letters.size();
  if (rank == 0) {
    View v;
    v.scalar = expr(e, env);
    if (!v.scalar)
      return std::nullopt;
    return v;
  }
  if (e.kind == K::Name || e.kind == K::Access)
    return namedArgument(e, env, formal);
  if (e.kind == K::Call) {
    FunctionRef f = function(e.name.text, env.scope);
    if (f.definition && !elementwise(*f.definition))
      return calledArgument(e, env, formal);
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
    return wrongRank(e, formal, view.rank());
  return view;
}

void Elaborator::unknownFunction(const ast::Expr &e, Env &env) {
  Span at = e.name.span ? e.name.span : e.span;
  if (find(env.scope, e.name.text, env.order)) {
    auto &d = error(at, e.name.text + " is a tensor: it is read with [ ]", "L1");
    Span inner = e.arguments.empty()
                     ? Span()
                     : join(e.arguments.front().value->span, e.arguments.back().value->span);
    if (inner.source)
      d.hint("write " + e.name.text + "[" + sourceText(inner) + "]");
    return;
  }
  std::vector<std::string> names;
  for (auto &[n, d] : env.scope->body->file->definitions)
    names.push_back(n);
  for (FileScope *u : env.scope->body->file->uses)
    for (auto &[n, d] : u->definitions)
      names.push_back(n);
  for (const Function &f : functions())
    names.emplace_back(f.name);
  auto &d = error(at, "there is no function named " + e.name.text);
  std::string near = nearest(e.name.text, names);
  if (std::string hint = habits::name(e.name.text); !hint.empty())
    d.hint(hint);
  else if (!near.empty())
    d.hint("did you mean " + near + "?");
  else if (env.scope->body->file->uses.empty() && standardLibrary("nn"))
    d.hint("use nn brings the standard library in");
}

// Whether a definition may be called here (L1, F1, F2).
bool Elaborator::mayCall(const ast::Expr &e, const ast::Definition &definition, const Env &env) {
  Span at = e.name.span ? e.name.span : e.span;
  if (definition.kind == ast::Definition::Kind::Model) {
    error(at, e.name.text + " is a model; models are compiled, not called", "L1");
    return false;
  }
  if (definition.kind == ast::Definition::Kind::Block &&
      env.scope->body->definition->kind == ast::Definition::Kind::Fn) {
    error(at, "a fn does not call a block, and " + e.name.text + " is one", "F2")
        .hint("make " + env.scope->body->definition->name.text + " a block");
    return false;
  }
  if (e.from && definition.kind != ast::Definition::Kind::Block) {
    error(e.from->span, "from gives a block its prefix, and " + e.name.text + " is a fn", "F2");
    return false;
  }
  for (Body *b = env.scope->body; b; b = b->caller)
    if (b->definition == &definition) {
      error(at, e.name.text + " is called from inside itself", "F1");
      return false;
    }
  return true;
}

// The tensors of a call, one for each of the definition's.
std::optional<std::vector<View>>
Elaborator::callArguments(const ast::Expr &e, const ast::Definition &definition, Env &env) {
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
              "its signature")
        .hint(byName(e, definition, given, formals.size()));
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
  return ok ? std::optional(views) : std::nullopt;
}

std::optional<std::vector<View>> Elaborator::call(const ast::Expr &e, Env &env) {
  FunctionRef f = function(e.name.text, env.scope);
  if (!f.definition) {
    unknownFunction(e, env);
    return std::nullopt;
  }
  const ast::Definition &definition = *f.definition;
  auto key = std::make_pair(&e, env.scope);
  bool keep = env.whole && !elementwise(definition);
  if (keep) {
    auto it = wholeCalls_.find(key);
    if (it != wholeCalls_.end())
      return it->second;
    wholeCalls_[key] = std::nullopt;
  }
  if (!mayCall(e, definition, env))
    return std::nullopt;
  auto views = callArguments(e, definition, env);
  if (!views)
    return std::nullopt;
  auto result = instantiate(e, f, *views, env);
  if (keep)
    wholeCalls_[key] = result;
  return result;
}

} // namespace qkv::sema

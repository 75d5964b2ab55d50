// What the statements of a body declare, and its equations in turn (L1, E1, F5).
//
// In: a definition's statements. Out: scopes with their variables, none of them resolved yet.
// The steps of a `repeat` are scopes of their own, made at once: the count is known.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {
namespace {

// Whether an expression mentions a name (as a size would be).
bool mentions(const ast::Expr &e, const std::string &name) {
  if (e.kind == ast::Expr::Kind::Name)
    return e.name.text == name;
  for (auto &c : e.children)
    if (c && mentions(*c, name))
      return true;
  for (auto &c : e.indices)
    if (c && mentions(*c, name))
      return true;
  return false;
}

// A target of a repeat's body whose first index has the step in it collects over the steps.
bool collects(const ast::Target &t, const std::string &letter) {
  return t.indexed && !t.indices.empty() && mentions(*t.indices[0], letter);
}

} // namespace

// Sizes, constants and letters, each declared once.
void Elaborator::declareNumbers(Scope &scope) {
  using K = ast::Statement::Kind;
  auto once = [&](auto &map, const ast::Declaration &d) {
    auto [it, fresh] = map.try_emplace(d.name.text, &d);
    if (!fresh)
      error(d.name.span, d.name.text + " is declared already", "L1")
          .note(it->second->name.span, "here");
    else if (scope.constants.count(d.name.text) || scope.letters.count(d.name.text))
      error(d.name.span, d.name.text + " is an argument already", "L1");
  };
  for (auto &s : *scope.statements)
    for (auto &d : s.declarations)
      once(s.kind == K::Size ? scope.sizes : s.kind == K::Const ? scope.consts : scope.indices, d);
}

void Elaborator::declareParam(Scope &scope, const ast::Param &p) {
  const ast::Definition &definition = *scope.body->definition;
  if (definition.kind == ast::Definition::Kind::Fn) {
    error(p.span, "a param belongs in a block or a model; " + definition.name.text + " is a fn",
          "F2")
        .hint("block " + definition.name.text + "(...) instead of fn");
  }
  if (scope.variables.count(p.name.text)) {
    error(p.name.span, p.name.text + " is defined already", "E1")
        .note(scope.variables[p.name.text][0]->span, "here");
    return;
  }
  addVariable(scope, p.name.text, Variable::Kind::Param, -1, p.span)->param = &p;
}

void Elaborator::declareTarget(Scope &scope, const ast::Statement &s, size_t t, int order) {
  Body &body = *scope.body;
  const ast::Target &target = s.targets[t];
  const std::string &name = target.name.text;
  if (name == "_")
    return;
  if (body.names.count(name) && body.names[name].first != NameClass::Tensor)
    return; // said already (L1)
  if (!target.indexed) {
    for (size_t u = 0; u < t; ++u)
      if (s.targets[u].name.text == name)
        error(target.name.span, name + " stands on the left twice", "E1");
    Variable *v = addVariable(scope, name, Variable::Kind::Whole, order, target.name.span);
    v->items.push_back({&scope, &s, t});
    return;
  }
  // Where does this piece belong: to this scope, or, collected over steps, outside?
  Scope *owner = &scope;
  int ownerOrder = order;
  for (Scope *step = &scope; step->parent; step = step->parent) {
    const ast::Statement &repeat = (*step->parent->statements)[step->orderInParent];
    if (collects(target, repeat.repeat->letter.text)) {
      owner = step->parent;
      ownerOrder = step->orderInParent;
    }
  }
  Variable *v = nullptr;
  auto it = owner->variables.find(name);
  if (it != owner->variables.end())
    for (Variable *w : it->second) {
      if (w->kind == Variable::Kind::Indexed) {
        v = w;
      } else if (w->order < ownerOrder) {
        error(target.name.span,
              name + " is defined already; an indexed equation never "
                     "redefines",
              "E1")
            .note(w->span, "here")
            .hint("a name of its own, or " + name + " = ... without indices for a new version");
        v = nullptr;
        break;
      }
    }
  if (!v) {
    if (it != owner->variables.end() && !it->second.empty() && it->second[0]->order < ownerOrder &&
        it->second[0]->kind != Variable::Kind::Indexed)
      return;
    v = addVariable(*owner, name, Variable::Kind::Indexed, ownerOrder, target.name.span);
  }
  v->items.push_back({&scope, &s, t});
  v->order = std::min(v->order, ownerOrder);
}

// The steps of a `repeat`, each a scope of its own, and the names that they hand on.
void Elaborator::declareSteps(Scope &scope, const ast::Statement &s, int order) {
  Body &body = *scope.body;
  auto count = sizeOf(*s.repeat->count, &scope, *body.file, "the count of a repeat");
  if (!count)
    return;
  auto number = count->constant();
  if (!number || *number < 0) {
    error(s.repeat->count->span,
          "the count of a repeat is an integer known at compile time, "
          "at least 0",
          "F5");
    return;
  }
  if (*number > static_cast<int64_t>(maxSteps) || program_->regions.size() + *number > maxSteps) {
    errorTooDeep(s.repeat->count->span,
                 "the repeats of this model have more than " + std::to_string(maxSteps) + " steps",
                 "F5");
    return;
  }
  // Names that the steps hand on: whole targets that exist where the repeat stands.
  std::set<std::string> carried;
  std::function<void(const std::vector<ast::Statement> &)> scan =
      [&](const std::vector<ast::Statement> &inner) {
        for (auto &e : inner) {
          for (auto &t : e.targets)
            if (!t.indexed && t.name.text != "_" && visible(&scope, t.name.text, order))
              carried.insert(t.name.text);
          if (e.repeat)
            scan(e.repeat->body);
        }
      };
  scan(s.repeat->body);
  int repeat = repeats_++;
  Scope *previous = nullptr;
  int end = static_cast<int>(s.repeat->body.size());
  for (int64_t step = 0; step < *number; ++step) {
    Scope *inner = addScope(body, s.repeat->body);
    inner->parent = &scope;
    inner->orderInParent = order;
    Region region;
    region.parent = scope.region;
    region.repeat = repeat;
    region.step = step;
    region.letter = s.repeat->letter.text;
    region.span = s.span;
    inner->region = static_cast<int>(program_->regions.size());
    program_->regions.push_back(region);
    Constant l;
    l.size = Size(step);
    l.region = inner->region;
    inner->constants[s.repeat->letter.text] = l;
    for (auto &name : carried) {
      Variable *v = addVariable(*inner, name, Variable::Kind::Alias, -1, s.span);
      v->aliasScope = previous ? previous : &scope;
      v->aliasOrder = previous ? end : order;
    }
    scope.steps[&s].push_back(inner);
    declareScope(*inner);
    previous = inner;
  }
  if (previous)
    for (auto &name : carried) {
      Variable *v = addVariable(scope, name, Variable::Kind::Alias, order, s.span);
      v->aliasScope = previous;
      v->aliasOrder = end;
    }
}

void Elaborator::declareScope(Scope &scope) {
  using K = ast::Statement::Kind;
  declareNumbers(scope);
  const auto &statements = *scope.statements;
  for (size_t i = 0; i < statements.size(); ++i) {
    const ast::Statement &s = statements[i];
    int order = static_cast<int>(i);
    if (s.kind == K::Param)
      for (auto &p : s.params)
        declareParam(scope, p);
    else if (s.kind == K::Equation)
      for (size_t t = 0; t < s.targets.size(); ++t)
        declareTarget(scope, s, t, order);
    else if (s.kind == K::Repeat)
      declareSteps(scope, s, order);
  }
}

// Whole tensors in the order of the text, so that a long chain of rebindings is no deep one.
void Elaborator::resolveInOrder(Scope &scope) {
  std::vector<Variable *> whole;
  for (auto &[name, versions] : scope.variables)
    for (Variable *v : versions)
      if (v->kind == Variable::Kind::Whole)
        whole.push_back(v);
  std::stable_sort(whole.begin(), whole.end(),
                   [](Variable *a, Variable *b) { return a->order < b->order; });
  size_t next = 0;
  for (size_t i = 0; i < scope.statements->size(); ++i) {
    auto steps = scope.steps.find(&(*scope.statements)[i]);
    if (steps != scope.steps.end())
      for (Scope *step : steps->second)
        resolveInOrder(*step);
    for (; next < whole.size() && whole[next]->order == static_cast<int>(i); ++next)
      resolve(*whole[next]);
  }
}

void Elaborator::elaborateScope(Scope &scope) {
  using K = ast::Statement::Kind;
  // Declarations that nothing uses are checked as well.
  for (auto &s : *scope.statements)
    for (auto &d : s.declarations) {
      bool found = false;
      if (s.kind == K::Index)
        letterExtent(d.name.text, &scope, *scope.body->file, found);
      else
        namedConstant(d.name.text, &scope, *scope.body->file, found);
    }
  std::vector<Variable *> all;
  for (auto &[name, versions] : scope.variables)
    for (Variable *v : versions)
      all.push_back(v);
  std::stable_sort(all.begin(), all.end(),
                   [](Variable *a, Variable *b) { return a->order < b->order; });
  for (Variable *v : all) {
    if (givenUp())
      return;
    if (v->kind == Variable::Kind::Param)
      continue; // a parameter nothing reads is not looked for
    const View *view = resolve(*v);
    if (v->kind == Variable::Kind::Indexed) {
      if (view)
        for (size_t i = 0; i < v->items.size(); ++i) {
          OneEquation inside(*this);
          size_t before = said_;
          if (!elaborateItem(*v, i) || said_ != before)
            broken_.insert(view->tensor);
        }
    }
    // F5: unchanged shape from step to step.
    if (v->kind == Variable::Kind::Whole && scope.parent && view) {
      auto &versions = scope.variables[v->name];
      if (versions[0]->kind == Variable::Kind::Alias && versions[0] != v)
        if (const View *before = resolve(*versions[0]))
          if (before->extents != view->extents && reshaped_.insert(v->items[0].statement).second)
            error(v->span,
                  v->name + " goes from step to step with the shape " + shapeText(before->extents) +
                      ", and here it is " + shapeText(view->extents),
                  "F5");
    }
  }
  // Calls whose results are all dropped.
  for (size_t i = 0; i < scope.statements->size(); ++i) {
    const ast::Statement &s = (*scope.statements)[i];
    if (s.kind == K::Equation && std::all_of(s.targets.begin(), s.targets.end(),
                                             [](auto &t) { return t.name.text == "_"; })) {
      Env env;
      env.scope = &scope;
      env.order = static_cast<int>(i);
      env.bound = scope.body->lifted;
      env.guards = scope.body->guards;
      OneEquation inside(*this);
      callStatement({&scope, &s, 0}, env);
    }
    if (s.kind == K::Repeat)
      for (Scope *step : scope.steps[&s])
        elaborateScope(*step);
  }
}

void Elaborator::drain() {
  while (!work_.empty() && !givenUp()) {
    Scope *s = work_.front();
    work_.pop_front();
    elaborateScope(*s);
  }
}

} // namespace qkv::sema

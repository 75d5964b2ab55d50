// Whole-tensor equations: x = x + mlp(norm(x)) (E3).
//
// In: an expression whose names mean whole tensors. Out: its shape, and a tensor whose piece reads
// all of them at the same letters.
#include "dsl/check/Elaborator.h"

#include <algorithm>

namespace qkv::sema {

static bool isCall(const ast::Expr &e) { return e.kind == ast::Expr::Kind::Call && !e.indexed; }

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
    if (!f && !isBuiltin(e.name.text))
      return true; // said when it is elaborated
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

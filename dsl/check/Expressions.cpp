// Expressions of equations -> expressions of the program (L4, L5, E2, E3, A3, S2).
//
// In: a tree and where it stands: the letters that are bound, the guards around it, and
// whether names mean whole tensors. Out: an untyped expression, or null with a diagnostic.
#include "dsl/check/Elaborator.h"
#include "dsl/syntax/Habits.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {

// A condition that only sizes and constants decide; `failed`: they do, and it was said why not. An
// `if` over the step number l as a number stays, so that the steps share their code (F5); a whole
// tensor's is decided here.
std::optional<bool> Elaborator::staticCondition(const ast::Expr &e, Env &env, bool *failed) {
  using K = ast::Expr::Kind;
  FileScope &file = *env.scope->body->file;
  std::function<bool(const ast::Expr &)> isStatic = [&](const ast::Expr &n) -> bool {
    switch (n.kind) {
    case K::Integer:
    case K::Number:
    case K::Boolean:
    case K::String:
      return true;
    case K::Name: {
      if (env.letters.count(n.name.text))
        return false;
      bool found = false;
      auto c = namedConstant(n.name.text, env.scope, file, found);
      if (!c)
        return found; // said already
      return found && (c->kind != Constant::Kind::Int || c->size.isConstant()) &&
             (env.whole || c->region < 0);
    }
    case K::Extent: {
      bool found = false;
      auto s = letterExtent(n.name.text, env.scope, file, found);
      return s && s->isConstant();
    }
    case K::Config:
      return true;
    case K::Unary:
    case K::Binary:
    case K::Compare:
    case K::If:
      return std::all_of(n.children.begin(), n.children.end(),
                         [&](auto &c) { return isStatic(*c); });
    default:
      return false;
    }
  };
  if (!isStatic(e))
    return std::nullopt;
  auto c = constant(e, env.scope, file);
  if (failed)
    *failed = !c;
  if (!c || c->kind != Constant::Kind::Bool)
    return std::nullopt;
  return c->boolean;
}

void Elaborator::unknownName(const ast::Name &name, Env &env) {
  auto &d = error(name.span, "there is nothing named " + name.text + " here");
  if (std::string hint = habits::name(name.text); !hint.empty())
    d.hint(hint);
  else if (std::string near = nearest(name.text, namesIn(env.scope)); !near.empty())
    d.hint("did you mean " + near + "?");
}

ExprPtr Elaborator::name(const ast::Expr &e, Env &env) {
  const std::string &n = e.name.text;
  FileScope &file = *env.scope->body->file;
  auto bound = env.letters.find(n);
  if (bound != env.letters.end())
    return letterExpr(bound->second, e.span);
  bool found = false;
  auto c = namedConstant(n, env.scope, file, found);
  if (found)
    return c ? constantExpr(*c, e.span) : nullptr;
  letterExtent(n, env.scope, file, found);
  if (found) {
    error(e.span, "the letter " + n + " is neither on the left nor bound by a reduction here", "L4")
        .hint("sum[" + n + "](...) runs over it");
    return nullptr;
  }
  Variable *v = find(env.scope, n, env.order);
  if (!v) {
    if (function(n, env.scope).definition) {
      error(e.span, n + " is a function: " + n + "(...)", "L1");
      return nullptr;
    }
    unknownName(e.name.span ? e.name : ast::Name{n, e.span}, env);
    return nullptr;
  }
  const View *view = resolve(*v);
  if (!view)
    return nullptr;
  if (view->rank() == 0)
    return readView(*view, {}, e.span);
  if (env.whole) {
    if (view->extents != env.wholeExtents) {
      error(e.span,
            n + " has the shape " + shapeText(view->extents) + ", and " +
                shapeText(env.wholeExtents) + " is wanted",
            "E3");
      return nullptr;
    }
    return readView(*view, env.wholeLetters, e.span);
  }
  error(e.span,
        n + " has " + std::to_string(view->rank()) + (view->rank() == 1 ? " index" : " indices") +
            "; in an equation of elements it is read with them, or handed to a call",
        "E3")
      .note(v->span, n + " is defined here");
  return nullptr;
}

ExprPtr Elaborator::access(const ast::Expr &e, Env &env) {
  const std::string &n = e.name.text;
  FileScope &file = *env.scope->body->file;
  Span nameSpan = e.name.span ? e.name.span : e.span;
  Variable *v = env.letters.count(n) ? nullptr : find(env.scope, n, env.order);
  if (!v) {
    bool found = false;
    if (!env.letters.count(n))
      namedConstant(n, env.scope, file, found);
    bool isLetter = env.letters.count(n) > 0;
    if (!isLetter && !found)
      letterExtent(n, env.scope, file, isLetter);
    if (found || isLetter)
      error(nameSpan, n + " is a " + (found ? "number" : "letter") + " and takes no indices", "L1");
    else if (function(n, env.scope).definition)
      error(nameSpan, n + " is a function: " + n + "(...)", "L1");
    else
      unknownName({n, nameSpan}, env);
    return nullptr;
  }
  const View *view = resolve(*v);
  Env inner = env;
  inner.whole = false;
  std::vector<ExprPtr> indices;
  bool ok = view != nullptr;
  for (auto &ix : e.indices) {
    indices.push_back(expr(*ix, inner));
    ok = ok && indices.back();
  }
  if (!ok)
    return nullptr;
  if (indices.size() != view->rank()) {
    std::string text(e.span.source->text(), e.span.begin, e.span.end - e.span.begin);
    if (text.find('\n') != std::string::npos || text.size() > 60)
      text = n;
    auto &d = error(e.span,
                    text + " is read with " + std::to_string(indices.size()) +
                        (indices.size() == 1 ? " index" : " indices") +
                        " here, but it was defined with " + std::to_string(view->rank()) +
                        " (line " + std::to_string(v->span.line()) + ")",
                    "E2");
    if (v->span.source)
      d.note(v->span, n + " is defined here");
    return nullptr;
  }
  bool own =
      view->tensor >= 0 && program_->tensors[view->tensor].instance == env.scope->body->instance;
  return readView(*view, indices, e.span, own);
}

// P5: (h,d) is the position h * extent(d) + d.
ExprPtr Elaborator::merged(const ast::Expr &e, Env &env) {
  ExprPtr acc;
  for (auto &c : e.children) {
    auto bound =
        c->kind == ast::Expr::Kind::Name ? env.letters.find(c->name.text) : env.letters.end();
    if (bound == env.letters.end()) {
      ExprPtr other = c->kind == ast::Expr::Kind::Name ? expr(*c, env) : nullptr;
      if (other || c->kind != ast::Expr::Kind::Name)
        error(c->span, "an index of several, (h,d), takes letters", "P5");
      return nullptr;
    }
    ExprPtr letter = letterExpr(bound->second, c->span);
    if (acc)
      acc =
          apply(Op::Mul, {acc, sizeExpr(program_->letters[bound->second].extent, c->span)}, e.span);
    acc = acc ? apply(Op::Add, {acc, letter}, e.span) : letter;
  }
  return acc;
}

ExprPtr Elaborator::binary(const ast::Expr &e, Env &env) {
  const std::map<std::string, Op> ops = {{"+", Op::Add}, {"-", Op::Sub},   {"*", Op::Mul},
                                         {"/", Op::Div}, {"%", Op::Mod},   {"//", Op::FloorDiv},
                                         {"^", Op::Pow}, {"and", Op::And}, {"or", Op::Or}};
  if (!fewOperands(e.children.size(), e.span))
    return nullptr;
  ExprPtr acc = expr(*e.children[0], env);
  bool ok = acc != nullptr;
  Env inner = env;
  for (size_t i = 0; i < e.ops.size(); ++i) {
    Op op = ops.at(e.ops[i]);
    if (ok && op == Op::And)
      inner.guards.push_back(acc);
    if (ok && op == Op::Or)
      inner.guards.push_back(apply(Op::Not, {acc}, acc->span));
    ExprPtr next = expr(*e.children[i + 1], op == Op::And || op == Op::Or ? inner : env);
    ok = ok && next;
    if (ok)
      acc = apply(op, {acc, next}, join(e.children[0]->span, e.children[i + 1]->span));
  }
  return ok ? acc : nullptr;
}

// Whether it is a text (C2), so that what compares it is known at compile time.
bool Elaborator::isText(const ast::Expr &e, Env &env) {
  using K = ast::Expr::Kind;
  FileScope &file = *env.scope->body->file;
  std::optional<Constant> c;
  bool found = false;
  if (e.kind == K::Name && !env.letters.count(e.name.text))
    c = namedConstant(e.name.text, env.scope, file, found);
  else if (e.kind == K::Config || e.kind == K::String)
    c = constant(e, env.scope, file);
  return c && c->kind == Constant::Kind::Text;
}

ExprPtr Elaborator::compare(const ast::Expr &e, Env &env) {
  const std::map<std::string, Op> ops = {{"==", Op::Equal},  {"!=", Op::NotEqual},
                                         {"<", Op::Less},    {"<=", Op::LessEqual},
                                         {">", Op::Greater}, {">=", Op::GreaterEqual}};
  if (!fewOperands(e.children.size(), e.span))
    return nullptr;
  if (std::any_of(e.children.begin(), e.children.end(),
                  [&](auto &child) { return isText(*child, env); })) {
    auto c = constant(e, env.scope, *env.scope->body->file);
    return c ? constantExpr(*c, e.span) : nullptr;
  }
  std::vector<ExprPtr> operands;
  bool ok = true;
  for (auto &c : e.children) {
    operands.push_back(expr(*c, env));
    ok = ok && operands.back();
  }
  if (!ok)
    return nullptr;
  ExprPtr acc;
  for (size_t i = 0; i < e.ops.size(); ++i) {
    ExprPtr one = apply(ops.at(e.ops[i]), {operands[i], operands[i + 1]},
                        join(e.children[i]->span, e.children[i + 1]->span));
    acc = acc ? apply(Op::And, {acc, one}, e.span) : one;
  }
  return acc;
}

// Whether the value of a letter that is bound around `e` is used in it: not as the letter of a
// reduction that binds the name anew, and not as what extent() counts.
static bool usesLetter(const ast::Expr &e, const std::string &letter) {
  using K = ast::Expr::Kind;
  if (e.kind == K::Name)
    return e.name.text == letter;
  if (e.kind == K::Reduction &&
      std::any_of(e.letters.begin(), e.letters.end(), [&](auto &l) { return l.text == letter; }))
    return reductionNamed(e.op)->ofElement; // it is of one element (L5)
  auto uses = [&](const ast::ExprPtr &x) { return x && usesLetter(*x, letter); };
  return std::any_of(e.children.begin(), e.children.end(), uses) ||
         std::any_of(e.indices.begin(), e.indices.end(), uses) ||
         std::any_of(e.arguments.begin(), e.arguments.end(),
                     [&](const ast::Argument &a) { return uses(a.value); });
}

// L4: whether a letter that is bound here is used where it is bound, as it is meant there.
bool Elaborator::usedOutside(const std::string &letter, const Env &env) {
  for (auto r = env.reductions.rbegin(); r != env.reductions.rend(); ++r)
    for (auto &bound : (*r)->letters)
      if (bound.text == letter)
        return std::any_of((*r)->children.begin(), (*r)->children.end(),
                           [&](auto &c) { return c && usesLetter(*c, letter); });
  return env.equation && usesLetter(*env.equation, letter);
}

void Elaborator::sayNoLetter(const ast::Name &l, Env &env) {
  auto named = env.scope->body->names.find(l.text);
  auto &d = error(l.span,
                  named != env.scope->body->names.end()
                      ? l.text + " is no letter in this body"
                      : l.text + " is not a letter; its range comes from an argument or an "
                                 "index",
                  "L3");
  std::string near = nearest(l.text, namesIn(env.scope));
  if (named != env.scope->body->names.end())
    sayHidden(d, l.text, *env.scope->body);
  else
    d.hint(near.empty() ? "index " + l.text + " < ..." : "did you mean " + near + "?");
}

ExprPtr Elaborator::reduction(const ast::Expr &e, Env &env) {
  auto out = make(Expr::Kind::Reduce, e.span);
  const ReductionInfo &info = *reductionNamed(e.op);
  out->reduction = info.reduction;
  bool ofElement = info.ofElement;
  if (info.oneLetter && e.letters.size() != 1) {
    error(e.span, e.op + " takes one letter", "S2");
    return nullptr;
  }
  Env inner = env;
  inner.whole = false;
  inner.reductions.push_back(&e);
  std::vector<ExprPtr> at;
  for (size_t i = 0; i < e.letters.size(); ++i) {
    const ast::Name &l = e.letters[i];
    for (size_t k = 0; k < i; ++k)
      if (e.letters[k].text == l.text) {
        error(l.span, "the letter " + l.text + " is bound twice", "L4");
        return nullptr;
      }
    bool found = false;
    auto extent = letterExtent(l.text, env.scope, *env.scope->body->file, found);
    auto outer = env.letters.find(l.text);
    if (!found && outer == env.letters.end()) {
      sayNoLetter(l, env);
      return nullptr;
    }
    if (!extent)
      return nullptr;
    if (!ofElement && outer != env.letters.end() && !usedOutside(l.text, env)) {
      error(l.span,
            "the letter " + l.text + " is bound already, and outside of this " + e.op +
                " nothing uses it: the equation does not depend on it",
            "L4")
          .hint("if it is meant so, a second letter says it: index " + l.text + "2 < extent(" +
                l.text + ")");
      return nullptr;
    }
    if (ofElement) {
      if (outer == env.letters.end()) {
        error(l.span,
              e.op + "[" + l.text + "] is " +
                  (info.typing == Typing::Float ? "one element's share of the row, and "
                                                : "about one element of the row, and ") +
                  l.text + " has no value here",
              "L5")
            .hint(info.typing == Typing::Float
                      ? "sum[" + l.text + "](softmax[" + l.text + "](...) * ...) uses the shares"
                      : "y[" + l.text + "] = " + e.op + "[" + l.text + "](...) has the places");
        return nullptr;
      }
      at.push_back(letterExpr(outer->second, l.span));
    }
    int letter = addLetter(l.text, *extent);
    out->letters.push_back(letter);
    inner.letters[l.text] = letter;
    inner.bound.push_back(letter);
  }
  ExprPtr guard;
  if (e.children.size() > 1 && e.children[1]) {
    guard = expr(*e.children[1], inner);
    if (guard)
      inner.guards.push_back(guard);
  }
  ExprPtr body = expr(*e.children[0], inner);
  if (!body || (e.children.size() > 1 && e.children[1] && !guard))
    return nullptr;
  out->args = {body, guard};
  for (auto &a : at)
    out->args.push_back(a);
  return bounded(std::move(out));
}

ExprPtr Elaborator::callExpr(const ast::Expr &e, Env &env) {
  if (isBuiltin(e.name.text))
    return builtin(e, e.name.text, env);
  if (FunctionRef f = function(e.name.text, env.scope); !f.builtin.empty())
    return builtin(e, f.builtin, env);
  auto views = call(e, env);
  if (!views)
    return nullptr;
  if (views->size() != 1) {
    error(e.span,
          e.name.text + " has " + std::to_string(views->size()) +
              " results; they are taken apart by an equation of its own: y, w = " + e.name.text +
              "(...)",
          "F4");
    return nullptr;
  }
  const View &view = (*views)[0];
  if (e.indexed) {
    Env inner = env;
    inner.whole = false;
    std::vector<ExprPtr> indices;
    for (auto &ix : e.indices) {
      indices.push_back(expr(*ix, inner));
      if (!indices.back())
        return nullptr;
    }
    if (indices.size() != view.rank()) {
      error(e.span,
            "the result of " + e.name.text + " has " + std::to_string(view.rank()) +
                (view.rank() == 1 ? " index" : " indices") + ", and is read with " +
                std::to_string(indices.size()),
            "E2");
      return nullptr;
    }
    return readView(view, indices, e.span);
  }
  if (view.rank() == 0)
    return readView(view, {}, e.span);
  if (env.whole) {
    if (view.extents != env.wholeExtents) {
      error(e.span,
            "the result of " + e.name.text + " has the shape " + shapeText(view.extents) +
                ", and " + shapeText(env.wholeExtents) + " is wanted",
            "E3");
      return nullptr;
    }
    return readView(view, env.wholeLetters, e.span);
  }
  error(e.span, "a call inside an expression of elements is indexed: " + e.name.text + "(...)[...]",
        "F4")
      .hint("or an equation of its own for the call");
  return nullptr;
}

ExprPtr Elaborator::expr(const ast::Expr &e, Env &env) {
  Level level(*this, e.span);
  return level ? exprOf(e, env) : nullptr;
}

ExprPtr Elaborator::exprOf(const ast::Expr &e, Env &env) {
  using K = ast::Expr::Kind;
  switch (e.kind) {
  case K::Integer:
    return integer(e.integer, e.span);
  case K::Number: {
    auto n = make(Expr::Kind::Float, e.span);
    n->number = e.number;
    return n;
  }
  case K::Boolean: {
    auto n = make(Expr::Kind::Bool, e.span);
    n->integer = e.boolean;
    return n;
  }
  case K::Name:
    return name(e, env);
  case K::Access:
    return access(e, env);
  case K::Unary: {
    ExprPtr a = expr(*e.children[0], env);
    return a ? apply(e.op == "not" ? Op::Not : Op::Neg, {a}, e.span) : nullptr;
  }
  case K::Binary:
    return binary(e, env);
  case K::Compare:
    return compare(e, env);
  case K::If: {
    bool failed = false;
    if (auto c = staticCondition(*e.children[0], env, &failed))
      return expr(*e.children[*c ? 1 : 2], env);
    if (failed)
      return nullptr;
    if (env.whole && !env.wholeExtents.empty()) {
      error(e.children[0]->span, "the condition of a whole tensor's if is known at compile time",
            "E3")
          .hint("an equation with indices may ask its data: y[i] = if x[i] > 0 then ...");
      return nullptr;
    }
    ExprPtr c = expr(*e.children[0], env);
    Env yes = env, no = env;
    if (c) {
      yes.guards.push_back(c);
      no.guards.push_back(apply(Op::Not, {c}, c->span));
    }
    ExprPtr a = expr(*e.children[1], yes), b = expr(*e.children[2], no);
    if (!c || !a || !b)
      return nullptr;
    auto n = make(Expr::Kind::If, e.span);
    n->args = {c, a, b};
    return bounded(std::move(n));
  }
  case K::Call:
    return callExpr(e, env);
  case K::Reduction:
    return reduction(e, env);
  case K::Extent:
  case K::Config: {
    auto c = constant(e, env.scope, *env.scope->body->file);
    return c ? constantExpr(*c, e.span) : nullptr;
  }
  case K::Merged:
    return merged(e, env);
  case K::Dynamic:
  case K::Stream:
    error(e.span, "dynamic and stream stand alone, as the value of a size");
    return nullptr;
  case K::String:
    sayText(e.span);
    return nullptr;
  }
  return nullptr;
}

} // namespace qkv::sema

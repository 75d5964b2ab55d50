// Calls of the language's own functions (G7, F1).
//
// In: a call by name. Out: a node for it, or null with a diagnostic.
#include "dsl/check/Elaborator.h"

namespace qkv::sema {

ExprPtr Elaborator::builtin(const ast::Expr &e, const std::string &name, Env &env) {
  const Function &function = *functionNamed(name);
  Op op = function.op;
  bool several = function.several;
  if (!fewOperands(e.arguments.size(), e.span))
    return nullptr;
  std::vector<ExprPtr> args;
  bool ok = true;
  for (auto &a : e.arguments) {
    if (a.name) {
      error(a.name->span, name + " takes no named arguments", "F1");
      ok = false;
      continue;
    }
    args.push_back(expr(*a.value, env));
    ok = ok && args.back();
  }
  if (e.from) {
    error(e.from->span, "from belongs to the call of a block", "G6");
    ok = false;
  }
  if (e.indexed) {
    error(e.span, name + " has no indices to take");
    ok = false;
  }
  if (several ? e.arguments.size() < 2 : e.arguments.size() != 1) {
    auto &d =
        error(e.span,
              name + (several ? " of elements takes two or more arguments" : " takes one argument"),
              several ? "G7" : "F1");
    if (several)
      d.hint(name + "[j](...) is the reduction over j");
    ok = false;
  }
  if (!ok)
    return nullptr;
  ExprPtr acc = args[0];
  if (!several)
    return apply(op, {acc}, e.span);
  for (size_t i = 1; i < args.size(); ++i)
    acc = apply(op, {acc, args[i]}, e.span);
  return acc;
}

bool Elaborator::isBuiltin(const std::string &name) { return functionNamed(name) != nullptr; }

} // namespace qkv::sema

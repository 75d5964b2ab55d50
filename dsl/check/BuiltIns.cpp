// Calls of the language's own functions (G7, F1).
//
// In: a call by name. Out: a node for it, or null with a diagnostic.
#include "dsl/check/Elaborator.h"

namespace qkv::sema {

ExprPtr Elaborator::builtin(const ast::Expr &e, const std::string &name, Env &env) {
  const std::map<std::string, Op> ops = {
      {"exp", Op::Exp},     {"log", Op::Log},         {"sqrt", Op::Sqrt},   {"rsqrt", Op::Rsqrt},
      {"tanh", Op::Tanh},   {"sigmoid", Op::Sigmoid}, {"erf", Op::Erf},     {"sin", Op::Sin},
      {"cos", Op::Cos},     {"abs", Op::Abs},         {"floor", Op::Floor}, {"ceil", Op::Ceil},
      {"round", Op::Round}, {"min", Op::Min},         {"max", Op::Max}};
  Op op = ops.at(name);
  bool several = op == Op::Min || op == Op::Max;
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

bool Elaborator::isBuiltin(const std::string &name) {
  static const std::set<std::string> names = {"exp",     "log",  "sqrt",  "rsqrt", "tanh",
                                              "sigmoid", "erf",  "sin",   "cos",   "abs",
                                              "floor",   "ceil", "round", "min",   "max"};
  return names.count(name) > 0;
}

} // namespace qkv::sema

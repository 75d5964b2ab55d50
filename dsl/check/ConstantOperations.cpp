// What operators and functions make of constants.
//
// In: constants and operators between them. Out: constants, or a diagnostic. Holds: sizes that are
// no numbers stay sizes as long as they can; what cannot be said of every size is an error.
#include "dsl/check/CompileTime.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <cmath>

namespace qkv::sema {
namespace {

std::optional<double> asNumber(const Constant &c) {
  if (c.kind == Constant::Kind::Float)
    return c.number;
  if (c.kind == Constant::Kind::Int)
    if (auto v = c.size.constant())
      return static_cast<double>(*v);
  return std::nullopt;
}

} // namespace

// x op y for op of + - *, if it fits into 64 bits whatever the sizes are.
std::optional<Constant> CompileTime::combined(char op, const Size &x, const Size &y, Span at) {
  auto cx = x.constant(), cy = y.constant();
  bool fits;
  if (cx && cy) {
    int64_t r;
    fits = !(op == '+'   ? __builtin_add_overflow(*cx, *cy, &r)
             : op == '-' ? __builtin_sub_overflow(*cx, *cy, &r)
                         : __builtin_mul_overflow(*cx, *cy, &r));
  } else {
    double mx = x.magnitude(program_->atoms), my = y.magnitude(program_->atoms);
    fits = (op == '*' ? mx * my : mx + my) < 9e18;
  }
  if (!fits) {
    error(at, "this size may be more than 64 bits hold");
    return std::nullopt;
  }
  if (op == '*' ? x.terms().size() * y.terms().size() > 1000 || x.degree() + y.degree() > 16
                : x.terms().size() + y.terms().size() > 1000) {
    error(at, "this size is a sum of too many products of sizes");
    return std::nullopt;
  }
  return ofSize(op == '+' ? x + y : op == '-' ? x - y : x * y);
}

// max or min of two sizes: one of them where that is so whatever the sizes are.
Size CompileTime::extremum(bool greatest, const Size &x, const Size &y) {
  if (!(x - y).isConstant()) {
    if (atLeast(*program_, x - y, 0))
      return greatest ? x : y;
    if (atLeast(*program_, y - x, 0))
      return greatest ? y : x;
  }
  return greatest ? maximum(x, y, program_->atoms) : minimum(x, y, program_->atoms);
}

std::optional<Constant> CompileTime::unaryOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  auto a = constant(*e.children[0], scope, file);
  if (!a)
    return a;
  if (e.op == "not") {
    if (a->kind != Constant::Kind::Bool) {
      error(e.span, "not takes a bool", "T1");
      return std::nullopt;
    }
    return ofBool(!a->boolean);
  }
  if (a->kind == Constant::Kind::Int)
    return combined('-', Size(0), a->size, e.span);
  if (a->kind == Constant::Kind::Float)
    return ofNumber(-a->number);
  noNumber(*a, e.span);
  return std::nullopt;
}

// What is said of a bool or a text where a number is needed.
void CompileTime::noNumber(const Constant &c, Span at) {
  if (c.kind == Constant::Kind::Text)
    error(at, "a text is compared with == and !=, and is no number", "C2");
  else
    error(at, "bools are no numbers", "T1");
}

// x op y of integers, for op of + - * / // %.
std::optional<Constant> CompileTime::ofIntegers(const std::string &op, const Size &x, const Size &y,
                                                Span at) {
  if (op.size() == 1 && (op[0] == '+' || op[0] == '-' || op[0] == '*'))
    return combined(op[0], x, y, at);
  else if (y == Size(0)) {
    error(at, "a division by zero", "T2");
    return std::nullopt;
  } else if (op == "//")
    return ofSize(floorDiv(x, y, program_->atoms));
  else if (op == "%")
    return ofSize(floorMod(x, y, program_->atoms));
  else { // a whole quotient is an integer; another one is a number
    Size q = floorDiv(x, y, program_->atoms);
    auto cx = x.constant(), cy = y.constant();
    if (q * y == x)
      return ofSize(q);
    else if (cx && cy)
      return ofNumber(static_cast<double>(*cx) / static_cast<double>(*cy));
    else {
      error(at, x.text(program_->atoms) + " / " + y.text(program_->atoms) +
                    " does not come out whole for every size")
          .hint("// rounds down");
      return std::nullopt;
    }
  }
}

// x op y where one is a number, and powers.
std::optional<Constant> CompileTime::ofNumbers(const std::string &op, const Constant &a,
                                               const Constant &b, Span at) {
  if (a.kind == Constant::Kind::Int && b.kind == Constant::Kind::Int && op == "^") {
    auto cx = a.size.constant(), cy = b.size.constant();
    if (cx && cy && *cy >= 0 && *cy < 63) {
      int64_t r = 1;
      bool fits = true;
      for (int64_t k = 0; k < *cy; ++k)
        fits = fits && !__builtin_mul_overflow(r, *cx, &r);
      if (fits) {
        return ofSize(Size(r));
      }
    }
  }
  auto x = asNumber(a), y = asNumber(b);
  if (!x || !y)
    return notKnown(at, "a number of a dynamic size");
  double v = op == "+"    ? *x + *y
             : op == "-"  ? *x - *y
             : op == "*"  ? *x * *y
             : op == "/"  ? *x / *y
             : op == "^"  ? std::pow(*x, *y)
             : op == "//" ? std::floor(*x / *y)
                          : *x - std::floor(*x / *y) * *y;
  return ofNumber(v);
}

std::optional<Constant> CompileTime::binaryOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  auto child = [&](size_t i) { return constant(*e.children[i], scope, file); };
  auto acc = child(0);
  for (size_t i = 0; acc && i < e.ops.size(); ++i) {
    const std::string &op = e.ops[i];
    if (op == "and" || op == "or") {
      if (acc->kind != Constant::Kind::Bool) {
        error(e.span, op + " takes bools", "T1");
        return std::nullopt;
      }
      if (acc->boolean == (op == "or"))
        return acc;
      acc = child(i + 1);
      continue;
    }
    auto b = child(i + 1);
    if (!b)
      return b;
    for (const Constant &operand : {Constant(*acc), *b})
      if (!isNumber(operand)) {
        noNumber(operand, e.span);
        return std::nullopt;
      }
    bool ints = acc->kind == Constant::Kind::Int && b->kind == Constant::Kind::Int;
    acc = ints && op != "^" ? ofIntegers(op, Size(acc->size), b->size, e.span)
                            : ofNumbers(op, Constant(*acc), *b, e.span);
  }
  return acc;
}

std::optional<Constant> CompileTime::compareOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  auto child = [&](size_t i) { return constant(*e.children[i], scope, file); };
  bool all = true;
  for (size_t i = 0; i < e.ops.size(); ++i) {
    auto a = child(i), b = child(i + 1);
    if (!a || !b)
      return std::nullopt;
    const std::string &op = e.ops[i];
    if (a->kind == Constant::Kind::Text || b->kind == Constant::Kind::Text) {
      auto equal = sameText(*a, *b, op, e.span);
      if (!equal)
        return std::nullopt;
      all = all && (op == "==") == *equal;
      continue;
    }
    if (a->kind == Constant::Kind::Int && b->kind == Constant::Kind::Int && a->size == b->size) {
      all = all && (op == "==" || op == "<=" || op == ">=");
      continue;
    }
    if (a->kind == Constant::Kind::Bool && b->kind == Constant::Kind::Bool) {
      all = all && ((op == "==") == (a->boolean == b->boolean));
      continue;
    }
    auto x = asNumber(*a), y = asNumber(*b);
    if (!x || !y)
      return notKnown(e.span, "a comparison of dynamic sizes");
    all = all && (op == "=="   ? *x == *y
                  : op == "!=" ? *x != *y
                  : op == "<"  ? *x < *y
                  : op == "<=" ? *x <= *y
                  : op == ">"  ? *x > *y
                               : *x >= *y);
  }
  return ofBool(all);
}

// Whether two texts are the same, where one at least is one.
std::optional<bool> CompileTime::sameText(const Constant &a, const Constant &b,
                                          const std::string &op, Span at) {
  if (a.kind != b.kind) {
    if (symbolic_)
      return false; // a const of an uncalled definition, which may be a text
    error(at,
          "a text is compared with a text, and this is " +
              std::string(kindOf(a.kind == Constant::Kind::Text ? b : a)),
          "C2")
        .hint("config(\"kind\", \"none\"), with a text as its default, is a text in every "
              "configuration");
    return std::nullopt;
  }
  if (op != "==" && op != "!=") {
    error(at, "texts are compared with == and !=", "C2");
    return std::nullopt;
  }
  return a.text == b.text;
}

// A function of one number.
std::optional<Constant> CompileTime::functionOf(const std::string &f, const Constant &a, Span at) {
  const Function *function = functionNamed(f);
  if (!function || function->several)
    return notKnown(at, "the call of " + f);
  bool isInt = a.kind == Constant::Kind::Int;
  if (isInt && function->typing == Typing::Int)
    return a;
  auto x = asNumber(a);
  if (!x)
    return notKnown(at, f + " of a dynamic size");
  if (isInt && function->typing == Typing::Same)
    return ofSize(Size(function->ofInts(*a.size.constant(), 0)));
  double v = function->value(*x, 0);
  if (function->typing != Typing::Int)
    return ofNumber(v);
  if (std::fabs(v) < 9e15)
    return ofSize(Size(static_cast<int64_t>(v)));
  return notKnown(at, "the call of " + f);
}

std::optional<Constant> CompileTime::callOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  std::vector<Constant> args;
  for (auto &a : e.arguments) {
    auto c = constant(*a.value, scope, file);
    if (!c)
      return c;
    if (c->kind == Constant::Kind::Text) {
      noNumber(*c, a.value->span);
      return std::nullopt;
    }
    args.push_back(*c);
  }
  const std::string &f = e.name.text;
  if ((f == "min" || f == "max") && args.size() >= 2) {
    Constant best = args[0];
    for (size_t i = 1; i < args.size(); ++i) {
      if (best.kind == Constant::Kind::Int && args[i].kind == Constant::Kind::Int) {
        best = ofSize(extremum(f == "max", best.size, args[i].size));
        continue;
      }
      auto x = asNumber(best), y = asNumber(args[i]);
      if (!x || !y)
        return notKnown(e.span, f + " of dynamic sizes");
      if (f == "min" ? *y < *x : *y > *x)
        best = args[i];
    }
    best.region = -1;
    return best;
  }
  return args.size() == 1 ? functionOf(f, args[0], e.span) : notKnown(e.span, "the call of " + f);
}

} // namespace qkv::sema

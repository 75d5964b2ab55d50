// Numbers known at compile time: sizes, constants, ranges of letters.
//
// In: expressions of integers, sizes, constants and extents. Out: their values, or a
// diagnostic.
#include "dsl/check/CompileTime.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <cmath>

namespace qkv::sema {

Constant ofSize(Size s) {
  Constant c;
  c.size = std::move(s);
  return c;
}
Constant ofNumber(double v) {
  Constant c;
  c.kind = Constant::Kind::Float;
  c.number = v;
  return c;
}
Constant ofBool(bool v) {
  Constant c;
  c.kind = Constant::Kind::Bool;
  c.boolean = v;
  return c;
}

namespace {

/// The most positions that an axis may have.
constexpr int64_t maxExtent = int64_t(1) << 40;

std::optional<double> asNumber(const Constant &c) {
  if (c.kind == Constant::Kind::Float)
    return c.number;
  if (c.kind == Constant::Kind::Int)
    if (auto v = c.size.constant())
      return static_cast<double>(*v);
  return std::nullopt;
}

} // namespace

std::optional<Constant> CompileTime::dynamicSize(const ast::Declaration &d, Scope *scope,
                                                 FileScope &file) {
  const ast::Expr &e = *d.value;
  if (scope) {
    error(e.span, "a dynamic or stream size is declared at the top of the file or of the model");
    return std::nullopt;
  }
  auto max = sizeOf(*e.children[0], scope, file, "the max of a size");
  if (!max)
    return std::nullopt;
  auto number = max->constant();
  if (!number || *number < 1 || *number > maxExtent) {
    error(e.children[0]->span,
          number && *number > maxExtent
              ? "the max of a size is at most 2^40, and this is " + std::to_string(*number)
              : "the max of a size is an integer of at least 1",
          "A4");
    return std::nullopt;
  }
  bool stream = e.kind == ast::Expr::Kind::Stream;
  int64_t least = 1;
  if (!e.arguments.empty()) {
    const ast::Expr &given = *e.arguments[0].value;
    auto min = sizeOf(given, scope, file, "the min of a size");
    if (!min)
      return std::nullopt;
    least = min->constant().value_or(0);
    if (stream || e.arguments.size() > 1 || least < 1 || least > *number) {
      error(given.span,
            stream                   ? "a stream has no min: it begins with one position"
            : e.arguments.size() > 1 ? "the min of a size is given twice"
            : least < 1 ? "the min of a size is an integer of at least 1"
                        : "the min of " + d.name.text + " is " + std::to_string(least) +
                              ", and its max " + std::to_string(*number),
            "A4");
      return std::nullopt;
    }
  }
  if (stream && program_->stream >= 0) {
    error(e.span,
          "a model has one stream size; " + program_->atoms[program_->stream].name +
              " is one already",
          "C1");
    return std::nullopt;
  }
  int atom = program_->atoms.add({stream ? SizeAtom::Kind::Stream : SizeAtom::Kind::Dynamic,
                                  d.name.text, *number, nullptr, nullptr, least});
  program_->dynamicSizes.push_back(atom);
  if (stream)
    program_->stream = atom;
  return ofSize(Size::atom(atom));
}

std::optional<Constant> CompileTime::declared(const ast::Declaration &d, bool isSize, Scope *scope,
                                              FileScope &file) {
  using K = ast::Expr::Kind;
  const ast::Expr &e = *d.value;
  if (e.kind == K::Dynamic || e.kind == K::Stream) {
    if (isSize)
      return dynamicSize(d, scope, file);
    error(e.span, "a const is a number known at compile time; declare a size instead");
    return std::nullopt;
  }
  auto c = constant(e, scope, file);
  if (!c)
    return std::nullopt;
  if (isSize && c->kind != Constant::Kind::Int) {
    // A configuration may write 4.0 where it means 4.
    if (c->kind == Constant::Kind::Float && e.kind == K::Config &&
        std::floor(c->number) == c->number && std::fabs(c->number) < 9e15)
      return ofSize(Size(static_cast<int64_t>(c->number)));
    error(e.span, "a size is an integer, and this is " +
                      std::string(c->kind == Constant::Kind::Bool ? "a bool" : "not whole") +
                      "; declare a const instead");
    return std::nullopt;
  }
  c->region = -1; // a name of its own: its number, not the step
  return c;
}

std::optional<Constant> CompileTime::namedConstant(const std::string &name, Scope *scope,
                                                   FileScope &file, bool &found) {
  found = false;
  for (Scope *s = scope; s; s = s->parent) {
    auto known = s->constants.find(name);
    if (known != s->constants.end()) {
      found = true;
      return known->second;
    }
    bool isSize = s->sizes.count(name) > 0;
    if (!isSize && !s->consts.count(name))
      continue;
    found = true;
    const ast::Declaration &d = isSize ? *s->sizes[name] : *s->consts[name];
    if (!s->evaluating.insert(name).second) {
      error(d.name.span, name + " is defined by itself");
      return std::nullopt;
    }
    // Dynamic sizes of a model's own body are the model's.
    bool top = s->body->definition->kind == ast::Definition::Kind::Model && !s->parent;
    bool dynamic =
        d.value->kind == ast::Expr::Kind::Dynamic || d.value->kind == ast::Expr::Kind::Stream;
    auto value = declared(d, isSize, dynamic && top ? nullptr : s, file);
    s->evaluating.erase(name);
    if (value)
      s->constants[name] = *value;
    return value;
  }
  if (scope && scope->body->names.count(name))
    return std::nullopt; // the body's own letter or tensor hides the file's (L2)
  bool isSize = file.sizes.count(name) > 0;
  if (!isSize && !file.consts.count(name))
    return std::nullopt;
  found = true;
  auto known = file.values.find(name);
  if (known != file.values.end())
    return known->second;
  const ast::Declaration &d = isSize ? *file.sizes[name] : *file.consts[name];
  if (!file.evaluating.insert(name).second) {
    error(d.name.span, name + " is defined by itself");
    return std::nullopt;
  }
  auto value = declared(d, isSize, nullptr, file);
  file.evaluating.erase(name);
  file.values[name] = value;
  return value;
}

std::optional<Size> CompileTime::letterExtent(const std::string &name, Scope *scope,
                                              FileScope &file, bool &found) {
  found = false;
  auto evaluate = [&](const ast::Declaration &d, Scope *where) -> std::optional<Size> {
    auto s = sizeOf(*d.value, where, file, "the range of a letter");
    if (!s)
      return s;
    if (auto n = s->constant(); n && *n > maxExtent) {
      error(d.value->span, "the range of " + d.name.text + " is " + std::to_string(*n) +
                               "; it must be at most 2^40");
      return std::nullopt;
    }
    // S4: a negative range is empty. From here on no extent is negative.
    return atLeast(*program_, *s, 0) ? s : maximum(*s, Size(0), program_->atoms);
  };
  for (Scope *s = scope; s; s = s->parent) {
    auto known = s->letters.find(name);
    if (known != s->letters.end()) {
      found = true;
      return known->second;
    }
    auto d = s->indices.find(name);
    if (d == s->indices.end())
      continue;
    found = true;
    if (!s->evaluating.insert("index " + name).second) {
      error(d->second->name.span, "the range of " + name + " is defined by itself");
      return std::nullopt;
    }
    auto extent = evaluate(*d->second, s);
    s->evaluating.erase("index " + name);
    if (extent)
      s->letters[name] = *extent;
    return extent;
  }
  if (scope && scope->body->names.count(name))
    return std::nullopt;
  auto d = file.indices.find(name);
  if (d == file.indices.end())
    return std::nullopt;
  found = true;
  if (!file.evaluating.insert("index " + name).second) {
    error(d->second->name.span, "the range of " + name + " is defined by itself");
    return std::nullopt;
  }
  auto extent = evaluate(*d->second, nullptr);
  file.evaluating.erase("index " + name);
  return extent;
}

std::optional<Size> CompileTime::sizeOf(const ast::Expr &e, Scope *scope, FileScope &file,
                                        const char *what) {
  auto c = constant(e, scope, file);
  if (!c)
    return std::nullopt;
  if (c->kind != Constant::Kind::Int) {
    error(e.span, std::string(what) + " is an integer known at compile time" +
                      (c->kind == Constant::Kind::Float && std::fabs(c->number) >= 9e18
                           ? ", and this is beyond 64 bits"
                       : c->kind == Constant::Kind::Float ? ", and this is not whole"
                                                          : ""));
    return std::nullopt;
  }
  return c->size;
}

std::optional<Constant> CompileTime::constant(const ast::Expr &e, Scope *scope, FileScope &file) {
  Level level(*this, e.span);
  return level ? constantOf(e, scope, file) : std::nullopt;
}

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

std::optional<Constant> CompileTime::notKnown(Span at, const std::string &what) {
  error(at, what + " is not known at compile time");
  return std::nullopt;
}

std::optional<Constant> CompileTime::nameOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  bool found = false;
  auto c = namedConstant(e.name.text, scope, file, found);
  if (found)
    return c;
  bool letter = false;
  letterExtent(e.name.text, scope, file, letter);
  if (letter)
    return notKnown(e.span, "the letter " + e.name.text);
  std::vector<std::string> candidates;
  for (auto &[n, d] : file.sizes)
    candidates.push_back(n);
  for (auto &[n, d] : file.consts)
    candidates.push_back(n);
  for (Scope *s = scope; s; s = s->parent) {
    for (auto &[n, d] : s->sizes)
      candidates.push_back(n);
    for (auto &[n, d] : s->constants)
      candidates.push_back(n);
  }
  if (scope && scope->body->names.count(e.name.text)) {
    auto &d = error(e.span, e.name.text + " is not known at compile time");
    sayHidden(d, e.name.text, *scope->body);
    return std::nullopt;
  }
  auto &d = error(e.span, "there is no size or constant named " + e.name.text);
  if (std::string near = nearest(e.name.text, candidates); !near.empty())
    d.hint("did you mean " + near + "?");
  return std::nullopt;
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
  error(e.span, "bools are no numbers", "T1");
  return std::nullopt;
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
    if (acc->kind == Constant::Kind::Bool || b->kind == Constant::Kind::Bool) {
      error(e.span, "bools are no numbers", "T1");
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

std::optional<Constant> CompileTime::constantOf(const ast::Expr &e, Scope *scope, FileScope &file) {
  using K = ast::Expr::Kind;
  auto child = [&](size_t i) { return constant(*e.children[i], scope, file); };
  switch (e.kind) {
  case K::Integer:
    return ofSize(Size(e.integer));
  case K::Number:
    return ofNumber(e.number);
  case K::Boolean:
    return ofBool(e.boolean);
  case K::Name:
    return nameOf(e, scope, file);
  case K::Extent: {
    bool found = false;
    auto s = letterExtent(e.name.text, scope, file, found);
    if (!found)
      error(e.name.span.source ? e.name.span : e.span,
            "extent takes a letter, and " + e.name.text + " is none", "L6");
    if (!s)
      return std::nullopt;
    return ofSize(*s);
  }
  case K::Config:
    return config(e, scope, file);
  case K::Dynamic:
  case K::Stream:
    error(e.span, "dynamic and stream stand alone, as the value of a size");
    return std::nullopt;
  case K::Unary:
    return unaryOf(e, scope, file);
  case K::Binary:
    return binaryOf(e, scope, file);
  case K::Compare:
    return compareOf(e, scope, file);
  case K::If: {
    auto c = child(0);
    if (!c)
      return c;
    if (c->kind != Constant::Kind::Bool) {
      error(e.children[0]->span, "the condition of an if is a bool", "T1");
      return std::nullopt;
    }
    return child(c->boolean ? 1 : 2);
  }
  case K::Call:
    return callOf(e, scope, file);
  case K::String:
    error(e.span, "a string stands only in config(...), from and param");
    return std::nullopt;
  case K::Access:
    return notKnown(e.span, "an element of " + e.name.text);
  case K::Reduction:
    return notKnown(e.span, "a reduction");
  case K::Merged:
    return notKnown(e.span, "an index of several letters");
  }
  return std::nullopt;
}

} // namespace qkv::sema

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

Constant ofText(std::string text) {
  Constant c;
  c.kind = Constant::Kind::Text;
  c.text = std::move(text);
  return c;
}
const char *kindOf(const Constant &c) {
  return c.kind == Constant::Kind::Text   ? "a text"
         : c.kind == Constant::Kind::Bool ? "a bool"
                                          : "a number";
}

bool isNumber(const Constant &c) {
  return c.kind == Constant::Kind::Int || c.kind == Constant::Kind::Float;
}

namespace {

/// The most positions that an axis may have.
constexpr int64_t maxExtent = int64_t(1) << 40;

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
                      std::string(isNumber(*c) ? "not whole" : kindOf(*c)) +
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
                      (!isNumber(*c) ? std::string(", and this is ") + kindOf(*c) : "") +
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
    if (!e.indexed)
      return ofText(e.name.text);
    error(e.span, "the name of a stored tensor stands in a param", "C5");
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

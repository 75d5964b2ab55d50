// Expressions: their values, as Python computes them.
#include "runtime/template/Render.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cmath>

namespace qkv::jinja {

using V = Value::Kind;
using K = Expression::Kind;

namespace {
constexpr int deepest = 1200;
constexpr const char *globals[] = {"range", "namespace", "dict", "raise_exception", "strftime_now"};

bool isDictMethod(const std::string &name) {
  constexpr const char *methods[] = {"items", "keys",   "values",     "get",      "copy",   "pop",
                                     "clear", "update", "setdefault", "fromkeys", "popitem"};
  return std::any_of(std::begin(methods), std::end(methods),
                     [&](const char *method) { return name == method; });
}

std::string typesText(const Value &a, const Value &b) {
  return std::string(kindName(a)) + " and " + kindName(b);
}
} // namespace

Value Render::evaluate(const Expression &e) {
  if (broken || !step())
    return {};
  if (depth > deepest)
    return failed("it is nested too deep");
  ++depth;
  line = e.line;
  Value value = evaluateNode(e);
  --depth;
  return value;
}

Value Render::named(const std::string &name) const {
  for (const Frame *frame = scope.get(); frame; frame = frame->outer.get())
    if (auto found = frame->names.find(name); found != frame->names.end())
      return found->second;
  for (const char *global : globals)
    if (name == global)
      return Value::global(name);
  return Value::undefined(name);
}

Value Render::evaluateNode(const Expression &e) {
  switch (e.kind) {
  case K::Constant:
    return e.value;
  case K::Name:
    return named(e.text);
  case K::List:
  case K::Tuple: {
    List items;
    for (const Expr &child : e.children)
      items.push_back(evaluate(*child));
    return Value::list(std::move(items), e.kind == K::Tuple);
  }
  case K::Dict: {
    Dict dict;
    for (size_t i = 0; i + 1 < e.children.size(); i += 2) {
      Value key = evaluate(*e.children[i]);
      if (!key.is(V::Text))
        return failed("only texts are keys of a dict here");
      dict.put(key.text(), evaluate(*e.children[i + 1]));
    }
    return Value::dict(std::move(dict));
  }
  case K::Unary:
    if (e.text == "not")
      return Value::of(!evaluate(*e.children[0]).truth());
    return arithmetic(e.text, Value::of(int64_t(0)), evaluate(*e.children[0]));
  case K::Binary:
    return binary(e);
  case K::Compare:
    return compared(e);
  case K::Choose:
    if (evaluate(*e.children[1]).truth())
      return evaluate(*e.children[0]);
    return e.children.size() > 2 ? evaluate(*e.children[2]) : Value::undefined("the other value");
  case K::Attribute: {
    Value of = evaluate(*e.children[0]);
    // (A method comes before a key of its name, which d["items"] reads.)
    return of.is(V::Dict) && isDictMethod(e.text) ? Value::global("dict." + e.text)
                                                  : attribute(of, e.text);
  }
  case K::Item: {
    Value of = evaluate(*e.children[0]);
    return item(of, evaluate(*e.children[1]));
  }
  case K::Slice:
    return slice(e);
  case K::Call:
    return call(e);
  case K::Filter: {
    Value value = evaluate(*e.children[0]);
    return filter(e.text, value, given(e.arguments));
  }
  case K::Test: {
    Value value = evaluate(*e.children[0]);
    auto holds = test(e.text, value, given(e.arguments));
    return holds ? Value::of(*holds != e.negated) : Value();
  }
  }
  return {};
}

Value Render::binary(const Expression &e) {
  Value left = evaluate(*e.children[0]);
  if (e.text == "and")
    return left.truth() ? evaluate(*e.children[1]) : left;
  if (e.text == "or")
    return left.truth() ? left : evaluate(*e.children[1]);
  Value right = evaluate(*e.children[1]);
  if (broken)
    return {};
  if (e.text == "~")
    return text(printedText(left) + printedText(right));
  return arithmetic(e.text, left, right);
}

Value Render::arithmetic(const std::string &sign, const Value &a, const Value &b) {
  if (broken)
    return {};
  if (sign == "+" && a.is(V::Text) && b.is(V::Text))
    return text(a.text() + b.text());
  if (sign == "+" && a.isList() && a.kind() == b.kind()) {
    List both = a.list();
    both.insert(both.end(), b.list().begin(), b.list().end());
    return step(static_cast<int64_t>(both.size())) ? Value::list(std::move(both), a.is(V::Tuple))
                                                   : Value();
  }
  auto whole = [](const Value &v) { return v.is(V::Int) || v.is(V::Bool); };
  if (sign == "*" && ((a.is(V::Text) && whole(b)) || (b.is(V::Text) && whole(a)))) {
    const std::string &once = (a.is(V::Text) ? a : b).text();
    int64_t times = std::max<int64_t>((a.is(V::Text) ? b : a).whole(), 0);
    if (!once.empty() && static_cast<uint64_t>(times) > limits.bytes / once.size())
      return failed("a text of it is too long");
    std::string all;
    for (int64_t i = 0; i < times && !once.empty(); ++i)
      all += once;
    return text(std::move(all));
  }
  if (!a.isNumber() || !b.isNumber())
    return failed(a.is(V::Undefined) || b.is(V::Undefined)
                      ? (a.is(V::Undefined) ? a : b).name() + " is undefined"
                      : "there is no " + sign + " of " + typesText(a, b));
  bool zero = b.number() == 0;
  if ((sign == "/" || sign == "//" || sign == "%") && zero)
    return failed("a division by zero");
  if (sign == "/")
    return Value::of(a.number() / b.number());
  if (sign == "**") {
    double power = std::pow(a.number(), b.number());
    bool exact = !a.is(V::Float) && !b.is(V::Float) && b.whole() >= 0;
    if (exact && !(std::fabs(power) < 9e15))
      return failed("a number of it is too large");
    return exact ? Value::of(static_cast<int64_t>(power)) : Value::of(power);
  }
  if (a.is(V::Float) || b.is(V::Float)) {
    double x = a.number(), y = b.number();
    double rest = std::fmod(x, y);
    if (rest != 0 && (rest < 0) != (y < 0))
      rest += y;
    return Value::of(sign == "+"    ? x + y
                     : sign == "-"  ? x - y
                     : sign == "*"  ? x * y
                     : sign == "//" ? std::floor(x / y)
                                    : rest);
  }
  int64_t x = a.whole(), y = b.whole(), result = 0;
  bool over = sign == "+"   ? __builtin_add_overflow(x, y, &result)
              : sign == "-" ? __builtin_sub_overflow(x, y, &result)
              : sign == "*" ? __builtin_mul_overflow(x, y, &result)
                            : x == INT64_MIN && y == -1;
  if (over)
    return failed("a number of it is too large");
  if (sign == "//" || sign == "%") {
    int64_t quotient = x / y, rest = x % y;
    bool down = rest != 0 && (rest < 0) != (y < 0);
    result = sign == "//" ? quotient - down : rest + (down ? y : 0);
  }
  return Value::of(result);
}

bool Render::contains(const Value &all, const Value &one) {
  if (all.is(V::Text)) {
    if (!one.is(V::Text))
      return fail(std::string("only a text is in a text, not a value of type ") + kindName(one));
    step(static_cast<int64_t>(all.text().size() / 64));
    return all.text().find(one.text()) != std::string::npos;
  }
  if (all.is(V::Dict))
    return one.is(V::Text) && all.dict().find(one.text());
  if (all.is(V::Undefined))
    return false;
  if (!all.isList())
    return fail(std::string("nothing is in a value of type ") + kindName(all));
  step(static_cast<int64_t>(all.list().size()));
  return std::any_of(all.list().begin(), all.list().end(),
                     [&](const Value &item) { return equal(item, one); });
}

Value Render::compared(const Expression &e) {
  Value left = evaluate(*e.children[0]);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.children[i + 1]);
    const std::string &sign = e.operators[i];
    bool holds;
    int order = 0;
    if (broken)
      return {};
    if (sign == "in" || sign == "not in")
      holds = contains(right, left) == (sign == "in");
    else if (sign == "==" || sign == "!=")
      holds = equal(left, right) == (sign == "==");
    else if (compare(left, right, order))
      holds = sign == "<"    ? order < 0
              : sign == "<=" ? order <= 0
              : sign == ">"  ? order > 0
                             : order >= 0;
    else if (left.isNumber() && right.isNumber())
      holds = false; // NaN
    else
      return failed("there is no " + sign + " of " + typesText(left, right));
    if (!holds)
      return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

Value Render::attribute(const Value &of, const std::string &name) {
  if (of.is(V::Undefined))
    return failed(of.name() + " is undefined (its " + name + " is asked for)");
  if (of.is(V::Dict) || of.is(V::Namespace)) {
    const Value *found = of.dict().find(name);
    return found ? *found : Value::undefined(name);
  }
  if (of.is(V::Loop)) {
    const Loop &loop = *of.loop();
    auto at = static_cast<int64_t>(loop.at), count = static_cast<int64_t>(loop.items.size());
    if (name == "index")
      return Value::of(at + 1);
    if (name == "index0")
      return Value::of(at);
    if (name == "revindex")
      return Value::of(count - at);
    if (name == "revindex0")
      return Value::of(count - at - 1);
    if (name == "first")
      return Value::of(at == 0);
    if (name == "last")
      return Value::of(at + 1 == count);
    if (name == "length")
      return Value::of(count);
    if (name == "depth")
      return Value::of(loop.depth);
    if (name == "depth0")
      return Value::of(loop.depth - 1);
    if (name == "previtem")
      return at > 0 ? loop.items[loop.at - 1] : Value::undefined("loop.previtem");
    if (name == "nextitem")
      return at + 1 < count ? loop.items[loop.at + 1] : Value::undefined("loop.nextitem");
  }
  if (of.is(V::Macro) && name == "name")
    return Value::text(of.macro()->body->name);
  return Value::undefined(name);
}

Value Render::item(const Value &of, const Value &which) {
  if (broken)
    return {};
  if (of.is(V::Undefined))
    return failed(of.name() + " is undefined (a part of it is asked for)");
  if (which.is(V::Text))
    return attribute(of, which.text());
  if (!which.isNumber() || which.is(V::Float))
    return Value::undefined("a part");
  std::vector<std::string_view> letters;
  if (of.is(V::Text))
    letters = characters(of.text());
  else if (!of.isList())
    return Value::undefined("a part");
  auto count = static_cast<int64_t>(of.is(V::Text) ? letters.size() : of.list().size());
  int64_t at = which.whole() < 0 ? which.whole() + count : which.whole();
  if (at < 0 || at >= count)
    return Value::undefined("a part");
  step(static_cast<int64_t>(letters.size() / 64));
  return of.is(V::Text) ? Value::text(std::string(letters[static_cast<size_t>(at)]))
                        : of.list()[static_cast<size_t>(at)];
}

Value Render::slice(const Expression &e) {
  Value of = evaluate(*e.children[0]);
  std::optional<int64_t> parts[3];
  for (int i = 0; i < 3; ++i)
    if (e.children[i + 1]) {
      Value part = evaluate(*e.children[i + 1]);
      if (broken)
        return {};
      if (part.is(V::None))
        continue;
      if (!part.isNumber() || part.is(V::Float))
        return failed("the ends of a slice are whole numbers");
      parts[i] = part.whole();
    }
  if (of.is(V::Undefined))
    return failed(of.name() + " is undefined (a part of it is asked for)");
  if (!of.is(V::Text) && !of.isList())
    return failed(std::string("there is no slice of a value of type ") + kindName(of));
  std::vector<std::string_view> letters;
  if (of.is(V::Text))
    letters = characters(of.text());
  auto count = static_cast<int64_t>(of.is(V::Text) ? letters.size() : of.list().size());
  int64_t by = parts[2].value_or(1);
  if (by == 0)
    return failed("the step of a slice is zero");
  auto place = [&](std::optional<int64_t> part, int64_t otherwise) {
    if (!part)
      return otherwise;
    int64_t at = *part < 0 ? std::max(*part, -count - 1) + count : *part;
    return by > 0 ? std::clamp<int64_t>(at, 0, count) : std::clamp<int64_t>(at, -1, count - 1);
  };
  int64_t begin = place(parts[0], by > 0 ? 0 : count - 1),
          end = place(parts[1], by > 0 ? count : -1);
  if (!step(count))
    return {};
  std::string joined;
  List items;
  int64_t stride = std::clamp<int64_t>(by, -count - 1, count + 1);
  for (int64_t at = begin; by > 0 ? at < end : at > end; at += stride)
    if (of.is(V::Text))
      joined += letters[static_cast<size_t>(at)];
    else
      items.push_back(of.list()[static_cast<size_t>(at)]);
  return of.is(V::Text) ? text(std::move(joined)) : Value::list(std::move(items), of.is(V::Tuple));
}

Given Render::given(const Arguments &arguments) {
  Given out;
  for (const Expr &one : arguments.plain)
    out.plain.push_back(evaluate(*one));
  for (const Expr &one : arguments.spread) {
    List all;
    if (items(evaluate(*one), all))
      out.plain.insert(out.plain.end(), all.begin(), all.end());
  }
  for (const auto &[name, value] : arguments.named)
    out.named.emplace_back(name, evaluate(*value));
  return out;
}

Value Render::call(const Expression &e, const Value *caller) {
  const Expression &callee = *e.children[0];
  // A method, unless a namespace or a dict has a value of that name.
  if (callee.kind == K::Attribute) {
    Value of = evaluate(*callee.children[0]);
    if (of.is(V::Undefined))
      return failed(of.name() + " is undefined (its " + callee.text + " is called)");
    Value own = of.is(V::Namespace) || of.is(V::Loop) ? attribute(of, callee.text) : Value();
    if (own.is(V::Macro))
      return callMacro(*own.macro(), given(e.arguments), caller);
    return method(of, callee.text, given(e.arguments));
  }
  Value value = evaluate(callee);
  if (broken)
    return {};
  if (value.is(V::Macro))
    return callMacro(*value.macro(), given(e.arguments), caller);
  if (value.is(V::Global))
    return callGlobal(value.text(), given(e.arguments));
  if (value.is(V::Loop)) {
    Given what = given(e.arguments);
    if (loops.empty() || !loops.back()->recursive || what.plain.size() != 1)
      return failed("loop(...) takes one value, in a loop that is recursive");
    const Statement &again = *loops.back();
    std::string inner, *before = out;
    out = &inner;
    loop(again, what.plain[0], value.loop()->depth + 1);
    out = before;
    return text(std::move(inner));
  }
  return failed(value.is(V::Undefined)
                    ? value.name() + " is undefined (it is called)"
                    : std::string("a value of type ") + kindName(value) + " cannot be called");
}

} // namespace qkv::jinja

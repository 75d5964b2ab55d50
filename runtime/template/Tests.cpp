// Tests: what stands behind `is`.
#include "runtime/template/Render.h"

#include "runtime/Error.h"

namespace qkv::jinja {

using V = Value::Kind;

/// None after an error.
std::optional<bool> Render::test(const std::string &name, const Value &value, const Given &given) {
  if (broken)
    return std::nullopt;
  if (!given.named.empty()) {
    fail("a test takes no names");
    return std::nullopt;
  }
  bool one = given.plain.size() == 1;
  int order = 0;
  auto ordered = [&](auto holds) -> std::optional<bool> {
    if (!one || !compare(value, given.plain[0], order)) {
      fail("the test " + rt::quote(name) + " takes two values that have an order");
      return std::nullopt;
    }
    return holds(order);
  };
  if (name == "defined" || name == "undefined")
    return value.is(V::Undefined) == (name == "undefined");
  if (name == "none")
    return value.is(V::None);
  if (name == "true" || name == "false")
    return value.is(V::Bool) && value.boolean() == (name == "true");
  if (name == "boolean")
    return value.is(V::Bool);
  if (name == "string")
    return value.is(V::Text);
  if (name == "number")
    return value.isNumber();
  if (name == "integer")
    return value.is(V::Int);
  if (name == "float")
    return value.is(V::Float);
  if (name == "mapping")
    return value.is(V::Dict);
  if (name == "sequence")
    return value.isList() || value.is(V::Text) || value.is(V::Dict) || value.is(V::Undefined);
  if (name == "iterable")
    return value.isList() || value.is(V::Text) || value.is(V::Dict) || value.is(V::Undefined);
  if (name == "callable")
    return value.is(V::Macro) || value.is(V::Global) || value.is(V::Loop);
  if (name == "lower" || name == "upper") {
    std::string text = printedText(value);
    Value changed = method(Value::text(text), name == "lower" ? "islower" : "isupper", {});
    return changed.truth();
  }
  if (one && (name == "eq" || name == "equalto" || name == "ne"))
    return equal(value, given.plain[0]) != (name == "ne");
  if (one && name == "sameas")
    return value.same(given.plain[0]);
  if (one && name == "in")
    return contains(given.plain[0], value);
  if (name == "gt" || name == "greaterthan")
    return ordered([](int o) { return o > 0; });
  if (name == "ge")
    return ordered([](int o) { return o >= 0; });
  if (name == "lt" || name == "lessthan")
    return ordered([](int o) { return o < 0; });
  if (name == "le")
    return ordered([](int o) { return o <= 0; });
  bool even = name == "even", odd = name == "odd", by = name == "divisibleby" && one;
  if (even || odd || by) {
    Value rest = arithmetic("%", value, by ? given.plain[0] : Value::of(int64_t(2)));
    if (broken)
      return std::nullopt;
    return rest.number() == (odd ? 1 : 0);
  }
  fail("the test " + rt::quote(name) + " is not known, or takes something else");
  return std::nullopt;
}

} // namespace qkv::jinja

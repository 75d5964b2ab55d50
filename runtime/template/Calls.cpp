// Functions that every template has, and what is given to functions.
#include "runtime/template/Render.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::jinja {

using V = Value::Kind;

Value Render::callRange(const Given &given) {
  std::vector<Value> values;
  constexpr int64_t most = 100000;
  int64_t ends[3] = {0, 0, 1};
  if (!take("range", given, {"start", "stop", "step"}, values))
    return {};
  bool one = values[1].is(V::Undefined);
  for (int i = 0; i < 3; ++i)
    if (!number(values[i], ends[i], ends[i]))
      return {};
  if (one)
    ends[1] = ends[0], ends[0] = 0;
  if (ends[2] == 0)
    return failed("the step of range() is zero");
  List all;
  for (int64_t at = ends[0]; ends[2] > 0 ? at < ends[1] : at > ends[1];) {
    if (static_cast<int64_t>(all.size()) >= most)
      return failed("range() has more than 100000 numbers");
    all.push_back(Value::of(at));
    if (__builtin_add_overflow(at, ends[2], &at))
      break;
  }
  step(static_cast<int64_t>(all.size()));
  return Value::list(std::move(all));
}

Value Render::callGlobal(const std::string &name, const Given &given) {
  std::vector<Value> values;
  if (name == "range")
    return callRange(given);
  if (name.starts_with("dict."))
    return failed("a method of a dict is called where it stands behind it");
  if (name == "namespace" || name == "dict") {
    Dict dict;
    for (const Value &one : given.plain) {
      if (!one.is(V::Dict))
        return failed(name + "() takes names with values");
      for (const auto &[key, value] : one.dict().all())
        dict.put(key, value);
    }
    for (const auto &[key, value] : given.named)
      dict.put(key, value);
    if (name == "dict")
      return Value::dict(std::move(dict));
    Value space = Value::space(std::move(dict));
    spaces.push_back(space.spaceOwner());
    return space;
  }
  if (name == "raise_exception") {
    if (!take("raise_exception", given, {"message"}, values))
      return {};
    return failed("the template says: " + printedText(values[0]));
  }
  if (!take("strftime_now", given, {"format"}, values))
    return {};
  if (!values[0].is(V::Text) || values[0].text().size() > 100)
    return failed("strftime_now() takes a format of at most 100 letters");
  char buffer[1000];
  size_t count = strftime(buffer, sizeof buffer, values[0].text().c_str(), &now);
  return Value::text(std::string(buffer, count));
}

Value Render::callLoop(Loop &loop, const std::string &name, const Given &given) {
  if (name == "cycle") {
    if (given.plain.empty())
      return failed("loop.cycle() takes at least one value");
    return given.plain[loop.at % given.plain.size()];
  }
  if (name == "changed") {
    bool same = loop.asked && loop.changed.size() == given.plain.size() &&
                std::equal(loop.changed.begin(), loop.changed.end(), given.plain.begin(),
                           [](const Value &a, const Value &b) { return equal(a, b); });
    loop.asked = true;
    loop.changed = given.plain;
    return Value::of(!same);
  }
  return failed("loop has no " + name + "()");
}

bool Render::take(const char *what, const Given &given, std::initializer_list<const char *> names,
                  std::vector<Value> &values) {
  if (broken)
    return false;
  values.assign(names.size(), {});
  if (given.plain.size() > names.size())
    return fail(rt::format("%s takes %zu values at most", what, names.size()));
  std::copy(given.plain.begin(), given.plain.end(), values.begin());
  for (const auto &[name, value] : given.named) {
    auto found = std::find_if(names.begin(), names.end(), [&](const char *n) { return name == n; });
    if (found == names.end())
      return fail(std::string(what) + " takes no value of the name " + rt::quote(name));
    values[static_cast<size_t>(found - names.begin())] = value;
  }
  return true;
}

bool Render::number(const Value &value, int64_t otherwise, int64_t &out) {
  out = otherwise;
  if (value.is(V::Undefined))
    return true;
  if (!value.isNumber() || value.is(V::Float))
    return fail(std::string("a whole number is expected, not a value of type ") + kindName(value));
  out = value.whole();
  return true;
}

bool Render::items(const Value &value, List &out) {
  if (broken)
    return false;
  if (value.isList()) {
    out = value.list();
  } else if (value.is(V::Dict)) {
    for (const auto &[key, one] : value.dict().all())
      out.push_back(Value::text(key));
  } else if (value.is(V::Text)) {
    for (std::string_view one : characters(value.text()))
      out.push_back(Value::text(std::string(one)));
  } else if (!value.is(V::Undefined)) {
    return fail(std::string("a value of type ") + kindName(value) + " has no parts to go through");
  }
  return step(static_cast<int64_t>(out.size()));
}

Value Render::text(std::string text) {
  if (text.size() > limits.bytes)
    return failed("a text of it is too long");
  return step(static_cast<int64_t>(text.size() / 64)) ? Value::text(std::move(text)) : Value();
}

std::string Render::printedText(const Value &value) {
  std::string text;
  if (!printed(value, text, limits.bytes))
    fail("a text of it is too long");
  return text;
}

} // namespace qkv::jinja

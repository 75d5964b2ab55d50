// Filters.
#include "runtime/template/Render.h"

#include "runtime/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace qkv::jinja {

using V = Value::Kind;

namespace {

/// The number that a text is, as Python's int() and float() read it.
std::optional<double> floatIn(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n'))
    text.remove_suffix(1);
  bool plus = !text.empty() && text.front() == '+';
  double number = 0;
  auto [end, failed] = std::from_chars(text.data() + plus, text.data() + text.size(), number);
  bool good = failed == std::errc() && end == text.data() + text.size() && !text.empty();
  return good ? std::optional(number) : std::nullopt;
}

std::optional<int64_t> wholeIn(std::string_view text, int64_t base) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n'))
    text.remove_suffix(1);
  bool plus = !text.empty() && text.front() == '+';
  int64_t number = 0;
  auto [end, failed] = std::from_chars(text.data() + plus, text.data() + text.size(), number,
                                       static_cast<int>(base));
  bool good = failed == std::errc() && end == text.data() + text.size() && !text.empty();
  return good ? std::optional(number) : std::nullopt;
}

/// "Hello world"; with `all` "Hello World".
std::string capital(const std::string &text, bool all) {
  std::string out;
  bool begins = true;
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    out += letter && begins ? static_cast<char>(c & ~32) : letter ? static_cast<char>(c | 32) : c;
    begins = all && (c == ' ' || c == '-' || c == '(' || c == '{' || c == '[' || c == '<' ||
                     (c >= '\t' && c <= '\r'));
  }
  return out;
}

} // namespace

Value Render::filter(const std::string &name, const Value &value, const Given &given) {
  if (broken)
    return {};
  if (value.is(V::Undefined) && name == "items")
    return Value::list({});
  std::vector<Value> v;
  if (name == "default" || name == "d") {
    if (!take("default", given, {"default_value", "boolean"}, v))
      return {};
    bool use = value.is(V::Undefined) || (flag(v[1], false) && !value.truth());
    return !use ? value : v[0].is(V::Undefined) ? Value::text("") : v[0];
  }
  if (name == "tojson") {
    if (!take("tojson", given, {"ensure_ascii", "indent", "separators", "sort_keys"}, v))
      return {};
    int64_t indent = -1;
    if (!v[1].is(V::None) && !number(v[1], -1, indent))
      return {};
    if (indent > 100)
      return failed("tojson indents by 100 at most");
    std::pair<std::string, std::string> marks{indent >= 0 ? "," : ", ", ": "};
    if (v[2].isList() && v[2].list().size() == 2)
      marks = {printedText(v[2].list()[0]), printedText(v[2].list()[1])};
    std::string out, wrong;
    if (!toJson(value, indent, flag(v[0], false), flag(v[3], false), marks, limits.bytes, out,
                wrong))
      return failed(wrong);
    return text(std::move(out));
  }
  if (name == "int" || name == "float" || name == "abs" || name == "round")
    return numberFilter(name, value, given);
  if (Value result = textFilter(name, value, given); broken || !result.is(V::Undefined))
    return result;
  return broken ? Value() : listFilter(name, value, given);
}

Value Render::numberFilter(const std::string &name, const Value &value, const Given &given) {
  std::vector<Value> v;
  if (name == "int") {
    if (!take("int", given, {"default", "base"}, v))
      return {};
    int64_t base = 10;
    if (!number(v[1], 10, base) || base < 2 || base > 36)
      return failed("the base of int is from 2 to 36");
    Value otherwise = v[0].is(V::Undefined) ? Value::of(int64_t(0)) : v[0];
    if (value.is(V::Text)) {
      if (auto whole = wholeIn(value.text(), base))
        return Value::of(*whole);
      auto real = floatIn(value.text());
      return real && std::fabs(*real) < 9e18 ? Value::of(static_cast<int64_t>(*real)) : otherwise;
    }
    if (!value.isNumber() || !(std::fabs(value.number()) < 9e18))
      return otherwise;
    return value.is(V::Float) ? Value::of(static_cast<int64_t>(value.number()))
                              : Value::of(value.whole());
  }
  if (name == "float") {
    if (!take("float", given, {"default"}, v))
      return {};
    if (value.isNumber())
      return Value::of(value.number());
    if (value.is(V::Text))
      if (auto real = floatIn(value.text()))
        return Value::of(*real);
    return v[0].is(V::Undefined) ? Value::of(0.0) : v[0];
  }
  if (!take(name.c_str(), given, {"precision", "method"}, v))
    return {};
  if (!value.isNumber())
    return failed(name + " takes a number, not a value of type " + kindName(value));
  if (name == "abs")
    return value.is(V::Float)
               ? Value::of(std::fabs(value.number()))
               : arithmetic(value.whole() < 0 ? "-" : "+", Value::of(int64_t(0)), value);
  int64_t digits = 0;
  if (!number(v[0], 0, digits) || digits < 0 || digits > 15)
    return failed("round takes 0 to 15 digits");
  std::string how = v[1].is(V::Text) ? v[1].text() : "common";
  double scale = std::pow(10.0, static_cast<double>(digits)), x = value.number() * scale;
  if (how == "common") { // half to even, of the decimal that is written
    std::string shortest = rt::format("%.*f", static_cast<int>(digits), value.number());
    return Value::of(strtod(shortest.c_str(), nullptr));
  }
  if (how != "ceil" && how != "floor")
    return failed("round knows common, ceil and floor");
  return Value::of((how == "ceil" ? std::ceil(x) : std::floor(x)) / scale);
}

/// Undefined without an error: it is no filter of texts.
Value Render::textFilter(const std::string &name, const Value &value, const Given &given) {
  std::vector<Value> v;
  if (name == "string") {
    return text(printedText(value));
  }
  if (name == "upper" || name == "lower" || name == "capitalize" || name == "title") {
    std::string all = printedText(value);
    return text(name == "upper"   ? upper(all)
                : name == "lower" ? method(Value::text(all), "lower", {}).text()
                                  : capital(all, name == "title"));
  }
  if (name == "trim") {
    if (!take("trim", given, {"chars"}, v))
      return {};
    return text(strip(printedText(value), v[0], true, true));
  }
  if (name == "replace") {
    if (!take("replace", given, {"s", "new", "count"}, v))
      return {};
    Given again{{v[0], v[1]}, {}};
    if (!v[2].is(V::Undefined) && !v[2].is(V::None))
      again.plain.push_back(v[2]);
    return textMethod(printedText(value), "replace", again);
  }
  if (name == "escape" || name == "e" || name == "safe" || name == "forceescape") {
    std::string out;
    if (name == "safe")
      return text(printedText(value));
    for (char c : printedText(value))
      out += c == '&'    ? "&amp;"
             : c == '<'  ? "&lt;"
             : c == '>'  ? "&gt;"
             : c == '"'  ? "&#34;"
             : c == '\'' ? "&#39;"
                         : std::string(1, c);
    return text(std::move(out));
  }
  if (name == "indent") {
    if (!take("indent", given, {"width", "first", "blank"}, v))
      return {};
    std::string by(4, ' ');
    int64_t width = 4;
    if (v[0].is(V::Text))
      by = v[0].text();
    else if (!number(v[0], 4, width) || width < 0 || width > 1000)
      return failed("indent takes 0 to 1000 spaces");
    else
      by.assign(static_cast<size_t>(width), ' ');
    std::string all = printedText(value), out = flag(v[1], false) ? by : "";
    for (size_t i = 0; i < all.size(); ++i) {
      out += all[i];
      bool blank = i + 1 < all.size() && all[i + 1] == '\n';
      if (all[i] == '\n' && i + 1 < all.size() && (!blank || flag(v[2], false)))
        out += by;
      if (out.size() > limits.bytes)
        break;
    }
    return text(std::move(out));
  }
  if (name == "wordcount")
    return Value::of(
        static_cast<int64_t>(splitMethod(printedText(value), "split", {}).list().size()));
  if (name == "center") {
    if (!take("center", given, {"width"}, v))
      return {};
    Given again{{v[0].is(V::Undefined) ? Value::of(int64_t(80)) : v[0]}, {}};
    return textMethod(printedText(value), "center", again);
  }
  return {};
}

Value Render::listFilter(const std::string &name, const Value &value, const Given &given) {
  std::vector<Value> v;
  List all;
  if (name == "length" || name == "count") {
    if (value.is(V::Dict) || value.is(V::Text) || value.isList() || value.is(V::Undefined))
      return items(value, all) ? Value::of(static_cast<int64_t>(all.size())) : Value();
    return failed(std::string("a value of type ") + kindName(value) + " has no length");
  }
  if (name == "items" || name == "dictsort") {
    if (!value.is(V::Dict))
      return failed(name + " takes a dict, not a value of type " + kindName(value));
    std::vector<std::pair<std::string, Value>> entries = value.dict().all();
    if (name == "dictsort") {
      if (!take("dictsort", given, {"case_sensitive", "by", "reverse"}, v))
        return {};
      if (!v[1].is(V::Undefined) && !equal(v[1], Value::text("key")))
        return failed("dictsort by values is not supported");
      auto key = [&](const std::string &one) {
        return flag(v[0], false) ? one : method(Value::text(one), "lower", {}).text();
      };
      std::stable_sort(entries.begin(), entries.end(), [&](const auto &a, const auto &b) {
        return flag(v[2], false) ? key(b.first) < key(a.first) : key(a.first) < key(b.first);
      });
    }
    for (const auto &[key, one] : entries)
      all.push_back(Value::list({Value::text(key), one}, /*tuple=*/true));
    return Value::list(std::move(all));
  }
  if (name == "map")
    return map(value, given);
  if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr")
    return select(name, value, given);
  if (name == "sort" || name == "min" || name == "max" || name == "unique")
    return name == "sort" ? sorted(value, given) : select(name, value, given);
  if (name == "reverse" && value.is(V::Text)) {
    std::string out;
    std::vector<std::string_view> letters = characters(value.text());
    for (size_t i = letters.size(); i > 0; --i)
      out += letters[i - 1];
    return text(std::move(out));
  }
  bool known = name == "list" || name == "first" || name == "last" || name == "join" ||
               name == "reverse" || name == "sum" || name == "batch" || name == "slice";
  if (name == "attr") {
    if (!take("attr", given, {"name"}, v) || !v[0].is(V::Text))
      return failed("attr takes a name");
    return value.is(V::Dict) ? Value::undefined(v[0].text()) : attribute(value, v[0].text());
  }
  if (!known)
    return failed("the filter " + rt::quote(name) + " is not known");
  return items(value, all) ? partsFilter(name, std::move(all), given) : Value();
}

/// Of what can be walked through.
Value Render::partsFilter(const std::string &name, List all, const Given &given) {
  std::vector<Value> v;
  if (name == "list")
    return Value::list(std::move(all));
  if (name == "first" || name == "last")
    return all.empty()       ? Value::undefined("the " + name + " of nothing")
           : name == "first" ? all.front()
                             : all.back();
  if (name == "reverse") {
    std::reverse(all.begin(), all.end());
    return Value::list(std::move(all));
  }
  if (name == "join") {
    if (!take("join", given, {"d", "attribute"}, v))
      return {};
    std::string between = v[0].is(V::Undefined) ? "" : printedText(v[0]), out;
    for (size_t i = 0; i < all.size() && !broken && out.size() <= limits.bytes; ++i) {
      Value one = v[1].is(V::Text) ? attribute(all[i], v[1].text()) : all[i];
      out += (i ? between : "") + printedText(one);
    }
    return text(std::move(out));
  }
  if (name == "sum") {
    if (!take("sum", given, {"attribute", "start"}, v))
      return {};
    Value total = v[1].is(V::Undefined) ? Value::of(int64_t(0)) : v[1];
    for (const Value &one : all)
      total = arithmetic("+", total, v[0].is(V::Text) ? attribute(one, v[0].text()) : one);
    return total;
  }
  int64_t count = 0;
  if (!take(name.c_str(), given, {"count", "fill_with"}, v) || !number(v[0], 0, count))
    return {};
  if (count < 1 || name == "slice")
    return failed(name == "slice" ? "the filter slice is not supported" : "batch takes a count");
  List rows;
  for (size_t i = 0; i < all.size(); i += static_cast<size_t>(count)) {
    List row(all.begin() + static_cast<std::ptrdiff_t>(i),
             all.begin() +
                 static_cast<std::ptrdiff_t>(std::min(all.size(), i + static_cast<size_t>(count))));
    if (!v[1].is(V::Undefined) && !v[1].is(V::None) && count < 100000)
      row.resize(static_cast<size_t>(count), v[1]);
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::list(std::move(rows));
}

/// What is at a path: "a.b", "0.c".
Value Render::byPath(const Value &value, const std::string &path) {
  Value now = value;
  for (size_t begin = 0; begin <= path.size() && !now.is(V::Undefined);) {
    size_t end = std::min(path.find('.', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    bool whole =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == part.npos;
    now = whole ? item(now, Value::of(wholeIn(part, 10).value_or(0))) : attribute(now, part);
    begin = end + 1;
  }
  return now;
}

/// map(attribute="a.b", default=x), map("upper")
Value Render::map(const Value &value, const Given &given) {
  List all, out;
  if (!items(value, all))
    return {};
  const Value *path = nullptr, *otherwise = nullptr;
  for (const auto &[name, one] : given.named) {
    path = name == "attribute" ? &one : path;
    otherwise = name == "default" ? &one : otherwise;
  }
  if (!path && (given.plain.empty() || !given.plain[0].is(V::Text)))
    return failed("map takes attribute=NAME or the name of a filter");
  Given rest = given;
  if (!path)
    rest.plain.erase(rest.plain.begin());
  for (const Value &one : all) {
    Value now = one;
    if (!path) {
      now = filter(given.plain[0].text(), one, rest);
    } else {
      now = byPath(one, printedText(*path));
      if (now.is(V::Undefined) && otherwise)
        now = *otherwise;
    }
    if (broken || !step())
      return {};
    out.push_back(now);
  }
  return Value::list(std::move(out));
}

/// Those of which a test holds; min, max, unique.
Value Render::select(const std::string &name, const Value &value, const Given &given) {
  List all, out;
  if (!items(value, all))
    return {};
  bool attributes = name == "selectattr" || name == "rejectattr";
  bool extreme = name == "min" || name == "max", unique = name == "unique";
  if (extreme || unique) {
    std::vector<Value> v;
    if (!take(name.c_str(), given, {"case_sensitive", "attribute"}, v))
      return {};
    auto key = [&](const Value &one) {
      Value of = v[1].is(V::Text) ? attribute(one, v[1].text()) : one;
      return of.is(V::Text) && !flag(v[0], false) ? method(of, "lower", {}) : of;
    };
    List keys;
    for (const Value &one : all) {
      Value now = key(one);
      int order = 0;
      if (broken || !step(static_cast<int64_t>(keys.size() / 8)))
        return {};
      if (unique && (now.is(V::Dict) || now.is(V::List)))
        return failed(std::string("unique does not tell values of type ") + kindName(now) +
                      " apart");
      bool seen = unique && std::any_of(keys.begin(), keys.end(),
                                        [&](const Value &k) { return equal(k, now); });
      if (extreme && !out.empty() && !compare(now, keys[0], order))
        return failed("there is no order of " + std::string(kindName(now)) + " and " +
                      kindName(keys[0]));
      if (extreme && (out.empty() || (name == "min" ? order < 0 : order > 0))) {
        out = {one};
        keys = {now};
      } else if (unique && !seen) {
        out.push_back(one);
        keys.push_back(now);
      }
    }
    if (extreme)
      return out.empty() ? Value::undefined("the " + name + " of nothing") : out[0];
    return Value::list(std::move(out));
  }
  Given rest = given;
  std::string path, how;
  auto first = [&](std::string &to) {
    if (rest.plain.empty())
      return true;
    to = printedText(rest.plain[0]);
    rest.plain.erase(rest.plain.begin());
    return !broken;
  };
  if ((attributes && (!first(path) || path.empty())) || !first(how))
    return failed(name + " takes the name of an attribute");
  for (const Value &one : all) {
    Value now = attributes ? byPath(one, path) : one;
    std::optional<bool> holds = how.empty() ? std::optional(now.truth()) : test(how, now, rest);
    if (!holds || broken || !step())
      return {};
    if (*holds == name.starts_with("select"))
      out.push_back(one);
  }
  return Value::list(std::move(out));
}

Value Render::sorted(const Value &value, const Given &given) {
  std::vector<Value> v;
  List all;
  if (!take("sort", given, {"reverse", "case_sensitive", "attribute"}, v) || !items(value, all))
    return {};
  std::vector<std::pair<Value, size_t>> keys;
  for (size_t i = 0; i < all.size(); ++i) {
    Value key = v[2].is(V::Text) ? attribute(all[i], v[2].text()) : all[i];
    if (key.is(V::Text) && !flag(v[1], false))
      key = method(key, "lower", {});
    int order = 0;
    if (broken)
      return {};
    if (i > 0 && !compare(key, keys[0].first, order))
      return failed("there is no order of " + std::string(kindName(key)) + " and " +
                    kindName(keys[0].first));
    keys.emplace_back(key, i);
  }
  if (!step(static_cast<int64_t>(8 * keys.size())))
    return {};
  bool down = flag(v[0], false);
  std::stable_sort(keys.begin(), keys.end(), [&](const auto &a, const auto &b) {
    int order = 0;
    return compare(a.first, b.first, order) && (down ? order > 0 : order < 0);
  });
  List out;
  for (const auto &[key, at] : keys)
    out.push_back(all[at]);
  return Value::list(std::move(out));
}

} // namespace qkv::jinja

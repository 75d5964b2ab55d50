// What schemas say of values (JsonSchema.h).
#include "runtime/grammar/JsonSchema.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace qkv::rt {

using Json = OrderedJson;

static constexpr SchemaKeyword keywords[] = {{"title", 0},
                                             {"description", 0},
                                             {"default", 0},
                                             {"examples", 0},
                                             {"$schema", 0},
                                             {"$id", 0},
                                             {"$comment", 0},
                                             {"deprecated", 0},
                                             {"readOnly", 0},
                                             {"writeOnly", 0},
                                             {"$defs", 0},
                                             {"definitions", 0},
                                             {"type", All},
                                             {"enum", All},
                                             {"const", All},
                                             {"anyOf", All},
                                             {"oneOf", All},
                                             {"allOf", All},
                                             {"$ref", All},
                                             {"properties", Object},
                                             {"required", Object},
                                             {"additionalProperties", Object},
                                             {"patternProperties", Object},
                                             {"items", List},
                                             {"prefixItems", List},
                                             {"minItems", List},
                                             {"maxItems", List},
                                             {"uniqueItems", List},
                                             {"minLength", Text},
                                             {"maxLength", Text},
                                             {"pattern", Text},
                                             {"format", Text},
                                             {"minimum", Whole | Fraction},
                                             {"maximum", Whole | Fraction},
                                             {"exclusiveMinimum", Whole | Fraction},
                                             {"exclusiveMaximum", Whole | Fraction},
                                             {"multipleOf", Whole | Fraction}};

const SchemaKeyword *keywordOf(const std::string &name) {
  for (const SchemaKeyword &one : keywords)
    if (name == one.name)
      return &one;
  return nullptr;
}

unsigned jsonTypeOf(const Json &value) {
  switch (value.type()) {
  case Json::value_t::null:
    return Null;
  case Json::value_t::boolean:
    return Boolean;
  case Json::value_t::string:
    return Text;
  case Json::value_t::number_integer:
  case Json::value_t::number_unsigned:
    return Whole;
  case Json::value_t::number_float:
    return std::floor(value.get<double>()) == value.get<double>() ? Whole : Fraction;
  case Json::value_t::array:
    return List;
  default:
    return Object;
  }
}

bool typesNamed(const Json &given, unsigned &types) {
  types = 0;
  Json list = given.is_array() ? given : Json::array({given});
  for (const Json &one : list) {
    constexpr std::pair<const char *, unsigned> names[] = {
        {"null", Null},     {"boolean", Boolean},         {"string", Text},
        {"integer", Whole}, {"number", Whole | Fraction}, {"array", List},
        {"object", Object}};
    auto found = std::find_if(std::begin(names), std::end(names), [&](auto &name) {
      return one.is_string() && one.get_ref<const std::string &>() == name.first;
    });
    if (found == std::end(names))
      return false;
    types |= found->second;
  }
  return true;
}

/// Null: any values.
static const Json *valuesOf(const Json &one) {
  return one.is_object() && one.contains("enum") && one["enum"].is_array() ? &one["enum"] : nullptr;
}

static const Json *property(const Json &one, const std::string &name) {
  if (!one.contains("properties") || !one["properties"].is_object() ||
      !one["properties"].contains(name))
    return nullptr;
  return &one["properties"][name];
}

static std::vector<Json> heldBy(const Json &one) {
  std::vector<Json> out;
  if (const Json *values = valuesOf(one))
    out.assign(values->begin(), values->end());
  else if (one.is_object() && one.contains("const"))
    out.push_back(one["const"]);
  return out;
}

static bool valuesApart(const Json &a, const Json &b) {
  std::vector<Json> left = heldBy(a), right = heldBy(b);
  return !left.empty() && !right.empty() &&
         std::none_of(left.begin(), left.end(), [&](const Json &one) {
           return std::find(right.begin(), right.end(), one) != right.end();
         });
}

const Json *JsonSchema::find(const std::string &path) const {
  const Json *at = &root;
  if (path.empty() || path[0] != '#')
    return nullptr;
  for (size_t begin = 1; begin < path.size();) {
    if (path[begin] != '/')
      return nullptr;
    size_t end = std::min(path.find('/', begin + 1), path.size());
    std::string name = path.substr(begin + 1, end - begin - 1);
    for (auto [from, to] : {std::pair("~1", "/"), std::pair("~0", "~")})
      for (size_t i = 0; (i = name.find(from, i)) != name.npos; ++i)
        name.replace(i, 2, to);
    if (at->is_array()) {
      bool digits =
          !name.empty() && name.size() < 9 && name.find_first_not_of("0123456789") == name.npos;
      auto item =
          static_cast<size_t>(digits ? std::strtoul(name.c_str(), nullptr, 10) : at->size());
      if (item >= at->size())
        return nullptr;
      at = &(*at)[item];
    } else {
      auto found = at->find(name);
      if (!at->is_object() || found == at->end())
        return nullptr;
      at = &*found;
    }
    begin = end;
  }
  return at;
}

/// What `$ref` alone stands for.
const Json &JsonSchema::resolved(const Json &one) const {
  const Json *at = &one;
  for (int i = 0; i < 20 && at->is_object() && at->contains("$ref"); ++i) {
    const Json &to = (*at)["$ref"];
    const Json *next = to.is_string() ? find(to.get<std::string>()) : nullptr;
    if (!next)
      return *at;
    at = next;
  }
  return *at;
}

unsigned JsonSchema::typesOf(const Json &given, int depth) const {
  const Json &one = resolved(given);
  if (!one.is_object() || depth > 4)
    return All;
  unsigned types = All, named = 0;
  for (const char *name : {"anyOf", "oneOf"})
    if (one.contains(name) && one[name].is_array()) {
      unsigned any = 0;
      for (const Json &member : one[name])
        any |= typesOf(member, depth + 1);
      types &= any;
    }
  if (one.contains("allOf") && one["allOf"].is_array())
    for (const Json &member : one["allOf"])
      types &= typesOf(member, depth + 1);
  if (one.contains("enum") || one.contains("const")) {
    unsigned values = 0;
    for (const Json &value : heldBy(one))
      values |= jsonTypeOf(value);
    types &= values;
  }
  // (Words that speak of one type let all others hold.)
  if (one.contains("type") && typesNamed(one["type"], named))
    types &= named;
  return types;
}

bool JsonSchema::apart(const Json &a, const Json &b) const {
  if (!(typesOf(a) & typesOf(b)))
    return true;
  const Json &left = resolved(a), &right = resolved(b);
  if (valuesApart(left, right))
    return true;
  // Objects that must have a property of different values.
  if ((typesOf(a) | typesOf(b)) != Object || !left.is_object() || !right.is_object() ||
      !left.contains("required") || !right.contains("required"))
    return false;
  for (const Json &name : left["required"]) {
    const Json *mine = name.is_string() ? property(left, name.get<std::string>()) : nullptr;
    const Json *other = mine ? property(right, name.get<std::string>()) : nullptr;
    const Json &needed = right["required"];
    if (other && std::find(needed.begin(), needed.end(), name) != needed.end() &&
        (valuesApart(resolved(*mine), resolved(*other)) || !(typesOf(*mine) & typesOf(*other))))
      return true;
  }
  return false;
}

} // namespace qkv::rt

// Several schemas that hold at once, as one (JsonSchema.h). Holds: what is valid by the result is
// valid by each of them; what cannot be said as one is refused.
#include "runtime/Error.h"
#include "runtime/grammar/JsonSchema.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace qkv::rt {
namespace {

using Json = OrderedJson;
constexpr int mostFlat = 64; ///< schemas inside of schemas, and schemas side by side

bool among(const std::string &name, std::initializer_list<const char *> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Json without(const Json &one, const char *name) {
  Json rest = one;
  rest.erase(name);
  return rest;
}

Json both(const Json &a, const Json &b) {
  return a == b ? a : Json{{"allOf", Json::array({a, b})}};
}

Json namesOf(unsigned types) {
  Json names = Json::array();
  for (auto [name, bits] :
       {std::pair("null", unsigned(Null)), std::pair("boolean", unsigned(Boolean)),
        std::pair("string", unsigned(Text)), std::pair("array", unsigned(List)),
        std::pair("object", unsigned(Object)), std::pair("number", unsigned(Whole | Fraction))})
    if ((types & bits) == bits)
      names.push_back(name);
  if ((types & (Whole | Fraction)) == Whole)
    names.push_back("integer");
  return names;
}

/// One schema that holds where two do, neither of which has members that are schemas on the same
/// level.
class Merging {
public:
  Merging(Json into, std::string &why) : out(std::move(into)), why(why) {}

  bool add(const Json &one) {
    if (!objects(one) || !lists(one))
      return false;
    for (auto &[name, value] : one.items())
      if (!among(name, {"properties", "additionalProperties", "patternProperties", "items",
                        "prefixItems"}) &&
          !word(name, value))
        return false;
    return true;
  }
  Json out;

private:
  bool stop(const std::string &what) {
    why = what;
    return false;
  }

  /// Words that two schemas have the stronger of.
  bool word(const std::string &name, const Json &value) {
    if (!out.contains(name) || out[name] == value) {
      out[name] = value;
      return true;
    }
    Json &mine = out[name];
    bool numbers = mine.is_number() && value.is_number();
    if (name == "type") {
      unsigned a = 0, b = 0;
      if (!typesNamed(mine, a) || !typesNamed(value, b))
        return stop("a type that is not known");
      mine = namesOf(a & b);
      return true;
    }
    if (name == "required" && mine.is_array() && value.is_array()) {
      for (const Json &one : value)
        if (std::find(mine.begin(), mine.end(), one) == mine.end())
          mine.push_back(one);
      return true;
    }
    if (name == "enum" && mine.is_array() && value.is_array()) {
      Json kept = Json::array();
      for (const Json &one : mine)
        if (std::find(value.begin(), value.end(), one) != value.end())
          kept.push_back(one);
      mine = kept;
      return true;
    }
    if (numbers && among(name, {"minimum", "exclusiveMinimum", "minLength", "minItems"})) {
      if (mine < value)
        mine = value;
      return true;
    }
    if (numbers && among(name, {"maximum", "exclusiveMaximum", "maxLength", "maxItems"})) {
      if (value < mine)
        mine = value;
      return true;
    }
    if (name == "multipleOf" && mine.is_number_unsigned() && value.is_number_unsigned())
      return multiple(mine, value.get<uint64_t>());
    if (name == "uniqueItems" && mine.is_boolean() && value.is_boolean()) {
      mine = true;
      return true;
    }
    return stop("two of " + name + " at once are not supported");
  }

  bool multiple(Json &mine, uint64_t other) {
    constexpr uint64_t most = uint64_t(1) << 31;
    auto own = mine.get<uint64_t>();
    if (own == 0 || other == 0 || own > most || other > most)
      return stop("two of multipleOf at once are not supported");
    mine = std::lcm(own, other);
    return true;
  }

  /// Properties of both; where one says what all others must be, those that it does not name, too.
  bool objects(const Json &one) {
    auto speaks = [](const Json &schema) {
      return schema.contains("properties") || schema.contains("additionalProperties") ||
             schema.contains("patternProperties");
    };
    if (!speaks(one))
      return true;
    if (speaks(out) && (one.contains("patternProperties") || out.contains("patternProperties")))
      return stop("patternProperties beside other properties are not supported");
    if (!speaks(out)) {
      for (const char *name : {"properties", "additionalProperties", "patternProperties"})
        if (one.contains(name))
          out[name] = one[name];
      return true;
    }
    Json mine = out.value("properties", Json::object()),
         other = one.value("properties", Json::object());
    if (!mine.is_object() || !other.is_object())
      return stop("properties that are no object");
    Json merged = Json::object();
    for (auto &[name, schema] : mine.items())
      merged[name] = other.contains(name) ? both(schema, other[name])
                     : one.contains("additionalProperties")
                         ? both(schema, one["additionalProperties"])
                         : schema;
    for (auto &[name, schema] : other.items())
      if (!mine.contains(name))
        merged[name] = out.contains("additionalProperties")
                           ? both(schema, out["additionalProperties"])
                           : schema;
    if (!merged.empty())
      out["properties"] = merged;
    if (one.contains("additionalProperties"))
      out["additionalProperties"] =
          out.contains("additionalProperties")
              ? both(out["additionalProperties"], one["additionalProperties"])
              : one["additionalProperties"];
    return true;
  }

  /// Items place by place.
  bool lists(const Json &one) {
    bool mine = out.contains("items") || out.contains("prefixItems"),
         other = one.contains("items") || one.contains("prefixItems");
    if (!other)
      return true;
    if (!mine) {
      for (const char *name : {"items", "prefixItems"})
        if (one.contains(name))
          out[name] = one[name];
      return true;
    }
    Json a = out.value("prefixItems", Json::array()), b = one.value("prefixItems", Json::array());
    Json restA = out.value("items", Json(true)), restB = one.value("items", Json(true));
    if (!a.is_array() || !b.is_array() || restA.is_array() || restB.is_array())
      return stop("items of both as lists are not supported");
    Json first = Json::array();
    for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
      first.push_back(both(i < a.size() ? a[i] : restA, i < b.size() ? b[i] : restB));
    if (!first.empty())
      out["prefixItems"] = first;
    out["items"] = both(restA, restB);
    return true;
  }

  std::string &why;
};

} // namespace

/// What must hold, one beside the other: $ref and allOf in the place of what they stand for.
bool JsonSchema::flatten(const Json &one, std::vector<Json> &out, int depth,
                         std::string &why) const {
  if (depth > mostFlat || out.size() > mostFlat) {
    why = "too many schemas hold at once";
    return false;
  }
  if (!one.is_object()) {
    out.push_back(one);
    return one.is_boolean() || (why = "a schema is an object, true or false", false);
  }
  if (one.contains("$ref")) {
    const Json &to = one["$ref"];
    const Json *found = to.is_string() ? find(to.get<std::string>()) : nullptr;
    if (!found) {
      why = "a $ref that leads to no schema in this file";
      return false;
    }
    return flatten(*found, out, depth + 1, why) &&
           flatten(without(one, "$ref"), out, depth + 1, why);
  }
  if (one.contains("allOf")) {
    if (!one["allOf"].is_array() || one["allOf"].empty()) {
      why = "allOf is no list of schemas";
      return false;
    }
    for (const Json &member : one["allOf"])
      if (!flatten(member, out, depth + 1, why))
        return false;
    return flatten(without(one, "allOf"), out, depth + 1, why);
  }
  out.push_back(one);
  return true;
}

std::optional<Json> JsonSchema::together(const Json &one, std::string &why) const {
  std::vector<Json> all;
  if (!flatten(one, all, 0, why))
    return std::nullopt;
  if (std::find(all.begin(), all.end(), Json(false)) != all.end())
    return Json(false);
  all.erase(std::remove(all.begin(), all.end(), Json(true)), all.end());
  // Of alternatives each with all the others.
  for (size_t i = 0; i < all.size(); ++i)
    for (const char *name : {"anyOf", "oneOf"}) {
      if (!all[i].contains(name))
        continue;
      Json members = all[i][name], rest = Json::array(), out = Json::array();
      if (!members.is_array() || members.empty()) {
        why = std::string(name) + " is no list of schemas";
        return std::nullopt;
      }
      for (size_t a = 0; a < members.size() && name[0] == 'o'; ++a)
        for (size_t b = 0; b < a; ++b)
          if (!apart(members[a], members[b])) {
            why = format("members %zu and %zu of oneOf may hold at once, which is not supported "
                         "(anyOf is)",
                         b, a);
            return std::nullopt;
          }
      all[i].erase(name);
      for (const Json &other : all)
        if (!other.empty())
          rest.push_back(other);
      for (const Json &member : members) {
        Json parts = rest;
        parts.push_back(member);
        out.push_back({{"allOf", parts}});
      }
      return Json{{"anyOf", out}};
    }
  Merging merging(Json::object(), why);
  for (Json &schema : all) {
    if (schema.contains("const")) {
      schema["enum"] = schema.contains("enum") ? schema["enum"] : Json::array({schema["const"]});
      if (!schema["enum"].is_array() || std::find(schema["enum"].begin(), schema["enum"].end(),
                                                  schema["const"]) == schema["enum"].end())
        return Json(false);
      schema["enum"] = Json::array({schema["const"]});
      schema.erase("const");
    }
    for (const char *name :
         {"title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated",
          "readOnly", "writeOnly", "$defs", "definitions"})
      schema.erase(name);
    if (!merging.add(schema))
      return std::nullopt;
  }
  const Json &out = merging.out;
  for (const char *name : {"type", "enum"})
    if (out.contains(name) && out[name].is_array() && out[name].empty())
      return Json(false);
  return out;
}

} // namespace qkv::rt

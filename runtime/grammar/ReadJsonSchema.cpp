// JSON schemas (draft 2020-12 and what older ones write likewise) to rules (ReadGrammar.h). Holds:
// every text that fits is valid by the schema; a keyword that is not known is an error with its
// path.
#include "runtime/Error.h"
#include "runtime/checkpoint/Json.h"
#include "runtime/grammar/JsonSchema.h"
#include "runtime/grammar/JsonText.h"
#include "runtime/grammar/ReadGrammar.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace qkv::rt {
namespace {

using Json = OrderedJson;

class SchemaReader {
public:
  SchemaReader(const Json &root, GrammarError &error)
      : root(root), file(root), error(error), json(grammar) {}

  std::optional<Grammar> read() {
    grammar.root = grammar.declare("root");
    grammar.define(grammar.root, schema(root, "#", 0));
    // What was named by $ref: its rules may name more.
    for (size_t i = 0; good && i < wanted.size(); ++i) {
      auto [path, rule] = wanted[i];
      grammar.define(rule, schema(*file.find(path), path, 0));
    }
    return good ? std::optional(std::move(grammar)) : std::nullopt;
  }

private:
  int wrong(const std::string &path, const std::string &what) {
    if (good)
      error.text = quote(path) + ": " + what;
    good = false;
    return 0;
  }

  int schema(const Json &one, const std::string &path, int depth) {
    if (!good)
      return 0;
    if (depth > mostGrammarDepth)
      return wrong(path, "too deeply nested");
    if (one.is_boolean())
      return one.get<bool>() ? json.value() : grammar.choice({});
    if (!one.is_object())
      return wrong(path, "a schema is an object, true or false");
    unsigned speaks = 0;
    for (auto &[name, value] : one.items()) {
      const SchemaKeyword *keyword = keywordOf(name);
      if (!keyword)
        return wrong(path + "/" + name, "this keyword is not supported");
      speaks |= keyword->type == All ? 0 : keyword->type;
    }
    for (const char *name : {"$ref", "enum", "const", "anyOf", "oneOf", "allOf"})
      if (one.contains(name))
        return combined(one, name, path, depth);
    unsigned types = All;
    if (one.contains("type") && !readTypes(one["type"], path + "/type", types))
      return 0;
    // Without a type, but with words of some: what is generated is one of those.
    if (!one.contains("type") && speaks)
      types = speaks;
    return ofTypes(one, types, path, depth);
  }

  bool readTypes(const Json &given, const std::string &path, unsigned &types) {
    if (!typesNamed(given, types))
      wrong(path,
            "expected null, boolean, string, integer, number, array, object or a list of them");
    return good;
  }

  int ofTypes(const Json &one, unsigned types, const std::string &path, int depth) {
    if (types == All && one.empty())
      return json.value();
    std::vector<int> forms;
    if (types & Object)
      forms.push_back(object(one, path, depth));
    if (types & List)
      forms.push_back(list(one, path, depth));
    if (types & Text)
      forms.push_back(text(one, path));
    if (types & (Whole | Fraction))
      forms.push_back(number(one, types & Fraction, path));
    if (types & Boolean)
      forms.insert(forms.end(), {grammar.bytes("true"), grammar.bytes("false")});
    if (types & Null)
      forms.push_back(grammar.bytes("null"));
    return good ? grammar.choice(std::move(forms)) : 0;
  }

  /// Schemas that are other schemas, with words of their own beside them or not, or values, which
  /// stand alone or with a type.
  int combined(const Json &one, const std::string &name, const std::string &path, int depth) {
    const Json &value = one[name];
    std::string place = path + "/" + name;
    bool values = name == "enum" || name == "const";
    bool alone = name != "allOf" || !value.is_array() || value.size() < 2;
    for (auto &[other, ignored] : one.items())
      if (other != name && keywordOf(other)->type != 0 && !(values && other == "type")) {
        if (values)
          return wrong(path + "/" + other, "this is not supported beside " + name);
        alone = false;
      }
    if (!alone)
      return merged(one, path, depth);
    if (name == "$ref")
      return reference(value, place);
    if (name == "const")
      return constants(one, Json::array({value}), path);
    if (!value.is_array() || value.empty())
      return wrong(place, "expected a list that is not empty");
    if (name == "enum")
      return constants(one, value, path);
    std::vector<int> forms;
    for (size_t i = 0; i < value.size() && good; ++i) {
      forms.push_back(schema(value[i], place + "/" + std::to_string(i), depth + 1));
      for (size_t j = 0; j < i && good && name == "oneOf"; ++j)
        if (!file.apart(value[i], value[j]))
          return wrong(place, format("members %zu and %zu may hold at once, which is not supported "
                                     "(anyOf is)",
                                     j, i));
    }
    return good ? grammar.choice(std::move(forms)) : 0;
  }

  /// What must hold at once, as one schema.
  int merged(const Json &one, const std::string &path, int depth) {
    constexpr int most = 500;
    if (++merges > most)
      return wrong(path, "too many schemas hold at once");
    std::string why;
    std::optional<Json> all = file.together(one, why);
    return all ? schema(*all, path, depth + 1) : wrong(path, why);
  }

  int constants(const Json &one, const Json &values, const std::string &path) {
    unsigned types = All;
    if (one.contains("type") && !readTypes(one["type"], path + "/type", types))
      return 0;
    std::vector<int> forms;
    for (const Json &value : values)
      if (jsonTypeOf(value) & types)
        forms.push_back(grammar.bytes(value.dump()));
    return grammar.choice(std::move(forms));
  }

  int reference(const Json &value, const std::string &path) {
    if (!value.is_string() || !file.find(value.get<std::string>()))
      return wrong(path, "expected the place of a schema in this file, #/$defs/NAME");
    auto place = value.get<std::string>();
    auto [found, fresh] = references.try_emplace(place, -1);
    if (fresh) {
      found->second = grammar.declare(place);
      wanted.emplace_back(place, found->second);
    }
    return grammar.call(found->second);
  }

  /// A count that a keyword gives; `otherwise` where it is not there.
  int64_t count(const Json &one, const char *name, int64_t otherwise, const std::string &path) {
    if (!one.contains(name))
      return otherwise;
    const Json &value = one[name];
    if (!value.is_number_unsigned() || value.get<uint64_t>() > 1000000000) {
      wrong(path + "/" + name, "expected a whole number from 0 to 1000000000");
      return otherwise;
    }
    return value.get<int64_t>();
  }

  int text(const Json &one, const std::string &path) {
    int64_t least = count(one, "minLength", 0, path), most = count(one, "maxLength", -1, path);
    bool lengths = least > 0 || most >= 0, pattern = one.contains("pattern"),
         formatted = one.contains("format");
    if (lengths + pattern + formatted > 1)
      return wrong(path, "lengths, pattern and format together are not supported");
    if (most >= 0 && least > most)
      return grammar.choice({});
    for (const char *name : {"pattern", "format"})
      if (one.contains(name) && !one[name].is_string())
        return wrong(path + "/" + name, "expected a text");
    if (formatted) {
      std::optional<int> form = json.formatted(one["format"].get<std::string>());
      return form ? *form
                  : wrong(path + "/format",
                          "this format is not supported (date, time, date-time, uuid "
                          "and ipv4 are)");
    }
    if (!pattern)
      return json.text(least, most);
    std::string why;
    std::optional<int> form = json.textLike(one["pattern"].get<std::string>(), why);
    return form ? *form : wrong(path + "/pattern", why);
  }

  /// A bound; none where it is not there.
  std::optional<int64_t> bound(const Json &one, const char *name, bool whole, bool up,
                               const std::string &path) {
    if (!one.contains(name))
      return std::nullopt;
    const Json &value = one[name];
    double number = value.is_number() ? value.get<double>() : NAN;
    if (!(std::fabs(number) < 1e18)) {
      wrong(path + "/" + name, "expected a number of less than 19 digits");
      return std::nullopt;
    }
    if (value.is_number_integer())
      return value.get<int64_t>();
    if (std::floor(number) != number && !whole) {
      wrong(path + "/" + name, "a bound of numbers that is no whole number is not supported");
      return std::nullopt;
    }
    return static_cast<int64_t>(up ? std::ceil(number) : std::floor(number));
  }

  int number(const Json &one, bool fractions, const std::string &path) {
    bool whole = !fractions;
    std::optional<int64_t> least = bound(one, "minimum", whole, true, path),
                           most = bound(one, "maximum", whole, false, path),
                           above = bound(one, "exclusiveMinimum", whole, false, path),
                           below = bound(one, "exclusiveMaximum", whole, true, path);
    if (!good)
      return 0;
    bool leastItself = !above || (least && *least > *above),
         mostItself = !below || (most && *most < *below);
    if (!leastItself)
      least = above;
    if (!mostItself)
      most = below;
    if (one.contains("multipleOf"))
      return multiples(one["multipleOf"], path + "/multipleOf",
                       least ? std::optional(*least + (leastItself ? 0 : 1)) : least,
                       most ? std::optional(*most - (mostItself ? 0 : 1)) : most);
    if (!least && !most)
      return fractions ? json.anyNumber() : json.anyWhole();
    if (fractions)
      return json.number(least, leastItself, most, mostItself);
    if (least && !leastItself)
      ++*least;
    if (most && !mostItself)
      --*most;
    return json.whole(least, most);
  }

  /// Whole numbers that `step` divides, a whole number itself, within bounds. (Of numbers with a
  /// point those without one.)
  int multiples(const Json &step, const std::string &path, std::optional<int64_t> least,
                std::optional<int64_t> most) {
    constexpr int64_t largest = 1000;
    if (!step.is_number() || !(step.get<double>() > 0))
      return wrong(path, "expected a number above 0");
    bool whole = std::floor(step.get<double>()) == step.get<double>();
    if (!whole || step.get<double>() > static_cast<double>(largest))
      return wrong(path, "only whole numbers up to 1000 are supported");
    std::optional<int> form = json.multiples(static_cast<int64_t>(step.get<double>()), least, most);
    return form ? *form
                : wrong(
                      path,
                      "with these bounds it is not supported (it is without, from 0 or 1 on, up to "
                      "0 or -1, and with two bounds that are near)");
  }

  /// Lists: some items of their own, then others.
  int list(const Json &one, const std::string &path, int depth) {
    int64_t least = count(one, "minItems", 0, path), most = count(one, "maxItems", -1, path);
    if (one.contains("uniqueItems") && one["uniqueItems"] != Json(false) && (most < 0 || most > 1))
      return wrong(path + "/uniqueItems", "this is not supported");
    if (one.contains("items") && one["items"].is_array())
      return wrong(path + "/items", "a list here is not supported (prefixItems is)");
    std::vector<int> first;
    if (one.contains("prefixItems")) {
      if (!one["prefixItems"].is_array())
        return wrong(path + "/prefixItems", "expected a list");
      for (const Json &item : one["prefixItems"])
        first.push_back(
            schema(item, path + "/prefixItems/" + std::to_string(first.size()), depth + 1));
    }
    int item =
        one.contains("items") ? schema(one["items"], path + "/items", depth + 1) : json.value();
    bool more = !(one.contains("items") && one["items"] == Json(false));
    auto own = static_cast<int64_t>(first.size());
    if (!more && (most < 0 || most > own))
      most = own;
    if (!good || (most >= 0 && least > most))
      return grammar.choice({});
    if (own == 0)
      return json.list(item, least, most);
    return firstItems(first, item, least, most);
  }

  int firstItems(const std::vector<int> &first, int item, int64_t least, int64_t most) {
    auto own = static_cast<int64_t>(first.size());
    int comma = grammar.sequence({json.space(), grammar.bytes(","), json.space()});
    // From the last on: what may follow so many items.
    int64_t others = std::max<int64_t>(least - own, 0);
    int behind = grammar.repeat(grammar.sequence({comma, item}), others,
                                most < 0 ? -1 : std::max<int64_t>(most - own, 0));
    for (int64_t i = own - 1; i >= 0; --i) {
      int next = first[static_cast<size_t>(i)];
      int form = grammar.sequence(i > 0 ? std::vector<int>{comma, next, behind}
                                        : std::vector<int>{next, behind});
      if (most >= 0 && i >= most)
        form = grammar.bytes("");
      int rule = grammar.declare("items");
      grammar.define(rule, i >= least ? grammar.optional(form) : form);
      behind = grammar.call(rule);
    }
    return grammar.sequence(
        {grammar.bytes("["), json.space(), behind, json.space(), grammar.bytes("]")});
  }

  /// The one pattern of names that a schema has, and what is said of them; null: there is none.
  static std::pair<const std::string *, const Json *> patternOf(const Json &one) {
    auto found = one.find("patternProperties");
    if (found == one.end() || !found->is_object() || found->empty())
      return {nullptr, nullptr};
    const auto &[name, value] = *found->get_ref<const Json::object_t &>().begin();
    return {&name, &value};
  }

  /// A member whose name is like the schema's pattern. (Those that are not like it do not come
  /// out.)
  int patternMember(const Json &one, const std::string &path, int depth) {
    std::string place = path + "/patternProperties";
    const Json &all = one["patternProperties"];
    if (!all.is_object() || all.size() != 1)
      return wrong(place,
                   all.is_object() ? "more than one is not supported" : "expected an object");
    auto [pattern, value] = patternOf(one);
    place += "/" + *pattern;
    if (one.contains("properties") && one["properties"].is_object())
      for (auto &[name, ignored] : one["properties"].items())
        if (patternFits(*pattern, name))
          return wrong(place,
                       "the property " + quote(name) + " is of this form, which is not supported");
    std::string why;
    std::optional<int> form = json.textLike(*pattern, why);
    if (!form)
      return wrong(place, why);
    return grammar.sequence(
        {*form, json.space(), grammar.bytes(":"), json.space(), schema(*value, place, depth + 1)});
  }

  struct Member {
    int expression; ///< name, colon, value
    bool required;
  };

  bool members(const Json &one, const std::string &path, int depth, std::vector<Member> &out,
               std::vector<std::string> &names) {
    std::vector<std::string> required;
    if (one.contains("required")) {
      if (!one["required"].is_array())
        return wrong(path + "/required", "expected a list");
      for (const Json &name : one["required"]) {
        if (!name.is_string())
          return wrong(path + "/required", "expected names");
        required.push_back(name.get<std::string>());
      }
    }
    auto add = [&](const std::string &name, int value) {
      bool needed = std::find(required.begin(), required.end(), name) != required.end();
      names.push_back(name);
      out.push_back({grammar.sequence({grammar.bytes(Json(name).dump()), json.space(),
                                       grammar.bytes(":"), json.space(), value}),
                     needed});
    };
    if (one.contains("properties")) {
      if (!one["properties"].is_object())
        return wrong(path + "/properties", "expected an object");
      for (auto &[name, value] : one["properties"].items())
        add(name, schema(value, path + "/properties/" + name, depth + 1));
    }
    for (const std::string &name : required)
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        auto [pattern, value] = patternOf(one);
        if (pattern && patternFits(*pattern, name))
          add(name, schema(*value, path + "/patternProperties/" + *pattern, depth + 1));
        else
          add(name,
              one.contains("additionalProperties")
                  ? schema(one["additionalProperties"], path + "/additionalProperties", depth + 1)
                  : json.value());
      }
    return good;
  }

  /// The properties in their order; others behind them where the schema speaks of them, or of none.
  int object(const Json &one, const std::string &path, int depth) {
    std::vector<Member> all;
    std::vector<std::string> names;
    if (!members(one, path, depth, all, names))
      return 0;
    bool others = one.contains("additionalProperties") ? one["additionalProperties"] != Json(false)
                                                       : all.empty();
    int comma = grammar.sequence({json.space(), grammar.bytes(","), json.space()});
    int end = grammar.bytes(""), endAfterNone = end;
    bool like = one.contains("patternProperties") && one["patternProperties"] != Json::object();
    if (others || like) {
      int value =
          one.contains("additionalProperties") && !like
              ? schema(one["additionalProperties"], path + "/additionalProperties", depth + 1)
              : json.value();
      int member = like ? patternMember(one, path, depth)
                        : grammar.sequence({json.otherName(names), json.space(), grammar.bytes(":"),
                                            json.space(), value});
      end = grammar.repeat(grammar.sequence({comma, member}), 0, -1);
      endAfterNone = grammar.optional(grammar.sequence({member, end}));
    }
    // From the last on: what may follow where a property stands before, and where none does.
    for (size_t i = all.size(); i-- > 0;) {
      int later = grammar.sequence({comma, all[i].expression});
      int first = grammar.sequence({all[i].expression, end});
      if (all[i].required) {
        endAfterNone = first;
      } else {
        later = grammar.optional(later);
        endAfterNone = grammar.choice({first, endAfterNone});
      }
      int rule = grammar.declare("members");
      grammar.define(rule, grammar.sequence({later, end}));
      end = grammar.call(rule);
      rule = grammar.declare("members");
      grammar.define(rule, endAfterNone);
      endAfterNone = grammar.call(rule);
    }
    return good ? grammar.sequence({grammar.bytes("{"), json.space(), endAfterNone, json.space(),
                                    grammar.bytes("}")})
                : 0;
  }

  const Json &root;
  const JsonSchema file;
  GrammarError &error;
  Grammar grammar;
  JsonText json;
  std::unordered_map<std::string, int> references;
  std::vector<std::pair<std::string, int>> wanted; ///< paths, and their rules
  int merges = 0;
  bool good = true;
};

} // namespace

std::optional<Grammar> readJsonSchema(std::string_view text, GrammarError &error) {
  std::vector<std::optional<std::string>> none;
  Json root = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) {
    if (parseSettings(std::string(text), {}, none, error.text))
      error.text = "it is not JSON";
    return std::nullopt;
  }
  return SchemaReader(root, error).read();
}

} // namespace qkv::rt

// In: a file of JSON schemas. Out: what stands at a place of it, and what may hold by a schema.
#pragma once

#define JSON_NO_IO
#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace qkv::rt {

/// (With its members in the order of the file.)
using OrderedJson = nlohmann::ordered_json;

/// Types as bits: of a whole number both are set.
enum JsonType : unsigned {
  Null = 1,
  Boolean = 2,
  Text = 4,
  Whole = 8,
  Fraction = 16,
  List = 32,
  Object = 64,
  All = 127
};

struct SchemaKeyword {
  const char *name;
  unsigned type; ///< of what it speaks; 0: of none (annotations), All: of any
};
/// Null where it is not known.
const SchemaKeyword *keywordOf(const std::string &name);

unsigned jsonTypeOf(const OrderedJson &value);
/// What a `type` names. False: it names something else.
bool typesNamed(const OrderedJson &given, unsigned &types);

class JsonSchema {
public:
  explicit JsonSchema(const OrderedJson &root) : root(root) {}
  /// The schema at a path "#/a/b"; null if there is none.
  const OrderedJson *find(const std::string &path) const;
  /// The types of what may hold by a schema.
  unsigned typesOf(const OrderedJson &given, int depth = 0) const;
  /// Whether it is certain that no value holds by both.
  bool apart(const OrderedJson &a, const OrderedJson &b) const;
  /// A schema that holds where all does that `one` says beside one another (words, $ref, allOf,
  /// anyOf). None with `why` where that cannot be said as one.
  std::optional<OrderedJson> together(const OrderedJson &one, std::string &why) const;

private:
  bool flatten(const OrderedJson &one, std::vector<OrderedJson> &out, int depth,
               std::string &why) const;
  const OrderedJson &resolved(const OrderedJson &one) const;
  const OrderedJson &root;
};

} // namespace qkv::rt

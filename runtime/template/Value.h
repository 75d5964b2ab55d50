// What a template computes with: the values that Python has, as Jinja sees them. Holds: containers
// are shared and never change once a template sees them, but for namespaces.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qkv::jinja {

class Dict;
class Value;
struct Macro;
struct Loop;

using List = std::vector<Value>;

class Value {
public:
  enum class Kind {
    Undefined,
    None,
    Bool,
    Int,
    Float,
    Text,
    List,
    Tuple,
    Dict,
    Namespace,
    Macro,
    Loop,
    Global ///< a function by its name
  };

  Value() = default;
  static Value none() { return Value(Kind::None); }
  static Value of(bool value);
  static Value of(int64_t value);
  static Value of(double value);
  static Value text(std::string value);
  static Value list(List items, bool tuple = false);
  static Value dict(Dict entries);
  static Value space(Dict entries);
  static Value global(std::string name);
  static Value macro(std::shared_ptr<const Macro> macro);
  static Value loop(std::shared_ptr<Loop> loop);
  /// What has no value: `name` is what messages call it.
  static Value undefined(std::string name);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool isNumber() const { return is(Kind::Bool) || is(Kind::Int) || is(Kind::Float); }
  bool isList() const { return is(Kind::List) || is(Kind::Tuple); }
  bool boolean() const { return whole_ != 0; }
  int64_t whole() const { return whole_; } ///< of Bool and Int
  double number() const { return is(Kind::Float) ? number_ : static_cast<double>(whole_); }
  const std::string &text() const { return *text_; } ///< Text, Global; Undefined may have none
  std::string name() const { return text_ ? *text_ : std::string("a value"); }
  const List &list() const { return *list_; }
  const Dict &dict() const { return *dict_; } ///< Dict, Namespace
  Dict &space() const { return *dict_; }      ///< Namespace alone
  const std::shared_ptr<Dict> &spaceOwner() const { return dict_; }
  const std::shared_ptr<const Macro> &macro() const { return macro_; }
  const std::shared_ptr<Loop> &loop() const { return loop_; }

  /// What `if` asks.
  bool truth() const;
  /// Whether it is the very same object, or the same number or text.
  bool same(const Value &other) const;

private:
  explicit Value(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::Undefined;
  int64_t whole_ = 0;
  double number_ = 0;
  std::shared_ptr<const std::string> text_;
  std::shared_ptr<const List> list_;
  std::shared_ptr<Dict> dict_;
  std::shared_ptr<const Macro> macro_;
  std::shared_ptr<Loop> loop_;
};

/// Texts and what they stand for, in the order in which they came.
class Dict {
public:
  const Value *find(std::string_view key) const;
  void put(const std::string &key, Value value);
  const std::vector<std::pair<std::string, Value>> &all() const { return entries; }
  size_t size() const { return entries.size(); }

private:
  std::vector<std::pair<std::string, Value>> entries;
  std::map<std::string, size_t, std::less<>> places;
};

/// Where a loop is.
struct Loop {
  List items;
  size_t at = 0;
  int64_t depth = 1;
  List changed; ///< what loop.changed() saw last
  bool asked = false;
};

/// As Python calls it: "str", "list", ...
const char *kindName(const Value &value);

/// Python's ==; never an error. `depth` bounds how deep containers are compared.
bool equal(const Value &a, const Value &b, int depth = 0);
/// Python's <: -1, 0, 1; false where the two have no order.
bool compare(const Value &a, const Value &b, int &order, int depth = 0);

/// What {{ value }} prints, and what Python's repr() gives. False where a container is too deep, or
/// the text longer than `most`.
bool printed(const Value &value, std::string &out, size_t most);
bool represented(const Value &value, std::string &out, size_t most, int depth = 0);

/// As json.dumps() writes it. `indent` -1: on one line. False with `why` set.
bool toJson(const Value &value, int64_t indent, bool ascii, bool sorted,
            const std::pair<std::string, std::string> &separators, size_t most, std::string &out,
            std::string &why);

/// A value from JSON text. False: it is none.
bool fromJson(std::string_view text, Value &value);

/// How Python writes a float.
std::string floatText(double value);

} // namespace qkv::jinja

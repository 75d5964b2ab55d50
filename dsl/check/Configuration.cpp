// Values from outside the equations: config("a.b", default) (C2).
//
// In: the text of the configuration and its format. Out: constants, and what was read of it.
#include "dsl/check/CompileTime.h"
#include "dsl/check/ConfigurationText.h"

#include "runtime/checkpoint/Metadata.h"

#include <algorithm>
#include <cmath>

namespace qkv::sema {
namespace {

/// A constant as JSON writes it; of a size that is no number its name.
std::string jsonText(const Constant &c, const SizeAtoms &atoms) {
  if (c.kind == Constant::Kind::Text)
    return rt::jsonString(c.text);
  if (c.kind == Constant::Kind::Bool)
    return c.boolean ? "true" : "false";
  if (c.kind == Constant::Kind::Float)
    return std::isfinite(c.number) ? nlohmann::json(c.number).dump()
           : std::isnan(c.number)  ? "NaN"
           : c.number > 0          ? "Infinity"
                                   : "-Infinity";
  return c.size.text(atoms);
}

bool isLiteral(const ast::Expr &e) {
  using K = ast::Expr::Kind;
  if (e.kind == K::Unary)
    return e.children.size() == 1 && isLiteral(*e.children[0]);
  return e.kind == K::Integer || e.kind == K::Number || e.kind == K::Boolean || e.kind == K::String;
}

/// Whether a default is a text, as far as its words say.
bool isTextual(const ast::Expr *e) {
  using K = ast::Expr::Kind;
  for (;;) {
    if (e && e->kind == K::If)
      e = e->children[1].get();
    else if (e && e->kind == K::Config && !e->length)
      e = e->children.empty() ? nullptr : e->children[0].get();
    else
      return e && e->kind == K::String;
  }
}

/// "a[3].b" as "a.3.b": an item is named by its place.
std::string withDots(const std::string &key) {
  std::string out;
  for (size_t i = 0; i < key.size(); ++i) {
    size_t end = key[i] == '[' ? key.find_first_not_of("0123456789", i + 1) : key.npos;
    if (end == key.npos || end == i + 1 || key[end] != ']') {
      out += key[i];
      continue;
    }
    out += "." + key.substr(i + 1, end - i - 1);
    i = end;
  }
  return out;
}

/// What members and places of lists lead to; null: nothing.
const nlohmann::json *follow(const nlohmann::json *at, const std::string &path, size_t begin) {
  while (at && begin <= path.size()) {
    size_t end = std::min(path.find('.', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    bool number =
        !part.empty() && part.size() < 9 && part.find_first_not_of("0123456789") == part.npos;
    if (at->is_object() && at->contains(part))
      at = &(*at)[part];
    else if (at->is_array() && number && std::stoul(part) < at->size())
      at = &(*at)[std::stoul(part)];
    else
      at = nullptr;
    begin = end + 1;
  }
  return at;
}

/// The value at a key (runtime's parseSettings finds the same): the longest name of a member of the
/// whole that begins the key, dots and all, then members and places of lists. Null: there is none.
nlohmann::json valueAt(const nlohmann::json &root, const std::string &key) {
  for (size_t end = key.size(); end != key.npos; end = end ? key.rfind('.', end - 1) : key.npos) {
    auto member = root.find(key.substr(0, end));
    if (member == root.end())
      continue;
    if (end == key.size())
      return *member;
    if (const nlohmann::json *at = follow(&*member, key, end + 1))
      return *at;
    // The length of a list.
    size_t last = key.rfind('.');
    const nlohmann::json *list = key.substr(last + 1) != "length" ? nullptr
                                 : last == end ? &*member
                                               : follow(&*member, key.substr(0, last), end + 1);
    return list && list->is_array() ? nlohmann::json(list->size()) : nlohmann::json();
  }
  return {};
}

/// The list that an item's place lies behind the end of, and how many items it has; or nothing.
std::optional<std::pair<std::string, size_t>> tooShort(const nlohmann::json &root,
                                                       const std::string &key) {
  for (size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', dot + 1)) {
    std::string place = key.substr(dot + 1, key.find('.', dot + 1) - dot - 1);
    if (place.empty() || place.find_first_not_of("0123456789") != place.npos)
      continue;
    nlohmann::json list = valueAt(root, key.substr(0, dot));
    if (list.is_array() && (place.size() > 8 || std::stoul(place) >= list.size()))
      return std::make_pair(key.substr(0, dot), list.size());
  }
  return std::nullopt;
}

/// "a number", "a list", ...: what stands there, said of something else.
std::string kindOfValue(const nlohmann::json &value) {
  return value.is_string()    ? "a text"
         : value.is_object()  ? "an object"
         : value.is_array()   ? "a list"
         : value.is_boolean() ? "a boolean"
                              : "a number";
}

} // namespace

std::optional<Constant> CompileTime::config(const ast::Expr &e, Scope *scope, FileScope &file) {
  bool hasDefault = !e.children.empty() && e.children[0];
  Setting setting;
  bool isThere = false;
  std::optional<Constant> value = configured(e, scope, file, setting, isThere);
  if (!value || !program_)
    return value;
  // A default that is not taken may be wrong beside this configuration (C / H that does not come
  // out whole), so only a literal is looked at.
  if (isThere)
    setting.value = jsonText(*value, program_->atoms);
  std::optional<Constant> fallback = value;
  if (isThere)
    fallback = hasDefault && isLiteral(*e.children[0]) ? constant(*e.children[0], scope, file)
                                                       : std::nullopt;
  if (fallback)
    setting.fallback = jsonText(*fallback, program_->atoms);
  auto &known = program_->settings;
  if (std::find(known.begin(), known.end(), setting) == known.end())
    known.push_back(std::move(setting));
  return value;
}

/// The configuration; null after saying why there is none that can be read.
const nlohmann::json *CompileTime::configuration(Span at) {
  if (!configuration_) {
    std::string why;
    auto read = readConfiguration(*options_.config, why);
    if (!read)
      error(at, "the configuration" + configPlace() + " " + why, "C2");
    configuration_ = std::make_shared<nlohmann::json>(read ? *read : nlohmann::json());
  }
  return configuration_->is_null() ? nullptr : configuration_.get();
}

std::string CompileTime::configPlace() const {
  return options_.configPath.empty() ? std::string() : " " + options_.configPath;
}

/// The value of one read. `setting` gets its keys; `isThere`: it is not the default.
std::optional<Constant> CompileTime::configured(const ast::Expr &e, Scope *scope, FileScope &file,
                                                Setting &setting, bool &isThere) {
  Span at = e.name.span ? e.name.span : e.span;
  const ast::Expr *fallback = e.children.empty() ? nullptr : e.children[0].get();
  auto names = expandFormats(e.name.text, at, e.formats, scope, file, {});
  if (!names)
    return std::nullopt;
  for (auto &[format, name] : *names) {
    std::string key = withDots(name) + (e.length ? ".length" : "");
    if (format.empty())
      setting.key = key;
    else
      setting.keys.push_back({format, key});
  }
  auto here = names->find(options_.configFormat);
  std::string written = (here == names->end() ? names->begin() : here)->second;
  std::string key = withDots(written) + (e.length ? ".length" : "");
  nlohmann::json value; // null: absent
  if (options_.config) {
    const nlohmann::json *root = configuration(at);
    if (!root)
      return std::nullopt; // said already
    value = valueAt(*root, key);
    nlohmann::json whole = e.length ? valueAt(*root, withDots(written)) : nlohmann::json();
    if (!whole.is_null() && !whole.is_array()) {
      error(at,
            "\"" + written + "\" in the configuration is " + kindOfValue(whole) +
                ", and a list has a length",
            "C2");
      return std::nullopt;
    }
    if (auto list = tooShort(*root, key)) {
      error(at,
            "\"" + list->first + "\" in the configuration has " + std::to_string(list->second) +
                " items, \"" + written + "\" is not one of them",
            "C2");
      return std::nullopt;
    }
  }
  if (value.is_null()) {
    if (fallback)
      return constant(*fallback, scope, file);
    auto &d = error(at,
                    "the configuration" + configPlace() + " has no \"" + written +
                        "\", and there is no default",
                    "C2");
    d.hint(e.length ? "config(\"" + written + ".length\", 12) gives one"
                    : "config(\"" + written + "\", 768) gives one");
    return std::nullopt;
  }
  isThere = true;
  bool text = isTextual(fallback);
  // A literal default says what is meant.
  bool boolean = fallback && fallback->kind == ast::Expr::Kind::Boolean;
  bool number = fallback && (fallback->kind == ast::Expr::Kind::Integer ||
                             fallback->kind == ast::Expr::Kind::Number);
  if ((boolean && value.is_number()) || (number && value.is_boolean())) {
    error(at,
          "\"" + written + "\" in the configuration is " + kindOfValue(value) +
              ", and its default is " + (boolean ? "a boolean" : "a number"),
          "C2");
    return std::nullopt;
  }
  if (value.is_string() && !numberIn(value) && (text || !fallback))
    return ofText(value.get<std::string>());
  if (!text && value.is_boolean())
    return ofBool(value.get<bool>());
  if (!text && value.is_number_integer() &&
      !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
    return ofSize(Size(value.get<int64_t>()));
  if (auto real = text ? std::nullopt : numberIn(value))
    return ofNumber(*real);
  error(at,
        "\"" + written + "\" in the configuration is " + kindOfValue(value) +
            (text ? ", and its default is a text" : ", not a number or a boolean"),
        "C2");
  return std::nullopt;
}

} // namespace qkv::sema

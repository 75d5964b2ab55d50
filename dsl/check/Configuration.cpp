// Numbers and names from outside the equations: config("a.b", default) and "h.{l}." (C2, F2).
//
// In: the text of the configuration, and texts with {...}. Out: constants, and names with their
// numbers in.
#include "dsl/check/CompileTime.h"
#include "dsl/check/ConfigurationText.h"
#include "dsl/syntax/Parser.h"

#include <algorithm>
#include <cmath>

namespace qkv::sema {
namespace {

/// A constant as JSON writes it; of a size that is no number its name.
std::string jsonText(const Constant &c, const SizeAtoms &atoms) {
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
  return e.kind == K::Integer || e.kind == K::Number || e.kind == K::Boolean;
}

} // namespace

std::optional<Constant> CompileTime::config(const ast::Expr &e, Scope *scope, FileScope &file) {
  bool hasDefault = !e.children.empty() && e.children[0];
  std::string key;
  bool isThere = false;
  std::optional<Constant> value = configured(e, scope, file, key, isThere);
  if (!value || !program_)
    return value;
  // A default that is not taken may be wrong beside this configuration (C / H that does not come
  // out whole), so only a literal is looked at.
  Setting setting{key, std::nullopt, std::nullopt};
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

/// The value of one read. `key`: the name with its numbers in; `isThere`: it is not the default.
std::optional<Constant> CompileTime::configured(const ast::Expr &e, Scope *scope, FileScope &file,
                                                std::string &name, bool &isThere) {
  ast::Text key{e.name.text, e.name.span ? e.name.span : e.span};
  auto path = expandText(key, scope, file, {});
  if (!path)
    return std::nullopt;
  name = *path;
  nlohmann::json value; // null: absent
  if (options_.config) {
    if (!configuration_) {
      std::string why;
      auto read = readConfiguration(*options_.config, why);
      if (!read)
        error(key.span,
              "the configuration" +
                  (options_.configPath.empty() ? std::string() : " " + options_.configPath) + " " +
                  why,
              "C2");
      configuration_ = std::make_shared<nlohmann::json>(read ? *read : nlohmann::json());
    }
    const nlohmann::json &root = *configuration_;
    if (root.is_null())
      return std::nullopt; // said already
    // "a.b.0": members and positions of lists; a member whose own name has dots first.
    const nlohmann::json *at = &root;
    if (root.is_object() && root.contains(*path)) {
      at = &root[*path];
    } else {
      size_t begin = 0;
      while (at && begin <= path->size()) {
        size_t end = std::min(path->find('.', begin), path->size());
        std::string part = path->substr(begin, end - begin);
        if (at->is_object() && at->contains(part))
          at = &(*at)[part];
        else if (at->is_array() && !part.empty() && part.size() < 9 &&
                 std::all_of(part.begin(), part.end(),
                             [](char c) { return c >= '0' && c <= '9'; }) &&
                 std::stoul(part) < at->size())
          at = &(*at)[std::stoul(part)];
        else
          at = nullptr;
        begin = end + 1;
      }
    }
    if (at)
      value = *at;
  }
  if (value.is_null()) {
    if (!e.children.empty() && e.children[0])
      return constant(*e.children[0], scope, file);
    error(key.span,
          "the configuration" +
              (options_.configPath.empty() ? std::string() : " " + options_.configPath) +
              " has no \"" + *path + "\", and there is no default",
          "C2")
        .hint("config(\"" + *path + "\", 768) gives one");
    return std::nullopt;
  }
  isThere = true;
  if (value.is_boolean())
    return ofBool(value.get<bool>());
  if (value.is_number_integer() &&
      !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
    return ofSize(Size(value.get<int64_t>()));
  if (auto number = numberIn(value))
    return ofNumber(*number);
  error(key.span,
        "\"" + *path + "\" in the configuration is " + value.type_name() +
            ", not a number or a boolean",
        "C2");
  return std::nullopt;
}

// The pieces of "a.{l+1}.b": text and, in braces, expressions.
static std::vector<std::pair<bool, std::string>> splitText(const std::string &text) {
  std::vector<std::pair<bool, std::string>> out;
  size_t at = 0;
  while (at < text.size()) {
    size_t open = text.find('{', at);
    size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) {
      out.push_back({false, text.substr(at)});
      break;
    }
    if (open > at)
      out.push_back({false, text.substr(at, open - at)});
    out.push_back({true, text.substr(open + 1, close - open - 1)});
    at = close + 1;
  }
  return out;
}

std::vector<std::string> CompileTime::textLetters(const ast::Text &text,
                                                  const std::vector<ast::Name> &among) {
  std::vector<std::string> out;
  for (auto &letter : among) {
    bool inside = false;
    for (auto &[braces, piece] : splitText(text.text)) {
      if (!braces)
        continue;
      // As a word of its own.
      for (size_t p = piece.find(letter.text); p != std::string::npos;
           p = piece.find(letter.text, p + 1)) {
        auto word = [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80);
        };
        size_t end = p + letter.text.size();
        if ((p == 0 || !word(piece[p - 1])) && (end == piece.size() || !word(piece[end])))
          inside = true;
      }
    }
    if (inside)
      out.push_back(letter.text);
  }
  return out;
}

std::optional<std::string> CompileTime::expandText(const ast::Text &text, Scope *scope,
                                                   FileScope &file,
                                                   const std::map<std::string, int64_t> &letters) {
  std::string out;
  for (auto &[braces, piece] : splitText(text.text)) {
    if (!braces) {
      out += piece;
      continue;
    }
    // The grammar reads it as the value of a size.
    const Source *source =
        sources_.add(text.span.source ? text.span.source->path() : "", "size x = " + piece + "\n");
    Diagnostics inner;
    ast::File parsed = parse(*source, inner);
    if (inner.hasErrors() || parsed.statements.size() != 1 ||
        parsed.statements[0].declarations.size() != 1) {
      error(text.span, "{" + piece + "} is not an integer expression", "F2");
      return std::nullopt;
    }
    Scope local;
    local.parent = scope;
    Body none;
    local.body = scope ? scope->body : &none;
    for (auto &[name, value] : letters)
      local.constants[name] = ofSize(Size(value));
    size_t count = diagnostics_.errorCount();
    auto value = constant(*parsed.statements[0].declarations[0].value, &local, file);
    if (diagnostics_.errorCount() != count)
      return std::nullopt; // said
    auto number =
        value && value->kind == Constant::Kind::Int ? value->size.constant() : std::nullopt;
    if (!number) {
      error(text.span, "{" + piece + "} is not an integer known at compile time", "F2");
      return std::nullopt;
    }
    out += std::to_string(*number);
  }
  return out;
}

} // namespace qkv::sema

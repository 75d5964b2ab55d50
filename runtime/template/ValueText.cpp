// Values as Python prints them, and as JSON.
#include "runtime/template/Value.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"

#define JSON_NO_IO
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace qkv::jinja {
namespace {

constexpr int deepest = 50;

/// Whether Python's repr() shows a character as it is (of those above ASCII nearly all are).
bool shown(unsigned char byte) { return byte >= 0x20 && byte != 0x7F; }

std::string reprText(const std::string &text) {
  bool single = text.find('\'') != text.npos && text.find('"') == text.npos;
  char mark = single ? '"' : '\'';
  std::string out(1, mark);
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == mark || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (!shown(byte))
      out += rt::format("\\x%02x", byte);
    else
      out += c;
  }
  return out + mark;
}

uint32_t characterAt(const std::string &text, size_t at, size_t length) {
  auto first = static_cast<unsigned char>(text[at]);
  uint32_t c = length == 1 ? first : first & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    c = c << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  return c;
}

std::string jsonText(const std::string &text, bool ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    size_t length = std::max<size_t>(rt::utf8Length(std::string_view(text).substr(at)), 1);
    char c = text[at];
    uint32_t character = characterAt(text, at, length);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\b')
      out += "\\b";
    else if (c == '\f')
      out += "\\f";
    else if (character < 0x20 || (ascii && character > 0x7E && character < 0x10000))
      out += rt::format("\\u%04x", character);
    else if (ascii && character >= 0x10000)
      out += rt::format("\\u%04x\\u%04x", 0xD800 + ((character - 0x10000) >> 10),
                        0xDC00 + ((character - 0x10000) & 0x3FF));
    else
      out.append(text, at, length);
    at += length;
  }
  return out + "\"";
}

class JsonWriter {
public:
  JsonWriter(int64_t indent, bool ascii, bool sorted,
             const std::pair<std::string, std::string> &separators, size_t most, std::string &out,
             std::string &why)
      : indent(indent), ascii(ascii), sorted(sorted), separators(separators), most(most), out(out),
        why(why) {}

  bool write(const Value &value, int depth) {
    using K = Value::Kind;
    if (depth > deepest || out.size() > most) {
      why = depth > deepest ? "what tojson writes is too deep" : "what tojson writes is too long";
      return false;
    }
    switch (value.kind()) {
    case K::None:
      out += "null";
      return true;
    case K::Bool:
      out += value.boolean() ? "true" : "false";
      return true;
    case K::Int:
      out += std::to_string(value.whole());
      return true;
    case K::Float:
      out += std::isnan(value.number())   ? "NaN"
             : std::isinf(value.number()) ? (value.number() < 0 ? "-Infinity" : "Infinity")
                                          : floatText(value.number());
      return true;
    case K::Text:
      out += jsonText(value.text(), ascii);
      return true;
    case K::List:
    case K::Tuple:
      return writeList(value, depth);
    case K::Dict:
      return writeDict(value, depth);
    default:
      why = std::string("tojson cannot write a value of type ") + kindName(value);
      return false;
    }
  }

private:
  void line(int depth) {
    if (indent >= 0)
      out += "\n" + std::string(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
  }
  bool writeList(const Value &value, int depth) {
    out += "[";
    bool first = true;
    for (const Value &item : value.list()) {
      out += first ? "" : separators.first;
      first = false;
      line(depth + 1);
      if (!write(item, depth + 1))
        return false;
    }
    if (!first)
      line(depth);
    out += "]";
    return true;
  }
  bool writeDict(const Value &value, int depth) {
    std::vector<const std::pair<std::string, Value> *> entries;
    for (const auto &entry : value.dict().all())
      entries.push_back(&entry);
    if (sorted)
      std::sort(entries.begin(), entries.end(),
                [](auto *a, auto *b) { return a->first < b->first; });
    out += "{";
    bool first = true;
    for (const auto *entry : entries) {
      out += first ? "" : separators.first;
      first = false;
      line(depth + 1);
      out += jsonText(entry->first, ascii) + separators.second;
      if (!write(entry->second, depth + 1))
        return false;
    }
    if (!first)
      line(depth);
    out += "}";
    return true;
  }

  int64_t indent;
  bool ascii, sorted;
  const std::pair<std::string, std::string> &separators;
  size_t most;
  std::string &out, &why;
};

bool listText(const List &list, const char *open, const char *close, std::string &out, size_t most,
              int depth) {
  out += open;
  bool first = true;
  for (const Value &item : list) {
    out += first ? "" : ", ";
    first = false;
    if (!represented(item, out, most, depth + 1))
      return false;
  }
  out += close;
  return true;
}

bool dictText(const Dict &dict, std::string &out, size_t most, int depth) {
  out += "{";
  bool first = true;
  for (const auto &[key, value] : dict.all()) {
    out += (first ? "" : ", ") + reprText(key) + ": ";
    first = false;
    if (!represented(value, out, most, depth + 1))
      return false;
  }
  out += "}";
  return true;
}

Value fromNode(const nlohmann::ordered_json &node, int depth) {
  if (depth > 100 || node.is_null())
    return Value::none();
  if (node.is_boolean())
    return Value::of(node.get<bool>());
  if (node.is_number_unsigned() && node.get<uint64_t>() > uint64_t(INT64_MAX))
    return Value::of(node.get<double>());
  if (node.is_number_integer())
    return Value::of(node.get<int64_t>());
  if (node.is_number())
    return Value::of(node.get<double>());
  if (node.is_string())
    return Value::text(node.get<std::string>());
  if (node.is_array()) {
    List items;
    for (const auto &one : node)
      items.push_back(fromNode(one, depth + 1));
    return Value::list(std::move(items));
  }
  Dict dict;
  for (auto &[key, one] : node.items())
    dict.put(key, fromNode(one, depth + 1));
  return Value::dict(std::move(dict));
}

} // namespace

/// The shortest decimal that reads as the same double; with an exponent below 1e-4 and from 1e16.
std::string floatText(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  char digits[40];
  auto [end, failed] =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::scientific);
  std::string text(digits, failed == std::errc() ? end : digits);
  size_t e = text.find('e');
  long exponent = std::strtol(text.c_str() + e + 1, nullptr, 10);
  if (value != 0 && (exponent < -4 || exponent >= 16))
    return text;
  auto [stop, wrong] =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed);
  text.assign(digits, wrong == std::errc() ? stop : digits);
  return text.find('.') == text.npos ? text + ".0" : text;
}

bool represented(const Value &value, std::string &out, size_t most, int depth) {
  using K = Value::Kind;
  if (depth > deepest || out.size() > most)
    return false;
  switch (value.kind()) {
  case K::Undefined:
    out += "Undefined";
    return true;
  case K::None:
    out += "None";
    return true;
  case K::Bool:
    out += value.boolean() ? "True" : "False";
    return true;
  case K::Int:
    out += std::to_string(value.whole());
    return true;
  case K::Float:
    out += floatText(value.number());
    return true;
  case K::Text:
    out += reprText(value.text());
    return true;
  case K::List:
    return listText(value.list(), "[", "]", out, most, depth);
  case K::Tuple:
    return listText(value.list(), "(", value.list().size() == 1 ? ",)" : ")", out, most, depth);
  case K::Dict:
    return dictText(value.dict(), out, most, depth);
  case K::Namespace:
    out += "<Namespace ";
    if (!dictText(value.dict(), out, most, depth))
      return false;
    out += ">";
    return true;
  default:
    out += std::string("<") + kindName(value) + ">";
    return true;
  }
}

bool printed(const Value &value, std::string &out, size_t most) {
  if (value.is(Value::Kind::Undefined))
    return true;
  if (!value.is(Value::Kind::Text))
    return represented(value, out, most);
  out += value.text();
  return out.size() <= most;
}

bool toJson(const Value &value, int64_t indent, bool ascii, bool sorted,
            const std::pair<std::string, std::string> &separators, size_t most, std::string &out,
            std::string &why) {
  return JsonWriter(indent, ascii, sorted, separators, most, out, why).write(value, 0);
}

bool fromJson(std::string_view text, Value &value) {
  auto node = nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr,
                                            /*allow_exceptions=*/false);
  if (node.is_discarded())
    return false;
  value = fromNode(node, 0);
  return true;
}

} // namespace qkv::jinja

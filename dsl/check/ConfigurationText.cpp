// See ConfigurationText.h. JSON has no words for what is not finite: they are read as strings that
// no configuration holds, and told apart when a number is asked for.
#include "dsl/check/ConfigurationText.h"

#include <array>
#include <limits>
#include <string_view>
#include <utility>

namespace qkv::sema {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 3> words{{
    {"-Infinity", -std::numeric_limits<double>::infinity()},
    {"Infinity", std::numeric_limits<double>::infinity()},
    {"NaN", std::numeric_limits<double>::quiet_NaN()},
}};
constexpr char mark = '\x01'; // begins the string that stands for such a word

/// The text with those words as marked strings, and for each such string how much longer it is.
std::string withoutWords(const std::string &text) {
  std::string out;
  out.reserve(text.size());
  bool inString = false;
  for (size_t i = 0; i < text.size();) {
    if (inString && text[i] == '\\' && i + 1 < text.size()) {
      out.append(text, i, 2);
      i += 2;
      continue;
    }
    inString ^= text[i] == '"';
    std::string_view word;
    for (auto &[name, value] : words)
      if (!inString && word.empty() && text.compare(i, name.size(), name) == 0)
        word = name;
    if (word.empty()) {
      out += text[i++];
      continue;
    }
    out += "\"\\u0001" + std::string(word) + "\"";
    i += word.size();
  }
  return out;
}

std::string placeOf(const std::string &text, size_t at) {
  size_t line = 1, begin = 0;
  for (size_t i = 0; i < at && i < text.size(); ++i)
    if (text[i] == '\n') {
      ++line;
      begin = i + 1;
    }
  return "line " + std::to_string(line) + ", column " + std::to_string(at - begin + 1);
}

} // namespace

std::optional<nlohmann::json> readConfiguration(const std::string &text, std::string &why) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    why = "is empty";
    return std::nullopt;
  }
  std::string plain = withoutWords(text);
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(plain);
  } catch (const nlohmann::json::parse_error &error) {
    // The words of a line keep their lines; columns behind one are moved by what the marks take.
    size_t at = error.byte > 0 ? error.byte - 1 : 0;
    for (size_t i = plain.find("\"\\u0001"); i < at; i = plain.find("\"\\u0001", i + 1))
      at -= 8;
    why = "is not JSON (" + placeOf(text, at) + ")";
    return std::nullopt;
  } catch (const nlohmann::json::exception &) { // a number that no double holds
    why = "is not JSON: a number is out of range";
    return std::nullopt;
  }
  if (root.is_object())
    return root;
  why = std::string("is no object of names and values, but ") + (root.is_array()    ? "a list"
                                                                 : root.is_null()   ? "null"
                                                                 : root.is_string() ? "a text"
                                                                                    : "one value");
  return std::nullopt;
}

std::optional<double> numberIn(const nlohmann::json &value) {
  if (value.is_number())
    return value.get<double>();
  if (value.is_string()) {
    const auto &text = value.get_ref<const std::string &>();
    for (auto &[name, number] : words)
      if (text.size() == name.size() + 1 && text[0] == mark &&
          text.compare(1, text.npos, name) == 0)
        return number;
  }
  return std::nullopt;
}

} // namespace qkv::sema

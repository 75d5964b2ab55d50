// In: the text of a configuration, which may be anything. Out: the values of the keys that are
// wanted. Holds: they are found while the text is read; no document is built.
#include "runtime/Error.h"
#include "runtime/checkpoint/Json.h"
#include "runtime/checkpoint/Metadata.h"

#define JSON_NO_IO
#include <algorithm>
#include <nlohmann/json.hpp>

namespace qkv::rt {
namespace {

using Json = nlohmann::json;

/// Where the reader is: the way through members and lists.
class SettingEvents {
public:
  SettingEvents(const std::vector<std::string> &keys,
                std::vector<std::optional<std::string>> &values, std::string &why)
      : keys(keys), values(values), why(why), root(keys.size()) {
    values.assign(keys.size(), std::nullopt);
    for (const std::string &key : keys)
      deepest = std::max(deepest, 1 + static_cast<size_t>(std::count(key.begin(), key.end(), '.')));
  }

  bool null() { return found(std::nullopt); }
  bool boolean(bool value) { return found(value ? "true" : "false"); }
  bool number_integer(int64_t value) {
    return found(format("%lld", static_cast<long long>(value)));
  }
  bool number_unsigned(uint64_t value) {
    return found(format("%llu", static_cast<unsigned long long>(value)));
  }
  bool number_float(double value, const std::string &text) {
    (void)value;
    return found(text);
  }
  bool string(std::string &value) {
    bool bare = value == "Infinity" || value == "-Infinity" || value == "NaN";
    return found(bare ? value : jsonString(value));
  }
  bool binary(Json::binary_t &) { return false; }
  bool key(std::string &name) {
    path.back().name = name;
    return true;
  }
  bool start_object(size_t) { return found("an object") && enter(false); }
  bool start_array(size_t) { return found("a list") && enter(true); }
  bool end_object() { return leave(); }
  bool end_array() {
    // "a.length" of a list.
    auto count = path.back().position;
    path.back().list = false;
    path.back().name = "length";
    return found(format("%lld", static_cast<long long>(count)), /*ends=*/false) && leave();
  }
  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) {
    why = format("not valid JSON at byte %zu", position);
    return false;
  }

private:
  struct Level {
    bool list;
    int64_t position; ///< in a list
    std::string name; ///< in an object
  };

  bool enter(bool list) {
    path.push_back({list, 0, ""});
    return true;
  }
  bool leave() {
    path.pop_back();
    return next();
  }
  bool next() {
    if (!path.empty() && path.back().list)
      ++path.back().position;
    return true;
  }

  /// A value stands at the present path; the last of several counts. The name of a member of the
  /// whole may have dots in it, and the longest that begins the key is meant. `ends`: the next
  /// value of a list is the next one.
  bool found(const std::optional<std::string> &value, bool ends = true) {
    if (path.empty()) {
      if (value == "an object")
        return true;
      why = "it is not a JSON object";
      return false;
    }
    auto over = [&] { return !ends || value == "an object" || value == "a list" ? true : next(); };
    if (path.size() > deepest)
      return over();
    std::string joined;
    bool dots = false; // in the name of a member of a member
    for (const Level &level : path) {
      dots |= &level != &path[0] && !level.list && level.name.find('.') != level.name.npos;
      joined += (joined.empty() && &level == &path[0] ? "" : ".") +
                (level.list ? format("%lld", static_cast<long long>(level.position)) : level.name);
    }
    size_t first = path[0].name.size() + 1;
    for (size_t i = 0; i < keys.size() && !dots; ++i) {
      bool within = keys[i].starts_with(joined + ".");
      if (root[i] > first || (keys[i] != joined && !within))
        continue;
      // A member that comes again replaces all that was in it.
      if (keys[i] == joined || path.size() == 1 || root[i] == first)
        values[i] = keys[i] == joined ? value : std::nullopt;
      root[i] = first;
    }
    return over();
  }

  const std::vector<std::string> &keys;
  std::vector<std::optional<std::string>> &values;
  std::string &why;
  std::vector<size_t> root; ///< of each key: 1 + the letters of the whole's member that it is in
  std::vector<Level> path;
  size_t deepest = 0; ///< levels that a key may lead through
};

/// Quotes Infinity and NaN where they stand outside of strings, so that the text is JSON.
std::string quoteInfinities(const std::string &text) {
  std::string out;
  bool inString = false;
  for (size_t i = 0; i < text.size();) {
    std::string_view rest = std::string_view(text).substr(i);
    size_t bare = inString                        ? 0
                  : rest.starts_with("-Infinity") ? 9
                  : rest.starts_with("Infinity")  ? 8
                  : rest.starts_with("NaN")       ? 3
                                                  : 0;
    if (bare) {
      out += '"' + std::string(rest.substr(0, bare)) + '"';
      i += bare;
      continue;
    }
    if (inString && text[i] == '\\' && i + 1 < text.size())
      out += text[i++];
    else if (text[i] == '"')
      inString = !inString;
    out += text[i++];
  }
  return out;
}

} // namespace

bool parseSettings(const std::string &text, const std::vector<std::string> &keys,
                   std::vector<std::optional<std::string>> &values, std::string &why) {
  SettingEvents events(keys, values, why);
  std::string plain = quoteInfinities(text);
  if (Json::sax_parse(plain.begin(), plain.end(), &events))
    return true;
  if (why.empty())
    why = "not valid JSON";
  return false;
}

} // namespace qkv::rt

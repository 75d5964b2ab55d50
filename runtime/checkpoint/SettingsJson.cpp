// In: the text of a configuration, which may be anything. Out: the values of the keys that are
// wanted. Holds: they are found while the text is read; no document is built.
#include "runtime/Error.h"
#include "runtime/checkpoint/Json.h"

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
      : keys(keys), values(values), why(why), whole(keys.size()) {
    values.assign(keys.size(), std::nullopt);
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
    return found(bare ? value : quote(value));
  }
  bool binary(Json::binary_t &) { return false; }
  bool key(std::string &name) {
    path.back().name = name;
    return true;
  }
  bool start_object(size_t) { return found("an object") && enter(false); }
  bool start_array(size_t) { return found("a list") && enter(true); }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }
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

  /// A value stands at the present path; the last of several counts.
  bool found(const std::optional<std::string> &value) {
    if (path.empty()) {
      if (value == "an object")
        return true;
      why = "it is not a JSON object";
      return false;
    }
    std::string joined;
    for (const Level &level : path)
      joined += (joined.empty() && &level == &path[0] ? "" : ".") +
                (level.list ? format("%lld", static_cast<long long>(level.position)) : level.name);
    for (size_t i = 0; i < keys.size(); ++i) {
      size_t parts = 1 + std::count(keys[i].begin(), keys[i].end(), '.');
      if (keys[i] == joined && path.size() == 1)
        whole[i] = true;
      if (keys[i] == joined && (path.size() == 1 || (path.size() == parts && !whole[i])))
        values[i] = value;
      // A member that comes again replaces all that was in it.
      else if (path.size() < parts && !whole[i] && keys[i].starts_with(joined + "."))
        values[i] = std::nullopt;
    }
    return value == "an object" || value == "a list" ? true : next();
  }

  const std::vector<std::string> &keys;
  std::vector<std::optional<std::string>> &values;
  std::string &why;
  std::vector<bool> whole; ///< found as a member of the whole with that very name
  std::vector<Level> path;
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

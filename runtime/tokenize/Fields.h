// In: an object of a tokenizer.json. Out: its fields, of the types they must have. Holds: a field
// that nobody asked for is an error, so that nothing is silently left undone.
#pragma once

#define JSON_NO_IO
#include <nlohmann/json.hpp>

#include <set>
#include <string>

namespace qkv::rt {

using Json = nlohmann::json;

class Fields {
public:
  /// `what` is how messages call the object.
  Fields(const Json &object, std::string what, std::string &why)
      : object(object), what(std::move(what)), why(why) {
    if (!object.is_object())
      wrong("it is not an object");
  }

  /// Null where the field is absent or null.
  const Json *find(const char *name) {
    known.insert(name);
    if (!object.is_object())
      return nullptr;
    auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  /// A field that must be there; null after an error.
  const Json *need(const char *name) {
    const Json *found = find(name);
    if (!found)
      wrong(std::string("it has no ") + name);
    return found;
  }
  std::string text(const char *name, const std::string &otherwise = "") {
    const Json *found = find(name);
    if (found && !found->is_string())
      wrong(std::string(name) + " is not a text");
    return found && found->is_string() ? found->get<std::string>() : otherwise;
  }
  bool flag(const char *name, bool otherwise) {
    const Json *found = find(name);
    if (found && !found->is_boolean())
      wrong(std::string(name) + " is neither true nor false");
    return found && found->is_boolean() ? found->get<bool>() : otherwise;
  }
  int64_t whole(const char *name, int64_t otherwise, int64_t most) {
    const Json *found = find(name);
    if (!found)
      return otherwise;
    if (!found->is_number_unsigned() || found->get<uint64_t>() > static_cast<uint64_t>(most)) {
      wrong(std::string(name) + " is not a whole number from 0 to " + std::to_string(most));
      return otherwise;
    }
    return found->get<int64_t>();
  }
  /// Fields that make no difference to tokens.
  void ignore(std::initializer_list<const char *> names) {
    known.insert(names.begin(), names.end());
  }
  /// All is read: false with `why` set after any error, or where there is more.
  bool done() {
    if (object.is_object())
      for (auto &[name, value] : object.items())
        if (!known.count(name) && !value.is_null())
          wrong("its field " + name.substr(0, 100) + " is not known");
    return why.empty();
  }
  /// Always false.
  bool wrong(const std::string &text) {
    if (why.empty())
      why = what + ": " + text;
    return false;
  }

private:
  const Json &object;
  std::string what;
  std::string &why;
  std::set<std::string> known;
};

} // namespace qkv::rt

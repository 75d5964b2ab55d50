// In: JSON text from files that may hold anything. Out: the tables that weights need. Holds:
// the tables are filled while the text is read; no document is built, nesting costs nothing.
#include "runtime/checkpoint/Json.h"

#include "runtime/Error.h"

#define JSON_NO_IO
#include <algorithm>
#include <nlohmann/json.hpp>

namespace qkv::rt {
namespace {

using Json = nlohmann::json;

/// What both tables share: the path of keys, and failing with a reason.
struct Events {
  using string_t = std::string;
  std::string &why;
  int depth = 0;
  explicit Events(std::string &why) : why(why) {}

  bool stop(const std::string &reason) {
    if (why.empty())
      why = reason;
    return false;
  }
  bool binary(Json::binary_t &) { return false; }
  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) {
    return stop(format("not valid JSON at byte %zu", position));
  }
};

/// {"name": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}, ...}
struct HeaderEvents : Events {
  enum Field { None, Type, Shape, Offsets };
  std::vector<HeaderEntry> &entries;
  Field field = None;
  std::vector<std::pair<std::string, std::string>> &texts;
  std::string metadataKey;
  bool metadata = false;
  bool seen[4] = {};
  std::vector<uint64_t> offsets;

  HeaderEvents(std::string &why, std::vector<HeaderEntry> &entries,
               std::vector<std::pair<std::string, std::string>> &texts)
      : Events(why), entries(entries), texts(texts) {}

  bool inEntry() const { return depth >= 2 && !metadata; }
  std::string entryName() const { return quote(entries.back().name); }
  bool wrong(const char *what) { return stop(format("tensor %s: %s", entryName().c_str(), what)); }
  bool misplaced() {
    if (depth == 0)
      return stop("its header is not a JSON object");
    if (depth == 1)
      return metadata
                 ? true
                 : stop(format("tensor %s is not described by an object", entryName().c_str()));
    if (!inEntry() || field == None)
      return true;
    return wrong(field == Type    ? "its dtype is not a string"
                 : field == Shape ? "its shape is not a list of whole numbers"
                                  : "its data_offsets are not two whole numbers");
  }
  bool null() { return misplaced(); }
  bool boolean(bool) { return misplaced(); }
  bool number_float(double, const std::string &) { return misplaced(); }
  bool number_integer(int64_t) { return misplaced(); }
  bool number_unsigned(uint64_t value) {
    if (!inEntry() || field == None)
      return misplaced();
    if (field == Type || depth != 3)
      return misplaced();
    if (field == Shape) {
      if (value > INT64_MAX)
        return wrong("an extent of its shape is too large");
      entries.back().shape.push_back(static_cast<int64_t>(value));
    } else {
      offsets.push_back(value);
    }
    return true;
  }
  bool string(std::string &value) {
    if (inEntry() && field == Type && depth == 2) {
      entries.back().dtype = value;
      return true;
    }
    if (metadata && depth == 2)
      texts.emplace_back(metadataKey, value);
    return misplaced();
  }
  bool key(std::string &name) {
    if (depth == 1) {
      metadata = name == "__metadata__";
      if (!metadata) {
        entries.emplace_back();
        entries.back().name = name;
        offsets.clear();
        seen[Type] = seen[Shape] = seen[Offsets] = false;
      }
    } else if (depth == 2 && metadata) {
      metadataKey = name;
    } else if (depth == 2) {
      field = name == "dtype"          ? Type
              : name == "shape"        ? Shape
              : name == "data_offsets" ? Offsets
                                       : None;
      if (field != None && std::exchange(seen[field], true))
        return wrong("a key of it is there twice");
    }
    return true;
  }
  bool start_object(size_t) {
    if (inEntry() && field != None && depth >= 2)
      return misplaced();
    if (depth == 1)
      field = None;
    ++depth;
    return true;
  }
  bool end_object() {
    --depth;
    if (depth == 1 && !metadata) {
      if (!seen[Type] || !seen[Shape] || !seen[Offsets])
        return wrong("it lacks one of dtype, shape and data_offsets");
      if (offsets.size() != 2)
        return wrong("its data_offsets are not two whole numbers");
      entries.back().begin = offsets[0];
      entries.back().end = offsets[1];
    }
    return true;
  }
  bool start_array(size_t) {
    if (depth < 2 && !metadata)
      return misplaced();
    if (inEntry() && field != None && (field == Type || depth != 2))
      return misplaced();
    ++depth;
    return true;
  }
  bool end_array() {
    --depth;
    return true;
  }
};

/// {"metadata": ..., "weight_map": {"name": "model-00001-of-00002.safetensors", ...}}
struct IndexEvents : Events {
  std::vector<std::pair<std::string, std::string>> &map;
  bool inMap = false, found = false;
  std::string name;

  IndexEvents(std::string &why, std::vector<std::pair<std::string, std::string>> &map)
      : Events(why), map(map) {}

  bool misplaced() {
    if (depth == 0)
      return stop("it is not a JSON object");
    return inMap ? stop("its weight_map is not an object of file names") : true;
  }
  bool null() { return misplaced(); }
  bool boolean(bool) { return misplaced(); }
  bool number_float(double, const std::string &) { return misplaced(); }
  bool number_integer(int64_t) { return misplaced(); }
  bool number_unsigned(uint64_t) { return misplaced(); }
  bool string(std::string &value) {
    if (!inMap || depth != 2)
      return misplaced();
    map.emplace_back(name, value);
    return true;
  }
  bool key(std::string &key) {
    if (depth == 1) {
      inMap = key == "weight_map";
      if (inMap && std::exchange(found, true))
        return stop("its weight_map is there twice");
    }
    name = key;
    return true;
  }
  bool start_object(size_t) {
    if (inMap && depth != 1)
      return misplaced();
    ++depth;
    return true;
  }
  bool end_object() {
    --depth;
    return true;
  }
  bool start_array(size_t) {
    if (depth == 0 || inMap)
      return misplaced();
    ++depth;
    return true;
  }
  bool end_array() {
    --depth;
    return true;
  }
};

template <typename List, typename Name>
bool unique(const List &list, Name nameOf, std::string &why) {
  std::vector<const std::string *> names;
  names.reserve(list.size());
  for (auto &item : list)
    names.push_back(&nameOf(item));
  std::sort(names.begin(), names.end(), [](auto *a, auto *b) { return *a < *b; });
  for (size_t i = 1; i < names.size(); ++i)
    if (*names[i] == *names[i - 1]) {
      why = format("tensor %s is there twice", quote(*names[i]).c_str());
      return false;
    }
  return true;
}

} // namespace

bool parseHeader(const char *begin, const char *end, std::vector<HeaderEntry> &entries,
                 std::vector<std::pair<std::string, std::string>> &metadata, std::string &why) {
  HeaderEvents events(why, entries, metadata);
  if (!Json::sax_parse(begin, end, &events)) {
    if (why.empty())
      why = "its header is not valid JSON";
    return false;
  }
  return unique(
      entries, [](const HeaderEntry &entry) -> const std::string & { return entry.name; }, why);
}

bool parseIndex(const char *begin, const char *end,
                std::vector<std::pair<std::string, std::string>> &map, std::string &why) {
  IndexEvents events(why, map);
  if (!Json::sax_parse(begin, end, &events)) {
    if (why.empty())
      why = "not valid JSON";
    return false;
  }
  if (!events.found) {
    why = "it has no weight_map";
    return false;
  }
  return unique(map, [](const auto &item) -> const std::string & { return item.first; }, why);
}

} // namespace qkv::rt

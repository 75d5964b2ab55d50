// In: keys and values of a checkpoint. Out: values by key; JSON.
#include "runtime/checkpoint/Metadata.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace qkv::rt {
namespace {

struct Row {
  const char *name;
  size_t size;
};
constexpr Row rows[metaTypeCount] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},  {"u32", 4},
                                     {"i32", 4}, {"f32", 4}, {"bool", 1}, {"text", 0}, {"list", 0},
                                     {"u64", 8}, {"i64", 8}, {"f64", 8}};

template <typename T> T load(const char *bytes) {
  T value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

/// The shortest decimal that reads as the same number of its type.
std::string realText(double value, bool single) {
  if (std::isnan(value))
    return "NaN";
  if (std::isinf(value))
    return value < 0 ? "-Infinity" : "Infinity";
  std::string text;
  for (int digits = single ? 6 : 15; digits <= 17; ++digits) {
    text = format("%.*g", digits, value);
    char *end = nullptr;
    if (single ? strtof(text.c_str(), &end) == static_cast<float>(value)
               : strtod(text.c_str(), &end) == value)
      break;
  }
  // (The program around a library may have set a locale that writes 0,5.)
  for (char &c : text)
    if (!strchr("0123456789+-.e", c))
      c = '.';
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

} // namespace

size_t metaSize(MetaType type) { return rows[static_cast<size_t>(type)].size; }
const char *metaTypeText(MetaType type) { return rows[static_cast<size_t>(type)].name; }

bool MetaValue::isNumber() const {
  return type != MetaType::Text && type != MetaType::List && type != MetaType::Bool;
}

bool MetaValue::isWhole() const {
  return isNumber() && type != MetaType::F32 && type != MetaType::F64 &&
         (type != MetaType::U64 || natural <= INT64_MAX);
}

MetaValue metaNumber(MetaType type, const char *bytes) {
  MetaValue value;
  value.type = type;
  auto natural = [&](uint64_t number) {
    value.natural = number;
    value.whole = static_cast<int64_t>(number);
    value.number = static_cast<double>(number);
  };
  auto whole = [&](int64_t number) {
    value.whole = number;
    value.number = static_cast<double>(number);
  };
  switch (type) {
  case MetaType::U8:
    natural(load<uint8_t>(bytes));
    break;
  case MetaType::U16:
    natural(load<uint16_t>(bytes));
    break;
  case MetaType::U32:
    natural(load<uint32_t>(bytes));
    break;
  case MetaType::U64:
    natural(load<uint64_t>(bytes));
    break;
  case MetaType::I8:
    whole(load<int8_t>(bytes));
    break;
  case MetaType::I16:
    whole(load<int16_t>(bytes));
    break;
  case MetaType::I32:
    whole(load<int32_t>(bytes));
    break;
  case MetaType::I64:
    whole(load<int64_t>(bytes));
    break;
  case MetaType::F32:
    value.number = load<float>(bytes);
    break;
  case MetaType::F64:
    value.number = load<double>(bytes);
    break;
  case MetaType::Bool:
    whole(load<uint8_t>(bytes) != 0);
    break;
  default:
    break;
  }
  return value;
}

std::string metaBytes(const MetaValue &value) {
  char bytes[8] = {};
  size_t size = metaSize(value.type);
  if (value.type == MetaType::F32) {
    auto number = static_cast<float>(value.number);
    memcpy(bytes, &number, sizeof number);
  } else if (value.type == MetaType::F64) {
    memcpy(bytes, &value.number, sizeof value.number);
  } else {
    uint64_t bits =
        value.type == MetaType::U64 ? value.natural : static_cast<uint64_t>(value.whole);
    memcpy(bytes, &bits, size);
  }
  return {bytes, size};
}

bool MetaItems::next(MetaValue &item) {
  if (left == 0)
    return false;
  --left;
  if (type == MetaType::Text) {
    auto length = load<uint64_t>(at);
    item = {};
    item.text = {at + 8, length};
    at += 8 + length;
  } else {
    item = metaNumber(type, at);
    at += metaSize(type);
  }
  return true;
}

const std::string *Metadata::sort() {
  byKey.resize(list.size());
  std::iota(byKey.begin(), byKey.end(), 0);
  std::sort(byKey.begin(), byKey.end(),
            [&](uint32_t a, uint32_t b) { return list[a].key < list[b].key; });
  for (size_t i = 1; i < byKey.size(); ++i)
    if (list[byKey[i]].key == list[byKey[i - 1]].key)
      return &list[byKey[i]].key;
  return nullptr;
}

const MetaValue *Metadata::find(std::string_view key) const {
  auto found = std::lower_bound(byKey.begin(), byKey.end(), key, [&](uint32_t index, auto wanted) {
    return list[index].key < wanted;
  });
  return found != byKey.end() && list[*found].key == key ? &list[*found].value : nullptr;
}

std::string_view Metadata::text(std::string_view key) const {
  const MetaValue *value = find(key);
  return value && value->type == MetaType::Text ? value->text : std::string_view();
}

std::string jsonString(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    auto byte = static_cast<unsigned char>(text[at]);
    size_t length = utf8Length(text.substr(at));
    if (byte == '"' || byte == '\\')
      out += {'\\', text[at]};
    else if (byte < 0x20 || byte == 0x7F)
      out += format("\\u%04x", byte);
    else if (length == 0)
      out += "\xEF\xBF\xBD";
    else
      out += text.substr(at, length);
    at += length ? length : 1;
  }
  return out + "\"";
}

std::string metaJson(const MetaValue &value, uint64_t longest) {
  switch (value.type) {
  case MetaType::Text:
    return jsonString(value.text);
  case MetaType::Bool:
    return value.whole ? "true" : "false";
  case MetaType::F32:
  case MetaType::F64:
    return realText(value.number, value.type == MetaType::F32);
  case MetaType::U64:
    return format("%llu", static_cast<unsigned long long>(value.natural));
  case MetaType::List:
    break;
  default:
    return format("%lld", static_cast<long long>(value.whole));
  }
  if (value.count > longest)
    return format("\"a list of %llu\"", static_cast<unsigned long long>(value.count));
  std::string text = "[";
  MetaItems items(value);
  for (MetaValue item; items.next(item);)
    text += (text.size() > 1 ? "," : "") + metaJson(item, 0);
  return text + "]";
}

std::string configurationText(const Metadata &metadata) {
  // (Lists as long as a vocabulary are for tokenizers.)
  constexpr uint64_t longest = 4096;
  std::string own = std::string(metadata.text("general.architecture")) + ".";
  std::string text = "{";
  auto add = [&](std::string_view key, const MetaValue &value) {
    text += (text.size() > 1 ? "," : "") + jsonString(key) + ":" + metaJson(value, longest);
    if (value.type == MetaType::List && value.count > longest)
      text += "," + jsonString(std::string(key) + ".length") +
              format(":%llu", static_cast<unsigned long long>(value.count));
  };
  for (const Metadatum &one : metadata.all()) {
    add(one.key, one.value);
    if (own.size() > 1 && one.key.starts_with(own))
      add(one.key.substr(own.size() - 1), one.value);
  }
  return text + "}";
}

} // namespace qkv::rt

// In: what a checkpoint says beside its tensors: keys with numbers, booleans, texts and lists. Out:
// values by key, and all of it as JSON. Holds: values lead into the mapped file, so a list costs
// nothing until it is walked through.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// Types of values, numbered as GGUF numbers them.
enum class MetaType : uint8_t { U8, I8, U16, I16, U32, I32, F32, Bool, Text, List, U64, I64, F64 };
constexpr uint32_t metaTypeCount = 13;

/// Bytes of a value of the type; 0 where they differ (texts, lists).
size_t metaSize(MetaType type);

/// "u32", "text", ...: for messages and lists.
const char *metaTypeText(MetaType type);

/// One value. Which members count is the type's matter.
struct MetaValue {
  MetaType type = MetaType::Text;
  int64_t whole = 0;               // I8 to I64, Bool, and U8 to U64 where it fits
  uint64_t natural = 0;            // U8 to U64
  double number = 0;               // of every number
  std::string_view text;           // Text
  MetaType items = MetaType::Text; // List: of what type, how many, and where they lie
  uint64_t count = 0;
  const char *bytes = nullptr;

  bool isWhole() const;  ///< a whole number that fits into `whole`
  bool isNumber() const; ///< a number of any type
};

/// Reads a value of a type of fixed size.
MetaValue metaNumber(MetaType type, const char *bytes);

/// The bytes of a number or a boolean, as the file has them.
std::string metaBytes(const MetaValue &value);

/// Walks through a list, whose bytes were checked when the file was opened.
class MetaItems {
public:
  explicit MetaItems(const MetaValue &list)
      : at(list.bytes), left(list.type == MetaType::List ? list.count : 0), type(list.items) {}
  bool next(MetaValue &item);

private:
  const char *at;
  uint64_t left;
  MetaType type;
};

struct Metadatum {
  std::string key;
  MetaValue value;
};

/// The keys of a checkpoint in the order of its file; each is there once.
class Metadata {
public:
  void add(std::string key, const MetaValue &value) { list.push_back({std::move(key), value}); }
  /// Makes find() work, once all are there. Null, or a key that is there twice.
  const std::string *sort();
  const std::vector<Metadatum> &all() const { return list; }
  /// Null if there is no such key.
  const MetaValue *find(std::string_view key) const;
  /// The text at a key; empty if there is none, or it is no text.
  std::string_view text(std::string_view key) const;

private:
  std::vector<Metadatum> list;
  std::vector<uint32_t> byKey;
};

/// A value as JSON writes it (infinities and NaN bare, as Python does). Of a list with more than
/// `longest` items a text that says how many there are.
std::string metaJson(const MetaValue &value, uint64_t longest);

/// A text as a JSON string; what is not UTF-8 becomes U+FFFD.
std::string jsonString(std::string_view text);

/// All keys as a JSON object, for `config(...)`: a page that reads a key of the architecture's own
/// also finds it without the architecture ("llama.block_count" as ".block_count"). Of a list that
/// is too long to be written there is "KEY.length".
std::string configurationText(const Metadata &metadata);

} // namespace qkv::rt

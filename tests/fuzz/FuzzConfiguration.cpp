// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: as a config.json they are values or a
// message, where a page is checked as where a program opens weights; and both read the same
// numbers.
#include "dsl/check/ConfigurationText.h"
#include "runtime/checkpoint/Json.h"
#include "runtime/checkpoint/StoredText.h"

#include <cstdlib>

using namespace qkv;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<std::string> keys = {"a", "a.b",   "a.b.0",        "a.length",
                                                "b", "c.d.e", "layer_types.1"};
  std::string text(reinterpret_cast<const char *>(data), size), why, other;
  std::vector<std::optional<std::string>> values;
  bool runs = rt::parseSettings(text, keys, values, why);
  auto checks = sema::readConfiguration(text, other);
  if ((!runs && why.empty()) || (!checks && other.empty()))
    abort(); // nothing says what is wrong
  if (!runs || !checks || !checks->is_object())
    return 0;
  for (const char *key : {"a", "b"})
    if (auto found = checks->find(key); found != checks->end() && found->is_number()) {
      auto number = sema::numberIn(*found);
      size_t at = key[0] == 'a' ? 0 : 4;
      auto read = values[at] ? rt::numberOf(*values[at]) : std::nullopt;
      if (!number || !read || (*number != *read && *number == *number))
        abort(); // two readers, two numbers
    }
  return 0;
}

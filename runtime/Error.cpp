// In: what went wrong and where. Out: a filled qkv_error. Holds: what the caller's size allows is
// written and no more; texts end at a whole character.
#include "runtime/Error.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace qkv::rt {

std::string format(const char *pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  int length = vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(length > 0 ? length : 0, '\0');
  if (length > 0)
    vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  return text;
}

/// Copies what fits; a cut text ends in "..." after a whole UTF-8 character.
static void copyText(char *to, size_t capacity, std::string_view from) {
  size_t length = from.size();
  if (length >= capacity) {
    length = capacity - 4;
    while (length > 0 && (static_cast<unsigned char>(from[length]) & 0xC0) == 0x80)
      --length;
  }
  memcpy(to, from.data(), length);
  if (length < from.size()) {
    memcpy(to + length, "...", 3);
    length += 3;
  }
  to[length] = 0;
}

bool failAt(qkv_error *error, const char *file, int32_t line, int32_t column, int32_t length,
            const std::string &text) {
  if (!error)
    return false;
  qkv_error full = {};
  full.size = error->size;
  full.line = line;
  full.column = column;
  full.length = length;
  copyText(full.file, sizeof full.file, file ? file : "");
  copyText(full.text, sizeof full.text, text);
  // A caller compiled against an older, shorter struct gets what it has room for.
  size_t room = error->size < sizeof full ? error->size : sizeof full;
  memcpy(error, &full, room);
  return false;
}

bool fail(qkv_error *error, const std::string &text) { return failAt(error, "", 0, 0, 0, text); }

bool failFile(qkv_error *error, std::string_view file, const std::string &text) {
  return failAt(error, std::string(file).c_str(), 0, 0, 0, text);
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i == 12) {
      text += ",...";
      break;
    }
    text += (i ? "," : "") + format("%lld", static_cast<long long>(shape[i]));
  }
  return text + "]";
}

std::string quote(std::string_view name) {
  constexpr size_t longest = 160;
  std::string text = "\"";
  for (char c : name.substr(0, longest))
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  if (name.size() > longest) {
    while (text.size() > 1 && (static_cast<unsigned char>(text.back()) & 0x80))
      text.pop_back();
    text += "...";
  }
  return text + "\"";
}

const char *typeText(int32_t type) {
  return type == QKV_FLOAT ? "float" : type == QKV_INT ? "int" : "bool";
}

std::string errorText(const qkv_error &error, const char *program) {
  if (error.file[0] && error.line > 0)
    return format("%s:%d:%d: error: %s", error.file, error.line, error.column, error.text);
  return format("%s: error: %s", error.file[0] ? error.file : program, error.text);
}

} // namespace qkv::rt

// Source text: where lines begin, what line and column an offset has, files read whole.
//
// In: bytes as they are on disk. Out: positions as an editor shows them. A byte order mark at
// the start belongs to no line; a carriage return before a line feed belongs to the line's end.
#include "dsl/syntax/Source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utf8proc.h>

namespace qkv {

namespace {
// Offsets are 32 bits wide, and a model file of this size is a mistake in the command line.
constexpr size_t maxFileSize = size_t(256) << 20;
constexpr std::string_view byteOrderMark = "\xEF\xBB\xBF";
} // namespace

Source::Source(std::string path, std::string text)
    : path_(std::move(path)), text_(std::move(text)) {
  if (text_.size() > maxFileSize)
    text_.resize(maxFileSize);
  lines_.push_back(text_.starts_with(byteOrderMark) ? uint32_t(byteOrderMark.size()) : 0);
  for (uint32_t i = lines_[0]; i < text_.size(); ++i)
    if (text_[i] == '\n')
      lines_.push_back(i + 1);
}

Source::Position Source::position(uint32_t offset) const {
  offset = std::clamp<uint32_t>(offset, lines_[0], static_cast<uint32_t>(text_.size()));
  auto after = std::upper_bound(lines_.begin(), lines_.end(), offset);
  Position result;
  result.line = static_cast<uint32_t>(after - lines_.begin());
  for (uint32_t at = lines_[result.line - 1]; at < offset; ++result.column)
    at += characterAt(text_, at).length;
  return result;
}

std::string_view Source::line(uint32_t number) const {
  if (number < 1 || number > lines_.size())
    return {};
  uint32_t begin = lines_[number - 1];
  uint32_t end = number < lines_.size() ? lines_[number] - 1 : static_cast<uint32_t>(text_.size());
  if (end > begin && text_[end - 1] == '\r')
    --end;
  return std::string_view(text_).substr(begin, end - begin);
}

uint32_t Source::lineBegin(uint32_t number) const {
  return lines_[std::clamp<size_t>(number, 1, lines_.size()) - 1];
}

Span join(Span a, Span b) {
  if (!a)
    return b;
  if (!b || b.source != a.source)
    return a;
  return {a.source, std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

Character characterAt(std::string_view text, size_t at) {
  unsigned char first = static_cast<unsigned char>(text[at]);
  if (first < 0x80)
    return {first, 1};
  utf8proc_int32_t code = -1;
  utf8proc_ssize_t length =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(text.data() + at),
                       static_cast<utf8proc_ssize_t>(std::min<size_t>(4, text.size() - at)), &code);
  if (length <= 0)
    return {-1, 1};
  return {code, static_cast<uint32_t>(length)};
}

const Source *Sources::add(std::string path, std::string text) {
  all_.push_back(std::make_unique<Source>(std::move(path), std::move(text)));
  return all_.back().get();
}

std::vector<std::string> Sources::paths() const {
  std::vector<std::string> list;
  for (const auto &source : all_)
    list.push_back(source->path());
  return list;
}

/// What a file is whose bytes are no text; empty for text, also where a few bytes in it are not.
static std::string binary(std::string_view bytes) {
  constexpr size_t looked = 4096;
  constexpr std::pair<std::string_view, const char *> magic[] = {
      {"\x7F"
       "ELF",
       "a program or an object file"},
      {"GGUF", "a GGUF file of weights"},
      {"PK\x03\x04", "an archive"},
      {"\x1F\x8B", "a compressed file"},
      {"BC\xC0\xDE", "LLVM bitcode"},
  };
  for (auto &[begin, what] : magic)
    if (bytes.starts_with(begin))
      return what;
  if (bytes.size() > 9 && bytes[8] == '{' && bytes[7] == '\0')
    return "a safetensors file of weights";
  std::string_view head = bytes.substr(0, looked);
  size_t stray = 0;
  for (size_t at = 0; at < head.size();) {
    Character c = characterAt(head, at);
    stray += c.code < 0 || (c.code < 0x20 && c.code != '\t' && c.code != '\n' && c.code != '\r');
    at += c.length;
  }
  return stray * 10 > head.size() ? "no UTF-8 text" : "";
}

const Source *Sources::open(const std::string &path, std::string &error) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
  } else {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (file && file.peek() != std::ifstream::traits_type::eof())
      text << file.rdbuf();
    // A folder opens, and fails only when it is read.
    if (!file.is_open() || file.bad() || (errno == EISDIR)) {
      error = "cannot read '" + path + "': " + std::strerror(errno ? errno : EIO);
      return nullptr;
    }
  }
  std::string bytes = std::move(text).str();
  if (bytes.size() > maxFileSize) {
    error = "'" + path + "' is larger than 256 MiB: this is not a model file";
    return nullptr;
  }
  if (std::string what = binary(bytes); !what.empty()) {
    error = "'" + path + "' is " + what + ", not a model file";
    return nullptr;
  }
  return add(path == "-" ? "<stdin>" : path, std::move(bytes));
}

} // namespace qkv

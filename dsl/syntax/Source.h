// Source text and places in it.
//
// In: the bytes of a model file, whatever they are. Out: spans (byte ranges) and the
// line and column a person would name for them. Columns count characters (G8).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkv {

/// One file of model text. Immutable once made; spans point into it.
class Source {
public:
  Source(std::string path, std::string text);

  const std::string &path() const { return path_; }
  const std::string &text() const { return text_; }

  struct Position {
    uint32_t line = 1;   ///< from 1
    uint32_t column = 1; ///< from 1, in characters
  };
  /// The line and column of a byte offset (clamped to the text).
  Position position(uint32_t offset) const;
  /// The text of a line (from 1), without its end.
  std::string_view line(uint32_t number) const;
  uint32_t lineBegin(uint32_t number) const;
  uint32_t lineCount() const { return static_cast<uint32_t>(lines_.size()); }

private:
  std::string path_, text_;
  std::vector<uint32_t> lines_; // the offset at which each line begins
};

/// A byte range of a source. Default: nowhere.
struct Span {
  const Source *source = nullptr;
  uint32_t begin = 0, end = 0;
  explicit operator bool() const { return source != nullptr; }
  uint32_t line() const { return source ? source->position(begin).line : 0; }
};

/// The smallest span that holds both.
Span join(Span a, Span b);

/// The character at a byte offset: its code point and its length in bytes. A byte that is not
/// part of valid UTF-8 is a character of its own with code -1. Precondition: at < text.size().
struct Character {
  int32_t code = -1;
  uint32_t length = 1;
};
Character characterAt(std::string_view text, size_t at);

/// Owns the sources of one run: the model file and what it uses.
class Sources {
public:
  const Source *add(std::string path, std::string text);
  /// Reads a file ("-" is standard input). Null, with `error` set, where it cannot.
  const Source *open(const std::string &path, std::string &error);
  /// Of all that were added or opened.
  std::vector<std::string> paths() const;

private:
  std::vector<std::unique_ptr<Source>> all_;
};

/// The text of a file of the standard library (`nn`), or null. It is part of the program,
/// so that an installation can be moved.
const char *standardLibrary(std::string_view name);

} // namespace qkv

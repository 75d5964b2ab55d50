// The text of a template -> tokens. Holds: whitespace around tags is gone where trim_blocks,
// lstrip_blocks and signs say so; the reference configures templates of chats with both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qkv::jinja {

struct Token {
  enum class Kind {
    Data,
    PrintBegin,
    PrintEnd,
    TagBegin,
    TagEnd,
    Name,
    Text,
    Int,
    Float,
    Mark,
    End
  };
  Kind kind = Kind::End;
  std::string text; ///< of Text its value; of Mark and Name the letters
  int64_t whole = 0;
  double number = 0;
  int line = 1;
};

/// False with `why` set, which begins with the line.
bool tokens(const std::string &source, std::vector<Token> &out, std::string &why);

} // namespace qkv::jinja

// In: regular expressions as tokenizers write them (Oniguruma's syntax with Unicode classes). Out:
// their matches. Holds: a search takes bounded steps and memory, whatever expression and text are.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace qkv::rt {

class Regex {
public:
  /// Null with `why` set where the expression is none, or uses what is not supported.
  static std::unique_ptr<Regex> compile(const std::string &pattern, std::string &why);
  ~Regex();
  Regex(const Regex &) = delete;

  enum Result { Found, NotFound, Failed };
  /// The first match from `from` on in valid UTF-8.
  Result find(std::string_view text, size_t from, size_t &begin, size_t &end) const;

private:
  Regex() = default;
  struct Code;
  std::unique_ptr<Code> code;
};

} // namespace qkv::rt

// In: the tokens of a stream, one after the other. Out: the bytes that each adds to its text.
// Holds: joined they are the text of all tokens behind the prompt, as the tokenizer says all of
// them together (a first token often loses a space that it has behind others).
#pragma once

#include "runtime/text/Tokenizer.h"

#include <string>
#include <vector>

namespace qkv::rt {

class TokenText {
public:
  TokenText() = default;
  /// `before`: the tokens that the text goes on from.
  TokenText(const Tokenizer &tokenizer, const std::vector<int64_t> &before);
  std::string push(int64_t token);
  /// Whether no text stands before.
  bool atBeginning() const { return latest.empty(); }

private:
  const Tokenizer *tokenizer = nullptr;
  std::vector<int64_t> latest; ///< that are shown
  std::string text;            ///< of them
};

} // namespace qkv::rt

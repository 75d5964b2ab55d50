// In: text. Out: its bytes, one token each.
#include "runtime/text/Tokenizer.h"

#include "runtime/Error.h"

namespace qkv::rt {

constexpr int64_t startToken = 256, endToken = 257, allTokens = 258;

bool ByteTokenizer::hasSpecial() const { return vocabulary >= allTokens; }

bool ByteTokenizer::encode(std::string_view text, unsigned special, std::vector<int64_t> &tokens,
                           std::string &why) const {
  if ((special & SpecialBefore) && hasSpecial())
    tokens.push_back(startToken);
  for (unsigned char byte : text) {
    if (byte >= vocabulary) {
      why = format("byte %d, outside the vocabulary of %lld", byte,
                   static_cast<long long>(vocabulary));
      return false;
    }
    tokens.push_back(byte);
  }
  return true;
}

bool ByteTokenizer::encodeSource(std::string_view text, std::vector<int64_t> &tokens,
                                 std::string &) const {
  for (unsigned char byte : text)
    tokens.push_back(byte);
  return true;
}

bool ByteTokenizer::shown(int64_t token) const { return token >= 0 && token < startToken; }

std::string ByteTokenizer::decode(const std::vector<int64_t> &tokens, bool) const {
  std::string text;
  for (int64_t token : tokens)
    if (token >= 0 && token < startToken)
      text += static_cast<char>(token);
  return text;
}

bool ByteTokenizer::ends(int64_t token) const { return hasSpecial() && token == endToken; }

} // namespace qkv::rt

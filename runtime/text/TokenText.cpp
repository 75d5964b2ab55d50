// The bytes of each token behind others (TokenText.h).
#include "runtime/text/TokenText.h"

namespace qkv::rt {

/// So many tokens are enough to tell how the next one is written; at twice as many half of them go.
constexpr size_t enough = 8;

TokenText::TokenText(const Tokenizer &tokenizer, const std::vector<int64_t> &before)
    : tokenizer(&tokenizer) {
  for (size_t i = before.size(); i > 0 && latest.size() < enough; --i)
    if (tokenizer.shown(before[i - 1]))
      latest.insert(latest.begin(), before[i - 1]);
  text = tokenizer.decode(latest, /*special=*/false);
}

std::string TokenText::push(int64_t token) {
  if (!tokenizer->shown(token))
    return "";
  if (latest.size() >= 2 * enough) {
    latest.erase(latest.begin(), latest.begin() + enough);
    text = tokenizer->decode(latest, /*special=*/false);
  }
  latest.push_back(token);
  std::string all = tokenizer->decode(latest, /*special=*/false);
  std::string fresh = all.size() > text.size() ? all.substr(text.size()) : std::string();
  text = std::move(all);
  return fresh;
}

} // namespace qkv::rt

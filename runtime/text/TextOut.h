// Generated text on its way out. In: pieces of bytes, one a token. Out: text that is whole UTF-8
// and is certainly not the beginning of a stop string. Holds: pieces joined give the same text,
// however the tokens cut it; a byte that is no UTF-8 becomes U+FFFD.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

class TextOut {
public:
  /// `stops` end the text; they are not part of it. None is empty.
  explicit TextOut(const std::vector<std::string> *stops = nullptr) : stops(stops) {}

  /// Takes the next bytes; gives what can be shown now.
  std::string push(std::string_view bytes);
  /// No more bytes follow: gives the rest.
  std::string finish();
  /// Whether a stop string was found: nothing comes out any more.
  bool stopped() const { return found; }

private:
  std::string release(size_t bytes);

  const std::vector<std::string> *stops;
  std::string waiting;
  bool found = false;
};

} // namespace qkv::rt

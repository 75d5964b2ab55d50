// In: standard input. Out: its lines, as they arrive. Holds: what has arrived can be asked for
// without waiting for the rest.
#pragma once

#include <cstddef>
#include <string>

namespace qkv::rt {

class InputLines {
public:
  /// The next line without its end; false at the end of the input.
  bool next(std::string &line);
  /// The same, if it is here already.
  bool arrived(std::string &line);
  /// The same, if it is here already or can be read without waiting.
  bool ready(std::string &line);
  /// Why reading stopped early; empty if it did not.
  const std::string &failure() const { return why; }

private:
  bool more();

  std::string buffer, why;
  size_t start = 0, searched = 0;
  bool ended = false; // the rest has no end of a line
};

} // namespace qkv::rt

// Templates of chats: Jinja, as the reference configures it (trim_blocks, lstrip_blocks, loop
// controls, a sandbox). In: a template, values by name. Out: a text. Holds: whatever the template
// is, rendering ends in bounded time and memory; what is not supported is an error, never left out.
#pragma once

#include "runtime/template/Syntax.h"

#include <ctime>

namespace qkv::jinja {

struct Limits {
  int64_t steps = 5'000'000;
  size_t bytes = size_t(8) << 20; ///< of a text
};

class Template {
public:
  /// False with `why` set.
  bool read(const std::string &source, std::string &why);
  /// `now`: what strftime_now() takes for the time. False with `why` set.
  bool render(const Dict &values, std::tm now, std::string &out, std::string &why,
              const Limits &limits = {}) const;

private:
  Block block;
};

} // namespace qkv::jinja

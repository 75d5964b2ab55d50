// How much of a random test is run.
#pragma once

#include <cstdlib>

namespace qkv {

/// The number in an environment variable, or the usual one.
inline int setting(const char *name, int usual) {
  const char *text = getenv(name);
  return text ? atoi(text) : usual;
}

} // namespace qkv

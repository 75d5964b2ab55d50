// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: checking them as a model file ends in a
// program with an order or in errors with their places; what parses can be formatted, and
// formatting that again changes nothing.
#include "dsl/syntax/Formatter.h"
#include "tests/fuzz/Guard.h"

#include "dsl/syntax/Diagnostics.h"

#include <cstdio>
#include <cstdlib>

using namespace qkv;

static std::optional<std::string> formatted(const std::string &text) {
  Sources sources;
  Diagnostics diagnostics;
  return format(*sources.add("fuzz.qkv", text), diagnostics);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  std::string wrong = test::problemsOf(text);
  if (auto once = formatted(text); once && wrong.empty())
    if (auto twice = formatted(*once); twice != once)
      wrong = twice ? "formatting again changes it" : "what was formatted does not parse";
  if (!wrong.empty()) {
    fprintf(stderr, "%s\n", wrong.c_str());
    abort();
  }
  return 0;
}

// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: as a chat template they are a text or a
// message, in bounded steps and memory.
#include "runtime/template/Template.h"

#include <cstdlib>

using namespace qkv::jinja;

static const Dict &values() {
  static const Dict all = [] {
    Value value;
    const char *text = R"({"messages": [{"role": "system", "content": "Be brief."},
      {"role": "user", "content": "Hi <b>'\u00e9\u65e5"}, {"role": "assistant", "content": null,
       "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": [1, 2.5, true]}}}]},
      {"role": "tool", "content": "3"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}],
      "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
      "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "n": -7,
      "large": 9223372036854775807, "half": 0.5, "empty": []})";
    if (!fromJson(text, value))
      abort();
    return value.dict();
  }();
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Template text;
  std::string out, why;
  Limits limits;
  limits.steps = 100'000; // (the time of a run, not of a chat)
  limits.bytes = 1 << 20;
  std::tm now = {};
  now.tm_year = 124;
  now.tm_mday = 1;
  bool done = text.read({reinterpret_cast<const char *>(data), size}, why) &&
              text.render(values(), now, out, why, limits);
  if (!done && why.empty())
    abort(); // nothing says what is wrong
  return 0;
}

// In: arbitrary bytes from libFuzzer. Out: nothing. Holds: as a tokenizer.json, or as the keys of a
// GGUF, they are a tokenizer or a message; whatever the tokenizer, texts end in tokens that it has
// or in a message, and tokens in a text.
#include "runtime/checkpoint/Gguf.h"
#include "runtime/tokenize/TextTokenizer.h"

#include <cstdlib>
#include <string>

using namespace qkv::rt;

static std::unique_ptr<TextTokenizer> read(const uint8_t *data, size_t size, std::string &why) {
  FileBytes file;
  if (!file.copy(data, size) || !isGguf(file))
    return readTokenizerJson({reinterpret_cast<const char *>(data), size}, why);
  qkv_error error = {};
  error.size = sizeof error;
  auto checkpoint = Gguf::fromFile(std::move(file), "file", &error);
  why = error.text;
  return checkpoint ? readTokenizerKeys(checkpoint->metadata(), why) : nullptr;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string why;
  auto tokenizer = read(data, size, why);
  if (!tokenizer) {
    if (why.empty())
      abort(); // nothing says what is wrong
    return 0;
  }
  // (The last bytes of the input are a text, too.)
  std::string own(reinterpret_cast<const char *>(data) + size - size % 61, size % 61);
  for (const std::string &text : {std::string("The fox's 12 \xC3\xA9\xE6\x97\xA5\n\t  <|end|>x"),
                                  std::string("\xFF\xE6\x97"), own}) {
    for (unsigned special : {0U, unsigned(SpecialInside | SpecialAround)}) {
      std::vector<int64_t> tokens;
      why.clear();
      if (!tokenizer->encode(text, special, tokens, why)) {
        if (why.empty())
          abort();
        continue;
      }
      for (int64_t token : tokens)
        if (token < 0 || token >= tokenizer->size())
          abort();
      tokenizer->decode(tokens, true);
      tokenizer->decode(tokens, false);
    }
  }
  tokenizer->decode({0, 1, 2, 3, tokenizer->size() - 1, 5, 4}, false);
  return 0;
}

// In: arbitrary bytes from libFuzzer: a JSON schema where they begin with { or a word of JSON, else
// a grammar. Out: nothing. Holds: they are rules or a message; whatever the rules, tokens may be
// followed for a while, each that a mask allows is one that can be taken, and a text that cannot
// end goes on.
#include "runtime/grammar/Constraint.h"
#include "runtime/grammar/ReadGrammar.h"

#include <cstdlib>
#include <string>

using namespace qkv::rt;

static const std::shared_ptr<const TokenTrie> &trie() {
  static const auto all = [] {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte)
      texts.emplace_back(1, static_cast<char>(byte));
    for (const char *more : {"the", "{\"", "\": ", "\",\"", "[[", "12", "-0.", "\xC3\xA9",
                             "\xE6\x97", "  ", "\n\n", "true", "null", "aaaa", "]}"})
      texts.emplace_back(more);
    texts.emplace_back(); // the token that ends a text
    return std::make_shared<const TokenTrie>(std::move(texts));
  }();
  return all;
}

static void follow(std::unique_ptr<Automaton> automaton, const uint8_t *data, size_t size) {
  const int64_t end = trie()->size() - 1;
  Constraint constraint(std::move(automaton), trie(), trie(), {end});
  Constraint::Place place;
  uint64_t random = size;
  for (int step = 0; step < 24; ++step) {
    auto mask = constraint.next(place, step == 0);
    if (!mask)
      return; // too ambiguous
    random = random * 6364136223846793005u + data[static_cast<size_t>(step) % size];
    std::vector<int64_t> allowed;
    for (int64_t token = 0; token < end; ++token)
      if (isIn(*mask, token))
        allowed.push_back(token);
    bool mayEnd = constraint.mayEnd(place);
    if (isIn(*mask, end) != mayEnd)
      abort(); // the mask says something else of the end
    if (allowed.empty()) {
      if (!mayEnd && step > 0)
        abort(); // a way was allowed that leads nowhere
      return;
    }
    if (!constraint.take(place,
                         constraint.text(allowed[(random >> 33) % allowed.size()], step == 0)))
      return; // (too ambiguous)
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  std::string_view text(reinterpret_cast<const char *>(data), size);
  GrammarError error;
  bool schema = data[0] == '{' || text == "true" || text == "false";
  auto grammar = schema ? readJsonSchema(text, error) : readGbnf(text, error);
  auto automaton = grammar ? Automaton::make(*grammar, error.text) : nullptr;
  if (!automaton && error.text.empty())
    abort();                                  // nothing says what is wrong
  if (automaton && automaton->size() < 20000) // (the time of a run)
    follow(std::move(automaton), data, size);
  return 0;
}

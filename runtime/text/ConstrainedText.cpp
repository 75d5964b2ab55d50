// Grammars for the tokens of a tokenizer (ConstrainedText.h).
#include "runtime/text/ConstrainedText.h"

#include "runtime/Error.h"
#include "runtime/File.h"
#include "runtime/grammar/ReadGrammar.h"
#include "runtime/text/TokenText.h"

namespace qkv::rt {

/// The bytes of each token behind some tokens; none for what is no text, or ends one.
static std::vector<std::string> textsBehind(const Tokenizer &tokenizer, int64_t count,
                                            const std::vector<int64_t> &before) {
  std::vector<std::string> texts(static_cast<size_t>(count));
  const TokenText behind(tokenizer, before);
  for (int64_t token = 0; token < count; ++token)
    if (tokenizer.shown(token) && !tokenizer.ends(token))
      texts[static_cast<size_t>(token)] = TokenText(behind).push(token);
  return texts;
}

/// A token of text that others may stand behind.
static std::vector<int64_t> someToken(const Tokenizer &tokenizer, int64_t count) {
  std::vector<int64_t> tokens;
  std::string why;
  if (tokenizer.encode("a", SpecialNone, tokens, why) && !tokens.empty() && tokens.back() < count)
    return {tokens.back()};
  for (int64_t token = 0; token < count; ++token)
    if (tokenizer.shown(token))
      return {token};
  return {};
}

std::unique_ptr<Constraint> openConstraint(const TextForm &form, const Tokenizer &tokenizer,
                                           int64_t count, qkv_error *error) {
  const std::string &path = form.grammar.empty() ? form.jsonSchema : form.grammar;
  FileBytes file;
  if (!file.open(path, error))
    return nullptr;
  std::string_view text(file.data(), file.size());
  GrammarError wrong;
  std::optional<Grammar> grammar =
      form.grammar.empty() ? readJsonSchema(text, wrong) : readGbnf(text, wrong);
  std::unique_ptr<Automaton> automaton;
  if (grammar)
    automaton = Automaton::make(*grammar, wrong.text);
  if (!automaton) {
    if (wrong.line)
      failAt(error, path.c_str(), wrong.line, wrong.column, wrong.length, wrong.text);
    else
      failFile(error, path, wrong.text);
    return nullptr;
  }
  std::vector<int64_t> ends;
  for (int64_t token = 0; token < count; ++token)
    if (tokenizer.ends(token))
      ends.push_back(token);
  std::vector<std::string> first = textsBehind(tokenizer, count, {}),
                           behind = textsBehind(tokenizer, count, someToken(tokenizer, count));
  bool same = first == behind;
  auto trie = std::make_shared<const TokenTrie>(std::move(behind));
  return std::make_unique<Constraint>(
      std::move(automaton), same ? trie : std::make_shared<const TokenTrie>(std::move(first)), trie,
      std::move(ends));
}

} // namespace qkv::rt

// In: the turns of a talk. Out: tokens (ChatFormat.h).
#include "runtime/chat/ChatFormat.h"

#include <algorithm>

namespace qkv::rt {

using jinja::Dict;
using jinja::Value;

std::unique_ptr<ChatFormat> ChatFormat::make(const CheckpointText &text, Dict own,
                                             std::string &why) {
  std::unique_ptr<ChatFormat> format(new ChatFormat(text));
  if (!format->form.read(text.chatTemplate, why))
    return nullptr;
  // As the reference calls templates: no tools, no documents, the names of tokens.
  format->values.put("tools", Value::none());
  format->values.put("documents", Value::none());
  for (const auto &[name, content] : text.named)
    format->values.put(name, Value::text(content));
  format->values.put("add_generation_prompt", Value::of(true));
  for (const auto &[name, value] : own.all())
    format->values.put(name, value);
  return format;
}

bool ChatFormat::tokens(const std::vector<Turn> &turns, std::tm now, std::vector<int64_t> &tokens,
                        std::string &why) const {
  jinja::List messages;
  for (const Turn &turn : turns) {
    Dict message;
    message.put("role", Value::text(turn.role));
    message.put("content", Value::text(text.tokenizer->apart(turn.content)));
    messages.push_back(Value::dict(std::move(message)));
  }
  Dict all = values;
  all.put("messages", Value::list(std::move(messages)));
  std::string written;
  if (!form.render(all, now, written, why)) {
    why = "the chat template: " + why;
    return false;
  }
  if (!text.tokenizer->encode(written, SpecialInside, tokens, why))
    return false;
  const std::vector<int64_t> &before = text.tokenizer->before;
  if (text.beginsAlways &&
      (tokens.size() < before.size() || !std::equal(before.begin(), before.end(), tokens.begin())))
    tokens.insert(tokens.begin(), before.begin(), before.end());
  return true;
}

} // namespace qkv::rt

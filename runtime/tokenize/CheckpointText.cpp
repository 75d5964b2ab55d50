// In: the text files of a checkpoint. Out: its tokenizer, and what its chats look like.
#include "runtime/tokenize/CheckpointText.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/Json.h"
#include "runtime/tokenize/Fields.h"

#include <algorithm>

namespace qkv::rt {
namespace {

constexpr const char *namedTokens[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                       "sep_token", "cls_token", "mask_token"};

void addEnding(TextTokenizer &tokenizer, int64_t token) {
  if (std::find(tokenizer.endings.begin(), tokenizer.endings.end(), token) ==
      tokenizer.endings.end())
    tokenizer.endings.push_back(token);
}

/// The tokens at a key of a configuration: a number, a list of them, or none. Negative ones, and
/// those that the tokenizer does not have, are no tokens.
bool tokensAt(const TextFiles::File &file, const char *key, std::vector<int64_t> &tokens,
              std::string &why) {
  constexpr size_t most = 256;
  std::vector<std::string> keys{key};
  for (size_t i = 0; i <= most; ++i)
    keys.push_back(format("%s.%zu", key, i));
  std::vector<std::optional<std::string>> values;
  if (!parseSettings(std::string(file.text), keys, values, why))
    return false;
  bool list = values[0] && *values[0] == "a list";
  if (list && values.back()) {
    why = format("%s has more than %zu tokens", quote(key).c_str(), most);
    return false;
  }
  for (size_t i = list ? 1 : 0; i < (list ? values.size() : 1); ++i) {
    if (!values[i])
      continue;
    if (values[i]->empty() || values[i]->find_first_not_of("-0123456789") != std::string::npos ||
        values[i]->size() > 18) {
      why = format("%s is %s, expected the number of a token, or a list of them",
                   quote(key).c_str(), values[i]->c_str());
      return false;
    }
    tokens.push_back(strtoll(values[i]->c_str(), nullptr, 10));
  }
  return true;
}

/// What ends a text, and what a stream beside a source begins with.
bool readSettings(const TextFiles &files, TextTokenizer &tokenizer, std::string &why,
                  std::string &where) {
  for (const char *name : {"config.json", "generation_config.json"}) {
    const TextFiles::File *file = files.find(name);
    if (!file)
      continue;
    where = name;
    std::vector<int64_t> endings, start;
    if (!tokensAt(*file, "eos_token_id", endings, why) ||
        !tokensAt(*file, "decoder_start_token_id", start, why))
      return false;
    for (int64_t token : endings)
      if (token >= 0)
        addEnding(tokenizer, token);
    if (!start.empty() && start[0] >= 0)
      tokenizer.start = start[0];
  }
  return true;
}

/// A text, or an added token's object with its content.
std::string contentOf(const Json &value) {
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_object())
    if (auto content = value.find("content"); content != value.end() && content->is_string())
      return content->get<std::string>();
  return "";
}

/// The template; of several the one that is called default.
std::string templateOf(const Json &value) {
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_array())
    for (const Json &one : value)
      if (one.is_object() && one.contains("name") && one["name"] == "default" &&
          one.contains("template") && one["template"].is_string())
        return one["template"].get<std::string>();
  return "";
}

bool readNames(const TextFiles &files, CheckpointText &text, std::string &why) {
  if (const TextFiles::File *file = files.find("tokenizer_config.json")) {
    Json json =
        Json::parse(file->text.begin(), file->text.end(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      why = "it is not a JSON object";
      return false;
    }
    for (const char *name : namedTokens)
      if (auto value = json.find(name); value != json.end())
        if (std::string content = contentOf(*value); !content.empty())
          text.named.emplace_back(name, content);
    if (auto value = json.find("chat_template"); value != json.end())
      text.chatTemplate = templateOf(*value);
  }
  for (auto &[name, content] : text.named)
    if (name == "eos_token")
      if (int64_t token = text.tokenizer->find(content); token >= 0)
        addEnding(*text.tokenizer, token);
  if (const TextFiles::File *file = files.find("chat_template.json")) {
    Json json =
        Json::parse(file->text.begin(), file->text.end(), nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("chat_template"))
      text.chatTemplate = templateOf(json["chat_template"]);
  }
  if (const TextFiles::File *file = files.find("chat_template.jinja"))
    text.chatTemplate = file->text;
  return true;
}

bool fromKeys(const TextFiles::File &file, const std::string &place, CheckpointText &text,
              std::string &why, qkv_error *error) {
  FileBytes bytes;
  if (!bytes.copy(file.text.data(), file.text.size())) {
    why = "there is no memory for it";
    return false;
  }
  std::unique_ptr<Gguf> keys = Gguf::fromFile(std::move(bytes), place, error);
  if (!keys || !(text.tokenizer = readTokenizerKeys(keys->metadata(), why)))
    return false;
  const Metadata &metadata = keys->metadata();
  text.chatTemplate = metadata.text("tokenizer.chat_template");
  text.beginsAlways = true;
  for (const char *name : {"bos", "eos", "unknown", "padding"}) {
    const MetaValue *value = metadata.find(format("tokenizer.ggml.%s_token_id", name));
    const std::string *content =
        value && value->isWhole() ? text.tokenizer->text(value->whole) : nullptr;
    std::string_view called = name;
    called = called == "unknown" ? "unk" : called == "padding" ? "pad" : called;
    if (content)
      text.named.emplace_back(std::string(called) + "_token", *content);
  }
  std::string start =
      std::string(metadata.text("general.architecture")) + ".decoder_start_token_id";
  if (const MetaValue *value = metadata.find(start); value && value->isWhole())
    text.tokenizer->start = value->whole;
  return true;
}

} // namespace

std::unique_ptr<CheckpointText> readCheckpointText(const TextFiles &files, qkv_error *error) {
  auto text = std::make_unique<CheckpointText>();
  std::string why, where;
  qkv_error inner = {};
  inner.size = sizeof inner;
  bool done;
  if (const TextFiles::File *keys = files.find(vocabularyGguf)) {
    done = fromKeys(*keys, files.place, *text, why, &inner);
  } else if (const TextFiles::File *file = files.find("tokenizer.json")) {
    done = (text->tokenizer = readTokenizerJson(file->text, why)) != nullptr;
    if (done) {
      where = "tokenizer_config.json";
      done = readNames(files, *text, why);
    }
  } else {
    fail(error, "there is no tokenizer");
    return nullptr;
  }
  done = done && readSettings(files, *text->tokenizer, why, where);
  if (done)
    return text;
  if (why.empty())
    why = inner.text;
  if (where.empty())
    where = "the tokenizer in it cannot be read";
  else
    where = "what stands beside it (" + where + ") cannot be read";
  failFile(error, files.place, where + ": " + replaceInvalid(why));
  return nullptr;
}

std::unique_ptr<Tokenizer> readTextTokens(const TextFiles &files, qkv_error *error) {
  if (files.empty() || files.find(bytesFile))
    return nullptr;
  std::unique_ptr<CheckpointText> text = readCheckpointText(files, error);
  return text ? std::move(text->tokenizer) : nullptr;
}

} // namespace qkv::rt

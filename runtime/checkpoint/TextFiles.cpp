// In: the path of weights. Out: the files there that say how text is said in tokens.
#include "runtime/checkpoint/TextFiles.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/PackedTable.h"

#include <algorithm>

namespace qkv::rt {
namespace {

constexpr char tokenizerFile[] = "tokenizer.json";
/// What is read beside a tokenizer.json; the first two also where the tokenizer is elsewhere.
constexpr const char *settingsFiles[] = {"generation_config.json", "config.json"};
constexpr const char *besideFiles[] = {"tokenizer_config.json", "chat_template.jinja",
                                       "chat_template.json"};
/// Vocabularies in forms that are not read: where one of these stands alone, tokens are not bytes.
constexpr const char *otherForms[] = {"tokenizer.model", "spiece.model", "vocab.json",
                                      "merges.txt",      "vocab.txt",    "tekken.json",
                                      "tiktoken.model",  "spm.model",    "sentencepiece.bpe.model"};

/// With a slash at its end, or empty.
std::string folderOfWeights(const std::string &weights) {
  if (isFolder(weights))
    return weights + (weights.back() == '/' ? "" : "/");
  return std::string(folderOf(weights));
}

template <size_t N>
bool addBeside(const std::string &folder, const char *const (&names)[N], TextFiles &found,
               qkv_error *error) {
  for (const char *name : names) {
    FileBytes file;
    if (!exists(folder + name))
      continue;
    if (!file.open(folder + name, error))
      return false;
    found.put(name, std::move(file));
  }
  return true;
}

bool fromFolder(const std::string &folder, TextFiles &found, qkv_error *error) {
  if (!exists(folder + tokenizerFile)) {
    for (const char *other : otherForms)
      if (exists(folder + other))
        return failFile(error, folder + other,
                        "a vocabulary in this form is not read, and there is no tokenizer.json "
                        "beside it: write one, or say --tokenizer FILE (--tokenizer bytes: each "
                        "byte is a token)");
    return true;
  }
  FileBytes file;
  if (!file.open(folder + tokenizerFile, error))
    return false;
  found.place = folder + tokenizerFile;
  found.put(tokenizerFile, std::move(file));
  return addBeside(folder, besideFiles, found, error) &&
         addBeside(folder, settingsFiles, found, error);
}

bool fromGguf(FileBytes file, const std::string &path, TextFiles &found, qkv_error *error) {
  std::unique_ptr<Gguf> checkpoint = Gguf::fromFile(std::move(file), path, error);
  if (!checkpoint)
    return false;
  if (!checkpoint->metadata().find("tokenizer.ggml.model"))
    return true;
  found.place = path;
  found.put(vocabularyGguf, vocabularyKeys(checkpoint->metadata()));
  return true;
}

void appendText(std::string &out, std::string_view text) {
  append(out, text.size());
  out += text;
}

/// Takes a number of bytes and so many bytes from the front. False: they are not there.
bool takeText(std::string_view &from, std::string_view &text) {
  if (from.size() < 8)
    return false;
  uint64_t length = 0;
  from.copy(reinterpret_cast<char *>(&length), sizeof length);
  from.remove_prefix(8);
  if (length > from.size())
    return false;
  text = from.substr(0, length);
  from.remove_prefix(length);
  return true;
}

} // namespace

const TextFiles::File *TextFiles::find(std::string_view name) const {
  auto found =
      std::find_if(list.begin(), list.end(), [&](const File &f) { return f.name == name; });
  return found == list.end() ? nullptr : &*found;
}

void TextFiles::remove(std::string_view name) {
  list.erase(
      std::remove_if(list.begin(), list.end(), [&](const File &file) { return file.name == name; }),
      list.end());
}

void TextFiles::put(std::string name, std::string_view text) {
  remove(name);
  list.push_back({std::move(name), text});
}

void TextFiles::put(std::string name, std::string text) {
  texts.push_back(std::make_unique<std::string>(std::move(text)));
  put(std::move(name), std::string_view(*texts.back()));
}

void TextFiles::put(std::string name, FileBytes file) {
  std::string_view text(file.data(), file.size()); // (a mapping, or a block: it stays where it is)
  files.push_back(std::move(file));
  put(std::move(name), text);
}

bool findTextFiles(const std::string &weights, TextFiles &found, qkv_error *error) {
  if (weights.empty() || weights == "-")
    return true;
  if (isFolder(weights))
    return fromFolder(folderOfWeights(weights), found, error);
  FileBytes file;
  size_t offset = 0;
  if (!file.open(weights, error))
    return false;
  if (isPacked(file, 0) || findAppended(file, offset)) {
    found.place = weights;
    if (readTextFiles(packedTexts(file, offset), found))
      return true;
    return failFile(error, weights, "what it holds of a tokenizer is not whole");
  }
  return isGguf(file) ? fromGguf(std::move(file), weights, found, error)
                      : fromFolder(folderOfWeights(weights), found, error);
}

bool findTextFiles(const std::string &weights, const std::string &tokenizer, TextFiles &found,
                   qkv_error *error) {
  if (tokenizer.empty())
    return findTextFiles(weights, found, error);
  if (tokenizer == "bytes") {
    found.place = "bytes";
    found.put(bytesFile, std::string());
    return true;
  }
  bool file = !isFolder(tokenizer);
  FileBytes bytes;
  if (file && !bytes.open(tokenizer, error))
    return false;
  if (file && isGguf(bytes)) {
    if (!fromGguf(std::move(bytes), tokenizer, found, error))
      return false;
  } else if (file) {
    found.place = tokenizer;
    found.put(tokenizerFile, std::move(bytes));
    if (!addBeside(std::string(folderOf(tokenizer)), besideFiles, found, error))
      return false;
  } else if (!fromFolder(folderOfWeights(tokenizer), found, error)) {
    return false;
  }
  if (found.empty())
    return failFile(error, tokenizer, "there is no tokenizer in it");
  // Which tokens end a text is the model's matter.
  FileBytes own;
  bool separate = weights.empty() || weights == "-" ||
                  (!isFolder(weights) && (!own.open(weights, nullptr) || isGguf(own)));
  return separate || addBeside(folderOfWeights(weights), settingsFiles, found, error);
}

std::string textFilesText(const TextFiles &files) {
  std::string out;
  for (const TextFiles::File &file : files.all()) {
    appendText(out, file.name);
    appendText(out, file.text);
  }
  return out;
}

bool readTextFiles(std::string_view text, TextFiles &files) {
  std::string_view name, content;
  while (!text.empty()) {
    if (!takeText(text, name) || !takeText(text, content))
      return false;
    files.put(std::string(name), std::string(content));
  }
  return true;
}

std::string vocabularyKeys(const Metadata &metadata) {
  auto wanted = [](const Metadatum &one) {
    return one.key.starts_with("tokenizer.") || one.key.starts_with("general.architecture") ||
           one.key.ends_with(".decoder_start_token_id");
  };
  uint64_t count = 0;
  std::string keys;
  for (const Metadatum &one : metadata.all()) {
    if (!wanted(one))
      continue;
    const MetaValue &value = one.value;
    ++count;
    appendText(keys, one.key);
    append(keys, static_cast<uint64_t>(value.type), 4);
    if (value.type == MetaType::Text) {
      appendText(keys, value.text);
    } else if (value.type == MetaType::List) {
      append(keys, static_cast<uint64_t>(value.items), 4);
      append(keys, value.count);
      size_t each = metaSize(value.items), bytes = each * value.count;
      if (each == 0) {
        const char *end = value.bytes;
        for (uint64_t i = 0; i < value.count; ++i)
          end += 8 + loadNumber(end);
        bytes = static_cast<size_t>(end - value.bytes);
      }
      keys.append(value.bytes, bytes);
    } else {
      keys += metaBytes(value);
    }
  }
  std::string out = "GGUF";
  append(out, 3, 4);
  append(out, 0);
  append(out, count);
  return out + keys;
}

} // namespace qkv::rt

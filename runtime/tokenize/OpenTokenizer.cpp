// In: a path. Out: the tokenizer that is found there.
#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/tokenize/TextTokenizer.h"

namespace qkv::rt {

std::unique_ptr<TextTokenizer> openTokenizer(const std::string &path, qkv_error *error) {
  std::string place = path, why;
  if (isFolder(path)) {
    place = path + (path.ends_with('/') ? "" : "/") + "tokenizer.json";
    if (!exists(place)) {
      fail(error, path + " has no tokenizer.json");
      return nullptr;
    }
  } else if (path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json")) {
    place = std::string(folderOf(path)) + "tokenizer.json";
    if (!exists(place)) {
      fail(error, "there is no tokenizer.json beside " + path);
      return nullptr;
    }
  }
  FileBytes file;
  if (!file.open(place, error))
    return nullptr;
  std::unique_ptr<TextTokenizer> tokenizer;
  if (isGguf(file)) {
    std::unique_ptr<Gguf> checkpoint = Gguf::fromFile(std::move(file), place, error);
    if (!checkpoint)
      return nullptr;
    tokenizer = readTokenizerKeys(checkpoint->metadata(), why);
  } else {
    tokenizer = readTokenizerJson({file.data(), file.size()}, why);
  }
  if (!tokenizer)
    fail(error, format("the tokenizer in %s cannot be read: %s", place.c_str(),
                       replaceInvalid(why).c_str()));
  return tokenizer;
}

} // namespace qkv::rt

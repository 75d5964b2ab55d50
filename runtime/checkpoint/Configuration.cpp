// In: the text of a configuration, which may be anything. Out: the values of a model's settings in
// it. Holds: no document is built; a failure says why and at which byte.
#include "runtime/checkpoint/Configuration.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Gguf.h"
#include "runtime/checkpoint/Json.h"
#include "runtime/checkpoint/StoredText.h"
#include "runtime/checkpoint/Weights.h"

#include <memory>
#include <optional>
#include <vector>

namespace qkv::rt {
namespace {

bool isWhole(const std::string &text) {
  return !text.empty() && text.find_first_not_of("-0123456789") == text.npos;
}

/// 10000, 1e4 and 10000.0 are the same; so are two texts with the same letters.
bool sameValue(const std::string &a, const std::string &b) {
  if (a == b)
    return true;
  // (Large whole numbers may round to one double.)
  if (isWhole(a) && isWhole(b))
    return numberOf(a) == 0.0 && numberOf(b) == 0.0;
  std::optional<double> x = numberOf(a), y = numberOf(b);
  return x && y && (*x == *y || (*x != *x && *y != *y));
}

/// What a format calls the key of a setting.
const char *keyIn(const qkv_setting &setting, const std::string &format) {
  for (int32_t i = 0; i < setting.key_count; ++i)
    if (format == setting.keys[i].format)
      return setting.keys[i].key;
  return setting.key;
}

/// A GGUF's keys and, as `tensors.NAME`, the shape of each tensor: files of one architecture may
/// have other tensors where they say nothing else of it.
std::string ggufText(const Gguf &checkpoint) {
  std::string text = configurationText(checkpoint.metadata());
  text.pop_back(); // its brace
  for (const FileTensor &tensor : checkpoint.tensors()) {
    std::string key = "tensors." + tensor.name, shape;
    if (checkpoint.metadata().find(key))
      continue;
    for (int64_t extent : tensor.shape)
      shape += (shape.empty() ? "" : ",") + format("%lld", static_cast<long long>(extent));
    text += (text.size() > 1 ? "," : "") + jsonString(key) + ":[" + shape + "]";
  }
  return text + "}";
}

} // namespace

bool findConfiguration(const std::string &weights, Configuration &found, qkv_error *error) {
  found = {};
  if (weights.empty() || weights == "-")
    return true;
  if (!isFolder(weights)) {
    FileBytes file;
    size_t offset = 0;
    if (exists(weights) && file.open(weights, nullptr)) {
      if (isPacked(file, 0) || findAppended(file, offset)) {
        found = {packedConfiguration(file, offset), weights, packedFormatName(file, offset)};
        return true;
      }
      if (isGguf(file)) {
        std::unique_ptr<Gguf> checkpoint = Gguf::fromFile(std::move(file), weights, error);
        if (checkpoint)
          found = {ggufText(*checkpoint), weights, checkpoint->formatName()};
        return checkpoint != nullptr;
      }
    }
  }
  std::string path = isFolder(weights) ? weights + (weights.back() == '/' ? "" : "/")
                                       : std::string(folderOf(weights));
  path += "config.json";
  if (!exists(path))
    return true;
  FileBytes file;
  if (!file.open(path, error))
    return false;
  found = {std::string(file.data(), file.size()), path, "safetensors"};
  // An empty file is no configuration, but not the absence of one either.
  if (found.text.empty())
    found.text = " ";
  return true;
}

bool checkSettings(const qkv_model &model, const Configuration &configuration, qkv_error *error) {
  if (configuration.text.empty() || model.setting_count == 0)
    return true;
  std::vector<std::string> keys;
  for (int32_t i = 0; i < model.setting_count; ++i)
    keys.push_back(keyIn(model.settings[i], configuration.format));
  std::vector<std::optional<std::string>> values;
  std::string why;
  if (!parseSettings(configuration.text, keys, values, why))
    return failFile(error, configuration.path, "it is not a valid configuration: " + why);
  for (int32_t i = 0; i < model.setting_count; ++i) {
    const qkv_setting &setting = model.settings[i];
    // What the page would read beside these weights, and what it did read.
    const char *built = setting.value ? setting.value : setting.fallback;
    std::optional<std::string> here = values[i];
    bool isDefault = !here;
    if (!here && setting.fallback)
      here = setting.fallback;
    if (here && built && sameValue(*here, built))
      continue;
    std::string key = quote(keys[i]);
    std::string says = !here ? "it has no " + key
                       : isDefault
                           ? format("it has no %s, which stands for %s", key.c_str(), here->c_str())
                           : format("%s is %s", key.c_str(), here->c_str());
    return failFile(error, configuration.path,
                    says + format(", but model %s was compiled with %s%s: compile it again beside "
                                  "these weights, or give it those it was compiled for [C2]",
                                  model.name, built ? built : "its default",
                                  setting.value || !built ? "" : ", its default"));
  }
  return true;
}

} // namespace qkv::rt

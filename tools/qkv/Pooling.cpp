// One vector of many (Pooling.h).
#include "tools/qkv/Pooling.h"

#include "runtime/Error.h"
#include "runtime/File.h"
#include "runtime/checkpoint/Configuration.h"
#include "runtime/checkpoint/Json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace qkv::driver {
namespace {

using Values = std::vector<std::optional<std::string>>;

constexpr std::pair<const char *, Pooling::Kind> modes[] = {
    {"cls", Pooling::Kind::First},
    {"mean", Pooling::Kind::Mean},
    {"max", Pooling::Kind::Most},
    {"mean_sqrt_len_tokens", Pooling::Kind::RootMean},
    {"weightedmean", Pooling::Kind::Weighted},
    {"lasttoken", Pooling::Kind::Last}};
/// As older files have them, each true or false, in the same order.
constexpr const char *flags[] = {
    "pooling_mode_cls_token",           "pooling_mode_mean_tokens",
    "pooling_mode_max_tokens",          "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"};

/// The values at some keys of a JSON file. False with *error set.
bool readValues(const std::string &path, std::vector<std::string> keys, Values &values,
                qkv_error *error) {
  rt::FileBytes file;
  std::string why;
  if (!file.open(path, error))
    return false;
  // (Some are lists; what is looked into is an object.)
  for (std::string &key : keys)
    key = "file." + key;
  return rt::parseSettings("{\"file\":" + std::string(file.data(), file.size()) + "}", keys, values,
                           why) ||
         rt::failFile(error, path, why);
}

std::string unquoted(const std::string &json) {
  return json.size() >= 2 && json[0] == '"' ? json.substr(1, json.size() - 2) : json;
}

bool readMode(const std::string &path, Pooling &pooling, qkv_error *error) {
  std::vector<std::string> keys{"pooling_mode"};
  keys.insert(keys.end(), std::begin(flags), std::end(flags));
  Values values;
  if (!readValues(path, keys, values, error))
    return false;
  int found = 0;
  for (size_t i = 0; i < std::size(modes); ++i)
    if ((values[0] && unquoted(*values[0]) == modes[i].first) ||
        (!values[0] && values[i + 1] && *values[i + 1] == "true")) {
      pooling.kind = modes[i].second;
      ++found;
    }
  if (found == 1)
    return true;
  return rt::failFile(error, path,
                      found ? "more than one way of pooling, which is not supported"
                            : "the way of pooling is not known: expected cls, mean, max, "
                              "mean_sqrt_len_tokens, weightedmean or lasttoken");
}

/// The modules of sentence-transformers, one behind the other.
bool readModules(const std::filesystem::path &folder, Pooling &pooling, qkv_error *error) {
  constexpr int most = 8;
  std::string path = (folder / "modules.json").string();
  std::vector<std::string> keys;
  for (int i = 0; i < most; ++i)
    for (const char *field : {".type", ".path"})
      keys.push_back(std::to_string(i) + field);
  Values values;
  if (!readValues(path, keys, values, error))
    return false;
  bool pools = false;
  for (size_t i = 0; i < most && values[2 * i]; ++i) {
    std::string type = unquoted(*values[2 * i]),
                place = values[2 * i + 1] ? unquoted(*values[2 * i + 1]) : "";
    std::string name = type.substr(type.rfind('.') + 1);
    bool known = (name == "Transformer" && i == 0) || (name == "Pooling" && i == 1) ||
                 (name == "Normalize" && pools && !pooling.normalize);
    if (!known)
      return rt::failFile(error, path,
                          "the module " + rt::quote(type) + " is not supported here (" +
                              "Transformer, Pooling, Normalize are, in this order)");
    if (name == "Pooling" && !readMode((folder / place / "config.json").string(), pooling, error))
      return false;
    pools = pools || name == "Pooling";
    pooling.normalize = pooling.normalize || name == "Normalize";
  }
  if (!pools)
    return rt::failFile(error, path, "it has no module that pools");
  std::string lengths = (folder / "sentence_bert_config.json").string();
  if (std::filesystem::exists(lengths)) {
    if (!readValues(lengths, {"max_seq_length"}, values, error))
      return false;
    if (values[0])
      pooling.most = std::strtoll(values[0]->c_str(), nullptr, 10);
  }
  return true;
}

} // namespace

bool findPooling(const std::string &weights, Pooling &pooling, qkv_error *error) {
  std::error_code ignored;
  std::filesystem::path folder = weights;
  if (!std::filesystem::is_directory(folder, ignored))
    folder = folder.parent_path();
  rt::Configuration configuration;
  if (!rt::findConfiguration(weights, configuration, error))
    return false;
  if (configuration.format != "gguf")
    return !std::filesystem::exists(folder / "modules.json", ignored) ||
           readModules(folder, pooling, error);
  Values values;
  std::string why;
  if (!rt::parseSettings(configuration.text, {".pooling_type"}, values, why))
    return rt::failFile(error, configuration.path, why);
  if (!values[0])
    return true;
  // (llama.cpp's numbers; 0 is none, 4 a rank of two texts.)
  constexpr std::pair<const char *, Pooling::Kind> types[] = {
      {"1", Pooling::Kind::Mean}, {"2", Pooling::Kind::First}, {"3", Pooling::Kind::Last}};
  for (auto [number, kind] : types)
    if (*values[0] == number) {
      pooling.kind = kind;
      pooling.normalize = true;
      return true;
    }
  return rt::failFile(error, configuration.path,
                      "pooling_type is " + *values[0] +
                          ", expected 1 (mean), 2 (the first token) or 3 (the last)");
}

std::vector<float> pooled(const Pooling &pooling, const float *states, int64_t tokens,
                          int64_t width) {
  std::vector<float> out;
  for (int64_t c = 0; c < width; ++c) {
    double sum = 0, weights = 0, most = -INFINITY;
    for (int64_t i = 0; i < tokens; ++i) {
      double weight = pooling.kind == Pooling::Kind::Weighted ? static_cast<double>(i + 1) : 1;
      sum += weight * states[i * width + c];
      weights += weight;
      most = std::max<double>(most, states[i * width + c]);
    }
    switch (pooling.kind) {
    case Pooling::Kind::First:
      out.push_back(states[c]);
      break;
    case Pooling::Kind::Last:
      out.push_back(states[(tokens - 1) * width + c]);
      break;
    case Pooling::Kind::Most:
      out.push_back(static_cast<float>(most));
      break;
    case Pooling::Kind::RootMean:
      out.push_back(static_cast<float>(sum / std::sqrt(weights)));
      break;
    default:
      out.push_back(static_cast<float>(sum / weights));
    }
  }
  return out;
}

void normalizeVector(std::vector<float> &value) {
  double sum = 0;
  for (float one : value)
    sum += static_cast<double>(one) * one;
  double length = std::max(std::sqrt(sum), 1e-12);
  for (float &one : value)
    one = static_cast<float>(one / length);
}

} // namespace qkv::driver

// Sizes by name. Holds: each is within its bounds (A4).
#include "tools/qkv/SizeOptions.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

namespace qkv::driver {

void addSizeOption(CLI::App &app, std::vector<std::string> &texts, const std::string &what) {
  app.add_option("--size", texts, "a dynamic size, as in T=7 (default: " + what + ")")
      ->allow_extra_args(false)
      ->take_all()
      ->type_name("NAME=N");
}

std::string readSizes(const std::vector<Description::Size> &known, const std::string &model,
                      const std::vector<std::string> &texts,
                      std::map<std::string, int64_t> &sizes) {
  for (const std::string &text : texts) {
    size_t equals = text.find('=');
    std::string name = text.substr(0, equals);
    int64_t value = 0;
    const char *end = text.data() + text.size();
    const char *from = equals == std::string::npos ? end : text.data() + equals + 1;
    if (auto [stop, wrong] = std::from_chars(from, end, value); wrong != std::errc() || stop != end)
      return "--size " + text + ": expected NAME=NUMBER";
    std::string all;
    for (const auto &size : known)
      all += (all.empty() ? "" : ", ") + size.name;
    auto found = std::find_if(known.begin(), known.end(),
                              [&](const Description::Size &size) { return size.name == name; });
    if (found == known.end())
      return "--size " + text + ": model " + model + " has no dynamic size " + name +
             (all.empty() ? "" : " (it has " + all + ")");
    if (value < found->min || value > found->max)
      return "--size " + text + ": expected " + std::to_string(found->min) + " to " +
             std::to_string(found->max);
    sizes[name] = value;
  }
  return "";
}

std::vector<int64_t> allSizes(const std::vector<Description::Size> &known,
                              const std::map<std::string, int64_t> &given, int64_t usual) {
  std::vector<int64_t> sizes;
  for (const auto &size : known) {
    auto found = given.find(size.name);
    sizes.push_back(found != given.end() ? found->second : std::clamp(usual, size.min, size.max));
  }
  return sizes;
}

std::string sizesText(const std::vector<Description::Size> &known,
                      const std::vector<int64_t> &sizes) {
  std::string text;
  for (size_t i = 0; i < sizes.size(); ++i)
    text += (i ? ", " : "") + known[i].name + "=" + std::to_string(sizes[i]);
  return text;
}

} // namespace qkv::driver

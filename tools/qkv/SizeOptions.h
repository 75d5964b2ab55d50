// Sizes on the command line: --size T=2048, repeated as needed.
#pragma once

#include "compiler/description/Description.h"

#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace qkv::driver {

/// Adds --size; `what` says what stands for a size that is not given.
void addSizeOption(CLI::App &app, std::vector<std::string> &texts, const std::string &what);

/// The sizes that are given, by name. Empty, or what is wrong with them: it is misuse.
std::string readSizes(const std::vector<Description::Size> &known, const std::string &model,
                      const std::vector<std::string> &texts, std::map<std::string, int64_t> &sizes);

/// A number for each size of a model, in its order: the given one, or `usual` where that is no more
/// than its max.
std::vector<int64_t> allSizes(const std::vector<Description::Size> &known,
                              const std::map<std::string, int64_t> &given, int64_t usual);

/// "T=7, S=5"
std::string sizesText(const std::vector<Description::Size> &known,
                      const std::vector<int64_t> &sizes);

} // namespace qkv::driver

// Libraries that qkv built, as contenders (Contender.h): kinds `model` and `steps`.
#pragma once

#include "tools/benchmark/Contender.h"

namespace qkv::bench {

/// Null with `error` set where that cannot be.
std::unique_ptr<Contender> openModel(const nlohmann::json &how, std::string &error);
std::unique_ptr<Contender> openSteps(const nlohmann::json &how, std::string &error);

} // namespace qkv::bench

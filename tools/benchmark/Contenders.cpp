// The contenders: plugins, the machine itself; models are in Models.cpp.
#include "tools/benchmark/Contender.h"
#include "tools/benchmark/Library.h"
#include "tools/benchmark/Models.h"
#include "tools/benchmark/Peaks.h"
#include "tools/benchmark/peers/Plugin.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace qkv::bench {
namespace {

using nlohmann::json;

class Plugin : public Contender {
public:
  ~Plugin() override {
    if (work_)
      close_(work_);
  }
  bool open(const json &how, std::string &error) {
    if (!library_.open(how.at("library"), error) || !library_.find("plugin_open", open_, error) ||
        !library_.find("plugin_call", call_, error) ||
        !library_.find("plugin_close", close_, error))
      return false;
    std::vector<int64_t> numbers = how.at("numbers");
    work_ = open_(numbers.data(), static_cast<int64_t>(numbers.size()));
    if (!work_)
      error = "it takes no such shape";
    return work_ != nullptr;
  }
  bool call(std::string &error) override {
    if (call_(work_) == 0)
      return true;
    error = "a call failed";
    return false;
  }

private:
  Library library_;
  decltype(plugin_open) *open_ = nullptr;
  decltype(plugin_call) *call_ = nullptr;
  decltype(plugin_close) *close_ = nullptr;
  void *work_ = nullptr;
};

class MultiplyAdds : public Contender {
public:
  MultiplyAdds(int lanes, int64_t rounds) : lanes_(lanes), rounds_(rounds) {}
  bool call(std::string &error) override {
    if (lanes_ > widestLanes()) {
      error = "this processor has no vectors of " + std::to_string(lanes_) + " lanes";
      return false;
    }
    multiplyAdds(lanes_, rounds_, flops_);
    return true;
  }
  double work() const override { return flops_; }

private:
  int lanes_;
  int64_t rounds_;
  double flops_ = 0;
};

class Read : public Contender {
public:
  explicit Read(int64_t bytes) : buffer_(bytes) {}
  bool call(std::string &) override {
    buffer_.read();
    return true;
  }
  double work() const override { return static_cast<double>(buffer_.bytes()); }

private:
  ReadBuffer buffer_;
};

} // namespace

std::unique_ptr<Contender> openContender(const json &how, std::string &error) {
  std::string kind = how.at("kind");
  if (kind == "fma")
    return std::make_unique<MultiplyAdds>(how.at("lanes"), how.at("rounds"));
  if (kind == "read")
    return std::make_unique<Read>(how.at("bytes"));
  if (kind == "model")
    return openModel(how, error);
  if (kind == "steps")
    return openSteps(how, error);
  if (kind == "plugin") {
    auto plugin = std::make_unique<Plugin>();
    return plugin->open(how, error) ? std::move(plugin) : nullptr;
  }
  error = "no kind " + kind;
  return nullptr;
}

} // namespace qkv::bench

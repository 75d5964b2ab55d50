// The contenders: libraries built by qkv, plugins, the machine itself.
//
// Holds: a model is called through the functions of its generated header and nothing else; its
// arguments are the header's struct, which is eight-byte members whatever the model.
#include "tools/benchmark/Contender.h"
#include "tools/benchmark/Peaks.h"
#include "tools/benchmark/peers/Plugin.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <nlohmann/json.hpp>
#include <vector>

namespace qkv::bench {
namespace {

using nlohmann::json;

/// A shared library and its functions by name.
class Library {
public:
  bool open(const std::string &path, std::string &error) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle_)
      error = dlerror();
    return handle_ != nullptr;
  }
  template <typename Function>
  bool find(const std::string &name, Function *&to, std::string &error) {
    to = reinterpret_cast<Function *>(dlsym(handle_, name.c_str()));
    if (!to)
      error = "no function " + name;
    return to != nullptr;
  }
  // Never closed: its threads may still be on their way to sleep.

private:
  void *handle_ = nullptr;
};

/// The error struct of every generated header.
struct ModelError {
  size_t size = sizeof(ModelError);
  int32_t line = 0, column = 0, length = 0;
  char file[256] = "";
  char text[1024] = "";
};

class Model : public Contender {
public:
  ~Model() override {
    if (session_)
      closeSession_(session_);
    if (model_)
      close_(model_);
    for (void *tensor : tensors_)
      free(tensor);
  }

  bool open(const json &how, std::string &error) {
    std::string prefix = how.at("prefix");
    if (!library_.open(how.at("library"), error) ||
        !library_.find(prefix + "_open", open_, error) ||
        !library_.find(prefix + "_close", close_, error) ||
        !library_.find(prefix + "_session_open", openSession_, error) ||
        !library_.find(prefix + "_session_close", closeSession_, error) ||
        !library_.find(prefix + (how.value("last", false) ? "_run_last" : "_run"), run_, error))
      return false;
    ModelError why;
    const json &weights = how.at("weights");
    std::string path = weights.is_null() ? "" : weights.get<std::string>();
    model_ = open_(weights.is_null() ? nullptr : path.c_str(), &why);
    session_ = model_ ? openSession_(model_, &why) : nullptr;
    if (!session_) {
      error = why.text;
      return false;
    }
    arguments_.push_back(0);
    for (int64_t size : how.at("sizes"))
      arguments_.push_back(static_cast<uint64_t>(size));
    for (const json &input : how.at("inputs"))
      arguments_.push_back(reinterpret_cast<uint64_t>(tensor(input, true)));
    for (const json &result : how.at("results"))
      arguments_.push_back(reinterpret_cast<uint64_t>(tensor(result, false)));
    arguments_[0] = arguments_.size() * sizeof(uint64_t);
    return true;
  }

  bool call(std::string &error) override {
    ModelError why;
    if (run_(session_, arguments_.data(), &why) == 0)
      return true;
    error = why.text;
    return false;
  }

private:
  /// Floats within +-1, ints from low to below high, bools of both kinds; the same each time.
  void *tensor(const json &what, bool fill) {
    int64_t count = what.at("count"), low = what.value("low", 0), high = what.value("high", 2);
    int type = what.at("type");
    bool steps = what.value("steps", false); // ints ascend: 0 0 0 1 1 1 ...
    size_t bytes = static_cast<size_t>(count) * (type == 0 ? 4 : type == 1 ? 8 : 1);
    void *data = aligned_alloc(4096, (bytes + 8191) & ~size_t(4095));
    tensors_.push_back(data);
    memset(data, 0, bytes);
    uint32_t state = 12345 + static_cast<uint32_t>(tensors_.size());
    for (int64_t i = 0; fill && i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      if (type == 0)
        static_cast<float *>(data)[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
      else if (type == 1)
        static_cast<int64_t *>(data)[i] =
            low +
            (steps ? i * (high - low) / count : (state >> 8) % std::max<int64_t>(high - low, 1));
      else
        static_cast<uint8_t *>(data)[i] = state >> 31;
    }
    return data;
  }

  Library library_;
  void *(*open_)(const char *, ModelError *) = nullptr;
  void (*close_)(void *) = nullptr;
  void *(*openSession_)(const void *, ModelError *) = nullptr;
  void (*closeSession_)(void *) = nullptr;
  int (*run_)(void *, const void *, ModelError *) = nullptr;
  void *model_ = nullptr, *session_ = nullptr;
  std::vector<uint64_t> arguments_;
  std::vector<void *> tensors_;
};

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
  if (kind == "model") {
    auto model = std::make_unique<Model>();
    return model->open(how, error) ? std::move(model) : nullptr;
  }
  if (kind == "plugin") {
    auto plugin = std::make_unique<Plugin>();
    return plugin->open(how, error) ? std::move(plugin) : nullptr;
  }
  error = "no kind " + kind;
  return nullptr;
}

} // namespace qkv::bench

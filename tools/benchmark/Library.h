// A shared library that is measured: functions by name.
#pragma once

#include <dlfcn.h>
#include <string>

namespace qkv::bench {

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
  bool find(const std::string &name, Function *&to, std::string &error) const {
    to = reinterpret_cast<Function *>(dlsym(handle_, name.c_str()));
    if (!to)
      error = "no function " + name;
    return to != nullptr;
  }
  // Never closed: its threads may still be on their way to sleep.

private:
  void *handle_ = nullptr;
};

} // namespace qkv::bench

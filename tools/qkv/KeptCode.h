// In: a module at the `graph` stage and what its code is for. Out: machine code that a process
// before this one made of the same. Holds: only the same bytes of a module, for the same processor,
// by the same qkv are the same; a file that is not whole is none.
#pragma once

#include "compiler/native/Jit.h"

#include <string>

namespace qkv::driver {

/// Code in the folder that QKV_CODE names; where nothing is named, none is kept.
class KeptCode {
public:
  /// `module` is its whole text.
  KeptCode(const std::string &module, const std::string &cpu);
  /// Whether there is a folder.
  bool isOn() const { return !path.empty(); }
  bool find(JitCode &code) const;
  /// (Where it cannot be written there is none the next time.)
  void keep(const JitCode &code) const;

  /// The folder; empty: none.
  static std::string folder();

private:
  std::string path;
};

} // namespace qkv::driver

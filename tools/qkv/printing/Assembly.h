// Assembly for people. In: what LLVM's assembly printer wrote. Out: the same with the model's lines
// as comments before the instructions that come from them. Holds: it still assembles.
#pragma once

#include <string>

namespace qkv::driver {

struct AssemblyPart {
  std::string function;
  int line = 0;
};

/// `file` is the model's; lines of other files (the library's) are named, not quoted.
std::string annotateAssembly(const std::string &assembly, const std::string &file,
                             const AssemblyPart &part);

} // namespace qkv::driver

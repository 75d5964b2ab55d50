// Checked equations as text: the `ast` stage. In: a program. Out: comments of the language, so that
// the model's source followed by them is a model file still.
#pragma once

#include "dsl/Program.h"

#include <string>

namespace qkv::driver {

/// What is to be shown: all, or the tensors defined on one line of the model's file.
struct ProgramPart {
  int line = 0;
  std::string tensor; ///< its own name or the author's; empty: all
  bool live = false;  ///< only what the results need
};

/// Every letter with its range, every tensor with shape, type and equations.
std::string programText(const Program &program, const ProgramPart &part = {});

} // namespace qkv::driver

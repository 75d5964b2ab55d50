// What is computed from what. In: a program and some of its tensors. Out: all that depend on them.
#pragma once

#include "dsl/Program.h"

#include <vector>

namespace qkv::streams {

/// By tensor: whether it is one of `tensors` or reads one, however indirectly.
std::vector<bool> dependents(const Program &program, std::vector<int> tensors);

} // namespace qkv::streams

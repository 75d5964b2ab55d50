// Whether a program is one: what the checker promises of its programs and every rewriting keeps.
#pragma once

#include "dsl/Program.h"

#include <string>

namespace qkv::equations {

/// What is broken, as the end of a sentence; empty if nothing is. Of the tensors that the results
/// need: every read has an index for each axis, letters are bound where they stand, arguments are
/// there and have the types that their nodes take. Time grows with the program's size.
std::string whatIsBroken(const Program &program);

} // namespace qkv::equations

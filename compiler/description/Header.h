// The C header of a model. In: a description. Out: text that C and C++ programs include, without
// any other file of qkv. Holds: its structs are what runtime/tensors/CInterface.cpp reads.
#pragma once

#include "compiler/description/Description.h"

#include <string>
#include <vector>

namespace qkv {

/// What the names of a model's C interface begin with: its own name, unless the runtime's names
/// begin so.
std::string cPrefix(const Description &description);

/// A function NAME_sequence_`name` that takes a sequence on.
struct SequenceStep {
  const char *name;
  qkv_part part;
};

/// Those that a model has code for.
std::vector<SequenceStep> sequenceSteps(const Description &description);

/// The names of its functions.
std::vector<std::string> cFunctions(const Description &description);

std::string header(const Description &description);

} // namespace qkv

// What a checkpoint holds, for people.
#pragma once

#include "runtime/checkpoint/Checkpoint.h"

#include <string>

namespace qkv::driver {

/// A line for each key and each tensor; long lists and texts are cut.
std::string listingText(const rt::Checkpoint &file);

} // namespace qkv::driver

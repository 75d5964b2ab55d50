// In: a model. Out: whether this runtime and this CPU can run it. Holds: asked before any of the
// model's code runs, its shapes included.
#pragma once

#include "runtime/File.h"
#include "runtime/qkv.h"

namespace qkv::rt {

/// False with *error set, naming the CPU features that are lacking.
bool checkModel(const qkv_model &model, qkv_error *error);

} // namespace qkv::rt

// In: a compiled model. Out: whether this runtime knows its structs. Holds: of a model of another
// version nothing is read but its version and its name.
#pragma once

#include "runtime/Error.h"

namespace qkv::rt {

/// False with *error set.
inline bool checkAbi(const qkv_model &model, qkv_error *error) {
  return (model.abi == QKV_ABI && model.size >= sizeof(qkv_model)) ||
         fail(error, format("model %s was compiled for version %d of the runtime's interface, "
                            "this is version %d: compile it again",
                            model.name, model.abi, QKV_ABI));
}

} // namespace qkv::rt

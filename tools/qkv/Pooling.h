// In: the files of a checkpoint of embeddings. Out: how the states of a text's tokens become one
// vector. Holds: what is asked for and not known here is an error, never another vector.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <string>
#include <vector>

namespace qkv::driver {

struct Pooling {
  /// Page: the vector that the page itself has made.
  enum class Kind { Page, First, Last, Mean, RootMean, Weighted, Most };
  Kind kind = Kind::Page;
  bool normalize = false; ///< to length 1
  int64_t most = -1;      ///< tokens of a text that the checkpoint was made for; -1: not said
};

/// What modules.json beside the weights says (sentence-transformers), or a GGUF's pooling_type.
/// False with *error set.
bool findPooling(const std::string &weights, Pooling &pooling, qkv_error *error);

/// The vector of states[tokens][width]: any kind but Page.
std::vector<float> pooled(const Pooling &pooling, const float *states, int64_t tokens,
                          int64_t width);

/// value / max(|value|, 1e-12).
void normalizeVector(std::vector<float> &value);

} // namespace qkv::driver

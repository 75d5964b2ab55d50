// In: a run of a model, and names of tensors that lie between its inputs and results. Out: those
// tensors, computed by the model of its trace (Options::traced). Holds: what the run itself gives
// is not touched.
#pragma once

#include "runtime/program/Program.h"

#include <string>
#include <vector>

namespace qkv::rt {

/// What the options' names say that cannot be; empty if all is well.
std::string untraceable(const qkv_model &model, const Options &options);

/// The traced tensors of one run, computed.
class TraceRun {
public:
  /// `call` has sizes and inputs of the model itself. False with *error set.
  bool run(const Options &options, const qkv_weights *weights, const Call &call, qkv_error *error);
  /// They live as long as this.
  const std::vector<NewTensor> &tensors() const { return tensors_; }
  /// An element type for each (QKV_FLOAT ...).
  const std::vector<int32_t> &types() const { return types_; }

private:
  Call call_;
  std::vector<NewTensor> tensors_;
  std::vector<int32_t> types_;
};

} // namespace qkv::rt

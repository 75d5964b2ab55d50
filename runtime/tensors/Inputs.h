// In: a model and files of named tensors. Out: sizes, inputs and room for results, as qkv_run
// takes them. Holds: every extent is what the model's shapes say (C1), every element of its type.
#pragma once

#include "runtime/checkpoint/Safetensors.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::rt {

/// What one call of a model needs. Inputs may lead into the file they came from.
struct Call {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  std::vector<void *> inputs, results;
  std::unique_ptr<Safetensors> file;
  std::vector<void *> owned;

  Call() = default;
  Call(const Call &) = delete;
  ~Call();
};

/// Bytes of a tensor of a model's element type.
size_t tensorBytes(int32_t type, const std::vector<int64_t> &shape);

/// The number of the stream size among a model's; -1: it has none.
int32_t streamSize(const qkv_model &model);

/// The extents of all inputs and results under these sizes. False if one is too large.
bool shapesOf(const qkv_model &model, const std::vector<int64_t> &sizes,
              std::vector<std::vector<int64_t>> &inputs, std::vector<std::vector<int64_t>> &results,
              qkv_error *error);

/// Binds the dynamic and stream sizes by the shapes of the inputs and checks all shapes against
/// them. `shapes` has one for each input. False with *error set.
bool bindSizes(const qkv_model &model, const std::vector<std::vector<int64_t>> &shapes, Call &call,
               qkv_error *error);

/// Finds the inputs in an opened file, checks, binds and converts them. Tensors that are no
/// inputs are named in `warnings`, a line each.
bool bindInputs(const qkv_model &model, std::unique_ptr<Safetensors> file, Call &call,
                std::string &warnings, qkv_error *error);

/// Room for every result.
void makeResults(const qkv_model &model, Call &call);

/// The results of a call that ran, as tensors to be written.
std::vector<NewTensor> resultTensors(const qkv_model &model, const Call &call);

} // namespace qkv::rt

// Generated runs. Holds: the same model and sizes give the same values.
#include "tools/qkv/GeneratedRun.h"

#include "compiler/verify/Trial.h"
#include "runtime/Held.h"
#include "runtime/checkpoint/ReadStored.h"
#include "runtime/checkpoint/StoredPlace.h"
#include "runtime/tensors/Entries.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <unistd.h>

namespace qkv::driver {
namespace {

/// Numbers that look random: a linear congruential generator's upper bits.
class Noise {
public:
  uint32_t bits() { return (state = state * 1664525u + 1013904223u) >> 8; }
  float around(float center, float width) {
    return center + width * (static_cast<float>(bits()) * 0x1p-23f - 1);
  }

private:
  uint32_t state = 12345;
};

/// A folder that is gone with the object.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "qkv-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()))
      path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty())
      std::filesystem::remove_all(path_, ignored);
  }
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

/// Noise for every parameter, under the names of the checkpoint.
bool writeWeights(const qkv_model &model, const std::string &path, qkv_error *error) {
  std::vector<rt::NewTensor> tensors;
  std::map<std::string, size_t> names;
  int64_t most = 0;
  for (int32_t p = 0; p < model.param_count; ++p) {
    const qkv_param &param = model.params[p];
    const qkv_stored &stored = rt::storedIn(param, "safetensors");
    std::vector<int64_t> shape = rt::namedShape(param, stored);
    if (auto place = rt::StoredPlace::parse(stored.place, param.rank)) {
      shape.clear();
      for (const rt::StoredPlace::Reach &reach : place->reaches(rt::shapeOf(param)))
        shape.push_back(reach.extent());
    }
    for (int32_t n = 0; n < stored.name_count; ++n) {
      auto [at, fresh] = names.try_emplace(stored.names[n], tensors.size());
      if (fresh)
        tensors.push_back({stored.names[n], rt::Dtype::F32, shape, nullptr});
      // Several parameters may read parts of one tensor.
      std::vector<int64_t> &whole = tensors[at->second].shape;
      for (size_t i = 0; i < shape.size() && shape.size() == whole.size(); ++i)
        whole[i] = std::max(whole[i], shape[i]);
      most = std::max(most, rt::elementCount(whole));
    }
  }
  // One block serves all: speed does not depend on the values, so long as they are of that size.
  Noise noise;
  std::vector<float> block(static_cast<size_t>(std::max<int64_t>(most, 1)));
  for (float &value : block)
    value = noise.around(0, 0.04f);
  for (rt::NewTensor &tensor : tensors)
    tensor.data = block.data();
  return rt::writeSafetensors(path, tensors, error);
}

} // namespace

bool GeneratedRun::openWeights(const qkv_model &model, const std::string &path, qkv_error *error) {
  TemporaryFolder folder; // what is opened stays open without its name
  std::string from = path;
  if (from.empty() && model.param_count > 0) {
    from = folder.path() + "/weights.safetensors";
    if (!writeWeights(model, from, error))
      return false;
  }
  weights_.reset(qkv_weights_open(&model, from.empty() ? nullptr : from.c_str(), nullptr, error));
  return weights_ != nullptr;
}

void GeneratedRun::makeInputs(const qkv_model &model, const Program *program) {
  std::map<int, int64_t> bounds;
  if (program)
    bounds = indexBounds(*program, call_.sizes);
  Noise noise;
  for (int32_t i = 0; i < model.input_count; ++i) {
    int64_t count = rt::elementCount(call_.inputShapes[i]);
    int type = model.inputs[i].type;
    void *data = qkv_alloc(rt::typeSize(type) * static_cast<size_t>(count));
    call_.owned.push_back(data);
    call_.inputs.push_back(data);
    int64_t below = program ? 8 : 1;
    if (program)
      if (auto bound = bounds.find(program->inputs[i]); bound != bounds.end())
        below = std::max<int64_t>(bound->second, 1);
    for (int64_t at = 0; at < count; ++at)
      if (type == QKV_FLOAT)
        static_cast<float *>(data)[at] = noise.around(0, 1);
      else if (type == QKV_INT)
        static_cast<int64_t *>(data)[at] = noise.bits() % below;
      else
        static_cast<uint8_t *>(data)[at] = noise.bits() & 1;
  }
}

/// What grows is one buffer, before a step and behind it.
void GeneratedRun::growInPlace(const qkv_stream &stream, const qkv_model &part) {
  for (int32_t k = 0; k < stream.kept_count; ++k) {
    const qkv_kept &one = stream.kept[k];
    if (!one.grows || one.next < 0)
      continue;
    size_t bytes = rt::typeSize(part.inputs[one.input].type) *
                   static_cast<size_t>(rt::elementCount(call_.inputShapes[one.input]));
    memcpy(call_.results[one.next], call_.inputs[one.input], bytes);
    call_.inputs[one.input] = call_.results[one.next];
  }
}

bool GeneratedRun::open(const qkv_model &model, const Program *program, const Subject &subject,
                        const std::string &weights, const std::string &input, qkv_error *error) {
  subject_ = subject;
  if (!openWeights(model, weights, error))
    return false;
  const qkv_model &called = subject.part ? *model.stream->parts[*subject.part] : model;
  if (!input.empty()) {
    std::string warnings;
    auto file = rt::Safetensors::openFile(input, error);
    if (!file || !rt::bindInputs(called, std::move(file), call_, warnings, error))
      return false;
  } else {
    call_.sizes = subject.sizes;
    if (!rt::shapesOf(called, call_.sizes, call_.inputShapes, call_.resultShapes, error))
      return false;
    makeInputs(called, subject.part ? nullptr : program);
  }
  for (const rt::EntryResult &result :
       rt::entryResults(*rt::findEntry(called, subject.entry), call_.resultShapes)) {
    size_t bytes = rt::typeSize(called.results[result.index].type) *
                   static_cast<size_t>(rt::elementCount(result.shape));
    call_.results.push_back(qkv_alloc(bytes));
  }
  if (subject.part)
    growInPlace(*model.stream, called);
  return true;
}

bool GeneratedRun::run(const qkv_model &model, qkv_error *error) {
  const qkv_model &called = subject_.part ? *model.stream->parts[*subject_.part] : model;
  return qkv_run(&called, subject_.entry, weights_.get(), call_.sizes.data(), call_.inputs.data(),
                 call_.results.data(), error) == 0;
}

} // namespace qkv::driver

// Chunk after chunk. In: whole inputs. Out: whole results; the first check that fails.
#include "tools/qkv/ChunkedModel.h"

#include "compiler/streams/Chunks.h"
#include "runtime/tensors/Inputs.h"
#include "tools/qkv/InterpretedModel.h"

namespace qkv::driver {

ChunkedModel::ChunkedModel(const Program &program, const CompiledStream &stream, int64_t chunk)
    : program_(program), stream_(stream), chunk_(chunk), memory_(describe(program, {})) {
  qkv_model &model = memory_.model();
  model.user = this;
  memory_.setFunction(QKV_WHOLE, entry);
  site_.kind = 2;
  model.sites = &site_;
  model.site_count = 1;
}

void ChunkedModel::failed(qkv_context *context, const qkv_error &error) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (!hasFailed_) {
    hasFailed_ = true;
    file_ = error.file;
    text_ = error.text;
    site_.file = file_.c_str();
    site_.what = text_.c_str();
    site_.line = error.line;
    site_.column = error.column;
    site_.length = error.length;
  }
  qkv_check_failed(context, 0, 0, 0);
}

void ChunkedModel::entry(qkv_context *context, const int64_t *sizes, void *const *inputs,
                         void *const *, void *const *results) {
  static_cast<ChunkedModel *>(context->model->user)->run(context, sizes, inputs, results);
}

namespace {

/// Memory of the model's own element types.
std::vector<char> packed(const Values &values, int type) {
  std::vector<char> bytes(rt::typeSize(type) * static_cast<size_t>(values.count()) + 64);
  valuesTo(values, type, bytes.data());
  return bytes;
}

} // namespace

void ChunkedModel::run(qkv_context *context, const int64_t *sizes, void *const *inputs,
                       void *const *results) {
  const qkv_model &whole = memory_.model();
  std::vector<int64_t> given(sizes, sizes + whole.size_count), atoms(program_.atoms.count(), 0);
  for (size_t s = 0; s < given.size(); ++s)
    atoms[program_.dynamicSizes[s]] = given[s];
  qkv_error error = {};
  error.size = sizeof error;
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  if (!rt::shapesOf(whole, given, inputShapes, resultShapes, &error))
    return failed(context, error);
  std::map<int, Values> values;
  for (size_t i = 0; i < program_.inputs.size(); ++i)
    values[program_.inputs[i]] = valuesFrom(inputs[i], whole.inputs[i].type, inputShapes[i]);
  int64_t positions = atoms[program_.stream];
  std::vector<int64_t> chunks;
  for (int64_t left = positions; left > 0; left -= chunks.back())
    chunks.push_back(std::min(left, chunk_));

  auto evaluate = [&](const Program &part, const std::map<int, Values> &partInputs,
                      const std::vector<int> &tensors,
                      std::vector<Values> &out) -> std::optional<RunError> {
    const qkv_model &model = stream_.model(part);
    const qkv_weights *weights = stream_.weights(part);
    std::map<int, std::vector<int64_t>> shapes;
    for (auto &[tensor, v] : partInputs)
      shapes[tensor] = v.shape;
    std::vector<int64_t> partAtoms, partSizes;
    if (std::string why = bindSizes(part, shapes, partAtoms); !why.empty())
      return RunError{{}, why, ""};
    for (int atom : part.dynamicSizes)
      partSizes.push_back(partAtoms[atom]);
    std::vector<std::vector<int64_t>> in, outShapes;
    if (!rt::shapesOf(model, partSizes, in, outShapes, &error))
      return RunError{{}, error.text, ""};
    std::vector<std::vector<char>> memory;
    std::vector<void *> inputPointers, resultPointers;
    for (size_t i = 0; i < part.inputs.size(); ++i)
      memory.push_back(packed(partInputs.at(part.inputs[i]), model.inputs[i].type));
    for (auto &bytes : memory)
      inputPointers.push_back(bytes.data());
    std::vector<std::vector<char>> made;
    for (size_t r = 0; r < part.results.size(); ++r)
      made.emplace_back(rt::typeSize(model.results[r].type) *
                            static_cast<size_t>(rt::elementCount(outShapes[r])) +
                        64);
    for (auto &bytes : made)
      resultPointers.push_back(bytes.data());
    if (qkv_run(&model, QKV_WHOLE, weights, partSizes.data(), inputPointers.data(),
                resultPointers.data(), &error) != 0)
      return RunError{{}, error.text, ""};
    out.clear();
    for (int tensor : tensors)
      for (size_t r = 0; r < part.results.size(); ++r)
        if (part.results[r].tensor == tensor) {
          out.push_back(valuesFrom(made[r].data(), model.results[r].type, outShapes[r]));
          break;
        }
    return std::nullopt;
  };
  streams::ChunkedRun run =
      streams::runInChunks(program_, stream_.stream(), values, atoms, chunks, evaluate);
  if (run.failure) {
    if (!error.text[0])
      snprintf(error.text, sizeof error.text, "%s", run.failure->message.c_str());
    return failed(context, error);
  }
  for (size_t r = 0; r < run.results.size(); ++r)
    if (results[r])
      valuesTo(run.results[r], whole.results[r].type, results[r]);
}

} // namespace qkv::driver

// Chunk after chunk (InChunks.h).
#include "runtime/streams/InChunks.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Element.h"
#include "runtime/streams/StreamState.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <cstring>

namespace qkv::rt {
namespace {

using Shape = std::vector<int64_t>;

/// Copies positions of one axis between a whole tensor and a part that holds only these.
void copyPart(char *whole, const Shape &wholeShape, char *part, const Shape &partShape, size_t axis,
              int64_t at, size_t element, bool intoWhole) {
  size_t outer = 1, inner = element;
  for (size_t a = 0; a < wholeShape.size(); ++a)
    (a < axis ? outer : inner) *= a == axis ? 1 : static_cast<size_t>(wholeShape[a]);
  size_t rows = static_cast<size_t>(partShape[axis]), all = static_cast<size_t>(wholeShape[axis]);
  for (size_t o = 0; o < outer; ++o) {
    char *in = whole + (o * all + static_cast<size_t>(at)) * inner, *own = part + o * rows * inner;
    memcpy(intoWhole ? in : own, intoWhole ? own : in, rows * inner);
  }
}

class ChunkedRun {
public:
  ChunkedRun(const qkv_model &model, const qkv_weights *weights, const Call &call, qkv_error *error)
      : model(model), stream(*model.stream), weights(weights), call(call), error(error),
        state(model, call.sizes), doneOfInput(model.input_count), doneOfResult(model.result_count) {
  }

  bool run(int64_t chunk) {
    int64_t positions = call.sizes[streamSize(model)];
    if (!state.start(weights, call.inputs.data(), call.results.data(), error))
      return false;
    for (int64_t at = 0; at < positions; at += chunk)
      if (!step(std::min(chunk, positions - at), at + chunk >= positions))
        return false;
    return true;
  }

private:
  bool step(int64_t fresh, bool last) {
    qkv_part part = last && stream.parts[QKV_CLOSING] ? QKV_CLOSING : QKV_STEP;
    if (!stream.parts[QKV_STEP] && !stream.parts[QKV_CLOSING])
      return true; // all that the model has is computed once
    std::vector<Shape> in, out;
    if (!state.shapes(stream.parts[part] ? part : QKV_CLOSING, fresh, in, out, error))
      return false;
    std::vector<std::vector<char>> memory;
    std::vector<void *> inputs = partsOfInputs(in, memory);
    if (!stream.parts[part]) { // nothing is kept, nothing has rows
      state.pass(fresh);
      return true;
    }
    int32_t kept = StreamState::keptResults(stream);
    const qkv_model &made = *stream.parts[part];
    std::vector<void *> results(made.result_count - kept, nullptr);
    std::vector<std::pair<int32_t, char *>> rows, copies; // of the model's results
    for (int32_t r = 0; r < model.result_count; ++r) {
      const qkv_stream_result &from = stream.results[r];
      if (from.part == QKV_SESSION || (from.part == QKV_CLOSING && !last) || !call.results[r])
        continue;
      void *&to = results[from.result - kept];
      if (from.axis < 0 && !to) {
        to = call.results[r];
        continue;
      }
      if (!to) {
        memory.emplace_back(tensorBytes(model.results[r].type, out[from.result]) + 64);
        to = memory.back().data();
      }
      (from.axis < 0 ? copies : rows).push_back({r, static_cast<char *>(to)});
    }
    Sequence ready;
    if (!state.step(part, fresh, inputs.data(), results.data(), ready, error) ||
        qkv_run(&made, QKV_WHOLE, weights, ready.sizes, ready.inputs, ready.results, error) != 0)
      return false;
    for (auto &[r, own] : rows) {
      const qkv_stream_result &from = stream.results[r];
      const Shape &shape = out[from.result];
      size_t axis = static_cast<size_t>(from.axis);
      copyPart(static_cast<char *>(call.results[r]), call.resultShapes[r], own, shape, axis,
               doneOfResult[r], typeSize(model.results[r].type), /*intoWhole=*/true);
      doneOfResult[r] += shape[axis];
    }
    for (auto &[r, own] : copies)
      memcpy(call.results[r], own, tensorBytes(model.results[r].type, call.resultShapes[r]));
    state.stepped();
    return true;
  }

  /// Of inputs over the stream the positions of this step; of others all.
  std::vector<void *> partsOfInputs(const std::vector<Shape> &shapes,
                                    std::vector<std::vector<char>> &memory) {
    std::vector<void *> inputs(call.inputs);
    for (int32_t i = 0; i < model.input_count; ++i) {
      const Shape &whole = call.inputShapes[i], &own = shapes[i];
      size_t axis = 0;
      while (axis < own.size() && own[axis] == whole[axis])
        ++axis;
      if (axis == own.size())
        continue;
      memory.emplace_back(tensorBytes(model.inputs[i].type, own) + 64);
      copyPart(static_cast<char *>(call.inputs[i]), whole, memory.back().data(), own, axis,
               doneOfInput[i], typeSize(model.inputs[i].type), /*intoWhole=*/false);
      doneOfInput[i] += own[axis];
      inputs[i] = memory.back().data();
    }
    return inputs;
  }

  const qkv_model &model;
  const qkv_stream &stream;
  const qkv_weights *weights;
  const Call &call;
  qkv_error *error;
  StreamState state;
  std::vector<int64_t> doneOfInput, doneOfResult; // positions along the stream's axis
};

} // namespace

std::string notInChunks(const qkv_model &model) {
  if (streamSize(model) < 0)
    return format("--chunk goes with a model over a stream, and model %s has no stream size",
                  model.name);
  if (!model.stream)
    return format("model %s was built without code for steps: build it with --with-steps",
                  model.name);
  for (int32_t r = 0; r < model.result_count; ++r)
    if (!model.stream->parts[model.stream->results[r].part])
      return format("model %s was built without code for the steps of result %s: build it with "
                    "--with-steps",
                    model.name, model.results[r].name);
  return "";
}

bool runInChunks(const qkv_model &model, const qkv_weights *weights, int64_t chunk,
                 const Call &call, qkv_error *error) {
  return ChunkedRun(model, weights, call, error).run(chunk);
}

} // namespace qkv::rt

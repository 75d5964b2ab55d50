// Chunk after chunk (InChunks.h).
#include "runtime/streams/InChunks.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Element.h"
#include "runtime/streams/StreamState.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <cstring>
#include <memory>

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

/// One sequence, chunk after chunk.
class ChunkedRun {
public:
  ChunkedRun(const qkv_model &model, const InChunks &run)
      : model(model), stream(*model.stream), call(*run.call), lengths(run.lengths),
        error(run.error), state(model, call.sizes), doneOfInput(model.input_count),
        doneOfResult(model.result_count) {}

  bool start(const qkv_weights *weights) {
    return state.start(weights, call.inputs.data(), call.results.data(), error);
  }
  bool finished() const { return state.positions() >= positions(); }

  /// The call of `part` for the next chunk.
  bool prepare() {
    int64_t left = positions() - state.positions();
    int64_t fresh = std::min(lengths[made++ % lengths.size()], left);
    last = fresh == left;
    part = last && stream.parts[QKV_CLOSING] ? QKV_CLOSING : QKV_STEP;
    ready = {nullptr, nullptr, nullptr, error};
    memory.clear();
    rows.clear();
    copies.clear();
    if (!stream.parts[QKV_STEP] && !stream.parts[QKV_CLOSING]) {
      state.pass(fresh); // all that the model has is computed once
      return true;
    }
    std::vector<Shape> in;
    if (!state.shapes(stream.parts[part] ? part : QKV_CLOSING, fresh, in, shapes, error))
      return false;
    inputs = partsOfInputs(in);
    if (!stream.parts[part]) { // nothing is kept, nothing has rows
      state.pass(fresh);
      return true;
    }
    std::vector<void *> results = roomForResults(*stream.parts[part]);
    return state.step(part, fresh, inputs.data(), results.data(), ready, error);
  }

  qkv_part part = QKV_STEP;
  Sequence ready = {}; ///< without results where there is nothing to compute

  /// Takes what the call has computed.
  void take() {
    for (auto &[r, own] : rows) {
      const qkv_stream_result &from = stream.results[r];
      const Shape &shape = shapes[from.result];
      size_t axis = static_cast<size_t>(from.axis);
      copyPart(static_cast<char *>(call.results[r]), call.resultShapes[r], own, shape, axis,
               doneOfResult[r], typeSize(model.results[r].type), /*intoWhole=*/true);
      doneOfResult[r] += shape[axis];
    }
    for (auto &[r, own] : copies)
      memcpy(call.results[r], own, tensorBytes(model.results[r].type, call.resultShapes[r]));
    state.stepped();
  }

private:
  int64_t positions() const { return call.sizes[streamSize(model)]; }

  std::vector<void *> roomForResults(const qkv_model &part) {
    int32_t kept = StreamState::keptResults(stream);
    std::vector<void *> results(part.result_count - kept, nullptr);
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
        memory.emplace_back(tensorBytes(model.results[r].type, shapes[from.result]) + 64);
        to = memory.back().data();
      }
      (from.axis < 0 ? copies : rows).push_back({r, static_cast<char *>(to)});
    }
    return results;
  }

  /// Of inputs over the stream the positions of this step; of others all.
  std::vector<void *> partsOfInputs(const std::vector<Shape> &ofStep) {
    std::vector<void *> inputs(call.inputs);
    for (int32_t i = 0; i < model.input_count; ++i) {
      const Shape &whole = call.inputShapes[i], &own = ofStep[i];
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
  const Call &call;
  const std::vector<int64_t> &lengths;
  qkv_error *error;
  StreamState state;
  std::vector<int64_t> doneOfInput, doneOfResult; // positions along the stream's axis
  size_t made = 0;                                // chunks
  // Of the call that was made.
  bool last = false;
  std::vector<Shape> shapes; // of its results
  std::vector<std::vector<char>> memory;
  std::vector<void *> inputs;
  std::vector<std::pair<int32_t, char *>> rows, copies; // of the model's results
};

/// The next chunk of each that has one.
void step(const qkv_model &model, const qkv_weights *weights,
          const std::vector<std::pair<ChunkedRun *, InChunks *>> &runs) {
  for (qkv_part part : {QKV_STEP, QKV_CLOSING}) {
    const qkv_model *code = model.stream->parts[part];
    std::vector<Sequence> calls;
    std::vector<std::pair<ChunkedRun *, InChunks *>> callers;
    for (auto &[run, of] : runs)
      if (run->part == part && run->ready.results) {
        calls.push_back(run->ready);
        callers.push_back({run, of});
      }
    if (calls.empty())
      continue;
    runInGroups(*code, weights, calls);
    for (size_t i = 0; i < calls.size(); ++i) {
      auto &[run, of] = callers[i];
      of->failed = calls[i].failed;
      if (!of->failed)
        run->take();
    }
  }
}

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

void runInChunks(const qkv_model &model, const qkv_weights *weights, std::vector<InChunks> &runs) {
  std::vector<std::unique_ptr<ChunkedRun>> all;
  for (InChunks &run : runs) {
    all.push_back(std::make_unique<ChunkedRun>(model, run));
    run.failed = !all.back()->start(weights);
  }
  for (;;) {
    std::vector<std::pair<ChunkedRun *, InChunks *>> next;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (runs[i].failed || all[i]->finished())
        continue;
      runs[i].failed = !all[i]->prepare();
      if (!runs[i].failed)
        next.push_back({all[i].get(), &runs[i]});
    }
    if (next.empty())
      return;
    step(model, weights, next);
  }
}

} // namespace qkv::rt

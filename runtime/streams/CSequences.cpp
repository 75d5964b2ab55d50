// Sequences of the C interface. In: a session, arguments as a run takes them. Out: a stream that
// goes on from what it keeps. Holds: a step happens whole or not at all.
#include "runtime/Error.h"
#include "runtime/streams/StreamState.h"
#include "runtime/tensors/CInterface.h"
#include "runtime/tensors/Inputs.h"

#include <memory>
#include <utility>

using namespace qkv::rt;

struct qkv_sequence {
  const qkv_session *session;
  StreamState state;

  qkv_sequence(const qkv_session *session, std::vector<int64_t> sizes)
      : session(session), state(*session->handle->model, std::move(sizes)) {}
  const qkv_model &model() const { return *session->handle->model; }
};

namespace {

/// The model's results among those of a part, behind what is kept; null: not wanted.
std::vector<void *> wantedOf(const qkv_model &model, qkv_part part,
                             const std::vector<void *> &results) {
  const qkv_stream &stream = *model.stream;
  int32_t kept = StreamState::keptResults(stream);
  std::vector<void *> wanted(stream.parts[part]->result_count - kept, nullptr);
  if (part == QKV_NEXT)
    wanted[0] = results[0];
  else
    for (int32_t r = 0; r < model.result_count; ++r)
      if (const qkv_stream_result &from = stream.results[r];
          from.part == QKV_STEP || (from.part == QKV_CLOSING && part == QKV_CLOSING))
        wanted[from.result - kept] = results[r];
  return wanted;
}

} // namespace

extern "C" qkv_sequence *qkv_sequence_begin(qkv_session *session, const void *given,
                                            qkv_error *error) {
  if (!session)
    return fail(error, "the session is null"), nullptr;
  const qkv_model &model = *session->handle->model;
  if (!model.stream)
    return fail(error, format("model %s was built without code for steps", model.name)), nullptr;
  Arguments arguments;
  if (!readArguments(model, given, /*begins=*/true, arguments, error))
    return nullptr;
  const qkv_stream &stream = *model.stream;
  const qkv_model *once = stream.parts[QKV_SESSION];
  for (int32_t i = 0; once && i < once->input_count; ++i)
    if (!arguments.inputs[stream.session_inputs[i]])
      return fail(error, format("input %s is null", once->inputs[i].name)), nullptr;
  auto sequence = std::make_unique<qkv_sequence>(session, arguments.sizes);
  if (!sequence->state.start(session->handle->weights, arguments.inputs.data(),
                             arguments.results.data(), error))
    return nullptr;
  return sequence.release();
}

extern "C" int qkv_sequence_step(qkv_sequence *sequence, const void *given, qkv_error *error,
                                 qkv_part part) {
  if (!sequence)
    return fail(error, "the sequence is null"), -1;
  const qkv_model &model = sequence->model();
  if (!model.stream->parts[part])
    return fail(error, format("model %s was built without code for such a step", model.name)), -1;
  Arguments arguments;
  if (!readArguments(model, given, /*begins=*/false, arguments, error))
    return -1;
  // (Sizes that are no stream are those that the sequence began with.)
  std::vector<void *> wanted = wantedOf(model, part, arguments.results);
  Sequence call;
  if (!sequence->state.step(part, arguments.sizes[streamSize(model)], arguments.inputs.data(),
                            wanted.data(), call, error) ||
      qkv_run(model.stream->parts[part], QKV_WHOLE, sequence->session->handle->weights, call.sizes,
              call.inputs, call.results, error) != 0)
    return -1;
  sequence->state.stepped();
  return 0;
}

extern "C" qkv_sequence *qkv_sequence_copy(const qkv_sequence *sequence, qkv_error *error) {
  if (!sequence)
    return fail(error, "the sequence is null"), nullptr;
  auto copy = std::make_unique<qkv_sequence>(sequence->session, sequence->state.modelSizes());
  return copy->state.copy(sequence->state, error) ? copy.release() : nullptr;
}

extern "C" int qkv_sequence_rewind(qkv_sequence *sequence, int64_t positions, qkv_error *error) {
  if (!sequence)
    return fail(error, "the sequence is null"), -1;
  if (sequence->state.rewind(positions))
    return 0;
  int64_t now = sequence->state.positions();
  if (positions < 0 || positions > now)
    return fail(error, format("a sequence of %lld positions cannot go back to %lld",
                              static_cast<long long>(now), static_cast<long long>(positions))),
           -1;
  return fail(error, format("model %s keeps what has no past: copy a sequence before it goes on, "
                            "and go back to the copy",
                            sequence->model().name)),
         -1;
}

extern "C" int64_t qkv_sequence_positions(const qkv_sequence *sequence) {
  return sequence ? sequence->state.positions() : 0;
}

extern "C" size_t qkv_sequence_bytes(const qkv_sequence *sequence) {
  return sequence ? sequence->state.bytes() : 0;
}

extern "C" void qkv_sequence_end(qkv_sequence *sequence) { delete sequence; }

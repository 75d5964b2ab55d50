// Sequences of the C interface. In: a session, arguments as a run takes them. Out: a stream that
// goes on from what it keeps. Holds: a step happens whole or not at all.
#include "runtime/Error.h"
#include "runtime/streams/StreamState.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tensors/CInterface.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>
#include <memory>
#include <utility>

using namespace qkv::rt;

struct qkv_sequence {
  const qkv_session *session;
  StreamState state;

  qkv_sequence(const qkv_session *session, std::vector<int64_t> sizes)
      : session(session), state(*session->handle->model, std::move(sizes), &session->room) {
    session->sequences += 1;
  }
  qkv_sequence(const qkv_sequence &) = delete;
  qkv_sequence &operator=(const qkv_sequence &) = delete;
  ~qkv_sequence() { session->sequences -= 1; }
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

/// Null with *error set where a session has as many sequences as it may.
std::unique_ptr<qkv_sequence> newSequence(const qkv_session *session, std::vector<int64_t> sizes,
                                          qkv_error *error) {
  auto made = std::make_unique<qkv_sequence>(session, std::move(sizes));
  int64_t most = session->mostSequences;
  if (most == 0 || session->sequences <= most)
    return made;
  return fail(error, format("the session has %lld sequences, which are as many as it may have",
                            static_cast<long long>(most))),
         nullptr;
}

} // namespace

extern "C" int qkv_session_limit(qkv_session *session, int64_t sequences, int64_t bytes,
                                 qkv_error *error) {
  if (!session)
    return fail(error, "the session is null"), -1;
  if (sequences < 0 || bytes < 0)
    return fail(error, format("a limit of %lld sequences and %lld bytes, expected 0 or more",
                              static_cast<long long>(sequences), static_cast<long long>(bytes))),
           -1;
  session->mostSequences = sequences;
  session->room.limit(static_cast<size_t>(bytes));
  return 0;
}

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
  std::unique_ptr<qkv_sequence> sequence = newSequence(session, arguments.sizes, error);
  if (!sequence || !sequence->state.start(session->handle->weights, arguments.inputs.data(),
                                          arguments.results.data(), error))
    return nullptr;
  return sequence.release();
}

/// Steps sequences: all, or none with *error set.
static bool stepAll(qkv_sequence *const *sequences, int64_t count, const void *const *given,
                    qkv_error *error, qkv_part part) {
  const qkv_session *session = sequences[0]->session;
  const qkv_model &model = sequences[0]->model();
  const qkv_model *code = model.stream->parts[part];
  if (!code)
    return fail(error, format("model %s was built without code for such a step", model.name));
  std::vector<Arguments> arguments(count);
  std::vector<std::vector<void *>> wanted(count);
  std::vector<qkv_error> errors(count);
  std::vector<Sequence> calls(count);
  for (int64_t i = 0; i < count; ++i) {
    errors[i].size = sizeof errors[i];
    // (Sizes that are no stream are those that the sequence began with.)
    if (!readArguments(model, given[i], /*begins=*/false, arguments[i], error))
      return false;
    wanted[i] = wantedOf(model, part, arguments[i].results);
    if (!sequences[i]->state.step(part, arguments[i].sizes[streamSize(model)],
                                  arguments[i].inputs.data(), wanted[i].data(), calls[i], error))
      return false;
    calls[i].error = &errors[i];
  }
  runInGroups(*code, session->handle->weights, calls);
  for (int64_t i = 0; i < count; ++i) {
    if (!calls[i].failed)
      continue;
    std::string which = count > 1 ? format("sequence %lld: ", static_cast<long long>(i)) : "";
    return failAt(error, errors[i].file, errors[i].line, errors[i].column, errors[i].length,
                  which + errors[i].text);
  }
  for (int64_t i = 0; i < count; ++i)
    sequences[i]->state.stepped();
  return true;
}

extern "C" int qkv_sequence_step(qkv_sequence *sequence, const void *arguments, qkv_error *error,
                                 qkv_part part) {
  if (!sequence)
    return fail(error, "the sequence is null"), -1;
  return stepAll(&sequence, 1, &arguments, error, part) ? 0 : -1;
}

extern "C" int qkv_sequences_step(qkv_sequence *const *sequences, int64_t count,
                                  const void *const *arguments, qkv_error *error, qkv_part part) {
  if (count < 0 || count > QKV_MAX_SEQUENCES)
    return fail(error, format("%lld sequences, expected 0 to %lld", static_cast<long long>(count),
                              static_cast<long long>(QKV_MAX_SEQUENCES))),
           -1;
  if (count > 0 && (!sequences || !arguments))
    return fail(error, "the list of sequences or of their arguments is null"), -1;
  for (int64_t i = 0; i < count; ++i) {
    if (!sequences[i] || !arguments[i])
      return fail(error,
                  format("sequence %lld, or what it is given, is null", static_cast<long long>(i))),
             -1;
    if (sequences[i]->session->handle != sequences[0]->session->handle)
      return fail(error, format("sequence %lld is of another model", static_cast<long long>(i))),
             -1;
  }
  std::vector<qkv_sequence *> sorted(sequences, sequences + count);
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    return fail(error, "a sequence stands in the list twice"), -1;
  return count == 0 || stepAll(sequences, count, arguments, error, part) ? 0 : -1;
}

extern "C" qkv_sequence *qkv_sequence_copy(const qkv_sequence *sequence, qkv_error *error) {
  if (!sequence)
    return fail(error, "the sequence is null"), nullptr;
  std::unique_ptr<qkv_sequence> copy =
      newSequence(sequence->session, sequence->state.modelSizes(), error);
  return copy && copy->state.copy(sequence->state, error) ? copy.release() : nullptr;
}

extern "C" int qkv_sequence_snapshots(qkv_sequence *sequence, int64_t every, qkv_error *error) {
  if (!sequence)
    return fail(error, "the sequence is null"), -1;
  if (every < 0)
    return fail(error, format("snapshots every %lld positions, expected 0 or more",
                              static_cast<long long>(every))),
           -1;
  sequence->state.snapshots(every);
  return 0;
}

extern "C" int64_t qkv_sequence_rewind(qkv_sequence *sequence, int64_t positions,
                                       qkv_error *error) {
  if (!sequence)
    return fail(error, "the sequence is null"), -1;
  return sequence->state.rewind(positions, error);
}

extern "C" int64_t qkv_sequence_positions(const qkv_sequence *sequence) {
  return sequence ? sequence->state.positions() : 0;
}

extern "C" size_t qkv_sequence_bytes(const qkv_sequence *sequence) {
  return sequence ? sequence->state.bytes() : 0;
}

extern "C" void qkv_sequence_end(qkv_sequence *sequence) { delete sequence; }

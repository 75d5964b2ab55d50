// Sequences that keep what their next step needs. Holds: what is kept is what the step before gave,
// byte for byte; a step that fails changes nothing that is kept.
#include "runtime/text/Stepped.h"

#include "runtime/Error.h"
#include "runtime/streams/StreamState.h"
#include "runtime/tensors/Entries.h"

#include <algorithm>

namespace qkv::rt {
namespace {

std::vector<int64_t> sizesOf(const qkv_model &model, const std::vector<int64_t> &source) {
  std::vector<int64_t> sizes(model.size_count, 1);
  if (model.generator_source >= 0)
    sizes[sizeOfTokens(model, model.generator_source)] = static_cast<int64_t>(source.size());
  return sizes;
}

class SteppedSequence : public TokenSequence {
public:
  SteppedSequence(const qkv_model &model, int64_t vocabulary, std::vector<int64_t> source,
                  std::vector<int64_t> tokens, Room *room)
      : model(model), source(std::move(source)), stream(std::move(tokens)), room(room),
        state(model, sizesOf(model, this->source), room), last(static_cast<size_t>(vocabulary)) {
    error.size = sizeof error;
  }
  void append(int64_t token) override { stream.push_back(token); }
  const std::vector<int64_t> &tokens() const override { return stream; }
  const float *logits() const override { return last.data(); }
  const qkv_error *failure() const override { return failed ? &error : nullptr; }
  size_t keptBytes() const override { return state.bytes(); }
  std::unique_ptr<TokenSequence> copy() const override {
    auto out = std::make_unique<SteppedSequence>(model, static_cast<int64_t>(last.size()), source,
                                                 stream, room);
    out->last = last;
    out->begun = begun;
    out->failed = failed || (begun && !out->state.copy(state, &out->error));
    return out;
  }
  bool rewind(size_t count) override {
    // Where it came back to an earlier place, the tokens since then wait to be computed again.
    if (static_cast<int64_t>(count) < state.positions() &&
        state.rewind(static_cast<int64_t>(count), nullptr) < 0)
      return false;
    stream.resize(count);
    return true;
  }
  void snapshots(size_t every) override { state.snapshots(static_cast<int64_t>(every)); }

  /// Positions that are still to be computed.
  int64_t waiting() const { return static_cast<int64_t>(stream.size()) - state.positions(); }

  /// Readies a call of the session, or of the step.
  bool callSession(Sequence &call) { return state.begin(inputs(), nullptr, call, &error); }
  bool callStep(int64_t positions, Sequence &call) {
    // (Behind a part of a prompt that is not its end nobody asks for them.)
    void *logits = positions == waiting() ? last.data() : nullptr;
    return state.step(QKV_NEXT, positions, inputs(), &logits, call, &error);
  }
  void stepped() { state.stepped(); }

  bool begun = false, failed = false;

private:
  void *const *inputs() {
    given.assign(model.input_count, nullptr);
    given[model.generator_input] = stream.data() + state.positions();
    if (model.generator_source >= 0)
      given[model.generator_source] = source.data();
    return given.data();
  }

  const qkv_model &model;
  std::vector<int64_t> source, stream;
  Room *room;
  StreamState state;
  std::vector<float> last;
  std::vector<void *> given;
  qkv_error error = {};
};

/// Runs a call of each sequence that has not failed, those together that can be.
template <class Prepare>
void runAll(const qkv_model &model, const qkv_weights *weights,
            const std::vector<SteppedSequence *> &sequences, Prepare prepare) {
  std::vector<Sequence> calls;
  std::vector<SteppedSequence *> callers;
  calls.reserve(sequences.size());
  callers.reserve(sequences.size());
  for (SteppedSequence *one : sequences) {
    Sequence call = {};
    if (one->failed)
      continue;
    if (!prepare(*one, call)) {
      one->failed = true;
      continue;
    }
    if (!call.results)
      continue; // nothing to compute
    calls.push_back(call);
    callers.push_back(one);
  }
  runInGroups(model, weights, calls);
  for (size_t i = 0; i < calls.size(); ++i)
    callers[i]->failed = calls[i].failed;
}

} // namespace

bool stepsText(const qkv_model &model) {
  return model.generator_input >= 0 && model.stream && model.stream->parts[QKV_NEXT];
}

std::unique_ptr<TokenSequence> Stepped::begin(std::vector<int64_t> source,
                                              std::vector<int64_t> tokens) const {
  return std::make_unique<SteppedSequence>(model, vocabulary, std::move(source), std::move(tokens),
                                           &room);
}

bool Stepped::together() const {
  return mixes() || findEntry(*model.stream->parts[QKV_NEXT], QKV_BATCH);
}

bool Stepped::mixes() const { return findEntry(*model.stream->parts[QKV_NEXT], QKV_MIXED); }

void Stepped::advance(const std::vector<TokenSequence *> &sequences) const {
  std::vector<SteppedSequence *> all, fresh;
  all.reserve(sequences.size());
  for (TokenSequence *one : sequences)
    all.push_back(static_cast<SteppedSequence *>(one));
  for (SteppedSequence *one : all)
    if (!one->begun)
      fresh.push_back(one);
  const qkv_stream &stream = *model.stream;
  if (!fresh.empty())
    runAll(stream.parts[QKV_SESSION] ? *stream.parts[QKV_SESSION] : model, weights, fresh,
           [](SteppedSequence &one, Sequence &call) { return one.callSession(call); });
  for (SteppedSequence *one : fresh)
    one->begun = true;
  for (;;) {
    std::vector<SteppedSequence *> waiting;
    waiting.reserve(all.size());
    for (SteppedSequence *one : all)
      if (!one->failed && one->waiting() > 0)
        waiting.push_back(one);
    if (waiting.empty())
      return;
    runAll(*stream.parts[QKV_NEXT], weights, waiting, [&](SteppedSequence &one, Sequence &call) {
      return one.callStep(std::min(one.waiting(), chunk), call);
    });
    for (SteppedSequence *one : waiting)
      if (!one->failed)
        one->stepped();
  }
}

} // namespace qkv::rt

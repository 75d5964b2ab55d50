// Sequences that keep what their next step needs. Holds: what is kept is what the step before gave,
// byte for byte; a step that fails changes nothing that is kept.
#include "runtime/text/Stepped.h"

#include "runtime/Error.h"
#include "runtime/tensors/Batch.h"
#include "runtime/tensors/Entries.h"
#include "runtime/tensors/Inputs.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// A tensor's memory.
struct Buffer {
  std::unique_ptr<void, void (*)(void *)> data{nullptr, qkv_free};
  size_t bytes = 0;
  void *get() const { return data.get(); }
  void grow(size_t wanted) {
    if (wanted <= bytes && data)
      return;
    bytes = std::max<size_t>(wanted, 1);
    data.reset(qkv_alloc(bytes));
  }
};

size_t bytesOf(int32_t type, const std::vector<int64_t> &shape) {
  return typeSize(type) * static_cast<size_t>(elementCount(shape));
}

class SteppedSequence : public TokenSequence {
public:
  SteppedSequence(const StepModel &model, std::vector<int64_t> source, std::vector<int64_t> tokens)
      : model(model), source(std::move(source)), stream(std::move(tokens)), kept(model.kept.size()),
        next(model.kept.size()), last(static_cast<size_t>(model.vocabulary)) {
    error.size = sizeof error;
  }
  void append(int64_t token) override { stream.push_back(token); }
  const std::vector<int64_t> &tokens() const override { return stream; }
  bool full() const override { return static_cast<int64_t>(stream.size()) >= model.most; }
  const float *logits() const override { return last.data(); }
  const qkv_error *failure() const override { return failed ? &error : nullptr; }

  /// Readies a call of the session, or of the step; the pointers stay until the next.
  bool callSession(Sequence &call) {
    const qkv_model &session = *model.session;
    sizes.assign(session.size_count, 1);
    if (model.sessionSourceSize >= 0)
      sizes[model.sessionSourceSize] = static_cast<int64_t>(source.size());
    inputs.assign(session.input_count, nullptr);
    if (model.sessionSource >= 0)
      inputs[model.sessionSource] = source.data();
    if (!shapesOf(session, sizes, inputShapes, resultShapes, &error))
      return false;
    results.assign(session.result_count, nullptr);
    for (size_t k = 0; k < kept.size(); ++k) {
      int32_t begin = model.kept[k].begin;
      kept[k].grow(bytesOf(session.results[begin].type, resultShapes[begin]));
      results[begin] = kept[k].get();
    }
    call = {sizes.data(), inputs.data(), results.data(), &error};
    return true;
  }

  bool callStep(Sequence &call) {
    const qkv_model &step = *model.step;
    sizes.assign(step.size_count, 1);
    sizes[model.past] = fed;
    sizes[model.fresh] = static_cast<int64_t>(stream.size()) - fed;
    if (model.sourceSize >= 0)
      sizes[model.sourceSize] = static_cast<int64_t>(source.size());
    if (!shapesOf(step, sizes, inputShapes, resultShapes, &error))
      return false;
    inputs.assign(step.input_count, nullptr);
    results.assign(step.result_count, nullptr);
    inputs[model.tokens] = stream.data() + fed;
    if (model.source >= 0)
      inputs[model.source] = source.data();
    if (model.count >= 0) {
      count.grow(static_cast<size_t>(fed));
      std::fill_n(static_cast<char *>(count.get()), fed, 0);
      inputs[model.count] = count.get();
    }
    results[0] = last.data();
    for (size_t k = 0; k < kept.size(); ++k) {
      inputs[model.kept[k].input] = kept[k].get();
      if (int32_t result = model.kept[k].next; result >= 0) {
        next[k].grow(bytesOf(step.results[result].type, resultShapes[result]));
        results[result] = next[k].get();
      }
    }
    call = {sizes.data(), inputs.data(), results.data(), &error};
    return true;
  }

  void stepped() {
    fed = static_cast<int64_t>(stream.size());
    for (size_t k = 0; k < kept.size(); ++k)
      if (model.kept[k].next >= 0)
        std::swap(kept[k], next[k]);
  }

  bool begun = false, failed = false;

private:
  const StepModel &model;
  std::vector<int64_t> source, stream;
  int64_t fed = 0; ///< positions that were computed
  std::vector<Buffer> kept, next;
  Buffer count;
  std::vector<float> last;
  std::vector<int64_t> sizes;
  std::vector<void *> inputs, results;
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  qkv_error error = {};
};

/// Runs a call of each sequence that has not failed.
template <class Prepare>
void runAll(const qkv_model &model, const qkv_weights *weights,
            const std::vector<SteppedSequence *> &sequences, Prepare prepare) {
  std::vector<Sequence> calls;
  std::vector<SteppedSequence *> callers;
  for (SteppedSequence *one : sequences) {
    Sequence call;
    if (one->failed)
      continue;
    if (!prepare(*one, call)) {
      one->failed = true;
      continue;
    }
    calls.push_back(call);
    callers.push_back(one);
  }
  if (!calls.empty())
    runTogether(model, QKV_WHOLE, weights, calls);
  for (size_t i = 0; i < calls.size(); ++i)
    callers[i]->failed = calls[i].failed;
}

} // namespace

std::unique_ptr<TokenSequence> Stepped::begin(std::vector<int64_t> source,
                                              std::vector<int64_t> tokens) const {
  return std::make_unique<SteppedSequence>(model, std::move(source), std::move(tokens));
}

bool Stepped::together() const { return findEntry(*model.step, QKV_BATCH) != nullptr; }

void Stepped::advance(const std::vector<TokenSequence *> &sequences) const {
  std::vector<SteppedSequence *> all, fresh;
  for (TokenSequence *one : sequences)
    all.push_back(static_cast<SteppedSequence *>(one));
  for (SteppedSequence *one : all)
    if (!one->begun)
      fresh.push_back(one);
  if (model.session && !fresh.empty())
    runAll(*model.session, model.sessionWeights, fresh,
           [](SteppedSequence &one, Sequence &call) { return one.callSession(call); });
  for (SteppedSequence *one : fresh)
    one->begun = true;
  runAll(*model.step, model.stepWeights, all,
         [](SteppedSequence &one, Sequence &call) { return one.callStep(call); });
  for (SteppedSequence *one : all)
    if (!one->failed)
      one->stepped();
}

} // namespace qkv::rt

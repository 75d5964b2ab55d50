// A generator's step, compiled. In: a program. Out: SteppedModel.h.
#include "tools/qkv/SteppedModel.h"

#include <algorithm>

namespace qkv::driver {
namespace {

int32_t numberOf(const std::vector<int> &list, int what) {
  auto at = std::find(list.begin(), list.end(), what);
  return at == list.end() ? -1 : static_cast<int32_t>(at - list.begin());
}

int32_t resultOf(const Program &program, int tensor) {
  for (size_t r = 0; r < program.results.size(); ++r)
    if (program.results[r].tensor == tensor)
      return static_cast<int32_t>(r);
  return -1;
}

/// The size that an axis of an input is exactly, among the program's; -1: there is none.
int32_t sizeOf(const Program &program, int input) {
  if (input >= 0)
    for (size_t s = 0; s < program.dynamicSizes.size(); ++s)
      if (program.tensors[input].axes[0].extent == Size::atom(program.dynamicSizes[s]))
        return static_cast<int32_t>(s);
  return -1;
}

} // namespace

std::unique_ptr<SteppedModel>
SteppedModel::create(const Program &program, const ModelOptions &options, std::string &error) {
  if (program.stream < 0 || program.generatorInput < 0)
    return nullptr;
  auto derived = streams::deriveStream(program);
  auto *stream = std::get_if<streams::Stream>(&derived);
  if (!stream || stream->results[0].axis != 0 || stream->results[0].session)
    return nullptr;
  streams::wantLastRow(*stream);
  auto out = std::make_unique<SteppedModel>();
  if (!(out->stream_ = CompiledStream::create(std::move(*stream), options, error)))
    return nullptr;
  rt::StepModel &model = out->model_;
  model.step = &out->stream_->step();
  model.session = out->stream_->session();
  stream = nullptr; // it is the compiled one's now
  const streams::Stream &parts = out->stream_->stream();
  const Program &step = parts.step, &session = parts.session;
  for (const streams::State &state : parts.states)
    model.kept.push_back({numberOf(step.inputs, state.input),
                          state.next < 0 ? -1 : resultOf(step, state.next),
                          resultOf(session, state.begin)});
  model.past = numberOf(step.dynamicSizes, parts.past);
  model.fresh = numberOf(step.dynamicSizes, parts.fresh);
  model.count = numberOf(step.inputs, parts.count);
  model.tokens = numberOf(step.inputs, program.generatorInput);
  model.source = numberOf(step.inputs, program.generatorSource);
  model.sessionSource = numberOf(session.inputs, program.generatorSource);
  model.sourceSize = sizeOf(step, program.generatorSource);
  model.sessionSourceSize = sizeOf(session, program.generatorSource);
  model.most = program.atoms[program.stream].max;
  const Axis &vocabulary = program.tensors[program.results[0].tensor].axes[1];
  model.vocabulary = vocabulary.extent.constant().value_or(0);
  return out;
}

bool SteppedModel::open(const std::string &weights, qkv_error *error) {
  if (!stream_->open(weights, error))
    return false;
  model_.stepWeights = stream_->stepWeights();
  model_.sessionWeights = stream_->sessionWeights();
  return true;
}

} // namespace qkv::driver

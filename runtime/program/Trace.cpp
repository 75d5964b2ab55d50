// Traced tensors of a run (Trace.h).
#include "runtime/program/Trace.h"

#include "runtime/checkpoint/Names.h"
#include "runtime/tensors/TraceNames.h"

#include <algorithm>

namespace qkv::rt {
namespace {

/// Whether one of the names means the result.
bool asked(const Options &options, const char *result) {
  return std::any_of(options.trace.begin(), options.trace.end(),
                     [&](const std::string &name) { return meansTensor(name, result); });
}

} // namespace

std::string untraceable(const qkv_model &model, const Options &options) {
  if (options.trace.empty())
    return "";
  if (!options.traced)
    return format("model %s was built without --traceable: it has no --trace", model.name);
  std::vector<std::string_view> names;
  std::string all;
  for (int32_t i = 0; i < options.traced->result_count; ++i) {
    names.emplace_back(options.traced->results[i].name);
    all += (i ? ", " : "") + std::string(names.back());
  }
  for (const std::string &name : options.trace) {
    if (std::any_of(names.begin(), names.end(),
                    [&](std::string_view result) { return meansTensor(name, result); }))
      continue;
    int64_t near = nearestName(names, name);
    return format(
        "--trace %s means none of what model %s was built to trace (%s)%s", name.c_str(),
        model.name, all.c_str(),
        near < 0
            ? ""
            : ("; did you mean " + std::string(names[static_cast<size_t>(near)]) + "?").c_str());
  }
  return "";
}

bool TraceRun::run(const Options &options, const qkv_weights *weights, const Call &call,
                   qkv_error *error) {
  const qkv_model &trace = *options.traced;
  if (!shapesOf(trace, call.sizes, call_.inputShapes, call_.resultShapes, error))
    return false;
  call_.inputs = call.inputs; // the model's own
  for (int32_t i = 0; i < trace.result_count; ++i) {
    const qkv_value &result = trace.results[i];
    call_.results.push_back(nullptr); // not wanted
    if (!asked(options, result.name))
      continue;
    const std::vector<int64_t> &shape = call_.resultShapes[static_cast<size_t>(i)];
    void *data = qkv_alloc(tensorBytes(result.type, shape));
    call_.results.back() = data;
    tensors_.push_back({result.name, storedType(result.type), shape, data});
    types_.push_back(result.type);
  }
  return qkv_run(&trace, QKV_WHOLE, weights, call.sizes.data(), call_.inputs.data(),
                 call_.results.data(), error) == 0;
}

} // namespace qkv::rt

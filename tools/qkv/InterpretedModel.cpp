// The interpreter as a model's entry.
#include "tools/qkv/InterpretedModel.h"

#include <algorithm>

namespace qkv::driver {

Values valuesFrom(const void *data, int type, const std::vector<int64_t> &shape) {
  Values values;
  values.shape = shape;
  int64_t count = values.count();
  if (type == QKV_FLOAT) {
    values.type = Type::Float;
    auto *from = static_cast<const float *>(data);
    values.floats.assign(from, from + count);
  } else if (type == QKV_INT) {
    values.type = Type::Int;
    auto *from = static_cast<const int64_t *>(data);
    values.ints.assign(from, from + count);
  } else {
    values.type = Type::Bool;
    auto *from = static_cast<const uint8_t *>(data);
    values.ints.assign(from, from + count);
  }
  return values;
}

void valuesTo(const Values &values, int type, void *data) {
  if (type == QKV_FLOAT)
    std::transform(values.floats.begin(), values.floats.end(), static_cast<float *>(data),
                   [](double v) { return static_cast<float>(v); });
  else if (type == QKV_INT)
    std::copy(values.ints.begin(), values.ints.end(), static_cast<int64_t *>(data));
  else
    std::copy(values.ints.begin(), values.ints.end(), static_cast<uint8_t *>(data));
}

/// The description of the two entries that the interpreter has.
static Description described(const Program &program, const std::vector<int> &params) {
  Description description = describe(program, params);
  if (description.generatorInput >= 0)
    description.add(QKV_LAST);
  return description;
}

InterpretedModel::InterpretedModel(const Program &program, std::vector<int> params,
                                   Precision precision, std::function<void(double)> progress)
    : program_(program), precision_(precision), progress_(std::move(progress)),
      params_(std::move(params)), memory_(described(program, params_)), files_(failureCount),
      texts_(failureCount), sites_(failureCount) {
  qkv_model &model = memory_.model();
  model.user = this;
  memory_.setFunction(QKV_WHOLE, entry);
  memory_.setFunction(QKV_LAST, entryLast);
  for (qkv_site &site : sites_)
    site.kind = 2;
  model.sites = sites_.data();
  model.site_count = failureCount;
}

std::vector<std::vector<int64_t>> InterpretedModel::shapes(const int64_t *sizes) {
  const qkv_model &model = memory_.model();
  size_t total = 1;
  for (int i = 0; i < model.input_count; ++i)
    total += model.inputs[i].rank;
  for (int i = 0; i < model.result_count; ++i)
    total += model.results[i].rank;
  std::vector<int64_t> extents(total);
  model.shapes(&model, sizes, extents.data());
  std::vector<std::vector<int64_t>> out;
  const int64_t *next = extents.data();
  for (int i = 0; i < model.input_count; ++i) {
    out.emplace_back(next, next + model.inputs[i].rank);
    next += model.inputs[i].rank;
  }
  return out;
}

const Values *InterpretedModel::param(int tensor, void *const *params) {
  auto at = std::find(params_.begin(), params_.end(), tensor);
  if (at == params_.end())
    return nullptr;
  std::lock_guard lock(mutex_);
  auto [entry, made] = widened_.try_emplace(tensor);
  if (made) {
    size_t number = at - params_.begin();
    entry->second =
        valuesFrom(params[number], QKV_FLOAT, memory_.description().params[number].shape);
  }
  return &entry->second;
}

Interpreter InterpretedModel::interpreter(const int64_t *sizes, void *const *inputs,
                                          void *const *params) {
  std::map<int, Values> values;
  std::vector<std::vector<int64_t>> inputShapes = shapes(sizes);
  for (size_t i = 0; i < program_.inputs.size(); ++i)
    values[program_.inputs[i]] =
        valuesFrom(inputs[i], memory_.model().inputs[i].type, inputShapes[i]);
  InterpretOptions options;
  options.precision = precision_;
  options.progress = progress_;
  return Interpreter(
      program_, std::move(values), [this, params](int tensor) { return param(tensor, params); },
      options);
}

void InterpretedModel::failed(qkv_context *context, const RunError &error) {
  unsigned slot = nextFailure_++ % failureCount;
  qkv_site &site = sites_[slot];
  site.line = site.column = site.length = 0;
  files_[slot] = error.span ? error.span.source->path() : "";
  texts_[slot] = error.message + (error.rule.empty() ? "" : " [" + error.rule + "]");
  if (error.span) {
    Source::Position begin = error.span.source->position(error.span.begin);
    Source::Position end = error.span.source->position(error.span.end);
    site.line = static_cast<int32_t>(begin.line);
    site.column = static_cast<int32_t>(begin.column);
    site.length = begin.line == end.line ? static_cast<int32_t>(end.column - begin.column) : 1;
  }
  site.file = files_[slot].c_str();
  site.what = texts_[slot].c_str();
  qkv_check_failed(context, static_cast<int32_t>(slot), 0, 0);
}

void InterpretedModel::entry(qkv_context *context, const int64_t *sizes, void *const *inputs,
                             void *const *params, void *const *results) {
  auto &self = *static_cast<InterpretedModel *>(context->model->user);
  Interpreter interpreter = self.interpreter(sizes, inputs, params);
  for (size_t i = 0; i < self.program_.results.size(); ++i) {
    if (!results[i])
      continue;
    Values values;
    RunError error;
    if (!interpreter.evaluate(self.program_.results[i].tensor, values, error))
      return self.failed(context, error);
    valuesTo(values, context->model->results[i].type, results[i]);
  }
}

void InterpretedModel::entryLast(qkv_context *context, const int64_t *sizes, void *const *inputs,
                                 void *const *params, void *const *results) {
  auto &self = *static_cast<InterpretedModel *>(context->model->user);
  Interpreter interpreter = self.interpreter(sizes, inputs, params);
  int logits = self.program_.results[0].tensor;
  const Tensor &tensor = self.program_.tensors[logits];
  int64_t last = tensor.axes[0].extent.evaluate(self.program_.atoms, interpreter.sizes()) - 1;
  int64_t vocabulary = tensor.axes[1].extent.evaluate(self.program_.atoms, interpreter.sizes());
  for (int64_t v = 0; v < vocabulary; ++v) {
    double value = 0;
    RunError error;
    if (!interpreter.element(logits, {last, v}, value, error))
      return self.failed(context, error);
    static_cast<float *>(results[0])[v] = static_cast<float>(value);
  }
}

} // namespace qkv::driver

// In: a model and files of named tensors. Out: sizes, inputs and room for results. Holds: messages
// name the size, the inputs, the axes and the values.
#include "runtime/tensors/Inputs.h"

#include "runtime/Error.h"
#include "runtime/checkpoint/Names.h"

namespace qkv::rt {

Call::~Call() {
  for (void *memory : owned)
    qkv_free(memory);
  for (void *memory : results)
    qkv_free(memory);
}

size_t tensorBytes(int32_t type, const std::vector<int64_t> &shape) {
  return static_cast<size_t>(elementCount(shape)) * typeSize(type);
}

int32_t streamSize(const qkv_model &model) {
  for (int32_t i = 0; i < model.size_count; ++i)
    if (model.sizes[i].stream)
      return i;
  return -1;
}

bool shapesOf(const qkv_model &model, const std::vector<int64_t> &sizes,
              std::vector<std::vector<int64_t>> &inputs, std::vector<std::vector<int64_t>> &results,
              qkv_error *error) {
  size_t total = 0;
  for (int32_t i = 0; i < model.input_count; ++i)
    total += model.inputs[i].rank;
  for (int32_t i = 0; i < model.result_count; ++i)
    total += model.results[i].rank;
  int64_t few[64]; // steps of small models spend their time in what is allocated
  std::vector<int64_t> many(total < std::size(few) ? 0 : total + 1);
  int64_t *next = many.empty() ? few : many.data();
  model.shapes(&model, sizes.data(), next);
  auto take = [&](const qkv_value *values, int32_t count, auto &shapes) {
    shapes.resize(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; ++i) {
      std::vector<int64_t> &shape = shapes[static_cast<size_t>(i)];
      shape.assign(next, next + values[i].rank);
      next += values[i].rank;
      int64_t elements = elementCount(shape);
      if (elements < 0 || elements > INT64_MAX / 8)
        return fail(error, format("the shape %s of %s is too large", shapeText(shape).c_str(),
                                  values[i].name));
    }
    return true;
  };
  return take(model.inputs, model.input_count, inputs) &&
         take(model.results, model.result_count, results);
}

/// The first axis that bound each size, for messages.
struct Binding {
  int32_t input = -1, axis = -1;
};

static bool bindOne(const qkv_model &model, int32_t input, int32_t axis, int64_t extent, Call &call,
                    std::vector<Binding> &bindings, qkv_error *error) {
  const qkv_value &value = model.inputs[input];
  const qkv_axis &letter = value.axes[axis];
  const qkv_size &size = model.sizes[letter.size];
  auto number = [](int64_t n) { return static_cast<long long>(n); };
  Binding &first = bindings[letter.size];
  if (first.input >= 0 && call.sizes[letter.size] != extent) {
    const qkv_value &other = model.inputs[first.input];
    return fail(error,
                format("size %s is %lld along %s of input %s, but %lld along %s of input "
                       "%s: they must agree [C1]",
                       size.name, number(call.sizes[letter.size]), other.axes[first.axis].name,
                       other.name, number(extent), letter.name, value.name));
  }
  if (extent < size.min || extent > size.max)
    return fail(error, format("size %s is %lld along %s of input %s, expected %lld to %lld [A4]",
                              size.name, number(extent), letter.name, value.name, number(size.min),
                              number(size.max)));
  if (first.input < 0)
    first = {input, axis};
  call.sizes[letter.size] = extent;
  return true;
}

bool bindSizes(const qkv_model &model, const std::vector<std::vector<int64_t>> &shapes, Call &call,
               qkv_error *error) {
  call.sizes.assign(model.size_count, 0);
  std::vector<Binding> bindings(model.size_count);
  std::vector<std::vector<int64_t>> found;
  for (int32_t i = 0; i < model.input_count; ++i) {
    const qkv_value &value = model.inputs[i];
    found.push_back(shapes[i]);
    // A number is stored as [] or as [1].
    if (value.rank == 0 && found[i] == std::vector<int64_t>{1})
      found[i].clear();
    if (found[i].size() != static_cast<size_t>(value.rank)) {
      std::string letters;
      for (int32_t axis = 0; axis < value.rank; ++axis)
        letters += (axis ? "," : "") + std::string(value.axes[axis].name);
      return fail(error, format("input %s has shape %s, expected %d axes: [%s]", value.name,
                                shapeText(found[i]).c_str(), value.rank, letters.c_str()));
    }
    for (int32_t axis = 0; axis < value.rank; ++axis)
      if (value.axes[axis].size >= 0 &&
          !bindOne(model, i, axis, found[i][axis], call, bindings, error))
        return false;
  }
  for (int32_t i = 0; i < model.size_count; ++i)
    if (bindings[i].input < 0)
      return fail(error, format("size %s is not the extent of any input, so nothing says how "
                                "large it is [C1]",
                                model.sizes[i].name));
  if (!shapesOf(model, call.sizes, call.inputShapes, call.resultShapes, error))
    return false;
  for (int32_t i = 0; i < model.input_count; ++i)
    if (found[i] != call.inputShapes[i])
      return fail(error,
                  format("input %s has shape %s, expected %s", model.inputs[i].name,
                         shapeText(found[i]).c_str(), shapeText(call.inputShapes[i]).c_str()));
  return true;
}

static bool takeInput(const qkv_value &value, const FileTensor &tensor, Call &call) {
  if (sameBytes(value.type, tensor.type) &&
      reinterpret_cast<uintptr_t>(tensor.data) % typeSize(value.type) == 0) {
    call.inputs.push_back(const_cast<char *>(tensor.data));
    return true;
  }
  call.owned.push_back(qkv_alloc(tensor.count() * typeSize(value.type)));
  convertElements(value.type, call.owned.back(), tensor.type, tensor.data, tensor.count());
  call.inputs.push_back(call.owned.back());
  return true;
}

bool bindInputs(const qkv_model &model, std::unique_ptr<Safetensors> file, Call &call,
                std::string &warnings, qkv_error *error) {
  const char *path = file->path().c_str();
  std::vector<const FileTensor *> tensors;
  std::vector<std::vector<int64_t>> shapes;
  std::string missing;
  int32_t missingCount = 0;
  for (int32_t i = 0; i < model.input_count; ++i) {
    const qkv_value &value = model.inputs[i];
    const FileTensor *tensor = file->find(value.name);
    if (!tensor) {
      missing += (missingCount++ ? ", " : "") + std::string(value.name);
      if (const FileTensor *near = file->nearest(value.name))
        missing += format(" (did you mean %s?)", quote(near->name).c_str());
      continue;
    }
    if (!accepts(value.type, tensor->type))
      return failFile(error, path,
                      format("input %s is of type %s, expected %s for %s [T1]", value.name,
                             quote(tensor->typeName).c_str(), acceptedText(value.type),
                             value.token ? "token" : typeText(value.type)));
    tensors.push_back(tensor);
    shapes.push_back(tensor->shape);
  }
  if (missingCount)
    return failFile(
        error, path,
        format("input%s not in the file: %s", missingCount > 1 ? "s" : "", missing.c_str()));
  for (auto &tensor : file->tensors()) {
    bool known = false;
    for (int32_t i = 0; i < model.input_count && !known; ++i)
      known = tensor.name == model.inputs[i].name;
    if (!known)
      warnings += format("%s: warning: tensor %s is not an input of %s\n", path,
                         quote(tensor.name).c_str(), model.name);
  }
  if (!bindSizes(model, shapes, call, error)) {
    if (error && !error->file[0])
      failFile(error, path, std::string(error->text));
    return false;
  }
  for (int32_t i = 0; i < model.input_count; ++i)
    takeInput(model.inputs[i], *tensors[i], call);
  call.file = std::move(file);
  return true;
}

void makeResults(const qkv_model &model, Call &call) {
  for (int32_t i = 0; i < model.result_count; ++i)
    call.results.push_back(qkv_alloc(tensorBytes(model.results[i].type, call.resultShapes[i])));
}

std::vector<NewTensor> resultTensors(const qkv_model &model, const Call &call) {
  std::vector<NewTensor> tensors;
  for (int32_t i = 0; i < model.result_count; ++i)
    tensors.push_back({model.results[i].name, storedType(model.results[i].type),
                       call.resultShapes[i], call.results[i]});
  return tensors;
}

} // namespace qkv::rt

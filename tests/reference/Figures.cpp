#include "tests/reference/Figures.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace qkv::reference {

std::vector<std::string> modelsOf(const std::string &folder) {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".qkv")
      names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

std::string textOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<rt::Safetensors> openTensors(const std::string &path) {
  qkv_error error = {};
  error.size = sizeof(error);
  auto file = rt::Safetensors::open(path, &error);
  if (!file)
    throw std::runtime_error(path + ": " + error.text);
  return file;
}

Values valuesOf(const rt::FileTensor &tensor, Type type) {
  int32_t kind = type == Type::Float ? QKV_FLOAT : type == Type::Int ? QKV_INT : QKV_BOOL;
  if (!rt::accepts(kind, tensor.type))
    throw std::runtime_error(tensor.name + ": a file's " + tensor.typeName + " as " +
                             typeName(type));
  Values values;
  values.type = type;
  values.shape = tensor.shape;
  int64_t count = tensor.count();
  if (type == Type::Float) {
    std::vector<float> read(count);
    rt::convertElements(kind, read.data(), tensor.type, tensor.data, count);
    values.floats.assign(read.begin(), read.end());
  } else if (type == Type::Int) {
    values.ints.resize(count);
    rt::convertElements(kind, values.ints.data(), tensor.type, tensor.data, count);
  } else {
    std::vector<uint8_t> read(count);
    rt::convertElements(kind, read.data(), tensor.type, tensor.data, count);
    values.ints.assign(read.begin(), read.end());
  }
  return values;
}

std::map<int, Values> inputsOf(const Program &program, const rt::Safetensors &file) {
  std::map<int, Values> inputs;
  for (int input : program.inputs) {
    const Tensor &tensor = program.tensors[input];
    const rt::FileTensor *stored = file.find(tensor.name);
    if (!stored)
      throw std::runtime_error("no input " + tensor.name);
    inputs[input] = valuesOf(*stored, tensor.type);
  }
  return inputs;
}

std::map<int, Values> paramsOf(const Program &program, const rt::Safetensors *file) {
  std::map<int, Values> params;
  for (size_t number = 0; number < program.tensors.size(); ++number) {
    const Tensor &tensor = program.tensors[number];
    if (tensor.kind != Tensor::Kind::Param)
      continue;
    std::vector<int64_t> shape;
    for (const Axis &axis : tensor.axes)
      shape.push_back(axis.extent.constant().value());
    Values values;
    const StoredForm &form = tensor.param.stored[0];
    for (const std::string &name : form.names) // one behind the other: the first letters
      if (const rt::FileTensor *stored = file ? file->find(name) : nullptr) {
        std::vector<double> part = valuesOf(*stored, Type::Float).floats;
        values.floats.insert(values.floats.end(), part.begin(), part.end());
      }
    if (!values.floats.empty()) {
      if (static_cast<int64_t>(values.floats.size()) != rt::elementCount(shape))
        throw std::runtime_error(form.names[0] + ": another number of elements");
    } else if (tensor.param.fallback == ParamSource::Fallback::Number) {
      values.floats.assign(rt::elementCount(shape), tensor.param.number);
    } else {
      throw std::runtime_error("no weights " + form.names[0]);
    }
    values.shape = shape;
    params[static_cast<int>(number)] = std::move(values);
  }
  return params;
}

double errorOf(const Values &got, const Values &expected) {
  const double infinite = std::numeric_limits<double>::infinity();
  if (got.shape != expected.shape || got.floats.size() != expected.floats.size())
    return infinite;
  double largest = 0, difference = 0;
  for (size_t i = 0; i < got.floats.size(); ++i) {
    if (!std::isfinite(got.floats[i]))
      return infinite;
    largest = std::max(largest, std::fabs(expected.floats[i]));
    difference = std::max(difference, std::fabs(got.floats[i] - expected.floats[i]));
  }
  return difference / std::max(largest, 1e-30);
}

} // namespace qkv::reference

// Running a compiled model on a trial. Holds: memory of results begins as a pattern that no result
// is, so that what was not written shows.
#include "compiler/native/Verify.h"
#include "runtime/Inputs.h"
#include "runtime/Weights.h"

#include <cstring>

namespace qkv {
namespace {

/// Values as the runtime holds them: f32, i64, bytes.
std::vector<char> packed(const Values &values) {
  std::vector<char> bytes;
  auto append = [&](auto value) {
    auto *from = reinterpret_cast<const char *>(&value);
    bytes.insert(bytes.end(), from, from + sizeof value);
  };
  if (values.type == Type::Float)
    for (double v : values.floats)
      append(static_cast<float>(v));
  else if (values.type == Type::Int)
    for (int64_t v : values.ints)
      append(v);
  else
    for (int64_t v : values.ints)
      append(static_cast<uint8_t>(v));
  // A pointer to no elements is still a pointer.
  bytes.resize(bytes.size() + 8);
  return bytes;
}

Values unpacked(const std::vector<char> &bytes, int type, const std::vector<int64_t> &shape) {
  Values values;
  values.type = type == QKV_FLOAT ? Type::Float : type == QKV_INT ? Type::Int : Type::Bool;
  values.shape = shape;
  int64_t count = values.count();
  for (int64_t i = 0; i < count; ++i) {
    float f;
    int64_t n;
    if (type == QKV_FLOAT) {
      memcpy(&f, bytes.data() + i * 4, 4);
      values.floats.push_back(f);
    } else if (type == QKV_INT) {
      memcpy(&n, bytes.data() + i * 8, 8);
      values.ints.push_back(n);
    } else {
      values.ints.push_back(static_cast<uint8_t>(bytes[i]));
    }
  }
  return values;
}

Computed run(const qkv_model &model, const Program &program, const Trial &trial, bool lastOnly) {
  Computed computed;
  qkv_error error = {};
  error.size = sizeof error;
  auto failed = [&] {
    computed.failure = std::string(error.file) + ":" + std::to_string(error.line) + ":" +
                       std::to_string(error.column) + ": " + error.text;
    return computed;
  };
  std::vector<std::vector<int64_t>> inputShapes, resultShapes;
  if (!rt::shapesOf(model, trial.sizes, inputShapes, resultShapes, &error))
    return failed();
  std::vector<std::vector<char>> inputs, params, results;
  std::vector<void *> inputPointers, resultPointers;
  qkv_weights weights;
  for (int number : program.inputs)
    inputPointers.push_back(inputs.emplace_back(packed(trial.inputs.at(number))).data());
  for (const auto &[number, values] : trial.params)
    weights.params.push_back(params.emplace_back(packed(values)).data());
  if (lastOnly) {
    resultShapes.resize(1);
    resultShapes[0].erase(resultShapes[0].begin());
  }
  for (size_t i = 0; i < resultShapes.size(); ++i) {
    int64_t count = rt::elementCount(resultShapes[i]);
    size_t bytes = rt::typeSize(model.results[i].type) * static_cast<size_t>(count) + 8;
    resultPointers.push_back(results.emplace_back(bytes, static_cast<char>(0xFF)).data());
  }
  resultPointers.resize(model.result_count);
  if (qkv_run(&model, &weights, trial.sizes.data(), inputPointers.data(), resultPointers.data(),
              lastOnly, &error) != 0)
    return failed();
  for (size_t i = 0; i < results.size(); ++i) {
    computed.results.push_back(unpacked(results[i], model.results[i].type, resultShapes[i]));
    for (size_t tail = results[i].size() - 8; tail < results[i].size(); ++tail)
      if (static_cast<unsigned char>(results[i][tail]) != 0xFF)
        computed.failure =
            std::string("memory behind result ") + model.results[i].name + " was written";
  }
  return computed;
}

} // namespace

Computed compute(const qkv_model &model, const Program &program, const Trial &trial) {
  return run(model, program, trial, /*lastOnly=*/false);
}

Computed computeLast(const qkv_model &model, const Program &program, const Trial &trial) {
  return run(model, program, trial, /*lastOnly=*/true);
}

} // namespace qkv

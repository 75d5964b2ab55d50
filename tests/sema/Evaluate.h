// A small model's results, as the interpreter has them.
#pragma once

#include "dsl/check/Checker.h"
#include "dsl/interpret/Interpreter.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace qkv {

struct Inputs {
  std::map<std::string, Values> values;
  Inputs &floats(const std::string &name, std::vector<int64_t> shape, std::vector<double> v) {
    values[name] = {Type::Float, std::move(shape), std::move(v), {}};
    return *this;
  }
  Inputs &ints(const std::string &name, std::vector<int64_t> shape, std::vector<int64_t> v) {
    values[name] = {Type::Int, std::move(shape), {}, std::move(v)};
    return *this;
  }
};

/// All results, one after the other, as doubles; or the text of what went wrong.
inline std::vector<double> evaluate(const std::string &text, Inputs inputs,
                                    std::string *wrong = nullptr, const std::string &config = "",
                                    Precision precision = Precision::Double) {
  Sources sources;
  const Source *source = sources.add("model.qkv", text);
  Diagnostics diagnostics;
  CheckOptions options;
  if (!config.empty())
    options.config = config;
  auto program = check(*source, sources, options, diagnostics);
  if (!program) {
    std::ostringstream out;
    diagnostics.render(out, false);
    if (wrong)
      *wrong = out.str();
    else
      ADD_FAILURE() << out.str();
    return {};
  }
  std::map<int, Values> values;
  for (int id : program->inputs)
    values[id] = inputs.values[program->tensors[id].name];
  std::map<int, Values> params;
  auto ones = [&](int tensor) -> const Values * {
    Values &v = params[tensor];
    int64_t n = 1;
    for (auto &a : program->tensors[tensor].axes)
      n *= v.shape.emplace_back(*a.extent.constant());
    for (int64_t i = 0; i < n; ++i)
      v.floats.push_back(static_cast<double>(i + 1));
    return &v;
  };
  InterpretOptions interpret;
  interpret.precision = precision;
  Interpreter interpreter(*program, values, ones, interpret);
  std::vector<double> all;
  for (auto &r : program->results) {
    Values out;
    RunError error;
    if (!interpreter.evaluate(r.tensor, out, error)) {
      if (wrong)
        *wrong = error.message + " [" + error.rule + "]";
      else
        ADD_FAILURE() << error.message;
      return {};
    }
    all.insert(all.end(), out.floats.begin(), out.floats.end());
    for (int64_t i : out.ints)
      all.push_back(static_cast<double>(i));
  }
  return all;
}

using V = std::vector<double>;
inline const char *const head = "size T = dynamic(max: 64)\nindex t < T, j < T\n";
inline V run(const std::string &body, const V &x = {3, 1, 2}) {
  return evaluate(head + body, Inputs().floats("x", {static_cast<int64_t>(x.size())}, x));
}

} // namespace qkv

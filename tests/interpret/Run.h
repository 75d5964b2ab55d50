// Runs a program that was made by hand and hands back its values.
#pragma once

#include "dsl/interpret/Interpreter.h"
#include "tests/interpret/ProgramBuilder.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>

namespace qkv::test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline Values floats(std::vector<int64_t> shape, std::vector<double> values) {
  Values v;
  v.shape = std::move(shape);
  v.floats = std::move(values);
  return v;
}

inline Values ints(std::vector<int64_t> shape, std::vector<int64_t> values, Type type = Type::Int) {
  Values v;
  v.type = type;
  v.shape = std::move(shape);
  v.ints = std::move(values);
  return v;
}

struct Outcome {
  bool ok = false;
  Values values;
  RunError error;
};

/// A tensor's values. Parameters are `params` by tensor number.
inline Outcome run(const ProgramBuilder &b, int tensor, std::map<int, Values> inputs = {},
                   Precision precision = Precision::Double,
                   const std::map<int, Values> &params = {}) {
  InterpretOptions options;
  options.precision = precision;
  Interpreter interpreter(
      b.program, std::move(inputs),
      [&](int t) {
        auto found = params.find(t);
        return found == params.end() ? nullptr : &found->second;
      },
      options);
  Outcome o;
  o.ok = interpreter.evaluate(tensor, o.values, o.error);
  EXPECT_TRUE(o.ok || !o.error.message.empty());
  return o;
}

/// The floats, where nothing fails.
inline std::vector<double> runFloats(const ProgramBuilder &b, int tensor,
                                     std::map<int, Values> inputs = {},
                                     Precision precision = Precision::Double) {
  Outcome o = run(b, tensor, std::move(inputs), precision);
  EXPECT_TRUE(o.ok) << o.error.message;
  return o.values.floats;
}

inline std::vector<int64_t> runInts(const ProgramBuilder &b, int tensor,
                                    std::map<int, Values> inputs = {}) {
  Outcome o = run(b, tensor, std::move(inputs));
  EXPECT_TRUE(o.ok) << o.error.message;
  return o.values.ints;
}

} // namespace qkv::test

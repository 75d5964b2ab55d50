// The meaning of the language: evaluates the equations directly, element by element.
//
// No fusion, no cleverness. In double precision, or in f32 with every operation rounded
// (to nearest, up or down). Elements are computed on demand and remembered.
#pragma once

#include "dsl/Program.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace qkv {

/// Values of a tensor, row-major. Ints and bools are exact in `ints`, floats in `floats`.
struct Values {
  Type type = Type::Float;
  std::vector<int64_t> shape;
  std::vector<double> floats;
  std::vector<int64_t> ints;
  int64_t count() const;
};

/// What went wrong when the program ran: a check of A1 or T2.
struct RunError {
  Span span;
  std::string message; ///< with value and bound
  std::string rule;
};

enum class Precision { Double, Single, SingleUp, SingleDown };

struct InterpretOptions {
  Precision precision = Precision::Double;
  /// Called now and then with the share that is done (0..1); may be empty.
  std::function<void(double)> progress;
};

class Interpreter {
public:
  /// `inputs` and `params` are by tensor number; the shapes of the inputs bind the dynamic
  /// sizes (C1). The program and the values must outlive this. Parameters are asked for
  /// when first read; null: the parameter's fallback is taken, or its absence is the error.
  /// (`params` and `progress` are called on a thread that the caller waits for.)
  Interpreter(const Program &program, std::map<int, Values> inputs,
              std::function<const Values *(int tensor)> params, InterpretOptions options = {});
  ~Interpreter();

  /// The values of the dynamic sizes by atom number, or an error (C1).
  const std::vector<int64_t> &sizes() const;

  /// A whole tensor; false with `error` set where a check fails.
  bool evaluate(int tensor, Values &out, RunError &error);
  /// One element. For ints and bools the value as a double too.
  bool element(int tensor, const std::vector<int64_t> &index, double &out, RunError &error);

private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Binds the dynamic sizes from the shapes of the inputs (C1): by atom number, 0 where not a
/// dynamic size. Returns an error message or nothing.
std::string bindSizes(const Program &program, const std::map<int, std::vector<int64_t>> &shapes,
                      std::vector<int64_t> &sizes);

} // namespace qkv

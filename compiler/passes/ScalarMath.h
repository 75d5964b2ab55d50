// Functions of f32 as arithmetic that LLVM has vector instructions for.
#pragma once

#include "mlir/IR/Builders.h"

namespace qkv {

/// Writes arithmetic on f32 scalars. The functions are right over the whole range, infinities
/// included; a NaN gives a NaN; results below the smallest normal number may be 0.
class ScalarMath {
public:
  /// Without `fma` (the target has none) multiply and add apart.
  ScalarMath(mlir::OpBuilder &builder, mlir::Location loc, bool fma)
      : builder_(builder), loc_(loc), fma_(fma) {}

  mlir::Value exponential(mlir::Value x);
  mlir::Value logarithm(mlir::Value x);
  mlir::Value hyperbolicTangent(mlir::Value x);
  mlir::Value errorFunction(mlir::Value x);
  mlir::Value squareRoot(mlir::Value x);

  mlir::Value number(float value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value subtract(mlir::Value a, mlir::Value b);
  mlir::Value multiply(mlir::Value a, mlir::Value b);
  mlir::Value divide(mlir::Value a, mlir::Value b);
  /// a * b + c
  mlir::Value multiplyAdd(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value equal(mlir::Value a, mlir::Value b);

private:
  mlir::Value integer(int32_t value);
  mlir::Value less(mlir::Value a, mlir::Value b); ///< false where either is a NaN
  mlir::Value toBits(mlir::Value x);
  mlir::Value fromBits(mlir::Value x);
  mlir::Value magnitude(mlir::Value x);
  mlir::Value withSignOf(mlir::Value x, mlir::Value sign);
  /// (((c0 * x + c1) * x + c2) ...)
  mlir::Value polynomial(mlir::Value x, std::initializer_list<float> coefficients);

  mlir::OpBuilder &builder_;
  mlir::Location loc_;
  bool fma_;
};

} // namespace qkv

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
  /// exp(x) - 1 and log(1 + x), as close near 0 as elsewhere.
  mlir::Value exponentialLess1(mlir::Value x);
  mlir::Value logarithmOf1Plus(mlir::Value x);
  mlir::Value hyperbolicTangent(mlir::Value x);
  mlir::Value errorFunction(mlir::Value x);
  mlir::Value sine(mlir::Value x);
  mlir::Value cosine(mlir::Value x);
  /// As IEEE 754 has it: pow(x, 0) and pow(1, y) are 1 whatever the other is.
  mlir::Value power(mlir::Value x, mlir::Value y);
  mlir::Value squareRoot(mlir::Value x);

  mlir::Value number(float value);
  /// Of one type, f32 or f64 (or vectors of them), as everything below.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value subtract(mlir::Value a, mlir::Value b);
  mlir::Value multiply(mlir::Value a, mlir::Value b);
  mlir::Value divide(mlir::Value a, mlir::Value b);
  /// a * b + c
  mlir::Value multiplyAdd(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value equal(mlir::Value a, mlir::Value b);

private:
  /// x = quadrant * pi/2 + rest, |rest| at most a little more than pi/4. Of the quadrant, an
  /// i32, the two lowest bits hold.
  struct Angle {
    mlir::Value rest, quadrant;
  };
  Angle reduceAngle(mlir::Value x);
  Angle reduceModerateAngle(mlir::Value x);
  Angle reduceLargeAngle(mlir::Value x);
  mlir::Value sineOf(const Angle &angle);
  /// x = 2^n * (1 + m) with m in [-1/3, 1/3], x above 0 and normal: the bits n * 2^23.
  mlir::Value exponentBits(mlir::Value x);
  /// log(2^n * (1 + m))
  mlir::Value logarithmOfParts(mlir::Value n, mlir::Value m);
  /// log2(|x|) in f64, x an f32.
  mlir::Value logarithm2(mlir::Value magnitude);
  /// 2^t in f32, t an f64.
  mlir::Value exponential2(mlir::Value t);
  mlir::Value isInteger(mlir::Value x);

  mlir::Value integer(int32_t value);
  mlir::Value number64(double value);
  mlir::Value less(mlir::Value a, mlir::Value b); ///< false where either is a NaN
  mlir::Value either(mlir::Value a, mlir::Value b);
  mlir::Value butNot(mlir::Value a, mlir::Value b); ///< a and not b
  mlir::Value toBits(mlir::Value x);
  mlir::Value fromBits(mlir::Value x);
  mlir::Value widen(mlir::Value x);  ///< f32 to f64
  mlir::Value narrow(mlir::Value x); ///< f64 to f32
  mlir::Value roundToInteger(mlir::Value x);
  mlir::Value magnitude(mlir::Value x);
  mlir::Value withSignOf(mlir::Value x, mlir::Value sign);
  /// (((c0 * x + c1) * x + c2) ...)
  mlir::Value polynomial(mlir::Value x, std::initializer_list<double> coefficients);

  mlir::OpBuilder &builder_;
  mlir::Location loc_;
  bool fma_;
};

} // namespace qkv

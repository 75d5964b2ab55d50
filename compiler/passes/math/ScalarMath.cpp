// What all expansions are written with, and exp, log, expm1, log1p, tanh, erf. (ScalarAngles.cpp
// has sin and cos, ScalarPower.cpp pow.) Their errors stand in the README;
// tests/passes/AccuracyTest.cpp holds them to it.
#include "compiler/passes/math/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace qkv {

using namespace mlir;

Value ScalarMath::number(float value) {
  return arith::ConstantOp::create(builder_, loc_, builder_.getF32FloatAttr(value));
}
Value ScalarMath::number64(double value) {
  return arith::ConstantOp::create(builder_, loc_, builder_.getF64FloatAttr(value));
}
Value ScalarMath::integer(int32_t value) {
  return arith::ConstantOp::create(builder_, loc_, builder_.getI32IntegerAttr(value));
}
// What is constant (the exponent of most powers) is folded as it is written.
Value ScalarMath::add(Value a, Value b) { return builder_.createOrFold<arith::AddFOp>(loc_, a, b); }
Value ScalarMath::subtract(Value a, Value b) {
  return builder_.createOrFold<arith::SubFOp>(loc_, a, b);
}
Value ScalarMath::multiply(Value a, Value b) {
  return builder_.createOrFold<arith::MulFOp>(loc_, a, b);
}
Value ScalarMath::divide(Value a, Value b) {
  return builder_.createOrFold<arith::DivFOp>(loc_, a, b);
}
Value ScalarMath::multiplyAdd(Value a, Value b, Value c) {
  return fma_ ? Value(math::FmaOp::create(builder_, loc_, a, b, c)) : add(multiply(a, b), c);
}
Value ScalarMath::select(Value condition, Value a, Value b) {
  return builder_.createOrFold<arith::SelectOp>(loc_, condition, a, b);
}
Value ScalarMath::less(Value a, Value b) {
  return builder_.createOrFold<arith::CmpFOp>(loc_, arith::CmpFPredicate::OLT, a, b);
}
Value ScalarMath::equal(Value a, Value b) {
  return builder_.createOrFold<arith::CmpFOp>(loc_, arith::CmpFPredicate::OEQ, a, b);
}
Value ScalarMath::either(Value a, Value b) {
  return builder_.createOrFold<arith::OrIOp>(loc_, a, b);
}
Value ScalarMath::butNot(Value a, Value b) {
  return builder_.createOrFold<arith::CmpIOp>(loc_, arith::CmpIPredicate::ugt, a, b);
}
Value ScalarMath::squareRoot(Value x) { return math::SqrtOp::create(builder_, loc_, x); }
Value ScalarMath::toBits(Value x) {
  return builder_.createOrFold<arith::BitcastOp>(loc_, builder_.getI32Type(), x);
}
Value ScalarMath::fromBits(Value x) {
  return builder_.createOrFold<arith::BitcastOp>(loc_, builder_.getF32Type(), x);
}
Value ScalarMath::widen(Value x) {
  return builder_.createOrFold<arith::ExtFOp>(loc_, builder_.getF64Type(), x);
}
Value ScalarMath::narrow(Value x) {
  return builder_.createOrFold<arith::TruncFOp>(loc_, builder_.getF32Type(), x);
}
Value ScalarMath::roundToInteger(Value x) { return math::RoundEvenOp::create(builder_, loc_, x); }
Value ScalarMath::magnitude(Value x) { return builder_.createOrFold<math::AbsFOp>(loc_, x); }
Value ScalarMath::withSignOf(Value x, Value sign) {
  return math::CopySignOp::create(builder_, loc_, x, sign);
}

Value ScalarMath::polynomial(Value x, std::initializer_list<double> coefficients) {
  auto constant = [&](double value) {
    return x.getType().isF32() ? number(value) : number64(value);
  };
  Value sum;
  for (double coefficient : coefficients)
    sum = sum ? multiplyAdd(sum, x, constant(coefficient)) : constant(coefficient);
  return sum;
}

/// exp(x) = 2^n * exp(r), n = round(x / ln 2), r = x - n ln 2 in two parts
Value ScalarMath::exponential(Value x) {
  const float top = 0x1.62e42ep6f;     // the last x with exp(x) finite
  const float bottom = -0x1.5d589ep6f; // the first with exp(x) a normal number
  Value high = number(top), low = number(bottom);
  Value inside = select(less(high, x), high, x);
  inside = select(less(inside, low), low, inside);
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  Value magic = number(0x1.8p23f);
  Value shifted = multiplyAdd(inside, number(0x1.715476p0f), magic);
  Value n = subtract(shifted, magic);
  Value r = multiplyAdd(n, number(-0x1.62e400p-1f), inside);
  r = multiplyAdd(n, number(-0x1.7f7d1cp-20f), r);
  Value p = polynomial(r, {0x1.694000p-10f, 0x1.125edcp-7f, 0x1.555b5ap-5f, 0x1.555450p-3f,
                           0x1.fffff6p-2f, 1.0f, 1.0f});
  Value scaled = fromBits(
      arith::AddIOp::create(builder_, loc_, toBits(p),
                            arith::ShLIOp::create(builder_, loc_, toBits(shifted), integer(23))));
  scaled = select(less(x, low), number(0), scaled);
  // Above, the infinity; and a NaN, whose bits the steps before have changed, as it was.
  Value inRange = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::OLE, x, high);
  return select(inRange, scaled, add(x, number(INFINITY)));
}

/// exp(x) - 1 = 2^n p + (2^n - 1), p = exp(r) - 1, r and n as above. Of n = 0 that is p.
Value ScalarMath::exponentialLess1(Value x) {
  Value high = number(0x1.62e42ep6f); // the last x with exp(x) finite
  Value low = number(-32);            // from there on the result is -1
  Value inside = select(less(high, x), high, x);
  inside = select(less(inside, low), low, inside);
  Value magic = number(0x1.8p23f);
  Value shifted = multiplyAdd(inside, number(0x1.715476p0f), magic);
  Value n = subtract(shifted, magic);
  Value r = multiplyAdd(n, number(-0x1.62e400p-1f), inside);
  r = multiplyAdd(n, number(-0x1.7f7d1cp-20f), r);
  Value p = polynomial(
      r, {0x1.a12652p-13f, 0x1.6d44b2p-10f, 0x1.1110e0p-7f, 0x1.5554e8p-5f, 0x1.555556p-3f, 0.5f});
  p = multiplyAdd(p, multiply(r, r), r);
  // Half of it, since 2^128 is no number.
  Value half = fromBits(arith::AddIOp::create(
      builder_, loc_, arith::ShLIOp::create(builder_, loc_, toBits(shifted), integer(23)),
      integer(0x3f000000)));
  Value far = multiplyAdd(half, p, subtract(half, number(0.5f)));
  Value result = withSignOf(select(equal(n, number(0)), p, add(far, far)), x);
  Value inRange = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::OLE, x, high);
  return select(inRange, result, add(x, number(INFINITY)));
}

Value ScalarMath::exponentBits(Value x) {
  return arith::AndIOp::create(
      builder_, loc_, arith::SubIOp::create(builder_, loc_, toBits(x), integer(0x3f2aaaab)),
      integer(static_cast<int32_t>(0xff800000)));
}

Value ScalarMath::logarithmOfParts(Value n, Value m) {
  Value s = multiply(m, m);
  Value r = polynomial(s, {-0x1.0ae000p-3f, -0x1.f198b2p-4f, -0x1.55b36cp-3f, -0x1.fffe02p-3f});
  Value t = polynomial(s, {0x1.208000p-3f, 0x1.1e5740p-3f, 0x1.99d8b2p-3f});
  r = multiplyAdd(t, m, r);
  r = multiplyAdd(r, m, number(0x1.5554fap-2f));
  r = multiplyAdd(r, m, number(-0.5f));
  r = multiplyAdd(r, s, m);
  return multiplyAdd(n, number(0x1.62e430p-1f), r);
}

/// log(1 + x) = n ln 2 + log(1 + m), 1 + x = 2^n (1 + m), so m = 2^-n x + (2^-n - 1): the sum 1 + x
/// is rounded for n alone.
Value ScalarMath::logarithmOf1Plus(Value x) {
  Value e = exponentBits(add(x, number(1)));
  // (Four times 2^-n, which is a normal number for n = 128 too.)
  Value scale = fromBits(arith::SubIOp::create(builder_, loc_, integer(0x40800000), e));
  Value m = fromBits(arith::SubIOp::create(builder_, loc_, toBits(x), e));
  m = add(m, multiplyAdd(scale, number(0.25f), number(-1)));
  Value n =
      multiply(arith::SIToFPOp::create(builder_, loc_, builder_.getF32Type(), e), number(0x1p-23f));
  Value r = withSignOf(logarithmOfParts(n, m), x);
  // log(0) = -inf, log(inf) = inf, log of less than 0 (and of a NaN) a NaN
  r = select(equal(x, number(-1)), number(-INFINITY), r);
  Value defined = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::OGE, x, number(-1));
  r = select(defined, r, number(NAN));
  return select(equal(x, number(INFINITY)), x, r);
}

/// log(x) = e ln 2 + log1p(m), x = 2^e (1 + m), m in [-1/3, 1/3]
Value ScalarMath::logarithm(Value x) {
  // Below the normal numbers (where they are not flushed) the exponent needs a head start.
  Value tiny = less(x, number(0x1p-126f));
  Value a = select(tiny, multiply(x, number(0x1p23f)), x);
  Value e = exponentBits(a);
  Value m = fromBits(arith::SubIOp::create(builder_, loc_, toBits(a), e));
  Value exponent = arith::SIToFPOp::create(builder_, loc_, builder_.getF32Type(), e);
  exponent = multiplyAdd(exponent, number(0x1p-23f), select(tiny, number(-23), number(0)));
  Value r = logarithmOfParts(exponent, subtract(m, number(1)));
  // log(0) = -inf, log(inf) = inf, log of less than 0 (and of a NaN) a NaN
  r = select(equal(x, number(0)), number(-INFINITY), r);
  Value positive = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::OGE, x, number(0));
  r = select(positive, r, number(NAN));
  return select(equal(x, number(INFINITY)), x, r);
}

/// tanh(x) = 1 - 2 / (exp(2 |x|) + 1) with the sign of x; near 0 an odd polynomial
Value ScalarMath::hyperbolicTangent(Value x) {
  Value t = magnitude(x);
  Value e = exponential(add(t, t));
  Value one = number(1);
  Value far = subtract(one, divide(number(2), add(e, one)));
  far = withSignOf(far, x);
  Value s = multiply(x, x);
  Value p = polynomial(s, {0x1.01ep-6f, -0x1.ac766ap-5f, 0x1.10b23ep-3f, -0x1.5553dap-2f});
  Value near = multiplyAdd(multiply(p, s), x, x);
  return select(less(t, number(0.6f)), near, far);
}

/// erf(x) = 1 - exp(p(|x|)) with the sign of x; near 0 an odd polynomial
Value ScalarMath::errorFunction(Value x) {
  Value t = magnitude(x);
  Value s = multiply(x, x);
  Value r = polynomial(t, {-0x1.220000p-16f, 0x1.91cfb2p-12f});
  Value u = polynomial(t, {-0x1.fd1438p-9f, 0x1.8d6342p-6f});
  r = multiplyAdd(r, s, u);
  r = multiplyAdd(r, t, number(-0x1.b55cb8p-4f));
  r = multiplyAdd(r, t, number(-0x1.450aa0p-1f));
  r = multiplyAdd(r, t, number(-0x1.079d0cp-3f));
  // Beyond 4 the result is 1 to the last bit, and the polynomial is left in its range.
  Value far = multiplyAdd(r, t, subtract(number(0), t));
  far = subtract(number(1), exponential(far));
  far = select(less(number(4), t), number(1), far);
  far = withSignOf(far, x);
  Value p = polynomial(s, {-0x1.38e000p-11f, 0x1.471a58p-8f, -0x1.b691b2p-6f, 0x1.ce1c44p-4f,
                           -0x1.812700p-2f, 0x1.06eba8p-3f});
  Value near = multiplyAdd(p, x, x);
  return select(less(t, number(0.927734375f)), near, far);
}

} // namespace qkv

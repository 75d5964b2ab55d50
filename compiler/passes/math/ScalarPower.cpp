// x^y of f32 as 2^(y * log2|x|), the logarithm and the product in f64: f32 would lose as many
// bits as the exponent has. The cases of IEEE 754 are selections afterwards.
#include "compiler/passes/math/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace qkv {

using namespace mlir;

/// log2(x) = e + f * q(f), x = 2^e (1 + f), f in [-1/3, 1/3]; the error is below 2^-35 of it.
Value ScalarMath::logarithm2(Value x) {
  // Below the normal numbers (where they are not flushed) the exponent needs a head start.
  Value tiny = less(x, number(0x1p-126f));
  Value a = select(tiny, multiply(x, number(0x1p23f)), x);
  Value e = builder_.createOrFold<arith::SubIOp>(loc_, toBits(a), integer(0x3f2aaaab));
  e = builder_.createOrFold<arith::AndIOp>(loc_, e, integer(static_cast<int32_t>(0xff800000)));
  Value m = fromBits(builder_.createOrFold<arith::SubIOp>(loc_, toBits(a), e));
  Value exponent = builder_.createOrFold<arith::SIToFPOp>(loc_, builder_.getF32Type(), e);
  exponent = add(multiply(exponent, number(0x1p-23f)), select(tiny, number(-23), number(0)));
  Value f = widen(subtract(m, number(1)));
  // Even and odd coefficients apart: two short chains instead of a long one.
  Value s = multiply(f, f);
  Value even = polynomial(s, {0x1.42a58809a9772p-3, 0x1.fa1cd75f3a221p-4, 0x1.4981592d586f3p-3,
                              0x1.a60b28dbe5946p-3, 0x1.2776e227a15a2p-2, 0x1.ec709d900fc2fp-2,
                              0x1.71547652bbe3bp+0});
  Value odd = polynomial(s, {-0x1.542f4eb05658cp-3, -0x1.19851f268b26p-3, -0x1.724a754a812adp-3,
                             -0x1.ec687b8a19708p-3, -0x1.715484fae5c43p-2, -0x1.7154764b33882p-1});
  Value value = multiplyAdd(multiplyAdd(odd, f, even), f, widen(exponent));
  value = select(equal(x, number(0)), number64(-INFINITY), value);
  return select(equal(x, number(INFINITY)), number64(INFINITY), value);
}

/// 2^t = 2^n * 2^r, n = round(t), r = t - n
Value ScalarMath::exponential2(Value t) {
  // For n f32 is enough, and its comparisons keep n small for whatever t; r is taken from t.
  Value rough = narrow(t);
  Value high = number(160), low = number(-160);
  rough = select(less(rough, high), rough, high);
  rough = select(less(low, rough), rough, low);
  Value magic = number(0x1.8p23f);
  Value shifted = add(rough, magic);
  Value n = subtract(shifted, magic);
  Value r = narrow(subtract(t, widen(n)));
  Value p = polynomial(r, {0x1.470b4ap-13f, 0x1.5f7276p-10f, 0x1.3b270ep-7f, 0x1.c6ae72p-5f,
                           0x1.ebfbe2p-3f, 0x1.62e432p-1f, 1.0f});
  Value scaled = fromBits(
      arith::AddIOp::create(builder_, loc_, toBits(p),
                            arith::ShLIOp::create(builder_, loc_, toBits(shifted), integer(23))));
  // (1.0 may round up to the infinity by itself, just below 128.)
  scaled = select(less(t, number64(-126)), number(0), scaled);
  return select(less(t, number64(128)), scaled, number(INFINITY));
}

/// From 2^23 on everything is one; below, adding 2^23 rounds to one.
Value ScalarMath::isInteger(Value x) {
  Value a = magnitude(x), big = number(0x1p23f);
  Value rounded = subtract(add(a, big), big);
  return either(less(number(0x1.fffffep22f), a), equal(rounded, a));
}

Value ScalarMath::power(Value x, Value y) {
  Value a = magnitude(x), one = number(1), zero = number(0);
  Value value = exponential2(multiply(widen(y), logarithm2(a)));
  value = select(equal(a, one), one, value); // (-1)^inf: 0 * inf above
  // An odd integer keeps the sign of x; below 0 only integers have a power, but for -inf.
  Value whole = isInteger(y), half = isInteger(multiply(y, number(0.5f)));
  value = select(butNot(whole, half), withSignOf(value, x), value);
  Value none = butNot(butNot(less(x, zero), whole), equal(a, number(INFINITY)));
  Value unordered = builder_.createOrFold<arith::CmpFOp>(loc_, arith::CmpFPredicate::UNO, x, y);
  value = select(either(none, unordered), number(NAN), value);
  return select(either(equal(x, one), equal(y, zero)), one, value);
}

} // namespace qkv

// exp(x) = 2^n * 2^r with n = round(x log2 e) and |r| <= 1/2 (Exponential.h). Below -88 it is 0; of
// NaN it is NaN.
#include "compiler/passes/attention/Exponential.h"

#include "compiler/passes/math/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace qkv {

using namespace mlir;

Value exponentialBelowZero(LaneBuilder &lanes, Location loc, Value x, bool fma) {
  OpBuilder &b = lanes.builder();
  auto splat = [&](float value) {
    return lanes.vector(loc, Lanes(lanes.constant(loc, b.getF32FloatAttr(value))));
  };
  ScalarMath math(b, loc, fma);
  auto sum = [&](Value a, Value c, Value d) { return math.multiplyAdd(a, c, d); };
  Type wide = lanes.lanes() == 1 ? Type(b.getI32Type()) : lanes.vectorOf(b.getI32Type());
  Type floats = x.getType();
  // (A comparison that NaN fails keeps it: a maximum would not.)
  Value least = splat(-88.0f);
  Value below = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, least, x);
  x = arith::SelectOp::create(b, loc, below, least, x);
  // Adding 1.5 * 2^23 + 127 rounds to an integer, which is then, as the exponent of a float is, 127
  // more in the low bits.
  constexpr float log2e = 1.44269504f, log2eRest = 1.92596303e-8f, magic = 12582912.0f + 127;
  Value shifted = sum(x, splat(log2e), splat(magic));
  Value n = arith::SubFOp::create(b, loc, shifted, splat(magic));
  Value r = sum(x, splat(log2e), arith::NegFOp::create(b, loc, n));
  r = sum(x, splat(log2eRest), r);
  // 2^r, 1 at 0; relative error at most 9.2e-8
  Value p = splat(1.32647269e-3f);
  for (float c : {9.67151266e-3f, 5.55073374e-2f, 2.40222421e-1f, 6.93146978e-1f, 1.0f})
    p = sum(p, r, splat(c));
  Value power =
      arith::ShLIOp::create(b, loc, arith::BitcastOp::create(b, loc, wide, shifted),
                            lanes.vector(loc, Lanes(lanes.constant(loc, b.getI32IntegerAttr(23)))));
  return arith::MulFOp::create(b, loc, p, arith::BitcastOp::create(b, loc, floats, power));
}

} // namespace qkv

// sin and cos of f32: the angle's rest and quadrant, then a polynomial of the rest.
//
// Up to `moderate` the rest comes from pi/2 in parts (Cody and Waite): with fused multiply-adds
// in f32, without them in f64, where the first product is exact. Beyond, the fraction of turns
// comes from 1/(2 pi) in pieces so short that a piece times x is exact in f64 (the idea of Payne
// and Hanek): what is a whole number of turns is dropped product by product. That branch is
// taken where some lane needs it.
#include "compiler/passes/math/ScalarMath.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace qkv {

using namespace mlir;

namespace {

/// 1/(2 pi), 29 bits each: for 24 bits of x the product has 53. The last end at 2^-203, so that
/// of 2^128 turns the fraction is right to 2^-75, against 2^-31 for the f32 closest to a zero.
constexpr double turns[] = {0x1.45f306cp-3,   0x1.c9c882ap-31,  0x1.4fe13a8p-61, 0x1.f47d4d3p-88,
                            0x1.dc0db62p-118, 0x1.2b32788p-147, 0x1.c820ffp-177};

/// In f32 x - n * first part must be exact: it is while n has 24 bits; the third part ends
/// below 2^-73, and n times what is left of pi/2 must not be seen.
constexpr float moderate = 0x1p17f;

} // namespace

ScalarMath::Angle ScalarMath::reduceModerateAngle(Value x) {
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  Value magic = number(0x1.8p23f);
  Value shifted = multiplyAdd(x, number(0x1.45f306p-1f), magic);
  Value n = subtract(shifted, magic);
  if (fma_) {
    Value rest = multiplyAdd(n, number(-0x1.921fb6p+0f), x);
    rest = multiplyAdd(n, number(0x1.777a5cp-25f), rest);
    rest = multiplyAdd(n, number(0x1.ee59dap-50f), rest);
    return {rest, toBits(shifted)};
  }
  Value wide = widen(n);
  Value rest = subtract(widen(x), multiply(wide, number64(0x1.921fb544p+0)));
  rest = subtract(rest, multiply(wide, number64(0x1.0b4611a626331p-34)));
  // (A zero keeps its sign.)
  return {select(equal(n, number(0)), x, narrow(rest)), toBits(shifted)};
}

ScalarMath::Angle ScalarMath::reduceLargeAngle(Value x) {
  // Each product's fraction of a turn, exact; an infinity becomes a NaN here.
  Value wide = widen(x), sum;
  llvm::SmallVector<Value> fractions;
  for (double piece : turns) {
    Value product = multiply(wide, number64(piece));
    fractions.push_back(subtract(product, roundToInteger(product)));
    sum = sum ? add(sum, fractions.back()) : fractions.back();
  }
  Value quadrant = roundToInteger(multiply(sum, number64(4)));
  // Once more, less the quadrant from the start: what cancels then cancels without rounding.
  Value rest = multiply(quadrant, number64(-0.25));
  for (Value fraction : fractions)
    rest = add(rest, fraction);
  rest = narrow(multiply(rest, number64(0x1.921fb54442d18p+2)));
  // (An integer beyond the type's range is undefined.)
  quadrant = select(equal(quadrant, quadrant), quadrant, number64(0));
  return {rest, arith::FPToSIOp::create(builder_, loc_, builder_.getI32Type(), quadrant)};
}

ScalarMath::Angle ScalarMath::reduceAngle(Value x) {
  Value large = arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::OGE, magnitude(x),
                                      number(moderate));
  auto branch = scf::IfOp::create(builder_, loc_, TypeRange{x.getType(), builder_.getI32Type()},
                                  large, /*withElseRegion=*/true);
  branch->setAttr(rareAttribute, builder_.getUnitAttr());
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  Angle angle = reduceLargeAngle(x);
  scf::YieldOp::create(builder_, loc_, ValueRange{angle.rest, angle.quadrant});
  builder_.setInsertionPointToStart(branch.elseBlock());
  angle = reduceModerateAngle(x);
  scf::YieldOp::create(builder_, loc_, ValueRange{angle.rest, angle.quadrant});
  return {branch.getResult(0), branch.getResult(1)};
}

/// sin(rest + quadrant * pi/2)
Value ScalarMath::sineOf(const Angle &angle) {
  Value r = angle.rest, s = multiply(r, r);
  Value sine = polynomial(s, {-0x1.993a84p-13f, 0x1.11072p-7f, -0x1.555544p-3f});
  sine = multiplyAdd(multiply(sine, s), r, r);
  Value cosine = polynomial(s, {0x1.99e30ep-16f, -0x1.6c0c16p-10f, 0x1.55554ap-5f, -0.5f, 1.0f});
  auto bit = [&](int32_t number) -> Value {
    return arith::AndIOp::create(builder_, loc_, angle.quadrant, integer(number));
  };
  Value odd = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::ne, bit(1), integer(0));
  Value sign = arith::ShLIOp::create(builder_, loc_, bit(2), integer(30));
  Value value = toBits(select(odd, cosine, sine));
  return fromBits(arith::XOrIOp::create(builder_, loc_, value, sign));
}

Value ScalarMath::sine(Value x) { return sineOf(reduceAngle(x)); }

Value ScalarMath::cosine(Value x) {
  Angle angle = reduceAngle(x);
  angle.quadrant = arith::AddIOp::create(builder_, loc_, angle.quadrant, integer(1));
  return sineOf(angle);
}

} // namespace qkv

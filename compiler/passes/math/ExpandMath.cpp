// In: functions of f32 scalars (exp, log, expm1, log1p, tanh, erf, sin, cos, rsqrt, powers) in
// bodies and around them. Out: arithmetic that has the same form on vectors, as close to the exact
// value as the README says; and sums of products as fused multiply-adds. Must hold: this runs on
// scalars, before vectors exist, so that every lane and every rest of a loop computes the same
// bits. Doubles stay for libm: tables are exact (T3) and made once.
#include "compiler/passes/Passes.h"
#include "compiler/passes/Target.h"
#include "compiler/passes/math/ScalarMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

namespace qkv {
#define GEN_PASS_DEF_EXPANDMATH
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// x ^ y: of a constant y a few multiplications or a root, where that is all.
Value expandPower(ScalarMath &math, Value x, Value exponent) {
  APFloat constant(0.0f);
  if (!matchPattern(exponent, m_ConstantFloat(&constant)))
    return math.power(x, exponent);
  float power = constant.convertToFloat();
  if (power == 0.5f) // pow(-0, 0.5) is 0, pow(-inf, 0.5) is inf; a sum and a comparison see to it
    return math.select(math.equal(x, math.number(-INFINITY)), math.number(INFINITY),
                       math.squareRoot(math.add(x, math.number(0))));
  switch (int whole = static_cast<int>(power); whole == power ? std::abs(whole) : 0) {
  case 1:
    return power > 0 ? x : math.divide(math.number(1), x);
  case 2: {
    Value square = math.multiply(x, x);
    return power > 0 ? square : math.divide(math.number(1), square);
  }
  case 3:
    if (power > 0)
      return math.multiply(math.multiply(x, x), x);
    break;
  case 4:
    if (power > 0) {
      Value square = math.multiply(x, x);
      return math.multiply(square, square);
    }
    break;
  }
  return math.power(x, exponent);
}

Value expand(Operation *op, ScalarMath &math) {
  Value x = op->getOperand(0);
  if (isa<math::ExpOp>(op))
    return math.exponential(x);
  if (isa<math::LogOp>(op))
    return math.logarithm(x);
  if (isa<math::ExpM1Op>(op))
    return math.exponentialLess1(x);
  if (isa<math::Log1pOp>(op))
    return math.logarithmOf1Plus(x);
  if (isa<math::TanhOp>(op))
    return math.hyperbolicTangent(x);
  if (isa<math::ErfOp>(op))
    return math.errorFunction(x);
  if (isa<math::SinOp>(op))
    return math.sine(x);
  if (isa<math::CosOp>(op))
    return math.cosine(x);
  if (isa<math::RsqrtOp>(op))
    return math.divide(math.number(1), math.squareRoot(x));
  if (auto power = dyn_cast<math::PowFOp>(op))
    return expandPower(math, x, power.getRhs());
  return {};
}

/// out + a * b in a reduction, both of which may be contracted, where nothing else wants the
/// product. (One that was another equation's element is rounded, as if it had been stored.)
bool isSumOfProducts(arith::AddFOp sum, Value &a, Value &b, Value &out) {
  auto contracts = [](arith::FastMathFlags flags) {
    return bitEnumContainsAny(flags, arith::FastMathFlags::contract);
  };
  if (!contracts(sum.getFastmath()))
    return false;
  auto kernel = dyn_cast<linalg::GenericOp>(sum->getParentOp());
  if (!kernel)
    return false;
  for (int side = 0; side < 2; ++side) {
    out = sum->getOperand(side);
    auto argument = dyn_cast<BlockArgument>(out);
    auto product = sum->getOperand(1 - side).getDefiningOp<arith::MulFOp>();
    if (!argument || argument.getOwner() != kernel.getBody() ||
        argument.getArgNumber() < kernel.getNumDpsInputs() || !product || !product->hasOneUse() ||
        !contracts(product.getFastmath()))
      continue;
    a = product.getLhs();
    b = product.getRhs();
    return true;
  }
  return false;
}

struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  using ExpandMathBase::ExpandMathBase;

  void runOnOperation() override {
    bool fma = describeTarget(cpu).fma;
    SmallVector<Operation *> functions;
    SmallVector<arith::AddFOp> sums;
    getOperation().walk([&](Operation *op) {
      if (isa_and_nonnull<math::MathDialect>(op->getDialect()) && op->getNumResults() == 1 &&
          op->getResult(0).getType().isF32())
        functions.push_back(op);
      else if (auto sum = dyn_cast<arith::AddFOp>(op))
        sums.push_back(sum);
    });
    for (Operation *op : functions) {
      OpBuilder builder(op);
      ScalarMath math(builder, op->getLoc(), fma);
      if (Value value = expand(op, math)) {
        op->replaceAllUsesWith(ValueRange{value});
        op->erase();
      }
    }
    for (arith::AddFOp sum : sums) {
      if (!fma)
        break;
      Value a, b, out;
      if (!isSumOfProducts(sum, a, b, out))
        continue;
      OpBuilder builder(sum);
      Operation *product = (sum.getLhs() == out ? sum.getRhs() : sum.getLhs()).getDefiningOp();
      Value fused = math::FmaOp::create(builder, sum.getLoc(), a, b, out);
      sum->replaceAllUsesWith(ValueRange{fused});
      sum.erase();
      product->erase();
    }
    // The order of operations is ours from here on.
    getOperation().walk([](arith::ArithFastMathInterface op) {
      op->setAttr(op.getFastMathAttrName(),
                  arith::FastMathFlagsAttr::get(op->getContext(), arith::FastMathFlags::none));
    });
  }
};

} // namespace
} // namespace qkv

// Extents as code. Holds: no division traps, whatever the sizes are.
#include "compiler/description/ExtentCode.h"

namespace qkv {
namespace {

using llvm::Value;
using Kind = Extent::Step::Kind;

/// floor(a / b) and a - b * floor(a / b); 0 where b is 0.
Value *divide(llvm::IRBuilder<> &builder, Kind kind, Value *a, Value *b) {
  Value *zero = builder.getInt64(0), *one = builder.getInt64(1);
  Value *isZero = builder.CreateICmpEQ(b, zero);
  // -2^63 / -1 would trap.
  Value *isMinusOne = builder.CreateICmpEQ(b, builder.getInt64(-1));
  Value *safe = builder.CreateSelect(builder.CreateOr(isZero, isMinusOne), one, b);
  Value *rest = builder.CreateSRem(a, safe);
  Value *adjust = builder.CreateAnd(builder.CreateICmpNE(rest, zero),
                                    builder.CreateICmpSLT(builder.CreateXor(rest, safe), zero));
  if (kind == Kind::Mod) {
    Value *mod = builder.CreateAdd(rest, builder.CreateSelect(adjust, safe, zero));
    return builder.CreateSelect(builder.CreateOr(isZero, isMinusOne), zero, mod);
  }
  Value *quotient = builder.CreateSub(builder.CreateSDiv(a, safe),
                                      builder.CreateZExt(adjust, builder.getInt64Ty()));
  quotient = builder.CreateSelect(isMinusOne, builder.CreateNeg(a), quotient);
  return builder.CreateSelect(isZero, zero, quotient);
}

} // namespace

Value *emit(llvm::IRBuilder<> &builder, const Extent &extent, const std::vector<Value *> &sizes) {
  std::vector<Value *> stack;
  for (const Extent::Step &step : extent.steps()) {
    if (step.kind == Kind::Number || step.kind == Kind::Size) {
      stack.push_back(step.kind == Kind::Number ? builder.getInt64(step.number)
                                                : sizes[step.number]);
      continue;
    }
    Value *b = stack.back();
    stack.pop_back();
    Value *&a = stack.back();
    if (step.kind == Kind::Add)
      a = builder.CreateAdd(a, b);
    else if (step.kind == Kind::Sub)
      a = builder.CreateSub(a, b);
    else if (step.kind == Kind::Mul)
      a = builder.CreateMul(a, b);
    else if (step.kind == Kind::Max)
      a = builder.CreateSelect(builder.CreateICmpSGT(a, b), a, b);
    else if (step.kind == Kind::Min)
      a = builder.CreateSelect(builder.CreateICmpSLT(a, b), a, b);
    else
      a = divide(builder, step.kind, a, b);
  }
  return stack.back();
}

} // namespace qkv

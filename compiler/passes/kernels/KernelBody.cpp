// What a body depends on, decides how it is vectorised; EvaluateBody.cpp writes it.
// In: a linalg.generic on buffers. Out: for each value the letters it depends on, for each read
// how its place moves with a letter, and whether the body has a form on vectors.
#include "compiler/passes/kernels/KernelBody.h"

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/kernels/LaneBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

namespace qkv {

using namespace mlir;

namespace {

/// Whether an operation of a body may depend on the lanes. (What does not is cloned as it is.)
bool hasVectorForm(Operation &op) {
  if (isa<linalg::IndexOp, linalg::YieldOp, memref::LoadOp, scf::YieldOp, CheckOp>(op) ||
      op.hasTrait<OpTrait::ConstantLike>()) // (in a branch that depends on them)
    return true;
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return llvm::all_of(branch->getRegions(), [](Region &region) {
      return region.empty() || llvm::all_of(region.front(), hasVectorForm);
    });
  return op.getNumResults() == 1 && op.getNumRegions() == 0 &&
         op.hasTrait<OpTrait::Vectorizable>() && !isa<VectorType>(op.getResult(0).getType());
}

Letters lettersOf(AffineExpr expression, unsigned count) {
  Letters out = 0;
  for (unsigned letter = 0; letter < count; ++letter)
    if (expression.isFunctionOfDim(letter))
      out |= Letters(1) << letter;
  return out;
}

/// The change of an affine expression from one position of `letter` to the next, in a vector
/// that begins at a multiple of `lanes`.
std::optional<int64_t> stepOf(AffineExpr expression, int letter, int64_t lanes) {
  if (!expression.isFunctionOfDim(letter))
    return 0;
  if (isa<AffineDimExpr>(expression))
    return 1;
  auto binary = cast<AffineBinaryOpExpr>(expression);
  if (auto width = dyn_cast<AffineConstantExpr>(binary.getRHS());
      width && isa<AffineDimExpr>(binary.getLHS()) && width.getValue() % lanes == 0) {
    if (expression.getKind() == AffineExprKind::FloorDiv)
      return 0;
    if (expression.getKind() == AffineExprKind::Mod)
      return 1;
  }
  std::optional<int64_t> a = stepOf(binary.getLHS(), letter, lanes);
  std::optional<int64_t> b = stepOf(binary.getRHS(), letter, lanes);
  if (!a || !b)
    return std::nullopt;
  if (expression.getKind() == AffineExprKind::Add)
    return *a + *b;
  if (auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
      factor && expression.getKind() == AffineExprKind::Mul)
    return *a * factor.getValue();
  return std::nullopt;
}

} // namespace

KernelBody::KernelBody(linalg::GenericOp op, int64_t lanes) : op_(op), lanes_(lanes) {
  unsigned count = op.getNumLoops();
  if (auto batch = op->getAttrOfType<IntegerAttr>(batchAttribute);
      batch && op.getNumReductionLoops())
    apart_ = Letters(1) << batch.getInt();
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    Letters letters = 0;
    for (AffineExpr expression : map.getResults())
      letters |= lettersOf(expression, count);
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (op.isDpsInit(&operand)) {
      // An output's element changes with every letter: a reduction's too.
      letters_[argument] = argument.use_empty() ? 0 : (Letters(1) << count) - 1;
      continue;
    }
    letters_[argument] = letters;
    if (isa<MemRefType>(operand.get().getType()) && !argument.use_empty())
      reads_.push_back({operand.get(), letters, map, {}});
  }
  analyse(*op.getBody(), 0);
  findFactors();
}

void KernelBody::findFactors() {
  linalg::GenericOp op = op_;
  if (op.getNumReductionLoops() == 0)
    return;
  // Outputs that are sums: then a term that is no number shows in them.
  for (BlockArgument out : op.getRegionOutputArgs())
    if (!out.hasOneUse() || !isa<arith::AddFOp, math::FmaOp>(*out.getUsers().begin()))
      return;
  for (auto select : op.getBody()->getOps<arith::SelectOp>()) {
    auto none = select.getCondition().getDefiningOp<arith::CmpFOp>();
    if (!none || none.getPredicate() != arith::CmpFPredicate::OEQ ||
        !matchPattern(none.getRhs(), m_AnyZeroFloat()) ||
        !matchPattern(select.getTrueValue(), m_AnyZeroFloat()))
      continue;
    // (The other factor may be kept from this one in turn.)
    auto isOther = [&](Value factor) {
      auto apart = factor.getDefiningOp<arith::SelectOp>();
      return factor == none.getLhs() || (apart && apart.getFalseValue() == none.getLhs());
    };
    bool multiplies = llvm::all_of(select->getUsers(), [&](Operation *user) {
      if (!isa<arith::MulFOp, math::FmaOp>(user))
        return isa<arith::CmpFOp>(user);
      Value a = user->getOperand(0), b = user->getOperand(1);
      return (a == select && isOther(b)) || (b == select && isOther(a));
    });
    if (multiplies)
      factorsApart_.insert(select);
  }
}

Letters KernelBody::letters(Value value) const { return letters_.lookup(value); }

void KernelBody::analyse(Block &block, Letters control) {
  for (Operation &op : block) {
    Letters needs = control;
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      needs |= Letters(1) << index.getDim();
    for (Value operand : op.getOperands())
      needs |= letters_.lookup(operand);
    Letters inside = needs;
    for (Region &region : op.getRegions())
      for (Block &nested : region) {
        for (BlockArgument argument : nested.getArguments())
          letters_[argument] = needs; // a loop's variables: they vary as its bounds do
        analyse(nested, needs);
        for (Operation &innermost : nested)
          inside |= needs_.lookup(&innermost);
      }
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      Letters place = 0;
      for (Value index : load.getIndices())
        place |= letters_.lookup(index);
      reads_.push_back(
          {load.getMemRef(), place, AffineMap(), llvm::SmallVector<Value>(load.getIndices())});
    }
    needs_[&op] = inside;
    for (Value result : op.getResults())
      letters_[result] = inside;
    vectorizes_ &= (inside & ~apart_) == 0 || hasVectorForm(op);
  }
}

std::optional<int64_t> KernelBody::step(Value value, int letter) const {
  if (!(letters(value) >> letter & 1))
    return 0;
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (isa<linalg::IndexOp>(op))
    return 1;
  if (isa<arith::IndexCastOp>(op))
    return step(op->getOperand(0), letter);
  APInt width;
  if (isa<arith::DivUIOp, arith::RemUIOp>(op) &&
      op->getOperand(0).getDefiningOp<linalg::IndexOp>() &&
      matchPattern(op->getOperand(1), m_ConstantInt(&width)) && width.getSExtValue() % lanes_ == 0)
    return isa<arith::DivUIOp>(op) ? 0 : 1;
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op))
    return std::nullopt;
  std::optional<int64_t> a = step(op->getOperand(0), letter), b = step(op->getOperand(1), letter);
  if (!a || !b)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return *a + *b;
  if (isa<arith::SubIOp>(op))
    return *a - *b;
  APInt factor;
  if (*b == 0 && matchPattern(op->getOperand(1), m_ConstantInt(&factor)))
    return *a * factor.getSExtValue();
  if (*a == 0 && matchPattern(op->getOperand(0), m_ConstantInt(&factor)))
    return *b * factor.getSExtValue();
  return std::nullopt;
}

llvm::SmallVector<int64_t> KernelBody::turns(int letter) const {
  // value = letter + offset
  auto offsetOf = [&](Value value) -> std::optional<int64_t> {
    int64_t offset = 0;
    while (Operation *op = value.getDefiningOp()) {
      if (auto index = dyn_cast<linalg::IndexOp>(op))
        return static_cast<int>(index.getDim()) == letter ? std::optional(offset) : std::nullopt;
      std::optional<int64_t> by =
          isa<arith::AddIOp, arith::SubIOp>(op) ? constantOf(op->getOperand(1)) : std::nullopt;
      if (by)
        offset += isa<arith::AddIOp>(op) ? *by : -*by;
      else if (!isa<arith::IndexCastOp>(op))
        return std::nullopt;
      value = op->getOperand(0);
    }
    return std::nullopt;
  };
  llvm::SmallVector<int64_t> out;
  linalg::GenericOp op = op_;
  op.getBody()->walk([&](arith::CmpIOp comparison) {
    using P = arith::CmpIPredicate;
    Value value = comparison.getLhs(), other = comparison.getRhs();
    P predicate = comparison.getPredicate();
    bool swapped = matchPattern(value, m_Constant());
    if (swapped)
      std::swap(value, other);
    std::optional<int64_t> offset = offsetOf(value), constant = constantOf(other);
    if (!offset || !constant)
      return;
    // letter + offset < constant, or <= of it, or their contraries; > is a contrary of <=.
    bool behind = llvm::is_contained({P::sle, P::ule, P::sgt, P::ugt}, predicate) != swapped;
    if (predicate != P::eq && predicate != P::ne)
      out.push_back(*constant - *offset + behind);
  });
  return out;
}

llvm::SmallVector<std::optional<int64_t>> KernelBody::Access::steps(const KernelBody &body,
                                                                    int letter) const {
  llvm::SmallVector<std::optional<int64_t>> out;
  if (map)
    for (AffineExpr expression : map.getResults())
      out.push_back(stepOf(expression, letter, body.lanes_));
  else
    for (Value index : indices)
      out.push_back(body.step(index, letter));
  return out;
}

KernelBody::Access KernelBody::output(int number) const {
  linalg::GenericOp op = op_;
  OpOperand *operand = op.getDpsInitOperand(number);
  AffineMap map = op.getMatchingIndexingMap(operand);
  Letters letters = 0;
  for (AffineExpr expression : map.getResults())
    letters |= lettersOf(expression, op.getNumLoops());
  return {operand->get(), letters, map, {}};
}

} // namespace qkv

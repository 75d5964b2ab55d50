// The qkv dialect: registration and what its operations and attributes must satisfy.
#include "compiler/dialect/QkvDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Matchers.h"

#include "compiler/dialect/QkvDialect.cpp.inc"

#define GET_OP_CLASSES
#include "compiler/dialect/QkvOps.cpp.inc"

namespace qkv {

void QkvDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "compiler/dialect/QkvOps.cpp.inc"
      >();
}

mlir::LogicalResult QkvDialect::verifyOperationAttribute(mlir::Operation *op,
                                                         mlir::NamedAttribute attribute) {
  llvm::StringRef name = attribute.getName();
  if (name == grainAttribute || name == batchAttribute || name == mostRowsAttribute) {
    if (!llvm::isa<mlir::IntegerAttr>(attribute.getValue()))
      return op->emitOpError("expects an integer for ") << name;
    return mlir::success();
  }
  bool unit = name == entryAttribute || name == rareAttribute || name == sharedAttribute ||
              name == sequenceAttribute;
  bool ofModule = name == descriptionAttribute || name == stageAttribute;
  if (!unit && !ofModule && name != repeatAttribute && name != equationAttribute &&
      name != equationsAttribute && name != whyAttribute)
    return op->emitOpError("has an attribute that the qkv dialect does not know: ") << name;
  if (unit && !llvm::isa<mlir::UnitAttr>(attribute.getValue()))
    return op->emitOpError() << name << " must be a unit attribute";
  if (!unit && !llvm::isa<mlir::StringAttr>(attribute.getValue()))
    return op->emitOpError() << name << " must be a string";
  if (ofModule && !llvm::isa<mlir::ModuleOp>(op))
    return op->emitOpError() << name << " stands on the module alone";
  return mlir::success();
}

mlir::LogicalResult CheckOp::verify() {
  if (getSite() < 0)
    return emitOpError("site is a number from 0, found ") << getSite();
  if (getKind() != 0 && getKind() != 1)
    return emitOpError("kind is 0 (index) or 1 (divisor), found ") << getKind();
  return mlir::success();
}

mlir::LogicalResult MemoryOp::verify() {
  auto type = llvm::dyn_cast<mlir::MemRefType>(getBuffer().getType());
  if (!type || !type.getLayout().isIdentity())
    return emitOpError("makes a buffer in row-major order");
  if (static_cast<size_t>(type.getNumDynamicDims()) != getSizes().size())
    return emitOpError("expects ") << type.getNumDynamicDims() << " extents";
  return mlir::success();
}

void AttentionOp::getEffects(
    llvm::SmallVectorImpl<mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>>
        &effects) {
  for (mlir::OpOperand &operand : getValuesMutable())
    if (llvm::isa<mlir::MemRefType>(operand.get().getType()))
      effects.emplace_back(mlir::MemoryEffects::Read::get(), &operand);
  for (mlir::OpOperand &operand : getOutputsMutable())
    if (llvm::isa<mlir::MemRefType>(operand.get().getType())) {
      effects.emplace_back(mlir::MemoryEffects::Read::get(), &operand); // sums so far
      effects.emplace_back(mlir::MemoryEffects::Write::get(), &operand);
    }
}

ScoreOp AttentionOp::score() { return llvm::cast<ScoreOp>(getBody().front().back()); }

mlir::Value AttentionOp::factor(unsigned value) {
  mlir::ValueRange factors = score().getFactors();
  if (factors.empty() || mlir::matchPattern(factors[value], mlir::m_OneFloat()))
    return {};
  return factors[value];
}

mlir::Value AttentionOp::place(unsigned value) {
  mlir::ValueRange places = score().getPlaces();
  return places.empty() ? key() : places[value];
}

/// Indices alone, `count` of them.
static bool takesIndices(mlir::Block &block, size_t count) {
  return block.getNumArguments() == count &&
         llvm::all_of(block.getArgumentTypes(), [](mlir::Type t) { return t.isIndex(); });
}

mlir::LogicalResult AttentionOp::verifyRegions() {
  size_t outer = getOuter().size();
  mlir::Block &block = getBody().front();
  if (!takesIndices(block, outer + 6))
    return emitOpError("the body takes an index for each outer letter, the row's, the key's, and "
                       "the bounds of a tile");
  if (block.empty() || !llvm::isa<ScoreOp>(block.back()))
    return emitOpError("the body ends with qkv.score");
  size_t values = getValues().size(), outputs = getOutputs().size();
  if (outputs == 0 || (outputs != values && outputs != values + 1) ||
      getValueMaps().size() != values || getOutputMaps().size() != outputs)
    return emitOpError("an output a value and at most one more, with a map each");
  if (getPlain() && !score().getFactors().empty())
    return emitOpError("plain weights are multiplied by their factors in the body");
  for (size_t count : {score().getFactors().size(), score().getPlaces().size()})
    if (count != 0 && count != values)
      return emitOpError("a factor and a place for each value, or for none");
  auto rank = [](mlir::Value v) { return llvm::cast<mlir::ShapedType>(v.getType()).getRank(); };
  if (hasTotal()) {
    mlir::AffineMap to = outputMap(values);
    if (to.getNumDims() != outer + 1 || to.getNumResults() != rank(getOutputs().back()) ||
        !to.isProjectedPermutation())
      return emitOpError("the map of log_sum is a projected permutation of (outer..., row)");
  }
  for (auto [number, value] : llvm::enumerate(getValues())) {
    mlir::AffineMap from = valueMap(number), to = outputMap(number);
    if (from.getNumDims() != to.getNumDims() || from.getNumDims() < outer + 2 ||
        from.getNumResults() != rank(value) || to.getNumResults() != rank(getOutputs()[number]) ||
        !from.isProjectedPermutation() || !to.isProjectedPermutation())
      return emitOpError("the maps of value ")
             << number << " are projected permutations of (outer..., key or row, value...)";
    mlir::AffineExpr last = mlir::getAffineDimExpr(from.getNumDims() - 1, getContext());
    if (from.getResults().back() != last || to.getResults().back() != last)
      return emitOpError("the last index of value ")
             << number << " and its output is its last letter";
  }
  return mlir::success();
}

mlir::LogicalResult ReduceOp::verifyRegions() {
  if (!llvm::is_contained({"sum", "max", "min", "prod"}, getKind()))
    return emitOpError("expects sum, max, min or prod, found ") << getKind();
  mlir::Block &block = getBody().front();
  if (!takesIndices(block, getExtents().size()))
    return emitOpError("the body takes an index for each extent");
  if (block.empty() || !llvm::isa<YieldOp>(block.back()))
    return emitOpError("the body ends with qkv.yield");
  return mlir::success();
}

} // namespace qkv

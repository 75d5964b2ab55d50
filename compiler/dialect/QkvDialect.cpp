// The qkv dialect: registration and what its operations and attributes must satisfy.
#include "compiler/dialect/QkvDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

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
  if (name == grainAttribute) {
    if (!llvm::isa<mlir::IntegerAttr>(attribute.getValue()))
      return op->emitOpError("expects an integer for ") << name;
    return mlir::success();
  }
  bool unit = name == entryAttribute;
  bool ofModule = name == descriptionAttribute || name == stageAttribute;
  if (!unit && !ofModule && name != repeatAttribute && name != equationAttribute)
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

mlir::LogicalResult AttentionOp::verifyRegions() {
  auto shape = [](mlir::Value v) { return llvm::cast<mlir::MemRefType>(v.getType()).getShape(); };
  auto differ = [](int64_t a, int64_t b) {
    return !mlir::ShapedType::isDynamic(a) && !mlir::ShapedType::isDynamic(b) && a != b;
  };
  auto queries = shape(getQueries()), keys = shape(getKeys()), values = shape(getValues()),
       results = shape(getResults());
  if (differ(queries[1], keys[1]))
    return emitOpError("queries have ") << queries[1] << " values, keys " << keys[1];
  if (differ(keys[2], blockSize) || differ(values[1], blockSize))
    return emitOpError("keys and values stand in blocks of ") << blockSize << " positions";
  if (differ(keys[0], values[0]))
    return emitOpError("there are ") << keys[0] << " blocks of keys, " << values[0] << " of values";
  if (differ(results[1], values[2]))
    return emitOpError("results have ") << results[1] << " values, values " << values[2];
  if (differ(results[0], queries[0]))
    return emitOpError("there are ")
           << queries[0] << " rows of queries, " << results[0] << " of results";
  mlir::Block &block = getBody().front();
  mlir::Builder builder(getContext());
  if (llvm::to_vector(block.getArgumentTypes()) !=
      llvm::SmallVector<mlir::Type>{builder.getF32Type(), builder.getIndexType(),
                                    builder.getIndexType()})
    return emitOpError("the body takes a dot product (f32), the query's and the key's position");
  if (block.empty() || !llvm::isa<ScoreOp>(block.back()))
    return emitOpError("the body ends with qkv.score");
  return mlir::success();
}

} // namespace qkv

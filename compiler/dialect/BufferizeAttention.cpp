// qkv.attention on tensors becomes qkv.attention on buffers.
//
// In: values and outputs as tensors. Out: the same operation with their buffers and without
// results; each output is written in the place of its tensor. What is read in the body
// (tensor.extract) is bufferized by itself.
#include "compiler/dialect/Bufferize.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

namespace qkv {

using namespace mlir;
using namespace mlir::bufferization;

namespace {

struct AttentionModel : DstBufferizableOpInterfaceExternalModel<AttentionModel, AttentionOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return !cast<AttentionOp>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options, BufferizationState &state) const {
    auto attention = cast<AttentionOp>(op);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> operands, outputs;
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      if (isa<TensorType>(value.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, value, options, state);
        if (failed(buffer))
          return failure();
        value = *buffer;
      }
      operands.push_back(value);
      if (attention.isDpsInit(&operand))
        outputs.push_back(value);
    }
    OperationState made(op->getLoc(), op->getName(), operands, TypeRange(), op->getAttrs());
    made.propertiesAttr = op->getPropertiesAsAttribute();
    made.addRegion();
    Operation *onBuffers = rewriter.create(made);
    rewriter.inlineRegionBefore(op->getRegion(0), onBuffers->getRegion(0),
                                onBuffers->getRegion(0).end());
    replaceOpWithBufferizedValues(rewriter, op, outputs);
    return success();
  }
};

} // namespace

void registerBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, QkvDialect *) {
    AttentionOp::attachInterface<AttentionModel>(*context);
  });
}

} // namespace qkv

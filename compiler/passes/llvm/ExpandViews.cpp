// In: loops on memref and vector, functions already outlined.
// Out: views are a base, an offset, sizes and strides, computed by affine maps; vectors have one
// dimension, masks are comparisons.
// Must hold: only names of places change, never the order in which numbers are added.
//
// One sweep for what are three passes of MLIR's, each of which would also simplify the control
// flow, of which there is nothing to simplify: loops are still loops.
#include "compiler/passes/Passes.h"

#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace qkv {
#define GEN_PASS_DEF_EXPANDVIEWS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

struct ExpandViews : impl::ExpandViewsBase<ExpandViews> {
  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet patterns(context);
    memref::populateExpandStridedMetadataPatterns(patterns);
    populateVectorToSCFConversionPatterns(patterns,
                                          VectorTransferToSCFOptions().enableFullUnroll());
    vector::populateVectorBroadcastLoweringPatterns(patterns);
    vector::populateVectorMaskOpLoweringPatterns(patterns);
    vector::populateVectorMaskMaterializationPatterns(patterns,
                                                      /*force32BitVectorIndices=*/false);
    vector::populateVectorInsertExtractStridedSliceTransforms(patterns);
    vector::populateVectorShapeCastLoweringPatterns(patterns);
    vector::populateVectorTransferLoweringPatterns(patterns);
    patterns_ = std::move(patterns);
    return success();
  }

  void runOnOperation() override {
    GreedyRewriteConfig config;
    config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    if (failed(applyPatternsGreedily(getOperation(), patterns_, config)))
      signalPassFailure();
  }

private:
  FrozenRewritePatternSet patterns_;
};

} // namespace
} // namespace qkv

// In: chains of linalg.generic on tensors that pass through values over two sequence letters (two
// dimensions that only the run knows): scores and weights that are not fused. Out: a loop over
// blocks of 64 rows around each chain, so that a block alone of such a value exists at a time.
//
// A chain ends where such a value is summed up. What must hold: every operation of the chain
// computes rows from the same rows (no reduction over them, no transposed read), and nothing
// else reads it: then each row is computed once, as it was before.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"

namespace qkv {
#define GEN_PASS_DEF_BLOCKROWS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

constexpr int64_t blockRows = 64;

bool isWide(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && llvm::count_if(type.getShape(), ShapedType::isDynamic) >= 2;
}

/// The operations between values that are read whole and a root that sums up rows.
class Chain {
public:
  explicit Chain(linalg::GenericOp root) : root_(root) {}

  /// Finds the letter of the root that runs over rows, or nothing.
  std::optional<unsigned> rowLetter() {
    for (auto [letter, kind] : llvm::enumerate(root_.getIteratorTypesArray()))
      if (kind == utils::IteratorType::parallel && follows(letter))
        return letter;
    return std::nullopt;
  }
  /// Whether the chain computes positions of `letter` from the same positions, too (heads that do
  /// not mix).
  bool isApart(unsigned letter) const {
    Chain other(root_);
    linalg::GenericOp root = root_;
    return root.getIteratorTypesArray()[letter] == utils::IteratorType::parallel &&
           other.follows(letter, /*rows=*/false) && other.members_.size() == members_.size();
  }
  /// Whether every wide value of the chain has the letter: the values' own have not.
  static bool isOuter(linalg::GenericOp root, unsigned letter) {
    return llvm::all_of(root.getDpsInputOperands(), [&](OpOperand *operand) {
      return !isWide(operand->get()) || axisOf(root.getMatchingIndexingMap(operand), letter);
    });
  }
  bool contains(Operation *op) const { return members_.contains(op); }
  ArrayRef<Operation *> members() const { return members_.getArrayRef(); }

private:
  /// Where in a value a letter's positions are.
  static std::optional<unsigned> axisOf(AffineMap map, unsigned letter) {
    for (auto [at, e] : llvm::enumerate(map.getResults()))
      if (auto d = dyn_cast<AffineDimExpr>(e); d && d.getPosition() == letter)
        return at;
    return std::nullopt;
  }

  /// Whether a value comes of a wide one (or is one), computed here.
  bool isOfChain(Value value) {
    auto generic = value.getDefiningOp<linalg::GenericOp>();
    if (!generic || generic->getBlock() != root_->getBlock() || generic.getNumDpsInits() != 1)
      return false;
    auto [at, fresh] = ofChain_.try_emplace(generic, isWide(value));
    if (fresh && !at->second) {
      bool any = llvm::any_of(generic.getDpsInputs(), [&](Value v) { return isOfChain(v); });
      return ofChain_[generic] = any;
    }
    return ofChain_[generic];
  }

  bool follows(unsigned letter, bool rows = true) {
    members_.clear();
    rows_.clear();
    bool wide = false;
    SmallVector<std::pair<linalg::GenericOp, unsigned>> work{{root_, letter}};
    while (!work.empty()) {
      auto [op, row] = work.pop_back_val();
      for (OpOperand *operand : op.getDpsInputOperands()) {
        Value value = operand->get();
        if (!isOfChain(value))
          continue;
        wide = wide || isWide(value);
        auto axis = axisOf(op.getMatchingIndexingMap(operand), row);
        if (!axis || (rows && !cast<RankedTensorType>(value.getType()).isDynamicDim(*axis)))
          return false;
        auto producer = value.getDefiningOp<linalg::GenericOp>();
        auto [known, fresh] = rows_.try_emplace(producer, *axis);
        if (known->second != *axis)
          return false;
        if (!fresh)
          continue;
        members_.insert(producer);
        AffineExpr made = producer.getIndexingMapsArray().back().getResult(*axis);
        auto dim = dyn_cast<AffineDimExpr>(made);
        if (!dim)
          return false;
        work.push_back({producer, dim.getPosition()});
      }
    }
    if (!wide)
      return false;
    for (Operation *member : members_) // as an operand of the chain, and nowhere else
      for (OpOperand &use : member->getUses()) {
        auto user = dyn_cast<linalg::GenericOp>(use.getOwner());
        if (!user || (user != root_ && !members_.contains(user)) || user.isDpsInit(&use))
          return false;
      }
    return true;
  }

  linalg::GenericOp root_;
  llvm::SetVector<Operation *> members_;
  llvm::DenseMap<Operation *, unsigned> rows_; ///< the axis of rows of what each makes
  llvm::DenseMap<Operation *, bool> ofChain_;
};

struct BlockRows : impl::BlockRowsBase<BlockRows> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> roots;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op.getNumDpsInits() == 1 && op.getNumResults() == 1 && !isWide(op.getResult(0)) &&
          llvm::any_of(op.getDpsInputs(), isWide))
        roots.push_back(op);
    });
    // The last first: an earlier sum may be part of a later chain.
    llvm::DenseSet<Operation *> gone;
    for (linalg::GenericOp root : llvm::reverse(roots)) {
      if (gone.contains(root))
        continue;
      Chain chain(root);
      if (std::optional<unsigned> letter = chain.rowLetter())
        block(root, *letter, chain, gone);
    }
  }

  void block(linalg::GenericOp root, unsigned letter, const Chain &chain,
             llvm::DenseSet<Operation *> &gone) {
    IRRewriter rewriter(&getContext());
    SmallVector<OpFoldResult> sizes(root.getNumLoops(), rewriter.getIndexAttr(0));
    sizes[letter] = rewriter.getIndexAttr(blockRows);
    // Heads one by one: what a block holds stays in cache.
    for (unsigned other = 0; other < sizes.size(); ++other)
      if (other != letter && chain.isOuter(root, other) && chain.isApart(other))
        sizes[other] = rewriter.getIndexAttr(1);
    scf::SCFTileAndFuseOptions options;
    options.setTilingOptions(scf::SCFTilingOptions().setTileSizes(sizes));
    options.setFusionControlFn(
        [&](tensor::ExtractSliceOp, OpResult producer,
            bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
          // (What sums start from is filled by blocks, too.)
          if (chain.contains(producer.getOwner()) || isa<linalg::FillOp>(producer.getOwner()))
            return scf::SCFTileAndFuseOptions::ControlFnResult{};
          return std::nullopt;
        });
    rewriter.setInsertionPoint(root);
    auto tiled = scf::tileConsumerAndFuseProducersUsingSCF(
        rewriter, cast<TilingInterface>(root.getOperation()), options);
    if (failed(tiled))
      return;
    // One kernel has one reason: why its softmax is not fused, where it has one.
    StringRef reason = "not fused";
    for (Operation *op : tiled->tiledAndFusedOps)
      if (auto why = op->getAttrOfType<StringAttr>(whyAttribute))
        reason = why.getValue();
    StringAttr why = rewriter.getStringAttr(reason + "; by blocks of 64 rows");
    for (Operation *op : tiled->tiledAndFusedOps)
      if (isa<linalg::GenericOp>(op))
        op->setAttr(whyAttribute, why);
    rewriter.replaceAllUsesWith(root.getResult(0), tiled->replacements[root.getResult(0)]);
    for (LoopLikeOpInterface loop : tiled->loops)
      loop->walk([&](tensor::ExtractSliceOp slice) { // of nothing: a block is enough
        if (!slice.getSource().getDefiningOp<tensor::EmptyOp>())
          return;
        rewriter.setInsertionPoint(slice);
        SmallVector<OpFoldResult> sizes;
        for (auto [at, size] : llvm::enumerate(slice.getMixedSizes()))
          if (!slice.getDroppedDims()[at])
            sizes.push_back(size);
        rewriter.replaceOpWithNewOp<tensor::EmptyOp>(slice, sizes,
                                                     slice.getType().getElementType());
      });
    SmallVector<Operation *> dead{root};
    dead.append(chain.members().begin(), chain.members().end());
    tidy(rewriter);
    // What two operations of the chain read was written for each of them.
    DominanceInfo dominance(getOperation());
    for (LoopLikeOpInterface loop : tiled->loops)
      eliminateCommonSubExpressions(rewriter, dominance, loop);
    for (LoopLikeOpInterface loop : tiled->loops)
      allotBlocks(rewriter, loop);
    for (bool changed = true; changed;) {
      changed = false;
      for (Operation *&op : dead)
        if (op && op->use_empty()) {
          gone.insert(op);
          rewriter.eraseOp(op);
          op = nullptr;
          changed = true;
        }
    }
  }

  /// What a block is computed into is as large as a whole one, so that its size is known before
  /// the loop; and each has its own: they would have to be told apart again.
  void allotBlocks(IRRewriter &rewriter, LoopLikeOpInterface loop) {
    SmallVector<linalg::FillOp> fills;
    loop->walk([&](linalg::FillOp op) { fills.push_back(op); });
    for (linalg::FillOp fill : fills)
      while (!fill->use_empty() && !fill.getResult(0).hasOneUse()) {
        OpOperand &use = *fill->use_begin();
        rewriter.setInsertionPoint(use.getOwner());
        use.set(rewriter.clone(*fill)->getResult(0));
      }
    SmallVector<tensor::EmptyOp> empties;
    loop->walk([&](tensor::EmptyOp op) { empties.push_back(op); });
    for (tensor::EmptyOp empty : empties) {
      SmallVector<OpFoldResult> sizes = empty.getMixedSizes(), whole = sizes;
      for (OpFoldResult &size : whole)
        if (auto rows = dyn_cast<Value>(size);
            rows && loop->isAncestor(rows.getParentBlock()->getParentOp()))
          size = rewriter.getIndexAttr(blockRows);
      if (whole == sizes)
        continue;
      SmallVector<OpFoldResult> zero(sizes.size(), rewriter.getIndexAttr(0)),
          one(sizes.size(), rewriter.getIndexAttr(1));
      SmallVector<OpOperand *> uses;
      for (OpOperand &use : empty->getUses())
        uses.push_back(&use);
      for (OpOperand *use : uses) {
        rewriter.setInsertionPoint(use->getOwner());
        Value block = tensor::EmptyOp::create(rewriter, empty.getLoc(), whole,
                                              empty.getType().getElementType());
        use->set(tensor::ExtractSliceOp::create(rewriter, empty.getLoc(), empty.getType(), block,
                                                zero, sizes, one));
      }
      rewriter.eraseOp(empty);
    }
  }

  /// Extents as what they are of the function's sizes, so that equal slices look equal.
  void tidy(IRRewriter &rewriter) {
    SmallVector<tensor::DimOp> extents;
    getOperation().walk([&](tensor::DimOp op) { extents.push_back(op); });
    for (bool changed = true; changed;) {
      changed = false;
      for (tensor::DimOp &op : extents) {
        if (!op || !op.getConstantIndex())
          continue;
        int64_t axis = *op.getConstantIndex();
        OpFoldResult known;
        Operation *maker = op.getSource().getDefiningOp();
        if (auto empty = dyn_cast_or_null<tensor::EmptyOp>(maker))
          known = empty.getMixedSizes()[axis];
        else if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(maker)) {
          if (slice.getDroppedDims().any())
            continue;
          known = slice.getMixedSizes()[axis];
        } else if (auto style = dyn_cast_or_null<DestinationStyleOpInterface>(maker)) {
          op.getSourceMutable().set(style.getTiedOpOperand(cast<OpResult>(op.getSource()))->get());
          changed = true;
          continue;
        } else {
          continue;
        }
        rewriter.setInsertionPoint(op);
        rewriter.replaceOp(op, getValueOrCreateConstantIndexOp(rewriter, op.getLoc(), known));
        op = nullptr;
        changed = true;
      }
    }
  }
};

} // namespace
} // namespace qkv

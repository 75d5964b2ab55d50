// Which kernels may run behind each tile of a contraction.
//
// In: a contraction and what follows it in its block. Out: kernels E1, E2, ... for which
//   contraction; E1; E2   equals   for each tile: contraction; E1; E2
// Must hold: whatever one of them writes is read and written by the others at the same element
// alone, and nothing that the contraction reads is written by any.
#include "compiler/passes/kernels/Epilogues.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SetVector.h"

namespace qkv {

using namespace mlir;

namespace {

/// The allocation or argument that a buffer is in. Different ones share no memory.
Value rootOf(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

class Finder {
public:
  Finder(linalg::GenericOp contraction, int vector, int64_t lanes)
      : contraction_(contraction), vector_(vector), lanes_(lanes) {}

  SmallVector<Epilogue> find() {
    SmallVector<Epilogue> found;
    AffineMap map = contraction_.getMatchingIndexingMap(contraction_.getDpsInitOperand(0));
    if (contraction_.getNumDpsInits() != 1 || !map.isProjectedPermutation())
      return found;
    SmallVector<int> letters;
    for (AffineExpr result : map.getResults())
      letters.push_back(cast<AffineDimExpr>(result).getPosition());
    if (letters.size() != contraction_.getNumParallelLoops())
      return found;
    Value out = contraction_.getDpsInitOperand(0)->get();
    places_[out] = letters;
    written_.insert(rootOf(out));
    KernelBody sums(contraction_, lanes_);
    for (const KernelBody::Access &read : sums.reads())
      read_.insert(rootOf(read.buffer));
    if (read_.contains(rootOf(out)))
      return found;
    for (Operation *op = contraction_->getNextNode(); op; op = op->getNextNode()) {
      if (auto kernel = dyn_cast<linalg::GenericOp>(op)) {
        std::optional<Epilogue> epilogue = take(kernel);
        if (!epilogue)
          break;
        found.push_back(std::move(*epilogue));
        continue;
      }
      // What stays behind a kernel that moves up must not matter to it.
      if (auto freed = dyn_cast<memref::DeallocOp>(op))
        freed_.insert(rootOf(freed.getMemref()));
      else if (!isMemoryEffectFree(op) && !isa<memref::AllocOp>(op))
        break;
    }
    return found;
  }

private:
  std::optional<Epilogue> take(linalg::GenericOp kernel) {
    if (kernel.getNumParallelLoops() != kernel.getNumLoops() || !kernel.hasPureBufferSemantics())
      return std::nullopt;
    Epilogue out{std::make_unique<KernelBody>(kernel, lanes_), {}};
    if (!out.body->vectorizes())
      return std::nullopt;
    // Its letters are those of a buffer that one before it writes.
    for (const KernelBody::Access &read : out.body->reads()) {
      auto place = places_.find(read.buffer);
      if (place == places_.end() || !read.map || !read.map.isPermutation())
        continue;
      out.letters.assign(kernel.getNumLoops(), -1);
      for (auto [expression, letter] : llvm::zip(read.map.getResults(), place->second))
        out.letters[cast<AffineDimExpr>(expression).getPosition()] = letter;
      break;
    }
    if (out.letters.empty())
      return std::nullopt;
    for (const KernelBody::Access &read : out.body->reads()) {
      Value root = rootOf(read.buffer);
      if (freed_.contains(root) || (written_.contains(root) && !isOwnElement(read, out.letters)))
        return std::nullopt;
    }
    llvm::DenseMap<Value, SmallVector<int>> places = places_;
    for (int number = 0; number < kernel.getNumDpsInits(); ++number) {
      KernelBody::Access write = out.body->output(number);
      Value root = rootOf(write.buffer);
      if (!write.map.isPermutation() || freed_.contains(root) || read_.contains(root))
        return std::nullopt;
      SmallVector<int> place;
      for (AffineExpr expression : write.map.getResults())
        place.push_back(out.letters[cast<AffineDimExpr>(expression).getPosition()]);
      if (place.back() != vector_)
        return std::nullopt;
      // Others of the same memory, written before or read here, are the same elements.
      if (written_.contains(root) &&
          (!places_.contains(write.buffer) || places_.lookup(write.buffer) != place))
        return std::nullopt;
      for (const KernelBody::Access &read : out.body->reads())
        if (rootOf(read.buffer) == root &&
            (read.buffer != write.buffer || !read.map || read.map != write.map))
          return std::nullopt;
      places[write.buffer] = place;
    }
    if (!moveUp(kernel))
      return std::nullopt;
    for (const KernelBody::Access &read : out.body->reads())
      if (Value root = rootOf(read.buffer); !written_.contains(root))
        read_.insert(root);
    places_ = std::move(places);
    for (OpOperand &init : kernel.getDpsInitsMutable()) {
      written_.insert(rootOf(init.get()));
      read_.remove(rootOf(init.get()));
    }
    return out;
  }

  /// Whether a read is of the element that the tile's letters name.
  bool isOwnElement(const KernelBody::Access &read, ArrayRef<int> letters) {
    auto place = places_.find(read.buffer);
    if (place == places_.end() || !read.map || !read.map.isPermutation())
      return false;
    for (auto [expression, letter] : llvm::zip(read.map.getResults(), place->second))
      if (letters[cast<AffineDimExpr>(expression).getPosition()] != letter)
        return false;
    return true;
  }

  /// Puts what a kernel's operands are computed of in front of the contraction, if it can stand
  /// there.
  bool moveUp(linalg::GenericOp kernel) {
    llvm::SetVector<Operation *> needed;
    SmallVector<Operation *> open{kernel};
    while (!open.empty()) {
      Operation *op = open.pop_back_val();
      bool possible = true;
      op->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands()) {
          Operation *made = operand.getDefiningOp();
          if (!made || made->getBlock() != contraction_->getBlock() ||
              made->isBeforeInBlock(contraction_) || made == contraction_)
            continue;
          possible &= isMemoryEffectFree(made) || isa<memref::AllocOp>(made);
          if (needed.insert(made))
            open.push_back(made);
        }
      });
      if (!possible)
        return false;
    }
    SmallVector<Operation *> order(needed.begin(), needed.end());
    llvm::sort(order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    for (Operation *op : order)
      op->moveBefore(contraction_);
    return true;
  }

  linalg::GenericOp contraction_;
  int vector_;
  int64_t lanes_;
  llvm::DenseMap<Value, SmallVector<int>> places_; ///< letters along each written buffer
  llvm::SetVector<Value> written_, read_, freed_;  ///< roots
};

} // namespace

SmallVector<Epilogue> findEpilogues(linalg::GenericOp contraction, int vector, int64_t lanes) {
  return Finder(contraction, vector, lanes).find();
}

} // namespace qkv

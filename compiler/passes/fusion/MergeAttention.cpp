// In: qkv.attention on tensors, one a weighted sum. Out: those with the same weights are one
// operation: several values, and the sum of the weights (of a softmax, the logarithm of what it is
// divided by), under one pass over the keys.
//
// Must hold: rows, keys, outer letters and what the body computes of them are the same; what the
// later one reads can be computed where the earlier one stands, or nothing reads that before the
// later one. A value keeps its factor and its place.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

namespace qkv {
#define GEN_PASS_DEF_MERGEATTENTION
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// Whether values of two bodies, or around them, are computed alike.
class Sameness {
public:
  Sameness(AttentionOp a, AttentionOp b) {
    for (auto [x, y] : llvm::zip(a.getBody().getArguments(), b.getBody().getArguments()))
      known_.insert({x, y});
  }

  bool of(Value x, Value y) {
    if (x == y || known_.contains({x, y}))
      return true;
    Operation *a = x.getDefiningOp(), *b = y.getDefiningOp();
    if (!a || !b || cast<OpResult>(x).getResultNumber() != cast<OpResult>(y).getResultNumber() ||
        !isMemoryEffectFree(a))
      return false;
    bool same = OperationEquivalence::isEquivalentTo(
        a, b, [&](Value l, Value r) { return success(of(l, r)); },
        [&](Value l, Value r) { known_.insert({l, r}); },
        OperationEquivalence::IgnoreLocations | OperationEquivalence::IgnoreDiscardableAttrs);
    if (same)
      known_.insert({x, y});
    return same;
  }
  bool of(ValueRange x, ValueRange y) {
    return x.size() == y.size() && llvm::all_of(llvm::zip(x, y), [&](auto pair) {
             return of(std::get<0>(pair), std::get<1>(pair));
           });
  }

private:
  llvm::DenseSet<std::pair<Value, Value>> known_;
};

bool sameWeights(AttentionOp a, AttentionOp b) {
  if (a.getOuter().size() != b.getOuter().size() || a.getPlain() != b.getPlain())
    return false;
  if (a.hasTotal() && b.hasTotal() && // one is both
      (a.getOutputMaps().getValue().back() != b.getOutputMaps().getValue().back() ||
       a.getOutputs().back().getType() != b.getOutputs().back().getType()))
    return false;
  Sameness same(a, b);
  ScoreOp x = a.score(), y = b.score();
  return same.of(a.getRows(), b.getRows()) && same.of(a.getKeys(), b.getKeys()) &&
         same.of(a.getOuter(), b.getOuter()) && same.of(x.getScore(), y.getScore()) &&
         same.of(x.getPart(), y.getPart()) && same.of(x.getAny(), y.getAny()) &&
         same.of(x.getAll(), y.getAll());
}

struct MergeAttention : impl::MergeAttentionBase<MergeAttention> {
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) {
      if (op.getNumResults())
        ops.push_back(op);
    });
    for (size_t a = 0; a < ops.size(); ++a)
      for (size_t b = a + 1; ops[a] && b < ops.size(); ++b) {
        if (!ops[b] || ops[a]->getBlock() != ops[b]->getBlock() || !sameWeights(ops[a], ops[b]) ||
            !bringTogether(ops[a], ops[b]))
          continue;
        ops[a] = merge(ops[a], ops[b]);
        ops[b] = {};
      }
  }

private:
  /// Makes what both read stand before the first of them in the block.
  bool bringTogether(AttentionOp a, AttentionOp b) {
    IRRewriter rewriter(&getContext());
    llvm::SetVector<Value> read(b->operand_begin(), b->operand_end());
    getUsedValuesDefinedAbove(b.getBody(), read);
    if (succeeded(moveValueDefinitions(rewriter, read.getArrayRef(), a)))
      return true;
    for (Operation *user : a->getUsers())
      if (Operation *here = a->getBlock()->findAncestorOpInBlock(*user);
          !here || here == b || here->isBeforeInBlock(b))
        return false;
    a->moveBefore(b);
    return true;
  }

  AttentionOp merge(AttentionOp a, AttentionOp b) {
    IRRewriter rewriter(&getContext());
    rewriter.setInsertionPoint(a);
    size_t first = a.getValues().size(), second = b.getValues().size();
    bool total = a.hasTotal() || b.hasTotal();
    AttentionOp last = a.hasTotal() ? a : b; // whose it is

    // The values of both, then the total.
    auto join = [&](auto ofA, auto ofB, auto behind) {
      auto out = llvm::to_vector(ofA.take_front(first));
      llvm::append_range(out, ofB.take_front(second));
      if (total)
        out.push_back(behind.back());
      return out;
    };
    SmallVector<Value> values = llvm::to_vector(a.getValues());
    llvm::append_range(values, b.getValues());
    SmallVector<Attribute> from = llvm::to_vector(a.getValueMaps().getValue());
    llvm::append_range(from, b.getValueMaps().getValue());
    SmallVector<Value> outputs = join(a.getOutputs(), b.getOutputs(), last.getOutputs());
    auto merged = AttentionOp::create(
        rewriter, a.getLoc(), TypeRange(ValueRange(outputs)), a.getOuter(), a.getRows(),
        a.getKeys(), values, outputs, rewriter.getArrayAttr(from),
        rewriter.getArrayAttr(join(a.getOutputMaps().getValue(), b.getOutputMaps().getValue(),
                                   last.getOutputMaps().getValue())),
        a.getPlain());
    merged->setDiscardableAttrs(a->getDiscardableAttrDictionary());
    noteEquations(merged, a, b);

    // One body: what both compute is found by elimination.
    merged.getBody().takeBody(a.getBody());
    ScoreOp score = merged.score(), other = b.score();
    rewriter.setInsertionPoint(score);
    IRMapping inA;
    inA.map(b.getBody().getArguments(), merged.getBody().getArguments());
    for (Operation &op : b.getBody().front().without_terminator())
      rewriter.clone(op, inA);
    SmallVector<Value> factors(score.getFactors()), places(score.getPlaces());
    if (!factors.empty() || !other.getFactors().empty()) {
      Value one = arith::ConstantOp::create(rewriter, a.getLoc(), rewriter.getF32FloatAttr(1));
      factors.resize(first, one);
      for (unsigned n = 0; n < second; ++n)
        factors.push_back(other.getFactors().empty() ? one
                                                     : inA.lookupOrDefault(other.getFactors()[n]));
    }
    if (!places.empty() || !other.getPlaces().empty()) {
      places.resize(first, merged.key());
      for (unsigned n = 0; n < second; ++n)
        places.push_back(inA.lookupOrDefault(b.place(n)));
    }
    ScoreOp::create(rewriter, score.getLoc(), score.getScore(), score.getPart(), score.getAny(),
                    score.getAll(), factors, places);
    rewriter.eraseOp(score);
    DominanceInfo dominance(merged);
    eliminateCommonSubExpressions(rewriter, dominance, merged);

    ValueRange results = merged.getResults();
    auto replace = [&](AttentionOp op, ValueRange own) {
      SmallVector<Value> with(own);
      if (op.hasTotal())
        with.push_back(results.back());
      rewriter.replaceOp(op, with);
    };
    replace(a, results.take_front(first));
    replace(b, results.drop_front(first).take_front(second));
    return merged;
  }

  void noteEquations(AttentionOp merged, AttentionOp a, AttentionOp b) {
    llvm::SetVector<StringRef> names;
    for (AttentionOp op : {a, b})
      for (const char *attribute : {equationsAttribute, equationAttribute})
        if (auto text = op->getAttrOfType<StringAttr>(attribute)) {
          for (StringRef name : llvm::split(text.getValue(), ','))
            names.insert(name.trim());
          break;
        }
    OpBuilder builder(merged);
    if (!names.empty())
      merged->setAttr(equationsAttribute,
                      builder.getStringAttr(llvm::join(names.getArrayRef(), ",")));
    StringRef kind = merged.getPlain() ? "" : "softmax-";
    if (Attribute most = a->getAttr(mostRowsAttribute))
      merged->setAttr(mostRowsAttribute, most); // (they have the same rows)
    merged->setAttr(whyAttribute,
                    builder.getStringAttr(kind + "weighted sums with the same weights: keys stream "
                                                 "by once for all of them, the score is in no "
                                                 "buffer"));
  }
};

} // namespace
} // namespace qkv

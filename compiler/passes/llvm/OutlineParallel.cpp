// In: scf.forall over one letter, on buffers. Out: a function of its rounds, and a call that
// hands it to the runtime's threads.
// Must hold: rounds are independent (they are: each writes elements of its own), so how they
// are divided changes nothing.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/llvm/Pointers.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

#include <unordered_map>

namespace qkv {
#define GEN_PASS_DEF_OUTLINEPARALLEL
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

constexpr const char *runtimeName = "qkv_parallel_for";

Value castTo(OpBuilder &builder, Location loc, Type type, Value value) {
  if (value.getType() == type)
    return value;
  return UnrealizedConversionCastOp::create(builder, loc, type, value).getResult(0);
}

struct OutlineParallel : impl::OutlineParallelBase<OutlineParallel> {
  void runOnOperation() override {
    SmallVector<scf::ForallOp> loops;
    getOperation().walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    for (scf::ForallOp loop : loops) {
      auto function = loop->getParentOfType<func::FuncOp>();
      bool hasContext = function && function.getNumArguments() > 0 &&
                        isa<LLVM::LLVMPointerType>(function.getArgument(0).getType());
      if (hasContext && loop->hasAttr(grainAttribute))
        outline(loop, function);
      else
        makeSerial(loop);
    }
  }

private:
  static Value bound(OpBuilder &builder, Location loc, OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(builder, loc, size);
  }

  /// Where what a loop needs on the stack stands: each thread has its own, so inside of the rounds
  /// of a loop around that is run by several (from where it goes to the beginning of its function).
  static Block *stackOf(scf::ForallOp loop, func::FuncOp function) {
    auto around = loop->getParentOfType<scf::ForallOp>();
    return around ? around.getBody() : &function.getBody().front();
  }

  /// The loop's body, for induction variable `iv`, at the builder's place; what it has on the stack
  /// at `scratch`: once, not once a round.
  static void inlineBody(OpBuilder &builder, OpBuilder &scratch, scf::ForallOp loop,
                         IRMapping &mapping, Value iv) {
    mapping.map(loop.getInductionVar(0), iv);
    for (Operation &op : loop.getBody()->without_terminator())
      if ((isa<memref::AllocaOp>(op) && op.getNumOperands() == 0) ||
          isa<LLVM::AllocaOp, LLVM::ConstantOp>(op)) // (of calls: their records)
        scratch.clone(op, mapping);
      else
        builder.clone(op, mapping);
  }

  void makeSerial(scf::ForallOp loop) {
    OpBuilder builder(loop);
    Location loc = loop.getLoc();
    auto made = scf::ForOp::create(builder, loc, bound(builder, loc, loop.getMixedLowerBound()[0]),
                                   bound(builder, loc, loop.getMixedUpperBound()[0]),
                                   bound(builder, loc, loop.getMixedStep()[0]));
    builder.setInsertionPointToStart(made.getBody());
    IRMapping mapping;
    OpBuilder scratch(loop);
    if (auto function = loop->getParentOfType<func::FuncOp>())
      scratch.setInsertionPointToStart(stackOf(loop, function));
    inlineBody(builder, scratch, loop, mapping, made.getInductionVar());
    loop.erase();
  }

  func::FuncOp declareRuntime() {
    ModuleOp module = getOperation();
    if (auto found = module.lookupSymbol<func::FuncOp>(runtimeName))
      return found;
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    Type pointer = LLVM::LLVMPointerType::get(&getContext()), i64 = builder.getI64Type();
    auto made =
        func::FuncOp::create(builder, module.getLoc(), runtimeName,
                             builder.getFunctionType({pointer, i64, i64, pointer, pointer}, {}));
    made.setPrivate();
    return made;
  }

  /// What a loop uses of what stands around it: constants are written again inside of its function,
  /// everything else goes through a record in memory.
  struct Captures {
    SmallVector<Operation *> constants;
    SmallVector<Value> values;
    SmallVector<Type> fields; ///< of the record, one for each value
    Type record;
  };

  Captures capturesOf(scf::ForallOp loop, const LLVMTypeConverter &types) {
    Captures out;
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(loop.getRegion(), used);
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    for (Value value : used) {
      Operation *op = value.getDefiningOp();
      if (op && op->hasTrait<OpTrait::ConstantLike>()) {
        out.constants.push_back(op);
        continue;
      }
      out.values.push_back(value);
      out.fields.push_back(isPointer(value.getType()) ? pointer
                                                      : types.convertType(value.getType()));
    }
    out.record = LLVM::LLVMStructType::getLiteral(&getContext(), out.fields);
    return out;
  }

  /// The address of a field of the record.
  Value fieldAt(OpBuilder &builder, Location loc, const Captures &captures, Value record,
                size_t field) {
    return LLVM::GEPOp::create(builder, loc, record.getType(), captures.record, record,
                               ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(field)});
  }

  /// The function for rounds [first, last) of the loop: (record, first, last).
  func::FuncOp makePart(scf::ForallOp loop, func::FuncOp function, const Captures &captures,
                        const LLVMTypeConverter &types, int64_t begin, int64_t step) {
    Location loc = loop.getLoc();
    OpBuilder outside(function);
    Type pointer = LLVM::LLVMPointerType::get(&getContext()), i64 = outside.getI64Type();
    std::string name = (function.getName() + ".part" + std::to_string(next_++)).str();
    auto part =
        func::FuncOp::create(outside, loc, name, outside.getFunctionType({pointer, i64, i64}, {}));
    part.setPrivate();
    Block *body = part.addEntryBlock();
    OpBuilder inside = OpBuilder::atBlockBegin(body);
    IRMapping mapping;
    for (Operation *op : captures.constants)
      inside.clone(*op, mapping);
    for (auto [at, value] : llvm::enumerate(captures.values)) {
      Value place = fieldAt(inside, loc, captures, body->getArgument(0), at);
      Value loaded = LLVM::LoadOp::create(inside, loc, captures.fields[at], place);
      mapping.map(value, isPointer(value.getType())
                             ? bufferAt(inside, loc, types, value.getType(), loaded)
                             : castTo(inside, loc, value.getType(), loaded));
    }
    auto toPosition = [&](Value round) -> Value {
      Value index = arith::IndexCastOp::create(inside, loc, inside.getIndexType(), round);
      Value offset = arith::MulIOp::create(inside, loc, index,
                                           arith::ConstantIndexOp::create(inside, loc, step));
      return arith::AddIOp::create(inside, loc, offset,
                                   arith::ConstantIndexOp::create(inside, loc, begin));
    };
    Value from = toPosition(body->getArgument(1)), to = toPosition(body->getArgument(2));
    auto rounds = scf::ForOp::create(inside, loc, from, to,
                                     arith::ConstantIndexOp::create(inside, loc, step));
    func::ReturnOp::create(inside, loc);
    inside.setInsertionPointToStart(rounds.getBody());
    OpBuilder scratch = OpBuilder::atBlockBegin(body);
    inlineBody(inside, scratch, loop, mapping, rounds.getInductionVar());
    return part;
  }

  /// A function made before that is the same, lines of the model included: entries hold the same
  /// kernels. `part` is gone then.
  func::FuncOp oneOfEqual(func::FuncOp part) {
    llvm::hash_code hash = 0;
    part.getBody().walk([&](Operation *op) {
      hash = llvm::hash_combine(hash, op->getName(), op->getAttrDictionary(), op->getLoc());
      for (Value result : op->getResults())
        hash = llvm::hash_combine(hash, result.getType());
    });
    SmallVector<func::FuncOp> &known = parts_[hash];
    for (func::FuncOp other : known)
      if (other.getFunctionType() == part.getFunctionType() &&
          OperationEquivalence::isRegionEquivalentTo(&other.getBody(), &part.getBody(),
                                                     OperationEquivalence::Flags::None)) {
        part.erase();
        return other;
      }
    known.push_back(part);
    return part;
  }

  void outline(scf::ForallOp loop, func::FuncOp function) {
    Location loc = loop.getLoc();
    OpBuilder builder(loop);
    std::optional<int64_t> fixedStep = getConstantIntValue(loop.getMixedStep()[0]);
    std::optional<int64_t> fixedBegin = getConstantIntValue(loop.getMixedLowerBound()[0]);
    if (!fixedStep || !fixedBegin)
      return makeSerial(loop);
    LLVMTypeConverter types(&getContext());
    Captures captures = capturesOf(loop, types);
    Value begin = bound(builder, loc, loop.getMixedLowerBound()[0]);
    Value end = bound(builder, loc, loop.getMixedUpperBound()[0]);
    Value step = bound(builder, loc, loop.getMixedStep()[0]);
    func::FuncOp part =
        oneOfEqual(makePart(loop, function, captures, types, *fixedBegin, *fixedStep));

    // The call. Its record is allocated once a function, not once a round of serial loops around.
    Type pointer = LLVM::LLVMPointerType::get(&getContext()), i64 = builder.getI64Type();
    OpBuilder entry = OpBuilder::atBlockBegin(stackOf(loop, function));
    Value one = LLVM::ConstantOp::create(entry, loc, i64, entry.getI64IntegerAttr(1));
    Value record =
        LLVM::AllocaOp::create(entry, loc, pointer, captures.record, one, /*alignment=*/64);
    for (auto [at, value] : llvm::enumerate(captures.values)) {
      Value place = fieldAt(builder, loc, captures, record, at);
      LLVM::StoreOp::create(builder, loc,
                            isPointer(value.getType())
                                ? pointerTo(builder, loc, types, value)
                                : castTo(builder, loc, captures.fields[at], value),
                            place);
    }
    Value length = arith::SubIOp::create(builder, loc, end, begin);
    Value count = arith::CeilDivSIOp::create(builder, loc, length, step);
    count = arith::IndexCastOp::create(builder, loc, i64, count);
    Value grain = arith::ConstantOp::create(
        builder, loc,
        builder.getI64IntegerAttr(loop->getAttrOfType<IntegerAttr>(grainAttribute).getInt()));
    Value address =
        func::ConstantOp::create(builder, loc, part.getFunctionType(), part.getSymName());
    func::CallOp::create(builder, loc, declareRuntime(),
                         ValueRange{function.getArgument(0), count, grain,
                                    castTo(builder, loc, pointer, address), record});
    loop.erase();
  }

  int next_ = 0;
  std::unordered_map<size_t, SmallVector<func::FuncOp>> parts_; ///< by hash
};

} // namespace
} // namespace qkv

// In: private functions that return tensors. Out: functions that write them into buffers which
// their callers allocate.
// Must hold: a result's extents can be computed from the arguments; where they cannot, the
// function stays as it is, and the analysis of ownership frees what it returns.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace qkv {
#define GEN_PASS_DEF_PASSDESTINATIONS
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// What a function computes extents from, written again where it is called.
class AtCall {
public:
  AtCall(OpBuilder &builder, func::FuncOp function, func::CallOp call)
      : builder_(builder), entry_(&function.getBody().front()), call_(call) {}

  /// Extent `axis` of a tensor of the function; null where it is computed from anything but
  /// arguments.
  Value extent(Value tensor, int64_t axis);

private:
  Value index(Value value);
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(builder_, call_.getLoc(), value);
  }
  Value of(OpFoldResult size) {
    if (std::optional<int64_t> fixed = getConstantIntValue(size))
      return constant(*fixed);
    return index(cast<Value>(size));
  }

  OpBuilder &builder_;
  Block *entry_;
  func::CallOp call_;
};

Value AtCall::extent(Value tensor, int64_t axis) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(axis))
    return constant(type.getDimSize(axis));
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    if (argument.getOwner() == entry_)
      return tensor::DimOp::create(builder_, call_.getLoc(),
                                   call_.getOperand(argument.getArgNumber()), axis);
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop ? extent(loop.getTiedLoopInit(argument)->get(), axis) : Value();
  }
  Operation *op = tensor.getDefiningOp();
  unsigned number = cast<OpResult>(tensor).getResultNumber();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return of(empty.getMixedSizes()[axis]);
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op))
    return extent(slice.getDest(), axis);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [at, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(at) && axis-- == 0)
        return of(size);
    return {};
  }
  if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
    return extent(style.getTiedOpOperand(cast<OpResult>(tensor))->get(), axis);
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return extent(loop.getInitArgs()[number], axis);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return extent(branch.thenYield()->getOperand(number), axis);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return extent(cast.getSource(), axis);
  if (auto made = dyn_cast<bufferization::ToTensorOp>(op)) // a call's result, made below
    if (auto alloc = made.getBuffer().getDefiningOp<memref::AllocOp>())
      return of(alloc.getMixedSizes()[axis]);
  return {};
}

Value AtCall::index(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == entry_ ? call_.getOperand(argument.getArgNumber()) : Value();
  Operation *op = value.getDefiningOp();
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> axis = dim.getConstantIndex();
    return axis ? extent(dim.getSource(), *axis) : Value();
  }
  if (!isPure(op) || op->getNumRegions() || op->getNumResults() != 1)
    return {};
  IRMapping mapping;
  for (Value operand : op->getOperands()) {
    if (!operand.getType().isIntOrIndexOrFloat())
      return {};
    Value mapped = index(operand);
    if (!mapped)
      return {};
    mapping.map(operand, mapped);
  }
  return builder_.clone(*op, mapping)->getResult(0);
}

struct PassDestinations : impl::PassDestinationsBase<PassDestinations> {
  void runOnOperation() override {
    // Callees first: what a call inside returns must have its new form when extents are traced.
    llvm::SetVector<func::FuncOp> order;
    for (auto function : getOperation().getOps<func::FuncOp>())
      visit(function, order);
    for (func::FuncOp function : order)
      convert(function);
  }

private:
  void visit(func::FuncOp function, llvm::SetVector<func::FuncOp> &order) {
    function.walk([&](func::CallOp call) {
      if (auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee());
          callee && callee != function)
        visit(callee, order);
    });
    order.insert(function);
  }

  static bool isTensor(Type type) { return isa<RankedTensorType>(type); }

  void convert(func::FuncOp function) {
    if (function.isDeclaration() || function->hasAttr(entryAttribute) ||
        !llvm::hasSingleElement(function.getBody()) ||
        !llvm::any_of(function.getResultTypes(), isTensor))
      return;
    SmallVector<func::CallOp> calls;
    getOperation().walk([&](func::CallOp call) {
      if (call.getCallee() == function.getName())
        calls.push_back(call);
    });
    auto exit = cast<func::ReturnOp>(function.getBody().front().getTerminator());

    // All calls or none. (What a failed attempt leaves behind is dead.)
    SmallVector<SmallVector<Value>> buffers;
    for (func::CallOp call : calls) {
      OpBuilder builder(call);
      AtCall at(builder, function, call);
      SmallVector<Value> made;
      for (Value result : exit.getOperands()) {
        auto type = dyn_cast<RankedTensorType>(result.getType());
        if (!type) {
          made.push_back({});
          continue;
        }
        SmallVector<Value> sizes;
        for (int64_t axis = 0; axis < type.getRank(); ++axis)
          if (type.isDynamicDim(axis)) {
            Value size = at.extent(result, axis);
            if (!size)
              return;
            sizes.push_back(size);
          }
        made.push_back(memref::AllocOp::create(
            builder, call.getLoc(), MemRefType::get(type.getShape(), type.getElementType()),
            sizes));
      }
      buffers.push_back(made);
    }

    for (auto [call, made] : llvm::zip(calls, buffers))
      convertCall(call, made);
    OpBuilder builder(exit);
    SmallVector<Value> kept;
    SmallVector<Type> types(function.getArgumentTypes()), results;
    for (Value result : exit.getOperands()) {
      auto type = dyn_cast<RankedTensorType>(result.getType());
      if (!type) {
        kept.push_back(result);
        results.push_back(result.getType());
        continue;
      }
      auto buffer = MemRefType::get(type.getShape(), type.getElementType());
      types.push_back(buffer);
      Value argument = function.getBody().front().addArgument(buffer, result.getLoc());
      auto write = bufferization::MaterializeInDestinationOp::create(
          builder, exit.getLoc(), /*result=*/Type(), result, argument, /*restrict=*/true,
          /*writable=*/true);
      (void)write;
    }
    func::ReturnOp::create(builder, exit.getLoc(), kept);
    exit.erase();
    function.setFunctionType(FunctionType::get(&getContext(), types, results));
    function.setAllResultAttrs(ArrayRef<DictionaryAttr>(
        SmallVector<DictionaryAttr>(results.size(), DictionaryAttr::get(&getContext()))));
  }

  void convertCall(func::CallOp call, ArrayRef<Value> buffers) {
    OpBuilder builder(call);
    SmallVector<Value> operands(call.getOperands());
    SmallVector<Type> results;
    for (auto [result, buffer] : llvm::zip(call.getResults(), buffers)) {
      if (buffer)
        operands.push_back(buffer);
      else
        results.push_back(result.getType());
    }
    auto made = func::CallOp::create(builder, call.getLoc(), call.getCallee(), results, operands);
    unsigned next = 0;
    for (auto [result, buffer] : llvm::zip(call.getResults(), buffers)) {
      Value value = buffer ? Value(bufferization::ToTensorOp::create(
                                 builder, call.getLoc(), result.getType(), buffer,
                                 /*restrict=*/true, /*writable=*/true))
                           : made.getResult(next++);
      result.replaceAllUsesWith(value);
    }
    call.erase();
  }
};

} // namespace
} // namespace qkv

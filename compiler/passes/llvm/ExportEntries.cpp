// In: functions on buffers, the entries marked `qkv.entry`, their parameters `qkv.param`.
// Out: entries are public and have a C interface; every other function with a body is private. An
// entry takes its parameters as one table of pointers, as the runtime holds them; any other
// function takes a buffer whose type says all but its place as a pointer.
// Must hold: who calls an entry from outside (native/Entries.cpp) knows of the table.
//
// A descriptor of a matrix is seven arguments. A model of a hundred parameters would have as many
// hundreds of them in each of its calls, most of what LLVM then had to compile.
#include "compiler/passes/Passes.h"

#include "compiler/dialect/QkvDialect.h"
#include "compiler/passes/llvm/Pointers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace qkv {
#define GEN_PASS_DEF_EXPORTENTRIES
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

struct ExportEntries : impl::ExportEntriesBase<ExportEntries> {
  void runOnOperation() override {
    LLVMTypeConverter types(&getContext());
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isDeclaration())
        continue;
      if (function->hasAttr(entryAttribute)) {
        function.setPublic();
        function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(),
                          UnitAttr::get(&getContext()));
        takeTable(function, types, pointer);
      } else {
        function.setPrivate();
        takePointers(function, types, pointer);
      }
    }
    getOperation().walk([&](func::CallOp call) {
      auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee());
      OpBuilder builder(call);
      for (auto [at, wanted] : llvm::enumerate(callee.getFunctionType().getInputs()))
        if (wanted != call.getOperand(at).getType())
          call.setOperand(at, pointerTo(builder, call.getLoc(), types, call.getOperand(at)));
    });
  }

private:
  /// The parameters, which follow one another, become one argument.
  static void takeTable(func::FuncOp function, const LLVMTypeConverter &types, Type pointer) {
    SmallVector<unsigned> params;
    for (unsigned at = 0; at < function.getNumArguments(); ++at)
      if (function.getArgAttr(at, paramAttribute))
        params.push_back(at);
    if (params.empty())
      return;
    Location loc = function.getLoc();
    unsigned first = params.front();
    (void)function.insertArgument(first, pointer, {}, loc);
    Value table = function.getArgument(first);
    OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
    for (unsigned at = 0; at < params.size(); ++at) {
      Value param = function.getArgument(first + 1 + at);
      Value place = LLVM::GEPOp::create(builder, loc, pointer, pointer, table,
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(at)});
      Value held = LLVM::LoadOp::create(builder, loc, pointer, place);
      param.replaceAllUsesWith(bufferAt(builder, loc, types, param.getType(), held));
    }
    BitVector gone(function.getNumArguments());
    gone.set(first + 1, first + 1 + static_cast<unsigned>(params.size()));
    (void)function.eraseArguments(gone);
  }

  static void takePointers(func::FuncOp function, const LLVMTypeConverter &types, Type pointer) {
    OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
    SmallVector<Type> inputs(function.getFunctionType().getInputs());
    for (auto [input, argument] : llvm::zip(inputs, function.getArguments())) {
      if (!isPointer(input))
        continue;
      argument.setType(pointer);
      Value buffer = bufferAt(builder, function.getLoc(), types, input, argument);
      // Its own making reads the pointer.
      argument.replaceUsesWithIf(
          buffer, [](OpOperand &use) { return !isa<LLVM::InsertValueOp>(use.getOwner()); });
      input = pointer;
    }
    function.setFunctionType(
        FunctionType::get(function.getContext(), inputs, function.getFunctionType().getResults()));
  }
};

} // namespace
} // namespace qkv

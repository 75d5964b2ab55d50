// `main` and the C interface as functions of the program: each hands the model's constant and
// its own arguments to the runtime, which does the work for all models
// (runtime/tensors/CInterface.cpp).
//
// Holds: these functions run before the CPU was checked, so they are made for the baseline.
#include "compiler/description/EntryKinds.h"
#include "compiler/description/Header.h"
#include "compiler/native/Entries.h"
#include "compiler/passes/Target.h"

#include "llvm/IR/IRBuilder.h"

namespace qkv {
namespace {

/// `name` calls `callee` with `before` (if any), then its own arguments, then `after` (if any).
void addForward(NativeModule &native, const std::string &name, const char *callee,
                llvm::Type *result, std::vector<llvm::Type *> types, llvm::Value *before = nullptr,
                llvm::Value *after = nullptr) {
  llvm::Module &module = *native.module;
  auto *function = llvm::Function::Create(llvm::FunctionType::get(result, types, false),
                                          llvm::Function::ExternalLinkage, name, module);
  function->addFnAttr("target-cpu", describeTarget("native").baseline);
  function->addFnAttr("target-features", "");
  std::vector<llvm::Value *> arguments;
  if (before)
    arguments.push_back(before);
  for (llvm::Argument &argument : function->args())
    arguments.push_back(&argument);
  if (after)
    arguments.push_back(after);
  std::vector<llvm::Type *> calleeTypes;
  for (llvm::Value *argument : arguments)
    calleeTypes.push_back(argument->getType());
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(native.context, "", function));
  llvm::Value *value = builder.CreateCall(
      module.getOrInsertFunction(callee, llvm::FunctionType::get(result, calleeTypes, false)),
      arguments);
  if (result->isVoidTy())
    builder.CreateRetVoid();
  else
    builder.CreateRet(value);
}

} // namespace

void addMain(NativeModule &native, const ModelConstants &constants) {
  auto *pointer = llvm::PointerType::getUnqual(native.context);
  auto *number = llvm::Type::getInt32Ty(native.context);
  // (Without tokenizers a program is a third as large.)
  const char *callee = native.description.generatorInput >= 0 ? "qkv_text_main" : "qkv_main";
  if (constants.trace)
    addForward(native, "main", "qkv_trace_main", number, {number, pointer}, constants.model,
               constants.trace);
  else
    addForward(native, "main", callee, number, {number, pointer}, constants.model);
}

void addCInterface(NativeModule &native, llvm::GlobalVariable *model) {
  auto *pointer = llvm::PointerType::getUnqual(native.context);
  auto *number = llvm::Type::getInt32Ty(native.context);
  auto *nothing = llvm::Type::getVoidTy(native.context);
  std::string prefix = cPrefix(native.description);
  addForward(native, prefix + "_open", "qkv_open", pointer, {pointer, pointer}, model);
  addForward(native, prefix + "_close", "qkv_close", nothing, {pointer});
  addForward(native, prefix + "_session_open", "qkv_session_open", pointer, {pointer, pointer});
  addForward(native, prefix + "_session_close", "qkv_session_close", nothing, {pointer});
  auto *count = llvm::Type::getInt64Ty(native.context);
  for (const Description::Entry &entry : native.description.entries) {
    std::string name = prefix + entryKind(entry.kind).cFunction;
    llvm::Value *kind = llvm::ConstantInt::get(number, entry.kind);
    if (entry.count(QKV_SEQUENCES))
      addForward(native, name, "qkv_session_run_batch", number, {pointer, count, pointer, pointer},
                 nullptr, kind);
    else
      addForward(native, name, "qkv_session_run", number, {pointer, pointer, pointer}, nullptr,
                 kind);
  }
  if (!native.description.stream)
    return;
  addForward(native, prefix + "_session_limit", "qkv_session_limit", number,
             {pointer, count, count, pointer});
  std::string sequence = prefix + "_sequence_";
  addForward(native, sequence + "begin", "qkv_sequence_begin", pointer,
             {pointer, pointer, pointer});
  for (const SequenceStep &step : sequenceSteps(native.description)) {
    llvm::Value *part = llvm::ConstantInt::get(number, step.part);
    addForward(native, sequence + step.name, "qkv_sequence_step", number,
               {pointer, pointer, pointer}, nullptr, part);
    addForward(native, prefix + "_sequences_" + step.name, "qkv_sequences_step", number,
               {pointer, count, pointer, pointer}, nullptr, part);
  }
  addForward(native, sequence + "copy", "qkv_sequence_copy", pointer, {pointer, pointer});
  addForward(native, sequence + "snapshots", "qkv_sequence_snapshots", number,
             {pointer, count, pointer});
  addForward(native, sequence + "rewind", "qkv_sequence_rewind", count, {pointer, count, pointer});
  addForward(native, sequence + "positions", "qkv_sequence_positions", count, {pointer});
  addForward(native, sequence + "bytes", "qkv_sequence_bytes", count, {pointer});
  addForward(native, sequence + "end", "qkv_sequence_end", nothing, {pointer});
}

} // namespace qkv

// The qkv_entry functions: extents from the sizes, memref descriptors on the stack, one call.
#include "compiler/native/Entries.h"
#include "compiler/description/Extent.h"
#include "compiler/description/ExtentCode.h"

#include "llvm/IR/IRBuilder.h"

namespace qkv {
namespace {

using llvm::Value;

/// Makes one entry.
class Entry {
public:
  Entry(NativeModule &native, llvm::Function *target, const std::string &name)
      : description(native.description), module(*native.module), target(target),
        builder(native.context), pointer(builder.getPtrTy()), word(builder.getInt64Ty()) {
    auto *type = llvm::FunctionType::get(
        builder.getVoidTy(), {pointer, pointer, pointer, pointer, pointer}, /*isVarArg=*/false);
    function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
    builder.SetInsertPoint(llvm::BasicBlock::Create(native.context, "", function));
  }

  /// `last`: the first result alone, without its first axis. `batch`: the number of sequences
  /// stands before the sizes, and is the first axis of inputs and results.
  void make(EntryForm form) {
    Value *context = function->getArg(0), *sizes = function->getArg(1);
    std::vector<Value *> arguments{context};
    if (form.batch)
      arguments.push_back(sequences = builder.CreateLoad(word, sizes));
    for (size_t i = 0; i < description.sizes.size(); ++i)
      sizeValues.push_back(builder.CreateLoad(word, element(sizes, word, i + form.batch)));
    arguments.insert(arguments.end(), sizeValues.begin(), sizeValues.end());
    for (size_t i = 0; i < description.inputs.size(); ++i)
      arguments.push_back(descriptor(load(function->getArg(2), i), extents(description.inputs[i])));
    if (!description.params.empty())
      arguments.push_back(function->getArg(3)); // their table, as it is
    for (size_t i = 0; i < (form.last ? 1 : description.results.size()); ++i) {
      const Description::Value &result = description.results[i];
      std::vector<Value *> shape = extents(result);
      if (form.last)
        shape.erase(shape.begin() + form.batch);
      arguments.push_back(
          descriptor(wanted(load(function->getArg(4), i), shape, result.type), shape));
    }
    builder.CreateCall(target, arguments);
    for (Value *memory : scratch)
      builder.CreateCall(runtime("qkv_free", builder.getVoidTy(), {pointer}), {memory});
    builder.CreateRetVoid();
  }

private:
  Value *element(Value *array, llvm::Type *type, uint64_t index) {
    return builder.CreateConstInBoundsGEP1_64(type, array, index);
  }
  Value *load(Value *array, uint64_t index) {
    return builder.CreateLoad(pointer, element(array, pointer, index));
  }
  llvm::FunctionCallee runtime(const char *name, llvm::Type *result,
                               std::vector<llvm::Type *> arguments) {
    return module.getOrInsertFunction(name, llvm::FunctionType::get(result, arguments, false));
  }

  std::vector<Value *> extents(const Description::Value &value) {
    std::vector<Value *> list;
    if (sequences)
      list.push_back(sequences);
    for (const auto &axis : value.axes)
      list.push_back(
          emit(builder, *Extent::parse(axis.extent, description.sizes.size()), sizeValues));
    return list;
  }

  /// A result that is not wanted gets memory of its own for the time of the call.
  Value *wanted(Value *given, const std::vector<Value *> &shape, int type) {
    auto *none = llvm::ConstantPointerNull::get(pointer);
    llvm::BasicBlock *before = builder.GetInsertBlock();
    auto *allocate = llvm::BasicBlock::Create(module.getContext(), "", function);
    auto *after = llvm::BasicBlock::Create(module.getContext(), "", function);
    builder.CreateCondBr(builder.CreateICmpEQ(given, none), allocate, after);
    builder.SetInsertPoint(allocate);
    Value *bytes = builder.getInt64(type == QKV_FLOAT ? 4 : type == QKV_INT ? 8 : 1);
    for (Value *extent : shape)
      bytes = builder.CreateMul(bytes, extent);
    Value *made = builder.CreateCall(runtime("qkv_alloc", pointer, {word}), {bytes});
    builder.CreateBr(after);
    builder.SetInsertPoint(after);
    llvm::PHINode *memory = builder.CreatePHI(pointer, 2);
    memory->addIncoming(none, before);
    memory->addIncoming(made, allocate);
    scratch.push_back(memory);
    llvm::PHINode *chosen = builder.CreatePHI(pointer, 2);
    chosen->addIncoming(given, before);
    chosen->addIncoming(made, allocate);
    return chosen;
  }

  /// {allocated, aligned, offset, sizes[rank], strides[rank]}: how MLIR hands over a memref.
  Value *descriptor(Value *data, const std::vector<Value *> &shape) {
    std::vector<llvm::Type *> fields{pointer, pointer, word};
    auto *list = llvm::ArrayType::get(word, shape.size());
    if (!shape.empty())
      fields.insert(fields.end(), {list, list});
    auto *type = llvm::StructType::get(module.getContext(), fields);
    // In the entry block, whatever block this is: its memory lives through the call.
    llvm::BasicBlock &entry = function->getEntryBlock();
    llvm::IRBuilder<> atEntry(&entry, entry.begin());
    Value *memory = atEntry.CreateAlloca(type);
    builder.CreateStore(data, builder.CreateStructGEP(type, memory, 0));
    builder.CreateStore(data, builder.CreateStructGEP(type, memory, 1));
    builder.CreateStore(builder.getInt64(0), builder.CreateStructGEP(type, memory, 2));
    Value *stride = builder.getInt64(1);
    for (size_t axis = shape.size(); axis-- > 0;) {
      auto field = [&](unsigned which) {
        return element(builder.CreateStructGEP(type, memory, which), word, axis);
      };
      builder.CreateStore(shape[axis], field(3));
      builder.CreateStore(stride, field(4));
      stride = builder.CreateMul(stride, shape[axis]);
    }
    return memory;
  }

  const Description &description;
  llvm::Module &module;
  llvm::Function *target;
  llvm::IRBuilder<> builder;
  llvm::PointerType *pointer;
  llvm::IntegerType *word;
  llvm::Function *function;
  std::vector<Value *> sizeValues, scratch;
  Value *sequences = nullptr; ///< their number, in a batch
};

/// What the outside of a model looks up starts with its name, so the model's own functions must
/// not: they keep their names behind a prefix that no name of the language has.
void hideFunctions(NativeModule &native) {
  for (llvm::Function &function : *native.module) {
    if (function.isDeclaration())
      continue;
    function.setName("qkv.body." + function.getName().str());
    function.setLinkage(llvm::Function::InternalLinkage);
    function.setVisibility(llvm::Function::DefaultVisibility);
  }
  for (llvm::GlobalVariable &global : native.module->globals())
    if (!global.isDeclaration())
      global.setLinkage(llvm::GlobalValue::InternalLinkage);
}

} // namespace

std::vector<EntryForm> entryForms(const Description &description) {
  std::vector<EntryForm> forms;
  for (bool batch : {false, true})
    for (bool last : {false, true})
      if ((!batch || description.hasBatch) && (last ? description.hasLast : description.hasWhole))
        forms.push_back({last, batch});
  return forms;
}

qkv_entry &entryOf(qkv_model &model, EntryForm form) {
  if (form.batch)
    return form.last ? model.entry_last_batch : model.entry_batch;
  return form.last ? model.entry_last : model.entry;
}

std::string functionName(const Description &description, EntryForm form) {
  return description.name + (form.last ? ".last" : "") + (form.batch ? ".batch" : "");
}

std::string entryName(const Description &description, EntryForm form) {
  return description.name + ".entry" + (form.last ? "_last" : "") + (form.batch ? "_batch" : "");
}

bool addEntries(NativeModule &native, std::string &error) {
  // The entries have no place in the model, and what is inlined into such a function loses
  // its lines. Functions are coarse: a call costs nothing beside a body.
  for (llvm::Function &function : *native.module)
    if (function.getSubprogram())
      function.addFnAttr(llvm::Attribute::NoInline);
  const Description &description = native.description;
  std::vector<std::pair<EntryForm, llvm::Function *>> found;
  for (EntryForm form : entryForms(description)) {
    std::string name = functionName(description, form);
    llvm::Function *function = native.module->getFunction("_mlir_ciface_" + name);
    size_t expected = 1 + form.batch + description.sizes.size() + description.inputs.size() +
                      !description.params.empty() + (form.last ? 1 : description.results.size());
    if (!function || function->isDeclaration()) {
      error = "the module has no entry " + name;
      return false;
    }
    if (function->arg_size() != expected) {
      error = "entry " + name + " has " + std::to_string(function->arg_size()) +
              " arguments, its description says " + std::to_string(expected);
      return false;
    }
    found.push_back({form, function});
  }
  hideFunctions(native);
  for (auto &[form, function] : found)
    Entry(native, function, entryName(description, form)).make(form);
  return true;
}

} // namespace qkv

// The functions of the table of entries: extents from the sizes, memref descriptors on the stack,
// one call.
#include "compiler/native/Entries.h"
#include "compiler/description/EntryKinds.h"
#include "compiler/description/Extent.h"
#include "compiler/description/ExtentCode.h"
#include "runtime/checkpoint/Element.h"

#include "llvm/IR/IRBuilder.h"

#include <algorithm>

namespace qkv {
namespace {

using llvm::Value;

/// Makes one entry.
class Entry {
public:
  /// `open`: results from that number on may all be unwanted.
  Entry(NativeModule &native, const Description &description, const Description::Entry &entry,
        llvm::Function *target, int32_t open)
      : description(description), entry(entry), module(*native.module), target(target), open(open),
        builder(native.context), pointer(builder.getPtrTy()), word(builder.getInt64Ty()) {
    auto *type = llvm::FunctionType::get(
        builder.getVoidTy(), {pointer, pointer, pointer, pointer, pointer}, /*isVarArg=*/false);
    function = llvm::Function::Create(type, llvm::Function::ExternalLinkage,
                                      entryName(description, entry), module);
    builder.SetInsertPoint(llvm::BasicBlock::Create(native.context, "", function));
  }

  /// Each array that the entry is given has one element for each argument of its kind, in order.
  void make() {
    std::vector<Value *> arguments{function->getArg(0)};
    uint64_t number = 0, input = 0, result = 0;
    Value *anyOpen = anyOpenWanted();
    for (const qkv_argument &argument : entry.arguments)
      switch (static_cast<qkv_argument_kind>(argument.kind)) {
      case QKV_SEQUENCES:
        arguments.push_back(sequences = loadNumber(number++));
        break;
      case QKV_SIZE:
        arguments.push_back(sizes[argument.index] = loadNumber(number++));
        break;
      case QKV_INPUT:
        arguments.push_back(descriptor(load(function->getArg(2), input++),
                                       extents(description.inputs[argument.index])));
        break;
      case QKV_TABLE:
        arguments.push_back(descriptor(
            load(function->getArg(2), input++),
            {sequences, builder.getInt64(entry.count(QKV_OWN_SIZE) + entry.count(QKV_OWN_INPUT) +
                                         entry.count(QKV_OWN_RESULT))}));
        break;
      case QKV_OWN_SIZE: // in the table
      case QKV_OWN_INPUT:
      case QKV_OWN_RESULT:
        break;
      case QKV_PARAMS:
        arguments.push_back(function->getArg(3)); // their table, as it is
        break;
      case QKV_RESULT:
      case QKV_LAST_POSITION: {
        Description::Value value = description.results[argument.index];
        if (argument.kind == QKV_LAST_POSITION)
          value.axes.erase(value.axes.begin());
        std::vector<Value *> shape = extents(value);
        Value *data = wanted(load(function->getArg(4), result++), shape, value.type,
                             argument.index >= open ? anyOpen : nullptr);
        arguments.push_back(descriptor(data, shape));
        break;
      }
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
  Value *loadNumber(uint64_t index) {
    return builder.CreateLoad(word, element(function->getArg(1), word, index));
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
      list.push_back(emit(builder, *Extent::parse(axis.extent, description.sizes.size()), sizes));
    return list;
  }

  /// Whether any of the open results is wanted.
  Value *anyOpenWanted() {
    Value *any = builder.getFalse();
    uint64_t result = 0;
    for (const qkv_argument &argument : entry.arguments)
      if (argument.kind == QKV_RESULT || argument.kind == QKV_LAST_POSITION) {
        if (argument.index >= open)
          any = builder.CreateOr(any, builder.CreateIsNotNull(load(function->getArg(4), result)));
        ++result;
      }
    return any;
  }

  /// A result that is not wanted gets memory of its own for the time of the call, if `any`.
  Value *wanted(Value *given, const std::vector<Value *> &shape, int type, Value *any) {
    auto *none = llvm::ConstantPointerNull::get(pointer);
    llvm::BasicBlock *before = builder.GetInsertBlock();
    auto *allocate = llvm::BasicBlock::Create(module.getContext(), "", function);
    auto *after = llvm::BasicBlock::Create(module.getContext(), "", function);
    Value *lacks = builder.CreateICmpEQ(given, none);
    builder.CreateCondBr(any ? builder.CreateAnd(lacks, any) : lacks, allocate, after);
    builder.SetInsertPoint(allocate);
    Value *bytes = builder.getInt64(rt::typeSize(type));
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
  const Description::Entry &entry;
  llvm::Module &module;
  llvm::Function *target;
  int32_t open;
  llvm::IRBuilder<> builder;
  llvm::PointerType *pointer;
  llvm::IntegerType *word;
  llvm::Function *function;
  std::vector<Value *> sizes{description.sizes.size()}; ///< by number among the model's
  std::vector<Value *> scratch;
  Value *sequences = nullptr; ///< their number, where the entry takes it
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

/// The number from which on an entry's results may all be unwanted (irgen says so).
static int32_t openResults(const llvm::Module &module, const Description::Entry &entry) {
  int32_t number = INT32_MAX;
  const llvm::Function *body = module.getFunction(entry.symbol);
  if (body && body->hasFnAttribute(unwantedAttribute))
    body->getFnAttribute(unwantedAttribute).getValueAsString().getAsInteger(10, number);
  return number;
}

std::string entryName(const Description &description, const Description::Entry &entry) {
  std::string symbol = entry.symbol.substr(description.name.size()); // ".last"
  std::replace(symbol.begin(), symbol.end(), '.', '_');
  return description.name + ".entry" + symbol;
}

bool addEntries(NativeModule &native, std::string &error) {
  // The entries have no place in the model, and what is inlined into such a function loses
  // its lines. Functions are coarse: a call costs nothing beside a body.
  for (llvm::Function &function : *native.module)
    if (function.getSubprogram())
      function.addFnAttr(llvm::Attribute::NoInline);
  struct Found {
    const Description *description;
    const Description::Entry *entry;
    llvm::Function *function;
    int32_t open;
  };
  std::vector<Found> found;
  for (const Description *description : withParts(native.description))
    for (const Description::Entry &entry : description->entries) {
      llvm::Function *function = native.module->getFunction("_mlir_ciface_" + entry.symbol);
      size_t expected = 1 + entry.arguments.size() - entry.count(QKV_OWN_SIZE) -
                        entry.count(QKV_OWN_INPUT) - entry.count(QKV_OWN_RESULT); // the context too
      if (!function || function->isDeclaration()) {
        error = "the module has no entry " + entry.symbol;
        return false;
      }
      if (function->arg_size() != expected) {
        error = "entry " + entry.symbol + " has " + std::to_string(function->arg_size()) +
                " arguments, its description says " + std::to_string(expected);
        return false;
      }
      found.push_back({description, &entry, function, openResults(*native.module, entry)});
    }
  hideFunctions(native);
  for (const Found &one : found)
    Entry(native, *one.description, *one.entry, one.function, one.open).make();
  return true;
}

} // namespace qkv

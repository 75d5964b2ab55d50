// The JIT: LLJIT of libLLVM (MLIR's own engine is a static archive beside the shared libraries).
#include "compiler/native/Jit.h"
#include "compiler/native/Entries.h"
#include "compiler/native/Machine.h"

#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/CompileUtils.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/DebugInfo.h"
#include "llvm/Target/TargetMachine.h"

namespace qkv {

struct JitModel::Data {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::unique_ptr<ModelInMemory> memory;
};

namespace {

namespace orc = llvm::orc;

/// What compiled code calls of the runtime. It is linked into this program, not exported by it.
llvm::Error defineRuntime(orc::LLJIT &jit, const std::map<std::string, void *> &functions) {
  orc::SymbolMap symbols;
  auto add = [&](const char *name, auto *function) {
    symbols[jit.mangleAndIntern(name)] = {orc::ExecutorAddr::fromPtr(function),
                                          llvm::JITSymbolFlags::Exported |
                                              llvm::JITSymbolFlags::Callable};
  };
  for (const auto &[name, function] : functions)
    add(name.c_str(), function);
  add("qkv_check_failed", &qkv_check_failed);
  add("qkv_alloc", &qkv_alloc);
  add("qkv_free", &qkv_free);
  add("qkv_parallel_for", &qkv_parallel_for);
  return jit.getMainJITDylib().define(orc::absoluteSymbols(std::move(symbols)));
}

} // namespace

JitModel::JitModel(std::unique_ptr<Data> data) : data_(std::move(data)) {}
JitModel::~JitModel() = default;
qkv_model &JitModel::model() { return data_->memory->model(); }
qkv_model *JitModel::trace() {
  ModelInMemory *trace = data_->memory->trace();
  return trace ? &trace->model() : nullptr;
}

bool compileForJit(std::unique_ptr<NativeModule> native, const std::string &cpu, JitCode &code,
                   std::string &error, Effort effort) {
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(cpu, CodeUse::Jit, error);
  if (!machine || !addEntries(*native, error))
    return false;
  if (effort == Effort::Light)
    llvm::StripDebugInfo(*native->module); // no debugger sees code of one run; it costs a tenth
  aimAt(*native->module, *machine);
  optimize(*native->module, *machine, effort);
  code.object = generateCode(*native->module, *machine, CodeFile::Object, error, effort);
  native->description.cpu = neededFeatures(*machine);
  code.description = native->description.json();
  return !code.object.empty();
}

std::unique_ptr<JitModel> JitModel::create(std::unique_ptr<NativeModule> native,
                                           const std::string &cpu, std::string &error,
                                           Effort effort,
                                           const std::map<std::string, void *> &functions) {
  JitCode code;
  return compileForJit(std::move(native), cpu, code, error, effort) ? load(code, error, functions)
                                                                    : nullptr;
}

std::unique_ptr<JitModel> JitModel::load(const JitCode &code, std::string &error,
                                         const std::map<std::string, void *> &functions) {
  Description description;
  if (!Description::fromJson(code.description, description, error))
    return nullptr;
  auto failed = [&](llvm::Error why) {
    error = llvm::toString(std::move(why));
    return nullptr;
  };
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine("native", CodeUse::Jit, error);
  if (!machine)
    return nullptr;
  auto jit = orc::LLJITBuilder()
                 .setDataLayout(machine->createDataLayout())
                 // Its functions are found by name below; libm comes with the search of the
                 // process.
                 .setLinkProcessSymbolsByDefault(true)
                 .create();
  if (!jit)
    return failed(jit.takeError());
  if (llvm::Error why = defineRuntime(**jit, functions))
    return failed(std::move(why));
  if (llvm::Error why =
          (*jit)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(code.object, "model.o")))
    return failed(std::move(why));

  auto data = std::make_unique<Data>();
  data->memory = std::make_unique<ModelInMemory>(description);
  auto setFunctions = [&](ModelInMemory &model) -> llvm::Error {
    for (const Description::Entry &entry : model.description().entries) {
      auto function = (*jit)->lookup(entryName(model.description(), entry));
      if (!function)
        return function.takeError();
      model.setFunction(entry.kind, function->toPtr<qkv_function>());
    }
    return llvm::Error::success();
  };
  if (llvm::Error why = setFunctions(*data->memory))
    return failed(std::move(why));
  for (int part = 0; part < QKV_PARTS; ++part)
    if (ModelInMemory *model = data->memory->part(static_cast<qkv_part>(part)))
      if (llvm::Error why = setFunctions(*model))
        return failed(std::move(why));
  if (ModelInMemory *trace = data->memory->trace())
    if (llvm::Error why = setFunctions(*trace))
      return failed(std::move(why));
  data->jit = std::move(*jit);
  return std::unique_ptr<JitModel>(new JitModel(std::move(data)));
}

} // namespace qkv

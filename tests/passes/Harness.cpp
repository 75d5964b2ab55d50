// In: a module's text. Out: machine code in this process, called with buffers made for it.
#include "Harness.h"

#include "compiler/passes/Target.h"
#include "compiler/pipeline/Pipeline.h"
#include "compiler/pipeline/Registration.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/TargetSelect.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace qkv::test {

// The runtime, as far as compiled code asks for it, counting.
namespace {

void *allocate(size_t bytes) {
  Counts &counts = Module::counts();
  void *raw = nullptr;
  if (posix_memalign(&raw, 64, bytes + 64))
    abort();
  *static_cast<size_t *>(raw) = bytes;
  counts.live += bytes;
  counts.peak = std::max(counts.peak, counts.live);
  ++counts.allocations;
  // Nothing may depend on what memory held before.
  std::memset(static_cast<char *>(raw) + 64, 0xff, bytes);
  return static_cast<char *>(raw) + 64;
}

void release(void *pointer) {
  if (!pointer)
    return;
  char *raw = static_cast<char *>(pointer) - 64;
  Module::counts().live -= *reinterpret_cast<size_t *>(raw);
  free(raw);
}

void checkFailed(void *, int32_t site, int64_t value, int64_t bound) {
  Module::counts().failed.push_back({site, value, bound});
}

/// In pieces and backwards: the order must not matter.
void parallelFor(void *, int64_t count, int64_t grain, void (*body)(void *, int64_t, int64_t),
                 void *argument) {
  ++Module::counts().parallel;
  int64_t piece = std::max<int64_t>(grain, 3);
  for (int64_t begin = (count - 1) / piece * piece; begin >= 0; begin -= piece)
    body(argument, begin, std::min(begin + piece, count));
}

/// This thread's own time: machines that test are shared.
double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

/// What the oracle goes through: no pass of ours but those that nothing runs without.
constexpr const char *plainPasses =
    "one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map buffer-alignment=0},"
    "canonicalize,cse,ownership-based-buffer-deallocation,canonicalize,"
    "buffer-deallocation-simplification,bufferization-lower-deallocations,"
    "convert-bufferization-to-memref,"
    "func.func(qkv-lower-copies,convert-linalg-to-loops)";

std::unique_ptr<mlir::MLIRContext> makeContext() {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  return std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
}

std::string print(mlir::ModuleOp module) {
  std::string out;
  llvm::raw_string_ostream stream(out);
  module.print(stream, mlir::OpPrintingFlags().enableDebugInfo());
  return out;
}

void advance(mlir::ModuleOp module, Stage from, Stage to, const std::string &cpu) {
  std::string error;
  PipelineOptions options;
  options.cpu = cpu;
  if (!runPipeline(module, from, to, options, error))
    throw std::runtime_error(error);
}

mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text, mlir::MLIRContext &context) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    throw std::runtime_error("a module does not parse");
  return module;
}

Argument describe(mlir::func::FuncOp function, unsigned number, mlir::ShapedType type) {
  Argument out;
  mlir::Type element = type.getElementType();
  out.sample.type = element.isF32() ? 'f' : element.isInteger(64) ? 'i' : 'b';
  for (int64_t extent : type.getShape())
    out.fixed.push_back(mlir::ShapedType::isDynamic(extent) ? -1 : extent);
  if (auto dims = function.getArgAttrOfType<mlir::ArrayAttr>(number, "test.dims"))
    for (mlir::Attribute dim : dims)
      out.dims.push_back(mlir::cast<mlir::IntegerAttr>(dim).getInt());
  if (auto below = function.getArgAttrOfType<mlir::IntegerAttr>(number, "test.below"))
    out.below = below.getInt();
  if (auto scale = function.getArgAttrOfType<mlir::FloatAttr>(number, "test.scale"))
    out.scale = scale.getValueAsDouble();
  out.result = mlir::isa<mlir::MemRefType>(type);
  return out;
}

} // namespace

int64_t Buffer::count() const {
  int64_t out = 1;
  for (int64_t extent : shape)
    out *= extent;
  return out;
}

void *Buffer::data() {
  return type == 'f'   ? static_cast<void *>(floats.data())
         : type == 'i' ? static_cast<void *>(ints.data())
                       : static_cast<void *>(bools.data());
}

struct Module::Data {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::vector<Argument> arguments;
  std::vector<Buffer> lastInputs;
  int sizes = 0;
  void (*entry)(...) = nullptr;

  Buffer make(const Argument &argument, const std::vector<int64_t> &values) const {
    Buffer out = argument.sample;
    size_t next = 0;
    for (int64_t extent : argument.fixed) {
      if (extent < 0) {
        int64_t dim = argument.dims.at(next++);
        extent = values.at(dim % 16) + dim / 16;
      }
      out.shape.push_back(extent);
    }
    size_t count = out.count();
    out.floats.resize(out.type == 'f' ? count : 0, -77);
    out.ints.resize(out.type == 'i' ? count : 0, -77);
    out.bools.resize(out.type == 'b' ? count : 0, 0);
    return out;
  }

  void call(const std::vector<int64_t> &values, std::vector<Buffer> &buffers) {
    std::vector<std::vector<int64_t>> descriptors;
    std::vector<int64_t> words{0};
    words.insert(words.end(), values.begin(), values.end());
    for (Buffer &buffer : buffers) {
      auto address = reinterpret_cast<int64_t>(buffer.data());
      std::vector<int64_t> descriptor{address, address, 0};
      descriptor.insert(descriptor.end(), buffer.shape.begin(), buffer.shape.end());
      for (size_t axis = 0; axis < buffer.shape.size(); ++axis) {
        int64_t stride = 1;
        for (size_t later = axis + 1; later < buffer.shape.size(); ++later)
          stride *= buffer.shape[later];
        descriptor.push_back(stride);
      }
      descriptors.push_back(descriptor);
    }
    for (auto &descriptor : descriptors)
      words.push_back(reinterpret_cast<int64_t>(descriptor.data()));
    words.resize(20);
    using Word = int64_t;
    auto function =
        reinterpret_cast<void (*)(Word, Word, Word, Word, Word, Word, Word, Word, Word, Word, Word,
                                  Word, Word, Word, Word, Word, Word, Word, Word, Word)>(entry);
    function(words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7],
             words[8], words[9], words[10], words[11], words[12], words[13], words[14], words[15],
             words[16], words[17], words[18], words[19]);
  }
};

Counts &Module::counts() {
  static Counts counts;
  return counts;
}

Module::~Module() = default;

Module::Module(const std::string &text, Lowering lowering, const std::string &cpu)
    : data_(std::make_unique<Data>()) {
  static bool once = (llvm::InitializeNativeTarget(), llvm::InitializeNativeTargetAsmPrinter(),
                      registerAllPasses(), true);
  (void)once;
  auto context = makeContext();
  auto module = parse(text, *context);
  std::string name;
  module->walk([&](mlir::func::FuncOp function) {
    if (!function->hasAttr("qkv.entry"))
      return;
    name = function.getName().str();
    for (unsigned number = 1; number < function.getNumArguments(); ++number) {
      mlir::Type type = function.getArgument(number).getType();
      if (auto shaped = mlir::dyn_cast<mlir::ShapedType>(type))
        data_->arguments.push_back(describe(function, number, shaped));
      else
        ++data_->sizes;
    }
  });
  if (lowering == Lowering::Plain) {
    mlir::PassManager manager(context.get());
    if (mlir::failed(mlir::parsePassPipeline(plainPasses, manager)) ||
        mlir::failed(manager.run(*module)))
      throw std::runtime_error("the oracle's passes failed");
    advance(*module, Stage::Kernels, Stage::Llvm, cpu);
  } else if (lowering == Lowering::Pipeline) {
    advance(*module, Stage::Graph, Stage::Llvm, cpu);
  } else {
    Stage at = Stage::Graph;
    for (Stage next : {Stage::Fused, Stage::Kernels, Stage::Llvm}) {
      advance(*module, at, next, cpu);
      std::string dump = print(*module);
      module = nullptr;
      context = makeContext();
      module = parse(dump, *context);
      at = next;
    }
  }

  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  auto code = mlir::translateModuleToLLVMIR(*module, *llvmContext);
  if (!code)
    throw std::runtime_error("no translation to LLVM IR");
  TargetDescription target = describeTarget(cpu);
  for (llvm::Function &function : *code)
    if (!function.isDeclaration()) {
      function.addFnAttr("target-cpu", target.cpu);
      if (!target.features.empty())
        function.addFnAttr("target-features", target.features);
    }
  auto machine = llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
  machine.setCPU(target.cpu);
  if (!target.features.empty())
    machine.getFeatures() = llvm::SubtargetFeatures(target.features);
  else
    machine.getFeatures() = llvm::SubtargetFeatures();
  data_->jit = llvm::cantFail(
      llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(std::move(machine)).create());
  auto &library = data_->jit->getMainJITDylib();
  library.addGenerator(
      llvm::cantFail(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
          data_->jit->getDataLayout().getGlobalPrefix())));
  llvm::orc::SymbolMap symbols;
  auto define = [&](const char *symbol, auto *function) {
    symbols[data_->jit->mangleAndIntern(symbol)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                                    llvm::JITSymbolFlags::Exported};
  };
  define("qkv_alloc", &allocate);
  define("qkv_free", &release);
  define("qkv_check_failed", &checkFailed);
  define("qkv_parallel_for", &parallelFor);
  llvm::cantFail(library.define(llvm::orc::absoluteSymbols(symbols)));
  llvm::cantFail(data_->jit->addIRModule(
      llvm::orc::ThreadSafeModule(std::move(code), std::move(llvmContext))));
  data_->entry = llvm::cantFail(data_->jit->lookup("_mlir_ciface_" + name)).toPtr<void (*)(...)>();
}

std::vector<Buffer> Module::inputs(const std::vector<int64_t> &sizes, uint64_t seed) const {
  std::vector<Buffer> out;
  for (const Argument &argument : data_->arguments) {
    if (argument.result)
      continue;
    // Each from its own seed: rows come first, so fewer rows are the first of many.
    std::mt19937_64 random(seed + 7919 * out.size());
    Buffer buffer = data_->make(argument, sizes);
    std::uniform_real_distribution<float> floats(-argument.scale, argument.scale);
    int64_t below = argument.below ? argument.below : sizes.at(0);
    for (float &value : buffer.floats)
      value = floats(random);
    for (int64_t &value : buffer.ints)
      value = static_cast<int64_t>(random() % below);
    for (uint8_t &value : buffer.bools)
      value = random() & 1;
    out.push_back(std::move(buffer));
  }
  return out;
}

std::vector<Buffer> Module::run(const std::vector<int64_t> &sizes, std::vector<Buffer> inputs) {
  size_t read = inputs.size();
  for (const Argument &argument : data_->arguments)
    if (argument.result)
      inputs.push_back(data_->make(argument, sizes));
  data_->call(sizes, inputs);
  std::vector<Buffer> results(std::make_move_iterator(inputs.begin() + read),
                              std::make_move_iterator(inputs.end()));
  inputs.resize(read);
  data_->lastInputs = std::move(inputs);
  return results;
}

const std::vector<Buffer> &Module::lastInputs() const { return data_->lastInputs; }

double Module::time(const std::vector<int64_t> &sizes, std::vector<Buffer> inputs, int rounds) {
  for (const Argument &argument : data_->arguments)
    if (argument.result)
      inputs.push_back(data_->make(argument, sizes));
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    double begin = threadSeconds();
    data_->call(sizes, inputs);
    best = std::min(best, threadSeconds() - begin);
  }
  return best;
}

bool hostRuns(const std::string &cpu) {
  TargetDescription host = describeTarget("native"), target = describeTarget(cpu);
  return target.lanes <= host.lanes && target.fma <= host.fma;
}

std::string readFile(const std::string &path) {
  std::ifstream file(path);
  if (!file)
    throw std::runtime_error("cannot read " + path);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

std::string stageText(const std::string &text, const std::string &to, const std::string &cpu) {
  auto context = makeContext();
  auto module = parse(text, *context);
  advance(*module, Stage::Graph, *stageByName(to), cpu);
  return print(*module);
}

} // namespace qkv::test

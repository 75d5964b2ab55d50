// A model's module, its stage, its text.
#include "compiler/Compilation.h"
#include "compiler/dialect/QkvDialect.h"
#include "compiler/irgen/IRGen.h"
#include "compiler/passes/Target.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <set>

namespace qkv {

struct Compilation::Data {
  std::string cpu;
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Stage stage = Stage::Graph;
  std::unique_ptr<NativeModule> native; // where the text was LLVM IR

  explicit Data(std::string cpu) : cpu(std::move(cpu)) {
    mlir::DialectRegistry registry;
    registerDialects(registry);
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  }
};

namespace {

/// The lines of one file that a location names.
std::set<int> linesOf(mlir::Location location, llvm::StringRef file) {
  std::set<int> lines;
  location->walk([&](mlir::Location part) {
    if (auto range = llvm::dyn_cast<mlir::FileLineColRange>(part))
      if (range.getFilename().getValue() == file)
        for (unsigned line = range.getStartLine(); line <= range.getEndLine(); ++line)
          lines.insert(static_cast<int>(line));
    return mlir::WalkResult::advance();
  });
  return lines;
}

bool looksLikeLlvmIr(llvm::StringRef text) {
  while (text.starts_with("; qkv ")) // what qkv says of it
    text = text.split('\n').second;
  for (llvm::StringRef head : {"target ", "source_filename", "; ModuleID", "define "})
    if (text.ltrim().starts_with(head))
      return true;
  return text.contains("\ndefine ") && text.contains("!qkv.description");
}

} // namespace

Compilation::Compilation(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Compilation::~Compilation() = default;
Stage Compilation::stage() const { return data_->stage; }
bool Compilation::isLlvmIr() const { return data_->native != nullptr; }

std::unique_ptr<Compilation> Compilation::begin(const Program &program, const std::string &cpu,
                                                std::string &error, const Form &form) {
  auto data = std::make_unique<Data>(cpu);
  std::string said;
  llvm::raw_string_ostream out(said);
  mlir::ScopedDiagnosticHandler handler(data->context.get(), [&](mlir::Diagnostic &diagnostic) {
    out << diagnostic.getLocation() << ": " << diagnostic << "\n";
    return mlir::success();
  });
  TargetDescription target = describeTarget(cpu);
  GenerateOptions options;
  options.whole = form.whole;
  options.parts = form.parts;
  options.batch = form.batch;
  options.fuse = form.fuse;
  options.trace = form.trace;
  options.panelWidth = target.panelWidth();
  options.lanes = target.lanes;
  options.element = form.element;
  options.cache = form.cache;
  data->module = generate(*data->context, program, options);
  if (!data->module || mlir::failed(mlir::verify(*data->module))) {
    error = "the graph stage cannot be made of the equations\n" + said;
    return nullptr;
  }
  // The file that debug information is of.
  if (llvm::isa<mlir::UnknownLoc>(data->module->getLoc()) && program.span)
    data->module->getOperation()->setLoc(
        mlir::FileLineColLoc::get(data->context.get(), program.span.source->path(), 1, 1));
  return std::unique_ptr<Compilation>(new Compilation(std::move(data)));
}

std::unique_ptr<Compilation> Compilation::parse(const std::string &text, const std::string &name,
                                                std::optional<Stage> from, const std::string &cpu,
                                                std::string &error) {
  auto data = std::make_unique<Data>(cpu);
  if (looksLikeLlvmIr(text)) {
    if (from && *from != Stage::Llvm) {
      error = "it is LLVM IR, which is stage llvm, not " + std::string(stageName(*from));
      return nullptr;
    }
    data->stage = Stage::Llvm;
    data->native = parseNative(text, name, error);
    if (!data->native)
      return nullptr;
    return std::unique_ptr<Compilation>(new Compilation(std::move(data)));
  }
  llvm::raw_string_ostream out(error);
  mlir::ScopedDiagnosticHandler handler(data->context.get(), [&](mlir::Diagnostic &diagnostic) {
    out << diagnostic.getLocation() << ": " << diagnostic << "\n";
    return mlir::success();
  });
  data->module =
      mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(data->context.get()), name);
  if (!data->module) {
    if (error.empty())
      error = "it is no module of any stage";
    return nullptr;
  }
  auto stage = (*data->module)->getAttrOfType<mlir::StringAttr>(stageAttribute);
  std::optional<Stage> said = stage ? stageByName(stage.str()) : std::nullopt;
  if (!from && !said) {
    error = "it does not say what stage it is (module attribute qkv.stage); --from does";
    return nullptr;
  }
  data->stage = from ? *from : *said;
  return std::unique_ptr<Compilation>(new Compilation(std::move(data)));
}

bool Compilation::advance(Stage to, std::string &error) {
  if (to < data_->stage || (to == data_->stage && !data_->module)) {
    if (to == data_->stage)
      return true;
    error = "the module is at stage " + std::string(stageName(data_->stage)) + ", behind stage " +
            stageName(to);
    return false;
  }
  if (to == data_->stage)
    return true;
  PipelineOptions options;
  options.cpu = data_->cpu;
#ifdef NDEBUG
  options.verifyEach = false;
#endif
  if (!runPipeline(*data_->module, data_->stage, to, options, error))
    return false;
  data_->stage = to;
  return true;
}

bool Compilation::keepEntries(const std::vector<qkv_entry_kind> &kinds, std::string &error) {
  Description known;
  if (data_->native || data_->stage >= Stage::Llvm)
    return true;
  if (!description(known, error))
    return false;
  std::vector<Description::Entry> kept, dropped;
  for (const Description::Entry &entry : known.entries)
    (std::count(kinds.begin(), kinds.end(), entry.kind) ? kept : dropped).push_back(entry);
  if (kept.empty() || dropped.empty())
    return true;
  mlir::ModuleOp module = *data_->module;
  for (const Description::Entry &entry : dropped)
    if (mlir::Operation *function = module.lookupSymbol(entry.symbol))
      function->erase();
  known.entries = kept;
  module->setAttr(descriptionAttribute, mlir::StringAttr::get(module.getContext(), known.json()));
  mlir::PassManager manager(module.getContext());
  manager.addPass(mlir::createSymbolDCEPass()); // what only the others called
  if (mlir::succeeded(manager.run(module)))
    return true;
  error = "functions without a caller could not be dropped";
  return false;
}

std::string Compilation::text(const TextPart &part) const {
  if (data_->native)
    return qkv::text(*data_->native);
  mlir::ModuleOp module = *data_->module;
  module->setAttr(stageAttribute,
                  mlir::StringAttr::get(module.getContext(), stageName(data_->stage)));
  std::string out;
  llvm::raw_string_ostream stream(out);
  mlir::OpPrintingFlags flags;
  if (part.whole()) {
    flags.enableDebugInfo();
    mlir::AsmState state(module, flags);
    module->print(stream, state);
    return out;
  }
  std::string file = modelFile(module);
  mlir::AsmState state(module, flags);
  for (mlir::Operation &function : module.getOps()) {
    auto name = mlir::SymbolTable::getSymbolName(&function);
    if (!part.function.empty() && (!name || name.getValue() != part.function))
      continue;
    if (part.line == 0) {
      function.print(stream, state);
      stream << "\n";
      continue;
    }
    // The outermost operations of the line; what is inside them is printed with them.
    bool headed = false;
    function.walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
      if (op == &function || !linesOf(op->getLoc(), file).count(part.line))
        return mlir::WalkResult::advance();
      if (!headed && name)
        stream << "// in @" << name.getValue() << "\n";
      headed = true;
      op->print(stream, state);
      stream << "\n";
      return mlir::WalkResult::skip();
    });
  }
  return out;
}

bool Compilation::explain(const ExplainOptions &options, Explanation &out, std::string &error) {
  std::map<std::string, Place> places;
  if (!data_->native) {
    places = equationPlaces(*data_->module);
    out.file = modelFile(*data_->module);
  }
  if (!advance(Stage::Fused, error))
    return false;
  out.kernels = kernelsOf(*data_->module, options, places);
  if (!advance(Stage::Kernels, error))
    return false;
  out.buffers = buffersOf(*data_->module, options, out.peak);
  return true;
}

bool Compilation::timeKernels(std::vector<std::string> &names, std::string &error) {
  if (!advance(Stage::Kernels, error))
    return false;
  names = qkv::timeKernels(*data_->module);
  return true;
}

std::unique_ptr<NativeModule> Compilation::native(std::string &error) {
  if (data_->native)
    return std::move(data_->native);
  if (!advance(Stage::Llvm, error))
    return nullptr;
  return lower(*data_->module, error);
}

bool Compilation::description(Description &out, std::string &error) const {
  if (data_->native) {
    out = data_->native->description;
    return true;
  }
  mlir::ModuleOp module = *data_->module;
  auto json = module->getAttrOfType<mlir::StringAttr>(descriptionAttribute);
  if (!json) {
    error = "the module has no attribute qkv.description";
    return false;
  }
  return Description::fromJson(json.str(), out, error);
}

} // namespace qkv

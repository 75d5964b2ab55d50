// Kernels and their counts. Holds: a kernel's name is the name that its location carries (an
// equation's), which stays with it through all stages; equal names are one kernel.
#include "compiler/explain/Explain.h"
#include "compiler/description/Description.h"
#include "compiler/description/Extent.h"
#include "compiler/dialect/QkvDialect.h"
#include "compiler/explain/Costs.h"
#include "compiler/explain/Frame.h"
#include "compiler/explain/Places.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"

#include <algorithm>
#include <functional>

namespace qkv {

using namespace mlir;

namespace {

constexpr const char *formAttribute = "qkv.form";

std::string text(Operation *op, const char *attribute) {
  auto string = op->getAttrOfType<StringAttr>(attribute);
  return string ? string.str() : "";
}

/// The operation's own, or the first inside it.
std::string textInside(Operation *op, const char *attribute) {
  std::string found;
  op->walk<WalkOrder::PreOrder>([&](Operation *inner) {
    found = text(inner, attribute);
    return found.empty() ? WalkResult::advance() : WalkResult::interrupt();
  });
  return found;
}

/// "score", "score:6" or "score:6:nn.qkv" (Equations that one of several files defines).
KernelReport::Equation listedEquation(llvm::StringRef item) {
  auto [name, place] = item.trim().split(':');
  auto [line, file] = place.split(':');
  KernelReport::Equation equation{name.str(), {file.str(), 0}};
  line.getAsInteger(10, equation.place.line);
  return equation;
}

/// The equations of an operation and of what is inside it, each once. An operation that was made of
/// several lists them ("score:6,alpha:7"); else they are the names that it and the locations of its
/// scalar code carry, whose places are asked for later.
std::vector<KernelReport::Equation> equationsOf(Operation *op) {
  std::vector<KernelReport::Equation> equations;
  auto add = [&](const KernelReport::Equation &one) {
    auto known = [&](const KernelReport::Equation &e) { return e.name == one.name; };
    if (!one.name.empty() && llvm::none_of(equations, known))
      equations.push_back(one);
  };
  op->walk<WalkOrder::PreOrder>([&](Operation *inner) {
    std::string all = text(inner, equationsAttribute);
    if (all.empty()) {
      add({text(inner, equationAttribute), {}});
      if (inner != op)
        add({nameOf(inner->getLoc()), {}});
      return WalkResult::advance();
    }
    llvm::SmallVector<llvm::StringRef> list;
    llvm::StringRef(all).split(list, ',', -1, /*KeepEmpty=*/false);
    for (llvm::StringRef item : list)
      add(listedEquation(item));
    return WalkResult::skip();
  });
  if (equations.empty())
    add({nameOf(op->getLoc()), {}});
  return equations;
}

using Visit = std::function<void(Operation *op, Frame &frame, double times)>;

/// Every operation that computes, in the order in which they run, with the frame it runs in.
void eachKernel(Block &block, Frame &frame, double times, const Visit &visit) {
  for (Operation &op : block) {
    if (auto call = dyn_cast<func::CallOp>(op)) {
      if (std::optional<Frame> callee = Frame::of(call, frame))
        eachKernel(callee->function().getBody().front(), *callee, times, visit);
      continue;
    }
    bool calls = op.walk([&](func::CallOp) { return WalkResult::interrupt(); }).wasInterrupted();
    if (calls) {
      double rounds = 1;
      if (auto loop = dyn_cast<scf::ForOp>(op))
        rounds = frame.enter(loop).value_or(1);
      for (mlir::Region &region : op.getRegions())
        for (Block &inner : region)
          eachKernel(inner, frame, times * rounds, visit);
      continue;
    }
    if (!kindOf(&op).empty())
      visit(&op, frame, times);
  }
}

/// The shapes of the tensors that an entry takes and gives.
std::vector<std::vector<int64_t>> shapesOf(const Description &description,
                                           const Description::Entry &entry,
                                           const std::vector<int64_t> &sizes) {
  std::vector<std::vector<int64_t>> shapes;
  auto add = [&](const Description::Value &value, bool lastPosition) {
    std::vector<int64_t> &shape = shapes.emplace_back();
    for (const auto &axis : value.axes)
      shape.push_back(Extent::parse(axis.extent, sizes.size())->evaluate(sizes.data()));
    if (lastPosition)
      shape.erase(shape.begin());
  };
  for (const qkv_argument &argument : entry.arguments)
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES:
    case QKV_SIZE:
    case QKV_OWN_SIZE: // of these the table's rows say what they are
    case QKV_OWN_INPUT:
    case QKV_OWN_RESULT:
      break;
    case QKV_TABLE:
      shapes.push_back(
          {1, static_cast<int64_t>(entry.count(QKV_OWN_SIZE) + entry.count(QKV_OWN_INPUT) +
                                   entry.count(QKV_OWN_RESULT))});
      break;
    case QKV_INPUT:
      add(description.inputs[argument.index], /*lastPosition=*/false);
      break;
    case QKV_PARAMS:
      for (const auto &param : description.params)
        shapes.push_back(rt::heldShape(param.held, param.shape));
      break;
    case QKV_RESULT:
    case QKV_LAST_POSITION:
      add(description.results[argument.index], argument.kind == QKV_LAST_POSITION);
      break;
    }
  return shapes;
}

} // namespace

std::optional<Frame> entryFrame(ModuleOp module, const ExplainOptions &options) {
  Description whole;
  std::string error;
  auto json = module->getAttrOfType<StringAttr>(descriptionAttribute);
  if (!json || !Description::fromJson(json.str(), whole, error))
    return std::nullopt;
  if (options.part && (!whole.stream || !whole.stream->parts[*options.part]))
    return std::nullopt;
  const Description &description = options.part ? *whole.stream->parts[*options.part] : whole;
  const Description::Entry *entry = description.entry(options.entry);
  auto function = entry ? module.lookupSymbol<func::FuncOp>(entry->symbol) : func::FuncOp();
  if (!function || function.isExternal() || options.sizes.size() != description.sizes.size())
    return std::nullopt;
  std::vector<int64_t> numbers;
  for (const qkv_argument &argument : entry->arguments)
    if (argument.kind == QKV_SIZE)
      numbers.push_back(options.sizes[argument.index]);
    else if (argument.kind == QKV_SEQUENCES)
      return std::nullopt; // counts are of one sequence
  return Frame(function, numbers, shapesOf(description, *entry, options.sizes));
}

std::map<std::string, Place> equationPlaces(ModuleOp module) {
  std::map<std::string, Place> places;
  module.walk([&](Operation *op) {
    for (auto &[name, place] : namesOf(op->getLoc()))
      places.try_emplace(name, place);
  });
  return places;
}

namespace {

/// Equations that a kernel does not name yet; where no name is, the place stands for it.
void addEquations(KernelReport &kernel, Operation *op, const std::map<std::string, Place> &places) {
  std::vector<KernelReport::Equation> equations = equationsOf(op);
  if (equations.empty())
    equations.push_back({kernel.name, {}});
  for (KernelReport::Equation &equation : equations) {
    auto known = [&](const KernelReport::Equation &e) { return e.name == equation.name; };
    if (std::any_of(kernel.equations.begin(), kernel.equations.end(), known))
      continue;
    if (auto place = places.find(equation.name); equation.place.line == 0 && place != places.end())
      equation.place = place->second;
    if (equation.place.line == 0)
      equation.place = placeOf(op->getLoc());
    kernel.equations.push_back(equation);
  }
}

/// What nothing said of a kernel follows from its kind.
void explainByKind(KernelReport &kernel) {
  const std::string &kind = kernel.kind;
  if (kernel.form.empty())
    kernel.form = kind == "recurrence"   ? "a loop over positions"
                  : kind == "row-blocks" ? "blocks of rows, one after the other"
                  : kind == "chosen"     ? "for each position, the rows that chose it"
                  : kind == "check"      ? "a loop that only checks"
                  : kind == "attention"  ? "tiles of rows and keys; a score is in no buffer"
                                         : "a loop nest of vectors";
  if (kernel.why.empty())
    kernel.why = kind == "recurrence" ? "each position reads what others before it wrote"
                 : kind == "check"    ? "an index or a divisor that only a run can know"
                 : kind == "attention"
                     ? "maximum, sum and weighted values of two ranges of keys combine"
                 : kernel.equations.size() > 1 ? "what only this kernel reads is computed in it"
                 : kind == "contraction"       ? "a sum of products, which what follows reads whole"
                 : kind == "reduction"         ? "over all of a row, before anything that reads it"
                                               : "read where no kernel can hold it, or a result";
}

} // namespace

std::vector<KernelReport> kernelsOf(ModuleOp module, const ExplainOptions &options,
                                    const std::map<std::string, Place> &places) {
  std::vector<KernelReport> kernels;
  std::optional<Frame> entry = entryFrame(module, options);
  if (!entry)
    return kernels;
  std::map<std::string, size_t> numbers;
  std::map<Operation *, double> runsOf;
  std::vector<double> heaviest; // of the operations of a kernel: its kind is that one's
  auto visit = [&](Operation *op, Frame &frame, double times) {
    std::string name = nameOrLineOf(op->getLoc());
    auto [at, isNew] = numbers.try_emplace(name, kernels.size());
    if (isNew) {
      kernels.emplace_back().name = name;
      heaviest.push_back(-1);
    }
    KernelReport &kernel = kernels[at->second];
    Cost cost = costOf(op, frame);
    kernel.flops += cost.flops * times;
    kernel.bytes += cost.bytes * times;
    if (auto other = costByRowBlocks(op, frame)) {
      if (kernel.alternatives.empty())
        kernel.alternatives.push_back({"blocks of rows, scores in memory"});
      kernel.alternatives.front().flops += other->flops * times;
      kernel.alternatives.front().bytes += other->bytes * times;
    }
    double &runs = runsOf[op];
    runs += times;
    kernel.times = std::max(kernel.times, runs);
    addEquations(kernel, op, places);
    if (double weight = cost.flops + cost.bytes; weight > heaviest[at->second]) {
      heaviest[at->second] = weight;
      kernel.kind = kindOf(op);
      kernel.form = textInside(op, formAttribute);
      kernel.why = textInside(op, whyAttribute);
    }
  };
  eachKernel(entry->function().getBody().front(), *entry, 1, visit);
  for (KernelReport &kernel : kernels)
    explainByKind(kernel);
  return kernels;
}

} // namespace qkv

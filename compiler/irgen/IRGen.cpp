// A program's module: its entries and what they say of themselves.
//
// In: a checked program. Out: the `graph` stage (IRGen.h). The order: equations are rewritten
// (equations/Rewritings.h), put in order (dsl/proof/Schedule.h), grouped by steps (Outline.h),
// emitted (Emitter.h).
#include "compiler/irgen/IRGen.h"

#include "compiler/description/EntryKinds.h"
#include "compiler/equations/Rewritings.h"
#include "compiler/irgen/Emitter.h"
#include "compiler/irgen/Results.h"
#include "compiler/streams/DeriveStream.h"
#include "compiler/streams/Rearrange.h"
#include "dsl/DeepStack.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <set>

namespace qkv {

using namespace equations;
using namespace irgen;
using namespace mlir;

static std::vector<ScheduleNode> order(const Prepared &prepared, const std::string &name) {
  Diagnostics diagnostics;
  auto nodes = schedule(prepared.program, diagnostics);
  if (!nodes)
    throw Defect("irgen: the rewritten equations of " + name + " have no order");
  return std::move(*nodes);
}

/// What the function of an entry takes: the context, then its arguments; what is in the table of
/// the sequences is none.
static SmallVector<mlir::Type> argumentTypes(FunctionEmitter &f, const Description::Entry &entry,
                                             const std::vector<int> &params) {
  OpBuilder &b = f.builder;
  SmallVector<mlir::Type> types{LLVM::LLVMPointerType::get(b.getContext())};
  int64_t columns =
      entry.count(QKV_OWN_SIZE) + entry.count(QKV_OWN_INPUT) + entry.count(QKV_OWN_RESULT);
  for (const qkv_argument &argument : entry.arguments)
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES:
    case QKV_SIZE:
      types.push_back(b.getIndexType());
      break;
    case QKV_TABLE:
      types.push_back(MemRefType::get({ShapedType::kDynamic, columns}, b.getI64Type()));
      break;
    case QKV_INPUT:
      types.push_back(f.storageType(f.program.inputs[argument.index]));
      break;
    case QKV_PARAMS:
      for (int t : params)
        types.push_back(f.storageType(t));
      break;
    case QKV_RESULT:
    case QKV_LAST_POSITION:
      types.push_back(resultType(f, f.program.results[argument.index].tensor));
      break;
    case QKV_OWN_SIZE: // in the table
    case QKV_OWN_INPUT:
    case QKV_OWN_RESULT:
      break;
    }
  return types;
}

namespace {

/// What the entries of a part have in common.
struct Part {
  const std::vector<int> &params;
  size_t kept = 0; ///< so many results are kept for the next step; 0: it is no step
};

/// A result of an entry, and its place.
struct Written {
  size_t number;
  Value memory;
};

} // namespace

static void write(FunctionEmitter &f, const Written &written) {
  const Result &result = f.program.results[written.number];
  Location loc = f.state.location(f.program.tensors[result.tensor].span, result.name);
  bufferization::MaterializeInDestinationOp::create(f.builder, loc, /*result=*/mlir::Type(),
                                                    asResult(f, result.tensor, loc), written.memory,
                                                    /*restrict=*/true, /*writable=*/true);
}

/// What is computed, and where it goes. Of a step, what is for results alone that are not kept is
/// computed where their places are not null: native/Entries.cpp gives all of them a place, or none.
static void emitItems(FunctionEmitter &f, func::FuncOp function, ArrayRef<Written> results,
                      size_t kept) {
  OpBuilder &b = f.builder;
  std::vector<Item> items = f.plan.items, last;
  std::set<int> open;
  auto isOpen = [&](const Written &written) { return kept > 0 && written.number >= kept; };
  for (const Written &written : results)
    if (isOpen(written))
      open.insert(f.program.results[written.number].tensor);
  if (!open.empty())
    last = takeUnwanted(f.plan, items, open);
  f.emit(items);
  for (const Written &written : results)
    if (last.empty() || !isOpen(written))
      write(f, written);
  if (last.empty())
    return;
  function->setAttr("passthrough",
                    b.getArrayAttr(b.getStrArrayAttr({unwantedAttribute, std::to_string(kept)})));
  Location loc = function.getLoc();
  Value place = memref::ExtractAlignedPointerAsIndexOp::create(
      b, loc, llvm::find_if(results, isOpen)->memory);
  Value wanted = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, place, f.constant(0));
  auto branch = scf::IfOp::create(b, loc, wanted, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  f.emit(last);
  for (const Written &written : results)
    if (isOpen(written))
      write(f, written);
}

/// The function of an entry: what `plan` computes, with what the description says that it takes.
/// `sequences`: of QKV_MIXED.
static void emitEntry(ModuleState &state, const Plan &plan, const Description::Entry &entry,
                      const Part &part, const Sequences *sequences = nullptr) {
  const std::vector<int> &params = part.params;
  const Program &program = plan.prepared.program;
  Bounds bounds(program);
  FunctionEmitter f(state, plan, bounds);
  f.sequences = sequences;
  f.dynamicSizes.resize(program.dynamicSizes.size());

  OpBuilder &b = state.builder;
  OpBuilder atStart = OpBuilder::atBlockEnd(state.module.getBody());
  auto function =
      func::FuncOp::create(atStart, state.location(program.span), state.functionName(entry.symbol),
                           b.getFunctionType(argumentTypes(f, entry, params), {}));
  function->setAttr(entryAttribute, b.getUnitAttr());
  f.begin(function);
  auto value = function.getArguments().begin();
  f.context = *value++;
  SmallVector<Written> results;
  int64_t column = 0;
  for (const qkv_argument &argument : entry.arguments)
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES: // the first of the program's sizes (AddBatch.cpp)
      f.dynamicSizes[0] = *value++;
      break;
    case QKV_SIZE:
      f.dynamicSizes[argument.index + (program.batch >= 0)] = *value++;
      break;
    case QKV_TABLE:
      f.table = *value++;
      break;
    case QKV_OWN_SIZE:
      ++column;
      break;
    case QKV_OWN_INPUT:
      f.inputColumns[program.inputs[argument.index]] = f.constant(column++);
      break;
    case QKV_OWN_RESULT:
      f.resultColumns[program.results[argument.index].tensor].push_back(f.constant(column++));
      break;
    case QKV_INPUT:
      f.tensors[program.inputs[argument.index]] = *value++;
      break;
    case QKV_PARAMS:
      for (int t : params) {
        function.setArgAttr(value->getArgNumber(), paramAttribute, b.getUnitAttr());
        f.tensors[t] = *value++;
      }
      break;
    case QKV_RESULT:
    case QKV_LAST_POSITION:
      results.push_back({static_cast<size_t>(argument.index), *value++});
      break;
    }
  emitItems(f, function, results, part.kept);
  f.finish(function.getLoc(), {});
}

static Plan planOf(const Prepared &prepared, std::vector<ScheduleNode> nodes,
                   const OwnSizes *own = nullptr) {
  loopByRows(prepared.program, nodes);
  Kept kept = keepLatest(prepared, nodes, own);
  Plan out = plan(prepared, std::move(nodes), own);
  out.kept = std::move(kept);
  findJoined(out, /*late=*/!own);
  return out;
}

/// The same of a program whose rows are not grouped yet.
static void emitGrouped(ModuleState &state, const Prepared &rewritten,
                        std::vector<ScheduleNode> nodes, const Description::Entry &entry,
                        const Part &part) {
  Prepared prepared = rewritten;
  groupRows(prepared, nodes);
  emitEntry(state, planOf(prepared, std::move(nodes)), entry, part);
}

/// Whether what was added for several sequences (results of each, rows that chose the same) has to
/// do with no size of a sequence's own, and what has reads none of it; `own` knows of it then.
static bool addsToAll(const Prepared &one, const Prepared &several, OwnSizes &own) {
  size_t before = one.program.tensors.size();
  OwnSizes all = findOwnSizes(several, own.atoms);
  for (size_t t = before; t < several.program.tensors.size(); ++t)
    if (all.used[t])
      return false;
  bool apart = true;
  for (size_t t = 0; t < before; ++t)
    if (own.used[t])
      forEachUse(one, static_cast<int>(t), [&](const Expr &e) {
        apart = apart && !(e.kind == Expr::Kind::Read && several.grouped.count(e.tensor));
      });
  for (std::vector<bool> *list : {&own.shaped, &own.used})
    list->resize(several.program.tensors.size());
  return apart;
}

/// Whether what groups compute is computed alike for one sequence: a loop may have taken in more.
static bool groupsAreOf(const Plan &all, const Plan &one) {
  std::function<bool(const std::vector<Item> &)> known = [&](const std::vector<Item> &items) {
    return std::all_of(items.begin(), items.end(), [&](const Item &item) {
      if (!item.eachSequence)
        return known(item.items);
      return std::all_of(item.items.begin(), item.items.end(), [&](const Item &inside) {
        std::vector<int> tensors = tensorsOf(all.nodes[inside.node]);
        return std::any_of(one.nodes.begin(), one.nodes.end(),
                           [&](const ScheduleNode &n) { return tensorsOf(n) == tensors; });
      });
    });
  };
  return known(all.items);
}

/// Emits an entry of a part for sequences of different sizes, of which they share size number
/// `shared`. False where that has no form: recurrences that see such a size, tensors with such an
/// extent that are read in several layers.
static bool emitMixed(ModuleState &state, const Prepared &prepared,
                      const std::vector<ScheduleNode> &nodes, Description &description, int shared,
                      const Part &part) {
  const Program &program = prepared.program;
  std::set<int> sizes(program.dynamicSizes.begin(), program.dynamicSizes.end());
  sizes.erase(program.dynamicSizes[shared]);
  OwnSizes own = findOwnSizes(prepared, sizes);
  for (const Result &result : program.results)
    if (own.shaped[result.tensor] && program.tensors[result.tensor].kind != Tensor::Kind::Equation)
      return false;
  Prepared several = prepared;
  std::vector<ScheduleNode> batched = nodes;
  addBatch(several, batched, &own);
  groupRows(several, batched);
  if (!addsToAll(prepared, several, own))
    return false;
  Plan all = planOf(several, std::move(batched), &own);
  Plan one = plan(prepared, nodes); // of which groups are computed, by the same nodes
  if (!groupSequences(all, own) || !groupsAreOf(all, one))
    return false;
  Bounds bounds(program);
  Sequences sequences{one, bounds, own};
  description.add(QKV_MIXED, {shared});
  emitEntry(state, all, *description.entry(QKV_MIXED), part, &sequences);
  return true;
}

namespace {

/// A program of the module, and what of it the outside calls.
struct Unit {
  Prepared prepared;
  qkv_entry_kind one, several;
  int part = -1; ///< qkv_part, or `tracePart`; -1: the model itself
};

constexpr int tracePart = QKV_PARTS;

/// The programs that the options ask for. `stream` keeps what parts are made of.
std::vector<Unit> unitsOf(const Program &program, const GenerateOptions &options,
                          std::optional<streams::Stream> &stream) {
  RewriteOptions rewriting;
  rewriting.fuse = options.fuse;
  std::vector<Unit> units;
  auto add = [&](const Program &made, qkv_entry_kind one, qkv_entry_kind several, int part) {
    units.push_back({rewrite(made, rewriting), one, several, part});
  };
  if (options.parts && program.stream >= 0) {
    auto derived = streams::deriveStream(program);
    if (auto *found = std::get_if<streams::Stream>(&derived)) {
      stream = std::move(*found);
      streams::keepInHalf(*stream, options.cache);
    }
  }
  // A generator goes on by steps where it can.
  auto wanted = [&](qkv_part part) { return stream && (options.parts & 1u << part); };
  bool next = wanted(QKV_NEXT) && streams::generates(*stream);
  bool step = wanted(QKV_STEP) && !stream->step.results.empty();
  bool closing = wanted(QKV_CLOSING) && stream->closes;
  if (!next && !step && !closing)
    stream.reset();
  if (options.whole || !stream || ((options.parts & 1u << QKV_NEXT) && !next)) {
    Program whole = program;
    if (program.stream >= 0)
      streams::runningSums(whole); // as steps have them: the same bits
    add(whole, QKV_WHOLE, QKV_BATCH, -1);
    if (options.lastPosition && program.generatorInput >= 0 && !next)
      add(lastPosition(whole), QKV_LAST, QKV_LAST_BATCH, -1);
  }
  auto addPart = [&](bool made, qkv_part part, const char *name, Program of) {
    of.name = program.name + name;
    if (made && !of.results.empty())
      add(of, QKV_WHOLE, QKV_BATCH, part);
  };
  if (stream) {
    addPart(true, QKV_SESSION, ".session", stream->session);
    addPart(step, QKV_STEP, ".step", stream->step);
    addPart(closing, QKV_CLOSING, ".closing", stream->last);
    if (next)
      addPart(true, QKV_NEXT, ".next", streams::lastRowOf(*stream));
  }
  if (options.trace)
    add(*options.trace, QKV_WHOLE, QKV_BATCH, tracePart);
  return units;
}

int resultOf(const Program &program, int tensor) {
  for (size_t r = 0; r < program.results.size(); ++r)
    if (program.results[r].tensor == tensor)
      return static_cast<int>(r);
  return -1;
}

/// How the parts go together.
std::shared_ptr<Description::Stream> describeStream(const Program &program,
                                                    const streams::Stream &stream) {
  auto out = std::make_shared<Description::Stream>();
  const Program &step = stream.step;
  out->past = positionIn(step.dynamicSizes, stream.past);
  out->fresh = positionIn(step.dynamicSizes, stream.fresh);
  out->count = positionIn(step.inputs, stream.count);
  for (const streams::State &state : stream.states)
    out->kept.push_back(
        {state.name, resultOf(stream.session, state.begin), positionIn(step.inputs, state.input),
         state.next < 0 ? -1 : resultOf(step, state.next), streams::growsInPlace(state.kind)});
  for (int input : stream.session.inputs)
    out->sessionInputs.push_back(positionIn(program.inputs, input));
  for (const streams::StreamResult &result : stream.results) {
    qkv_part part = result.session ? QKV_SESSION : result.axis >= 0 ? QKV_STEP : QKV_CLOSING;
    const Program &from = part == QKV_SESSION ? stream.session
                          : part == QKV_STEP  ? step
                                              : stream.last;
    out->results.push_back({part, resultOf(from, result.tensor), result.axis});
  }
  return out;
}

} // namespace

static OwningOpRef<ModuleOp> make(MLIRContext &context, const Program &program,
                                  const GenerateOptions &options) {
  context.loadDialect<QkvDialect, arith::ArithDialect, bufferization::BufferizationDialect,
                      func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                      math::MathDialect, scf::SCFDialect, tensor::TensorDialect>();
  ModuleState state(context, program.name);
  OwningOpRef<ModuleOp> module(state.module);
  std::optional<streams::Stream> stream;
  std::vector<Unit> units = unitsOf(program, options, stream);
  std::set<int> used;
  std::vector<Prepared *> all;
  for (Unit &unit : units) {
    std::vector<int> own = usedParams(unit.prepared.program);
    used.insert(own.begin(), own.end());
    all.push_back(&unit.prepared);
  }
  std::vector<int> params(used.begin(), used.end());
  packWeights(all, options.panelWidth, options.lanes, options.element);

  Description description = describe(program, params);
  auto hold = [&](Description &d, const Prepared &prepared) {
    for (size_t i = 0; i < params.size(); ++i)
      if (auto held = prepared.held.find(params[i]); held != prepared.held.end())
        d.params[i].held = held->second;
  };
  hold(description, units[0].prepared);
  description.entries.clear();
  std::array<std::shared_ptr<Description>, QKV_PARTS + 1> parts; // the last one is the trace
  for (const Unit &unit : units) {
    if (unit.part < 0)
      continue;
    parts[unit.part] = std::make_shared<Description>(describe(unit.prepared.program, params));
    parts[unit.part]->params = description.params;
    parts[unit.part]->entries.clear();
  }

  for (Unit &unit : units) {
    Description &d = unit.part < 0 ? description : *parts[unit.part];
    d.add(unit.one);
    std::vector<ScheduleNode> nodes = order(unit.prepared, d.entries.back().symbol);
    Part part{params};
    if (unit.part > QKV_SESSION && unit.part != tracePart)
      part.kept = static_cast<size_t>(llvm::count_if(
          stream->states, [](const streams::State &kept) { return kept.next >= 0; }));
    emitGrouped(state, unit.prepared, nodes, d.entries.back(), part);
    if (!options.batch || unit.part == tracePart)
      continue;
    if (unit.part > QKV_SESSION &&
        emitMixed(state, unit.prepared, nodes, d,
                  positionIn(stream->step.dynamicSizes, stream->fresh), part))
      continue;
    addBatch(unit.prepared, nodes);
    d.add(unit.several);
    emitGrouped(state, unit.prepared, std::move(nodes), d.entries.back(), part);
  }

  if (stream) {
    auto described = describeStream(program, *stream);
    std::copy_n(parts.begin(), QKV_PARTS, described->parts.begin());
    description.stream = std::move(described);
  }
  description.trace = parts[tracePart];
  description.sites = state.sites;
  state.module->setAttr(descriptionAttribute, state.builder.getStringAttr(description.json()));
  return module;
}

/// No less than the length of any chain of operations, whatever is written into what reads it.
static size_t countNodes(const Program &program) {
  std::set<const Expr *> seen;
  std::vector<const Expr *> open;
  for (const Tensor &tensor : program.tensors)
    for (const Piece &piece : tensor.pieces)
      open.insert(open.end(), {piece.value.get(), piece.guard.get()});
  while (!open.empty()) {
    const Expr *e = open.back();
    open.pop_back();
    if (e && seen.insert(e).second)
      for (const ExprPtr &argument : e->args)
        open.push_back(argument.get());
  }
  return seen.size();
}

OwningOpRef<ModuleOp> generate(MLIRContext &context, const Program &program,
                               const GenerateOptions &options) {
  // A sum of ten thousand terms is a tree as deep, and what walks it recurses.
  constexpr size_t bytesOfNode = 16 << 10, most = 512 << 20, least = 16 << 20;
  DeepStack stack(std::clamp(countNodes(program) * bytesOfNode, least, most), least / 4);
  OwningOpRef<ModuleOp> module;
  auto body = [&](const char *) { module = make(context, program, options); };
  if (!stack.run(body))
    body(nullptr);
  return module;
}

} // namespace qkv

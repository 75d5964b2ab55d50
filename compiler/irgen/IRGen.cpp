// A program's module: its entries and what they say of themselves.
//
// In: a checked program. Out: the `graph` stage (IRGen.h). The order: equations are rewritten
// (equations/Rewritings.h), put in order (dsl/proof/Schedule.h), grouped by steps (Outline.h),
// emitted (Emitter.h).
#include "compiler/irgen/IRGen.h"

#include "compiler/description/EntryKinds.h"
#include "compiler/equations/Rewritings.h"
#include "compiler/irgen/Emitter.h"
#include "dsl/DeepStack.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <set>

namespace qkv {

using namespace equations;
using namespace irgen;
using namespace mlir;

/// What is returned has floats as f32 and no positions outside of its axes.
static Value asResult(FunctionEmitter &f, int tensor, Location loc) {
  const Tensor &t = f.program.tensors[tensor];
  OpBuilder &b = f.builder;
  Value value = f.tensors.at(tensor);
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> shape;
  bool margin = false;
  for (const Axis &a : t.axes) {
    offsets.push_back(b.getIndexAttr(a.before));
    sizes.push_back(f.extent(a.extent));
    strides.push_back(b.getIndexAttr(1));
    shape.push_back(getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
    margin |= a.before || a.after;
  }
  mlir::Type element = f.elementType(tensor);
  if (margin)
    value = tensor::ExtractSliceOp::create(b, loc, RankedTensorType::get(shape, element), value,
                                           offsets, sizes, strides);
  if (!element.isF64())
    return value;
  Value init = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
  AffineMap map = AffineMap::getMultiDimIdentityMap(t.axes.size(), b.getContext());
  SmallVector<utils::IteratorType> iterators(t.axes.size(), utils::IteratorType::parallel);
  auto generic =
      linalg::GenericOp::create(b, loc, TypeRange{init.getType()}, ValueRange{value},
                                ValueRange{init}, ArrayRef<AffineMap>{map, map}, iterators);
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&generic.getRegion(), {}, {element, b.getF32Type()}, {loc, loc});
  Value narrow = arith::TruncFOp::create(b, loc, b.getF32Type(), body->getArgument(0));
  linalg::YieldOp::create(b, loc, ValueRange{narrow});
  return generic.getResult(0);
}

static std::vector<ScheduleNode> order(const Prepared &prepared, const std::string &name) {
  Diagnostics diagnostics;
  auto nodes = schedule(prepared.program, diagnostics);
  if (!nodes)
    throw Defect("irgen: the rewritten equations of " + name + " have no order");
  return std::move(*nodes);
}

/// Memory of the caller's for a result.
static MemRefType resultType(FunctionEmitter &f, int tensor) {
  SmallVector<int64_t> shape;
  for (const Axis &a : f.program.tensors[tensor].axes)
    shape.push_back(a.extent.constant() ? std::max<int64_t>(*a.extent.constant(), 0)
                                        : ShapedType::kDynamic);
  mlir::Type element = f.elementType(tensor);
  return MemRefType::get(shape, element.isF64() ? mlir::Type(f.builder.getF32Type()) : element);
}

/// The function of an entry: the program that is made of the model for its kind, with what the
/// description says that it takes.
static void emitEntry(ModuleState &state, const Prepared &prepared, std::vector<ScheduleNode> nodes,
                      const Description::Entry &entry, const std::vector<int> &params) {
  const Program &program = prepared.program;
  Bounds bounds(program);
  loopByRows(program, nodes);
  Plan plan = irgen::plan(prepared, std::move(nodes));
  FunctionEmitter f(state, plan, bounds);

  OpBuilder &b = state.builder;
  SmallVector<mlir::Type> types{LLVM::LLVMPointerType::get(b.getContext())};
  for (const qkv_argument &argument : entry.arguments)
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES:
    case QKV_SIZE:
      types.push_back(b.getIndexType());
      break;
    case QKV_INPUT:
      types.push_back(f.storageType(program.inputs[argument.index]));
      break;
    case QKV_PARAMS:
      for (int t : params)
        types.push_back(f.storageType(t));
      break;
    case QKV_RESULT:
    case QKV_LAST_POSITION:
      types.push_back(resultType(f, program.results[argument.index].tensor));
      break;
    }
  OpBuilder atStart = OpBuilder::atBlockEnd(state.module.getBody());
  auto function =
      func::FuncOp::create(atStart, state.location(program.span), state.functionName(entry.symbol),
                           b.getFunctionType(types, {}));
  function->setAttr(entryAttribute, b.getUnitAttr());
  f.begin(function);
  auto value = function.getArguments().begin();
  f.context = *value++;
  std::vector<std::pair<const Result *, Value>> results;
  for (const qkv_argument &argument : entry.arguments)
    switch (static_cast<qkv_argument_kind>(argument.kind)) {
    case QKV_SEQUENCES: // the first of the program's sizes (AddBatch.cpp)
    case QKV_SIZE:
      f.dynamicSizes.push_back(*value++);
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
      results.push_back({&program.results[argument.index], *value++});
      break;
    }
  f.emit(plan.items);
  for (auto &[result, memory] : results) {
    Location loc = state.location(program.tensors[result->tensor].span, result->name);
    bufferization::MaterializeInDestinationOp::create(f.builder, loc, /*result=*/mlir::Type(),
                                                      asResult(f, result->tensor, loc), memory,
                                                      /*restrict=*/true, /*writable=*/true);
  }
  f.finish(function.getLoc(), {});
}

static OwningOpRef<ModuleOp> make(MLIRContext &context, const Program &program,
                                  const GenerateOptions &options) {
  context.loadDialect<QkvDialect, arith::ArithDialect, bufferization::BufferizationDialect,
                      func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                      math::MathDialect, scf::SCFDialect, tensor::TensorDialect>();
  ModuleState state(context, program.name);
  OwningOpRef<ModuleOp> module(state.module);
  RewriteOptions rewriting;
  rewriting.fuse = options.fuse;
  Prepared whole = rewrite(program, rewriting), last;
  std::vector<int> params = usedParams(whole.program);
  bool hasLast = options.lastPosition && program.generatorInput >= 0;
  if (hasLast) {
    last = rewrite(lastPosition(program), rewriting);
    for (int t : usedParams(last.program))
      if (std::find(params.begin(), params.end(), t) == params.end())
        params.push_back(t);
    std::sort(params.begin(), params.end());
  }
  std::vector<Prepared *> entries{&whole};
  if (hasLast)
    entries.push_back(&last);
  packWeights(entries, options.panelWidth, options.lanes, options.element);
  Description description = describe(program, params);
  for (size_t i = 0; i < params.size(); ++i)
    if (auto held = whole.held.find(params[i]); held != whole.held.end())
      description.params[i].held = held->second;
  for (const EntryKind &kind : entryKinds()) {
    bool made = (kind.positions == Positions::All || hasLast) && (!kind.sequences || options.batch);
    if (made && !description.entry(kind.kind))
      description.add(kind.kind);
  }

  auto emit = [&](Prepared &prepared, qkv_entry_kind one, qkv_entry_kind several) {
    const Description::Entry &entry = *description.entry(one);
    std::vector<ScheduleNode> nodes = order(prepared, entry.symbol);
    emitEntry(state, prepared, nodes, entry, params);
    if (!options.batch)
      return;
    addBatch(prepared, nodes);
    emitEntry(state, prepared, std::move(nodes), *description.entry(several), params);
  };
  emit(whole, QKV_WHOLE, QKV_BATCH);
  if (hasLast)
    emit(last, QKV_LAST, QKV_LAST_BATCH);

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

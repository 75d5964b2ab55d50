// What several sequences of different sizes compute each by itself.
//
// In: a group of nodes of the program of one sequence, the tensors of all sequences that they read.
// Out: a function of the group, and a loop over the sequences that calls it with what the
// sequence's row of the table says: its sizes, where its inputs and results are. What others read
// of the group is a tensor of all sequences again. What must hold: the function is code of the
// program of one sequence, so each gets the bytes that it gets alone.
#include "compiler/irgen/Emitter.h"
#include "compiler/irgen/Results.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <set>

namespace qkv::irgen {

using namespace mlir;

namespace {

/// What a group takes and gives.
struct Group {
  std::vector<Item> items;  ///< of the plan for one sequence
  std::vector<int> tensors; ///< that it computes
  std::set<int> regions;    ///< steps of repeats whose numbers it uses
  std::vector<int> read;    ///< tensors that all sequences have together, or parameters
  std::vector<int> inputs;  ///< of a sequence by itself
  std::vector<int> shared;  ///< tensors of it that become those of all sequences
  std::vector<int> results; ///< tensors of it that are results of a sequence by itself
};

Group groupOf(const Plan &all, const Sequences &sequences, const std::vector<Item> &items) {
  Group out;
  std::set<int> inside, read, inputs;
  for (const Item &item : items) {
    std::vector<int> tensors = tensorsOf(all.nodes[item.node]);
    auto node = std::find_if(sequences.one.nodes.begin(), sequences.one.nodes.end(),
                             [&](const ScheduleNode &n) { return tensorsOf(n) == tensors; });
    if (node == sequences.one.nodes.end())
      throw Defect("irgen: the order for one sequence is not that for several");
    inside.insert(tensors.begin(), tensors.end());
    out.tensors.insert(out.tensors.end(), tensors.begin(), tensors.end());
    out.items.emplace_back().node = static_cast<int>(node - sequences.one.nodes.begin());
  }
  for (int t : out.tensors)
    forEachUse(sequences.one.prepared, t, [&](const Expr &e) {
      if (e.kind == Expr::Kind::Step)
        out.regions.insert(e.region);
      if (e.kind == Expr::Kind::Read && !inside.count(e.tensor))
        (sequences.own.shaped[e.tensor] ? inputs : read).insert(e.tensor);
    });
  out.read.assign(read.begin(), read.end());
  out.inputs.assign(inputs.begin(), inputs.end());
  for (int t : out.tensors) {
    bool wanted = all.isResult[t];
    for (int reader : all.readers[t])
      wanted |= !inside.count(reader);
    if (wanted)
      (sequences.own.shaped[t] ? out.results : out.shared).push_back(t);
  }
  return out;
}

} // namespace

/// One sequence's part of a tensor of all.
static Value partOf(FunctionEmitter &f, Value all, int tensor, Value sequence, Location loc) {
  SmallVector<OpFoldResult> offsets{sequence}, sizes{f.builder.getIndexAttr(1)};
  for (const Axis &axis : f.program.tensors[tensor].axes) {
    offsets.push_back(f.builder.getIndexAttr(0));
    sizes.push_back(f.storageExtent(axis));
  }
  SmallVector<OpFoldResult> strides(sizes.size(), f.builder.getIndexAttr(1));
  if (isa<MemRefType>(all.getType())) {
    auto shape = f.storageType(tensor).getShape();
    auto type = memref::SubViewOp::inferRankReducedResultType(
        shape, cast<MemRefType>(all.getType()), offsets, sizes, strides);
    return memref::SubViewOp::create(f.builder, loc, cast<MemRefType>(type), all, offsets, sizes,
                                     strides);
  }
  return tensor::ExtractSliceOp::create(f.builder, loc, f.storageType(tensor), all, offsets, sizes,
                                        strides);
}

/// The buffer whose address stands in a column of the sequence's row.
static Value memoryAt(FunctionEmitter &f, MemRefType type, int tensor, Value table, Value sequence,
                      Value column, Location loc) {
  Value address = memref::LoadOp::create(f.builder, loc, table, ValueRange{sequence, column});
  SmallVector<Value> sizes;
  for (auto [axis, extent] : llvm::zip(f.program.tensors[tensor].axes, type.getShape()))
    if (ShapedType::isDynamic(extent))
      sizes.push_back(f.asValue(f.extent(axis.extent)));
  return MemoryOp::create(f.builder, loc, type, address, sizes);
}

/// The function of a group: of one sequence, whose number is an argument.
static func::FuncOp functionOf(FunctionEmitter &all, const Group &group, ArrayRef<Value> operands,
                               Location loc) {
  const Program &single = all.sequences->one.prepared.program;
  SmallVector<mlir::Type> types;
  for (Value operand : operands)
    types.push_back(operand ? operand.getType() : mlir::Type(all.builder.getIndexType()));
  OpBuilder atEnd = OpBuilder::atBlockEnd(all.state.module.getBody());
  auto function =
      func::FuncOp::create(atEnd, loc, all.state.functionName(all.state.name + ".sequence"),
                           atEnd.getFunctionType(types, {}));
  function.setPrivate();
  function->setAttr(sequenceAttribute, atEnd.getUnitAttr());
  FunctionEmitter inside(all.state, all.sequences->one, all.sequences->bounds);
  inside.begin(function);
  auto argument = function.getArguments().begin();
  inside.context = *argument++;
  Value sequence = *argument++, rows = *argument++;
  for (size_t i = 0; i < single.dynamicSizes.size(); ++i)
    inside.dynamicSizes.push_back(*argument++);
  for (int r : group.regions)
    inside.steps[r] = *argument++;
  for (int t : group.inputs) {
    Value memory = memoryAt(inside, resultType(inside, t), t, rows, sequence, *argument++, loc);
    inside.tensors[t] =
        bufferization::ToTensorOp::create(inside.builder, loc, inside.storageType(t), memory,
                                          /*restrict=*/true, /*writable=*/false);
  }
  std::vector<std::pair<int, Value>> written;
  for (int t : group.results)
    for (size_t i = 0; i < all.resultColumns.at(t).size(); ++i)
      written.push_back(
          {t, memoryAt(inside, resultType(inside, t), t, rows, sequence, *argument++, loc)});
  for (int t : group.read) {
    bool own = all.program.tensors[t].axes.size() != single.tensors[t].axes.size();
    inside.tensors[t] = own ? partOf(inside, *argument, t, sequence, loc) : Value(*argument);
    ++argument;
  }
  inside.emit(group.items);
  auto writeTo = [&](int t, Value value, Value memory) {
    Location at = all.state.location(single.tensors[t].span, single.tensors[t].name);
    bufferization::MaterializeInDestinationOp::create(inside.builder, at, /*result=*/mlir::Type(),
                                                      value, memory, /*restrict=*/true,
                                                      /*writable=*/true);
  };
  for (auto &[t, memory] : written)
    writeTo(t, asResult(inside, t, loc), memory);
  for (int t : group.shared)
    writeTo(t, inside.tensors.at(t), partOf(inside, *argument++, t, sequence, loc));
  inside.finish(loc, {});
  return function;
}

void FunctionEmitter::computeEach(const Item &item) {
  Group group = groupOf(plan, *sequences, item.items);
  const Program &single = sequences->one.prepared.program;
  Location loc = state.location(program.span, program.name);

  // The loop's side: what the function is handed.
  SmallVector<Value> operands{context, Value(), table}; // (what is null the loop puts in)
  for (int size : single.dynamicSizes)
    operands.push_back(dynamicSizes[positionIn(program.dynamicSizes, size)]);
  for (int r : group.regions) {
    auto known = steps.find(r);
    operands.push_back(known != steps.end() ? known->second : constant(program.regions[r].step));
  }
  for (int t : group.inputs)
    operands.push_back(inputColumns.at(t));
  for (int t : group.results)
    for (Value column : resultColumns.at(t))
      operands.push_back(column);
  for (int t : group.read) {
    auto found = tensors.find(t);
    if (found == tensors.end())
      throw Defect("irgen: " + program.tensors[t].name + " is read before it is computed");
    operands.push_back(found->second);
  }
  SmallVector<Value> made;
  for (int t : group.shared) {
    RankedTensorType type = storageType(t);
    SmallVector<Value> sizes;
    for (auto [axis, extent] : llvm::zip(program.tensors[t].axes, type.getShape()))
      if (ShapedType::isDynamic(extent))
        sizes.push_back(asValue(storageExtent(axis)));
    made.push_back(memref::AllocOp::create(
        builder, loc, MemRefType::get(type.getShape(), type.getElementType()), sizes));
    operands.push_back(made.back());
  }

  func::FuncOp function = functionOf(*this, group, operands, loc);

  // The loop.
  auto loop = scf::ForallOp::create(
      builder, loc, ArrayRef<OpFoldResult>{builder.getIndexAttr(0)},
      ArrayRef<OpFoldResult>{dynamicSizes[positionIn(program.dynamicSizes, program.batch)]},
      ArrayRef<OpFoldResult>{builder.getIndexAttr(1)}, ValueRange(), std::nullopt);
  loop->setAttr(grainAttribute, builder.getI64IntegerAttr(1));
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    operands[1] = loop.getInductionVar(0);
    int64_t column = 0; // the sizes come first
    for (Value &operand : operands) {
      if (operand)
        continue;
      Value at = arith::ConstantIndexOp::create(builder, loc, column++);
      Value size = memref::LoadOp::create(builder, loc, table, ValueRange{operands[1], at});
      operand = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), size);
    }
    func::CallOp::create(builder, loc, function, operands);
  }
  for (auto [t, memory] : llvm::zip(group.shared, made))
    tensors[t] = bufferization::ToTensorOp::create(builder, loc, storageType(t), memory,
                                                   /*restrict=*/true, /*writable=*/true);
}

} // namespace qkv::irgen

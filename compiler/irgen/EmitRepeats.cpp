// Steps of repeats as functions: compiled once, called for each step.
//
// In: a step. Out: a call with the tensors it reads, the parameters among them, and its number;
// the function is made for the first of the steps that compute the same.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <algorithm>

namespace qkv::irgen {

using namespace mlir;

void FunctionEmitter::emit(const std::vector<Item> &items) {
  for (const Item &item : items) {
    if (item.eachSequence)
      computeEach(item);
    else if (item.node < 0)
      callStep(item);
    else if (const ScheduleNode &node = plan.nodes[item.node]; node.tensor < 0)
      computeLoop(node);
    else if (!plan.joinedInto.count(node.tensor))
      computeWhole(node.tensor);
  }
}

/// Results of a sequence's own are no results of the step's: it writes them where the table says.
static bool isOwn(const FunctionEmitter &f, int tensor) {
  return f.sequences && f.sequences->own.shaped[tensor];
}

func::FuncOp FunctionEmitter::stepFunction(const Item &item, const StepText &step,
                                           ArrayRef<mlir::Type> arguments) {
  const Region &region = program.regions[item.region];
  Location loc = state.location(region.span);
  SmallVector<mlir::Type> results;
  for (int t : step.results)
    if (!isOwn(*this, t))
      results.push_back(storageType(t));
  OpBuilder atEnd = OpBuilder::atBlockEnd(state.module.getBody());
  std::string name = state.functionName(state.name + ".repeat" + std::to_string(region.repeat));
  auto made = func::FuncOp::create(atEnd, loc, name, atEnd.getFunctionType(arguments, results));
  made.setPrivate();
  made->setAttr(repeatAttribute, atEnd.getStringAttr(region.letter));
  FunctionEmitter inside(state, plan, bounds);
  inside.sequences = sequences;
  inside.begin(made);
  auto argument = made.getArguments().begin();
  inside.context = *argument++;
  for (Value size : dynamicSizes)
    inside.dynamicSizes.push_back(size ? *argument++ : Value());
  for (int r : step.steps)
    inside.steps[r] = *argument++;
  if (table)
    inside.table = *argument++;
  for (int t : step.outside)
    if (isOwn(*this, t))
      inside.inputColumns[t] = *argument++;
    else
      inside.tensors[t] = *argument++;
  for (int t : step.results)
    if (isOwn(*this, t))
      for (size_t i = 0; i < resultColumns.at(t).size(); ++i)
        inside.resultColumns[t].push_back(*argument++);
  inside.emit(item.items);
  SmallVector<Value> values;
  for (int t : step.results)
    if (!isOwn(*this, t))
      values.push_back(inside.tensors.at(t));
  inside.finish(loc, values);
  return made;
}

void FunctionEmitter::callStep(const Item &item) {
  const Region &region = program.regions[item.region];
  StepText step = stepText(plan, item);
  if (program.batch >= 0) // one size more among the arguments, whether the step uses it or not
    step.text += "*";
  // All sizes are arguments; the parts of a model over a stream have different ones.
  for (int size : program.dynamicSizes)
    step.text += "#" + program.atoms[size].name;
  if (sequences)
    for (int t : step.results)
      step.text += "$" + std::to_string(isOwn(*this, t) ? resultColumns.at(t).size() : 0);
  SmallVector<Value> operands{context};
  for (Value size : dynamicSizes)
    if (size)
      operands.push_back(size);
  for (int r : step.steps) {
    auto known = steps.find(r);
    operands.push_back(known != steps.end() ? known->second : constant(program.regions[r].step));
  }
  if (table)
    operands.push_back(table);
  for (int t : step.outside) {
    if (isOwn(*this, t)) {
      operands.push_back(inputColumns.at(t));
      continue;
    }
    auto found = tensors.find(t);
    if (found == tensors.end())
      throw Defect("irgen: " + program.tensors[t].name + " is read before it is computed");
    operands.push_back(found->second);
  }
  // What the step hands on is called what it is.
  std::string names;
  for (int t : step.results) {
    names += (names.empty() ? "" : ", ") + program.tensors[t].name;
    if (isOwn(*this, t))
      llvm::append_range(operands, resultColumns.at(t));
  }
  if (!state.bodies.count(step.text)) {
    SmallVector<mlir::Type> arguments;
    for (Value operand : operands)
      arguments.push_back(operand.getType());
    func::FuncOp made = stepFunction(item, step, arguments);
    state.bodies[step.text] = made; // (a step inside may have moved the entry)
  }
  Location loc = state.location(region.span);
  auto call =
      func::CallOp::create(builder, names.empty() ? loc : state.location(region.span, names),
                           state.bodies[step.text], operands);
  size_t next = 0;
  for (int t : step.results)
    if (!isOwn(*this, t))
      tensors[t] = call.getResult(next++);
}

} // namespace qkv::irgen

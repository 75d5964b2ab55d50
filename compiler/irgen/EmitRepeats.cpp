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
    if (item.node < 0)
      callStep(item);
    else if (plan.nodes[item.node].tensor >= 0)
      computeWhole(plan.nodes[item.node].tensor);
    else
      computeLoop(plan.nodes[item.node]);
  }
}

void FunctionEmitter::callStep(const Item &item) {
  const Region &region = program.regions[item.region];
  StepText step = stepText(plan, item);
  if (program.batch >= 0) // one size more among the arguments, whether the step uses it or not
    step.text += "*";
  // All sizes are arguments; the parts of a model over a stream have different ones.
  for (int size : program.dynamicSizes)
    step.text += "#" + program.atoms[size].name;
  Location loc = state.location(region.span);
  func::FuncOp &function = state.bodies[step.text];
  if (!function) {
    SmallVector<mlir::Type> arguments{context.getType()}, results;
    arguments.append(dynamicSizes.size() + step.steps.size(), builder.getIndexType());
    for (int t : step.outside)
      arguments.push_back(storageType(t));
    for (int t : step.results)
      results.push_back(storageType(t));
    OpBuilder atEnd = OpBuilder::atBlockEnd(state.module.getBody());
    std::string name = state.functionName(state.name + ".repeat" + std::to_string(region.repeat));
    auto made = func::FuncOp::create(atEnd, loc, name, atEnd.getFunctionType(arguments, results));
    made.setPrivate();
    made->setAttr(repeatAttribute, atEnd.getStringAttr(region.letter));
    FunctionEmitter inside(state, plan, bounds);
    inside.begin(made);
    auto argument = made.getArguments().begin();
    inside.context = *argument++;
    for (size_t i = 0; i < dynamicSizes.size(); ++i)
      inside.dynamicSizes.push_back(*argument++);
    for (int r : step.steps)
      inside.steps[r] = *argument++;
    for (int t : step.outside)
      inside.tensors[t] = *argument++;
    inside.emit(item.items);
    SmallVector<Value> values;
    for (int t : step.results)
      values.push_back(inside.tensors.at(t));
    inside.finish(loc, values);
    state.bodies[step.text] = made; // (a step inside may have moved the entry)
  }
  SmallVector<Value> operands{context};
  operands.append(dynamicSizes.begin(), dynamicSizes.end());
  for (int r : step.steps) {
    auto known = steps.find(r);
    operands.push_back(known != steps.end() ? known->second : constant(program.regions[r].step));
  }
  for (int t : step.outside) {
    auto found = tensors.find(t);
    if (found == tensors.end())
      throw Defect("irgen: " + program.tensors[t].name + " is read before it is computed");
    operands.push_back(found->second);
  }
  // What the step hands on is called what it is.
  std::string names;
  for (int t : step.results)
    names += (names.empty() ? "" : ", ") + program.tensors[t].name;
  auto call =
      func::CallOp::create(builder, names.empty() ? loc : state.location(region.span, names),
                           state.bodies[step.text], operands);
  for (size_t i = 0; i < step.results.size(); ++i)
    tensors[step.results[i]] = call.getResult(i);
}

} // namespace qkv::irgen

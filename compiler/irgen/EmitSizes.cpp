// Sizes as index values, types of tensors, locations.
//
// In: polynomials in the dynamic sizes. Out: values at the function's entry, each made once.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>

namespace qkv::irgen {

using namespace mlir;

Location ModuleState::location(Span span) {
  if (!span)
    return builder.getUnknownLoc();
  auto key = std::make_pair(span.source, span.begin);
  auto found = locations_.find(key);
  if (found != locations_.end())
    return found->second;
  Source::Position p = span.source->position(span.begin);
  Location loc = FileLineColLoc::get(builder.getStringAttr(span.source->path()), p.line, p.column);
  locations_.emplace(key, loc);
  return loc;
}

Location ModuleState::location(Span span, const std::string &label) {
  return NameLoc::get(builder.getStringAttr(label), location(span));
}

std::string ModuleState::functionName(const std::string &wanted) {
  int n = names_[wanted]++;
  return n ? wanted + "." + std::to_string(n) : wanted;
}

void FunctionEmitter::begin(func::FuncOp function) {
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToEnd(block);
  // Sizes are computed in front of this operation, everything else behind it.
  entryEnd_ = arith::ConstantIndexOp::create(builder, function.getLoc(), 0);
  entry_.setInsertionPoint(entryEnd_);
}

void FunctionEmitter::finish(Location loc, ValueRange results) {
  func::ReturnOp::create(builder, loc, results);
  entryEnd_->erase();
}

Value FunctionEmitter::constant(int64_t number) {
  Value &v = constants_[number];
  if (!v)
    v = arith::ConstantIndexOp::create(entry_, entry_.getUnknownLoc(), number);
  return v;
}

bool FunctionEmitter::isKnown(const Size &size) const {
  for (auto &[monomial, coefficient] : size.terms())
    for (int number : monomial) {
      auto own = std::find(program.dynamicSizes.begin(), program.dynamicSizes.end(), number);
      if (own != program.dynamicSizes.end() &&
          !dynamicSizes[static_cast<size_t>(own - program.dynamicSizes.begin())])
        return false;
      const SizeAtom &atom = program.atoms[number];
      if (atom.lhs && !(isKnown(*atom.lhs) && isKnown(*atom.rhs)))
        return false;
    }
  return true;
}

Value FunctionEmitter::atom(int number) {
  auto known = std::find(program.dynamicSizes.begin(), program.dynamicSizes.end(), number);
  if (known != program.dynamicSizes.end()) {
    Value size = dynamicSizes[known - program.dynamicSizes.begin()];
    if (!size)
      throw Defect("irgen: a size of one sequence where all are computed");
    return size;
  }
  const SizeAtom &a = program.atoms[number];
  if (!a.lhs || !a.rhs)
    throw Defect("irgen: a size that is no argument");
  Location loc = entry_.getUnknownLoc();
  Value l = value(*a.lhs), r = value(*a.rhs), zero = constant(0);
  if (a.kind == SizeAtom::Kind::Max)
    return entry_.createOrFold<arith::MaxSIOp>(loc, l, r);
  if (a.kind == SizeAtom::Kind::Min)
    return entry_.createOrFold<arith::MinSIOp>(loc, l, r);
  // A division by zero gives 0, as Size::evaluate has it.
  Value none;
  if (!bounds.atLeast(*a.rhs, 1)) {
    none = arith::CmpIOp::create(entry_, loc, arith::CmpIPredicate::eq, r, zero);
    r = arith::SelectOp::create(entry_, loc, none, constant(1), r);
  }
  Value q = entry_.createOrFold<arith::FloorDivSIOp>(loc, l, r);
  if (none)
    q = arith::SelectOp::create(entry_, loc, none, zero, q);
  if (a.kind == SizeAtom::Kind::FloorDiv)
    return q;
  Value back = entry_.createOrFold<arith::MulIOp>(loc, q, r);
  return entry_.createOrFold<arith::SubIOp>(loc, l, back);
}

Value FunctionEmitter::sizeTerm(const Size::Monomial &monomial) {
  Value product;
  for (int a : monomial) {
    Value v = atom(a);
    product = product ? entry_.createOrFold<arith::MulIOp>(entry_.getUnknownLoc(), product, v) : v;
  }
  return product;
}

Value FunctionEmitter::value(const Size &size) {
  if (auto known = size.constant())
    return constant(*known);
  if (auto here = scoped.find(size); here != scoped.end())
    return here->second;
  auto found = sizeValues_.find(size);
  if (found != sizeValues_.end())
    return found->second;
  Location loc = entry_.getUnknownLoc();
  Value total;
  // Highest degree first, the number at the end.
  for (auto it = size.terms().rbegin(); it != size.terms().rend(); ++it) {
    Value term = it->first.empty() ? constant(it->second) : sizeTerm(it->first);
    if (!it->first.empty() && it->second != 1)
      term = entry_.createOrFold<arith::MulIOp>(loc, term, constant(it->second));
    total = total ? entry_.createOrFold<arith::AddIOp>(loc, total, term) : term;
  }
  return sizeValues_[size] = total;
}

OpFoldResult FunctionEmitter::extent(const Size &size) {
  if (auto known = size.constant())
    return builder.getIndexAttr(std::max<int64_t>(*known, 0));
  if (auto here = scoped.find(size); here != scoped.end())
    return here->second;
  auto found = extents_.find(size);
  if (found != extents_.end())
    return found->second;
  Value v = value(size);
  if (!bounds.atLeast(size, 0))
    v = arith::MaxSIOp::create(entry_, entry_.getUnknownLoc(), v, constant(0));
  return extents_[size] = OpFoldResult(v);
}

OpFoldResult FunctionEmitter::storageExtent(const Axis &axis) {
  OpFoldResult out = extent(axis.extent);
  if (int64_t margin = axis.before + axis.after) {
    if (auto known = getConstantIntValue(out))
      return builder.getIndexAttr(*known + margin);
    return OpFoldResult(
        entry_.createOrFold<arith::AddIOp>(entry_.getUnknownLoc(), asValue(out), constant(margin)));
  }
  return out;
}

Value FunctionEmitter::asValue(OpFoldResult size) {
  if (auto v = llvm::dyn_cast<Value>(size))
    return v;
  return constant(*getConstantIntValue(size));
}

OpFoldResult FunctionEmitter::add(Location loc, OpFoldResult a, OpFoldResult b) {
  auto x = getConstantIntValue(a), y = getConstantIntValue(b);
  if (x && y)
    return builder.getIndexAttr(*x + *y);
  if (x && *x == 0)
    return b;
  if (y && *y == 0)
    return a;
  return OpFoldResult(builder.createOrFold<arith::AddIOp>(loc, asValue(a), asValue(b)));
}

mlir::Type FunctionEmitter::elementType(int tensor) {
  const Tensor &t = program.tensors[tensor];
  if (t.type == Type::Bool)
    return builder.getI1Type();
  if (t.type == Type::Int)
    return builder.getI64Type();
  if (t.half == Half::BFloat16)
    return builder.getBF16Type();
  if (t.half == Half::Float16)
    return builder.getF16Type();
  if (auto held = prepared.held.find(tensor); held != prepared.held.end())
    switch (static_cast<qkv_element>(held->second.element)) {
    case QKV_F32:
      return builder.getF32Type();
    case QKV_BF16:
      return builder.getBF16Type();
    case QKV_F16:
      return builder.getF16Type();
    }
  return t.constant ? mlir::Type(builder.getF64Type()) : builder.getF32Type();
}

RankedTensorType FunctionEmitter::storageType(int tensor) {
  SmallVector<int64_t> shape;
  const std::vector<Axis> &axes = program.tensors[tensor].axes;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Axis &a = axes[i];
    auto known = a.extent.constant();
    int64_t kept = keptOf(tensor, i);
    shape.push_back(kept    ? kept
                    : known ? std::max<int64_t>(*known, 0) + a.before + a.after
                            : ShapedType::kDynamic);
  }
  if (const qkv_held *held = panels(tensor)) {
    std::vector<int64_t> inMemory = rt::heldShape(*held, {shape.begin(), shape.end()});
    shape.assign(inMemory.begin(), inMemory.end());
  }
  return RankedTensorType::get(shape, elementType(tensor));
}

int64_t FunctionEmitter::keptOf(int tensor, size_t axis) const {
  auto found = plan.kept.find({tensor, static_cast<int>(axis)});
  return found == plan.kept.end() ? 0 : found->second;
}

Value FunctionEmitter::slot(OpBuilder &at, Location loc, Value index, int tensor, size_t axis) {
  int64_t kept = keptOf(tensor, axis);
  return kept == 1  ? constant(0)
         : kept > 1 ? at.createOrFold<arith::RemUIOp>(loc, index, constant(kept))
                    : index;
}

const qkv_held *FunctionEmitter::panels(int tensor) const {
  auto held = prepared.held.find(tensor);
  return held == prepared.held.end() || held->second.panel_width == 0 ? nullptr : &held->second;
}

Value FunctionEmitter::fill(Location loc, Value number, Value tensor) {
  return linalg::FillOp::create(builder, loc, ValueRange{number}, ValueRange{tensor}).getResult(0);
}

Value FunctionEmitter::zeros(int tensor, Location loc) {
  SmallVector<OpFoldResult> shape;
  const std::vector<Axis> &axes = program.tensors[tensor].axes;
  for (size_t a = 0; a < axes.size(); ++a)
    if (!isLocal(tensor, a)) {
      int64_t kept = keptOf(tensor, a);
      shape.push_back(kept ? OpFoldResult(builder.getIndexAttr(kept)) : storageExtent(axes[a]));
    }
  mlir::Type type = elementType(tensor);
  Value empty = tensor::EmptyOp::create(builder, loc, shape, type);
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return fill(loc, zero, empty);
}

} // namespace qkv::irgen

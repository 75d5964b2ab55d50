// In: functions on buffers, each allocated and freed in one block. Out: views of one arena a
// function, which its caller hands in and an entry allocates.
// Must hold: two buffers of which both are alive at some point lie apart, for all sizes; what the
// arena takes is what the plan says; memory that may be freed through another name stays as it
// is, and so does what threads allocate for themselves.
#include "compiler/passes/Passes.h"
#include "compiler/passes/memory/ArenaLayout.h"

#include "compiler/dialect/QkvDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

#include <functional>

namespace qkv {
#define GEN_PASS_DEF_PLANARENA
#include "compiler/passes/Passes.h.inc"

namespace {

using namespace mlir;

/// What an extent that only the run knows is taken for where buffers are ordered.
constexpr int64_t unknownExtent = 256;
constexpr int64_t alignment = 64;

/// An argument of a function (axis -1), or the extent of one along an axis.
using Leaf = std::pair<unsigned, int64_t>;

/// Computes, at one place, what a function computes from its arguments alone.
class FromArguments {
public:
  using Resolve = std::function<Value(OpBuilder &, Leaf)>;
  FromArguments(OpBuilder builder, Location loc, Block *entry, Resolve resolve)
      : builder_(builder), loc_(loc), entry_(entry), resolve_(std::move(resolve)) {}

  OpBuilder &builder() { return builder_; }
  Location loc() const { return loc_; }
  Value constant(int64_t value) { return arith::ConstantIndexOp::create(builder_, loc_, value); }
  /// The value of an index; null where it depends on more than the arguments.
  Value index(Value value);
  /// The value of an extent of a buffer, or what it is at most: of a minimum one operand is enough.
  Value atMost(Value extent);
  /// The extent of a buffer along an axis, likewise.
  Value extent(Value buffer, int64_t axis);
  Value leaf(Leaf leaf);

private:
  Value compute(Value value);

  OpBuilder builder_;
  Location loc_;
  Block *entry_;
  Resolve resolve_;
  llvm::DenseMap<Value, Value> known_;
  llvm::DenseMap<Leaf, Value> leaves_;
};

Value FromArguments::leaf(Leaf leaf) {
  Value &value = leaves_[leaf];
  if (!value)
    value = resolve_(builder_, leaf);
  return value;
}

Value FromArguments::extent(Value buffer, int64_t axis) {
  auto type = cast<MemRefType>(buffer.getType());
  if (!type.isDynamicDim(axis))
    return constant(type.getDimSize(axis));
  if (auto argument = dyn_cast<BlockArgument>(buffer))
    return argument.getOwner() == entry_ ? leaf({argument.getArgNumber(), axis}) : Value();
  if (auto alloc = buffer.getDefiningOp<memref::AllocOp>())
    return index(alloc.getDynamicSizes()[type.getDynamicDimIndex(axis)]);
  if (auto cast = buffer.getDefiningOp<memref::CastOp>())
    return extent(cast.getSource(), axis);
  return {};
}

Value FromArguments::index(Value value) {
  if (Value known = known_.lookup(value))
    return known;
  Value made = compute(value);
  known_[value] = made;
  return made;
}

Value FromArguments::atMost(Value extent) {
  if (Value known = index(extent))
    return known;
  auto least = extent.getDefiningOp<arith::MinUIOp>();
  if (!least)
    return {};
  Value bound = index(least.getRhs());
  return bound ? bound : index(least.getLhs());
}

Value FromArguments::compute(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == entry_ ? leaf({argument.getArgNumber(), -1}) : Value();
  Operation *op = value.getDefiningOp();
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    std::optional<int64_t> axis = dim.getConstantIndex();
    return axis ? extent(dim.getSource(), *axis) : Value();
  }
  if (!isMemoryEffectFree(op) || op->getNumRegions() || op->getNumResults() != 1)
    return {};
  // It is computed where the function begins, or before it is called, even where it would not be
  // reached: a division has to bear that.
  bool mayTrap = !isSpeculatable(op);
  if (mayTrap && !isa<arith::DivUIOp, arith::CeilDivUIOp, arith::RemUIOp>(op))
    return {};
  IRMapping mapping;
  for (Value operand : op->getOperands()) {
    Value here = operand.getType().isIntOrIndex() ? index(operand) : Value();
    if (!here)
      return {};
    mapping.map(operand, here);
  }
  if (mayTrap) {
    Value divisor = mapping.lookup(op->getOperand(1));
    mapping.map(op->getOperand(1), arith::MaxUIOp::create(builder_, loc_, divisor, constant(1)));
  }
  return builder_.clone(*op, mapping)->getResult(0);
}

/// Something that has a place in a function's arena: a buffer, or the arena of a call.
struct Tenant {
  Operation *op;              ///< memref.alloc or func.call
  Operation *end;             ///< memref.dealloc, or the call
  llvm::SmallVector<Leaf> of; ///< a call: what its arena's size depends on
};

/// The plan of one function.
struct Plan {
  SmallVector<Tenant> tenants;
  ArenaLayout layout;
  func::FuncOp size;        ///< computes the arena's size from the leaves
  SmallVector<Leaf> leaves; ///< its arguments
  bool fromCaller = false;  ///< the last argument is the arena
  bool empty() const { return tenants.empty(); }
};

class Planner {
public:
  Planner(func::FuncOp function, llvm::StringMap<Plan> &plans)
      : function_(function), entry_(&function.getBody().front()), plans_(plans) {}

  void plan();
  void writeSize();
  void rewrite();
  /// Whether what the callee's arena needs can be computed where this function begins.
  bool knowsSizeOf(func::CallOp call);

private:
  void collect();
  FromArguments atEntry();
  /// `asked`: the calls for sizes so far.
  Value bytes(FromArguments &from, const Tenant &tenant, SmallVector<func::CallOp> &asked);
  /// Offsets of all tenants, the size last; null where a size is not known at the entry.
  SmallVector<Value> offsets(FromArguments &from);

  func::FuncOp function_;
  Block *entry_;
  llvm::StringMap<Plan> &plans_;
};

FromArguments Planner::atEntry() {
  Block *entry = entry_;
  return FromArguments(OpBuilder::atBlockBegin(entry), function_.getLoc(), entry,
                       [entry](OpBuilder &builder, Leaf leaf) -> Value {
                         Value argument = entry->getArgument(leaf.first);
                         if (leaf.second < 0)
                           return argument;
                         return memref::DimOp::create(builder, argument.getLoc(), argument,
                                                      leaf.second);
                       });
}

/// Of an element. (The shape that a buffer is seen in is a buffer of indices.)
int64_t elementBytes(MemRefType type) {
  return type.getElementType().isIndex() ? 8 : (type.getElementTypeBitWidth() + 7) / 8;
}

int64_t nominalBytes(MemRefType type) {
  int64_t bytes = elementBytes(type);
  for (int64_t extent : type.getShape())
    bytes *= ShapedType::isDynamic(extent) ? unknownExtent : extent;
  return llvm::alignTo(bytes, alignment);
}

/// Buffers that are freed where they are allocated, by that name and no other.
void Planner::collect() {
  BufferViewFlowAnalysis flow(function_);
  llvm::DenseMap<Value, memref::DeallocOp> ends;
  llvm::DenseSet<Value> unclear;
  function_.walk([&](memref::DeallocOp dealloc) {
    Value buffer = dealloc.getMemref();
    if (buffer.getDefiningOp<memref::AllocOp>() && ends.try_emplace(buffer, dealloc).second)
      return;
    for (Value origin : flow.resolveReverse(buffer))
      unclear.insert(origin);
  });
  Plan &plan = plans_[function_.getName()];
  FromArguments from = atEntry();
  function_.walk<WalkOrder::PreOrder>([&](Operation *op) {
    // A thread's own memory.
    if (isa<scf::ForallOp, scf::ParallelOp>(op))
      return WalkResult::skip();
    if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
      memref::DeallocOp end = ends.lookup(alloc.getResult());
      if (end && end->getBlock() == alloc->getBlock() && !unclear.contains(alloc.getResult()) &&
          alloc.getType().getLayout().isIdentity() &&
          llvm::all_of(alloc.getDynamicSizes(), [&](Value size) { return from.atMost(size); }))
        plan.tenants.push_back({op, end, {}});
    } else if (auto call = dyn_cast<func::CallOp>(op)) {
      if (auto callee = plans_.find(call.getCallee());
          callee != plans_.end() && callee->second.fromCaller)
        plan.tenants.push_back({op, op, callee->second.leaves});
    }
    return WalkResult::advance();
  });
}

bool Planner::knowsSizeOf(func::CallOp call) {
  FromArguments from = atEntry();
  return llvm::all_of(plans_[call.getCallee()].leaves, [&](Leaf leaf) {
    Value operand = call.getOperand(leaf.first);
    return bool(leaf.second < 0 ? from.index(operand) : from.extent(operand, leaf.second));
  });
}

void Planner::plan() {
  collect();
  Plan &plan = plans_[function_.getName()];
  llvm::DenseMap<Operation *, int64_t> position;
  function_.walk<WalkOrder::PreOrder>(
      [&](Operation *op) { position.try_emplace(op, position.size()); });
  for (const Tenant &tenant : plan.tenants) {
    auto call = dyn_cast<func::CallOp>(tenant.op);
    int64_t bytes = call ? plans_[call.getCallee()].layout.nominalSize()
                         : nominalBytes(cast<memref::AllocOp>(tenant.op).getType());
    plan.layout.add(position[tenant.op], position[tenant.end], bytes);
  }
  plan.layout.place();
}

Value Planner::bytes(FromArguments &from, const Tenant &tenant, SmallVector<func::CallOp> &asked) {
  OpBuilder &builder = from.builder();
  if (auto call = dyn_cast<func::CallOp>(tenant.op)) {
    func::FuncOp size = plans_[call.getCallee()].size;
    SmallVector<Value> operands;
    for (Leaf leaf : tenant.of) {
      Value operand = call.getOperand(leaf.first);
      operands.push_back(leaf.second < 0 ? from.index(operand) : from.extent(operand, leaf.second));
    }
    // The steps of a repeat ask for the same.
    for (func::CallOp made : asked)
      if (made.getCallee() == size.getName() && llvm::equal(made.getOperands(), operands))
        return made.getResult(0);
    asked.push_back(func::CallOp::create(builder, from.loc(), size, operands));
    return asked.back().getResult(0);
  }
  auto alloc = cast<memref::AllocOp>(tenant.op);
  MemRefType type = alloc.getType();
  int64_t fixed = elementBytes(type);
  for (int64_t extent : type.getShape())
    fixed *= ShapedType::isDynamic(extent) ? 1 : extent;
  if (alloc.getDynamicSizes().empty())
    return from.constant(llvm::alignTo(fixed, alignment));
  Value bytes = from.constant(fixed);
  for (Value size : alloc.getDynamicSizes())
    bytes = builder.createOrFold<arith::MulIOp>(from.loc(), from.atMost(size), bytes);
  if (fixed % alignment == 0)
    return bytes;
  bytes = builder.createOrFold<arith::AddIOp>(from.loc(), bytes, from.constant(alignment - 1));
  return builder.createOrFold<arith::AndIOp>(from.loc(), bytes, from.constant(-alignment));
}

SmallVector<Value> Planner::offsets(FromArguments &from) {
  Plan &plan = plans_[function_.getName()];
  OpBuilder &builder = from.builder();
  SmallVector<Value> sizes, ends(plan.tenants.size()), offsets(plan.tenants.size());
  SmallVector<func::CallOp> asked;
  for (const Tenant &tenant : plan.tenants)
    sizes.push_back(bytes(from, tenant, asked));
  Value zero = from.constant(0);
  auto above = [&](ArrayRef<int> below) {
    Value offset = zero;
    for (int number : below)
      offset = offset == zero
                   ? ends[number]
                   : builder.createOrFold<arith::MaxUIOp>(from.loc(), offset, ends[number]);
    return offset;
  };
  for (int number : plan.layout.order()) {
    offsets[number] = above(plan.layout.below(number));
    ends[number] = builder.createOrFold<arith::AddIOp>(from.loc(), offsets[number], sizes[number]);
  }
  offsets.push_back(above(plan.layout.tops()));
  return offsets;
}

/// @name.arena: the size, from the leaves that it depends on.
void Planner::writeSize() {
  Plan &plan = plans_[function_.getName()];
  OpBuilder builder(function_);
  builder.setInsertionPointAfter(function_);
  plan.size =
      func::FuncOp::create(builder, function_.getLoc(), (function_.getName() + ".arena").str(),
                           builder.getFunctionType({}, builder.getIndexType()));
  plan.size.setPrivate();
  Block *body = plan.size.addEntryBlock();
  FromArguments from(OpBuilder::atBlockBegin(body), function_.getLoc(), entry_,
                     [&plan, body](OpBuilder &builder, Leaf leaf) -> Value {
                       plan.leaves.push_back(leaf);
                       return body->addArgument(builder.getIndexType(), builder.getUnknownLoc());
                     });
  Value size = offsets(from).back();
  func::ReturnOp::create(from.builder(), function_.getLoc(), size);
  plan.size.setFunctionType(
      builder.getFunctionType(body->getArgumentTypes(), builder.getIndexType()));
}

void Planner::rewrite() {
  Plan &plan = plans_[function_.getName()];
  Location loc = function_.getLoc();
  FromArguments from = atEntry();
  SmallVector<Value> offsets = this->offsets(from);
  OpBuilder &builder = from.builder();
  Value arena;
  if (plan.fromCaller) {
    auto bytes = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
    arena = entry_->addArgument(bytes, loc);
    SmallVector<Type> types(entry_->getArgumentTypes());
    function_.setFunctionType(builder.getFunctionType(types, function_.getResultTypes()));
    if (ArrayAttr attributes = function_.getAllArgAttrs()) {
      SmallVector<Attribute> all(attributes.getValue());
      all.push_back(builder.getDictionaryAttr({}));
      function_.setAllArgAttrs(all);
    }
  } else {
    std::optional<int64_t> fixed = getConstantIntValue(offsets.back());
    auto type = MemRefType::get({fixed ? *fixed : ShapedType::kDynamic}, builder.getI8Type());
    arena = memref::AllocOp::create(builder, loc, type,
                                    fixed ? ValueRange() : ValueRange(offsets.back()));
    function_.walk([&](func::ReturnOp exit) {
      OpBuilder atExit(exit);
      memref::DeallocOp::create(atExit, exit.getLoc(), arena);
    });
  }
  for (auto [number, tenant] : llvm::enumerate(plan.tenants)) {
    OpBuilder here(tenant.op);
    if (auto alloc = dyn_cast<memref::AllocOp>(tenant.op)) {
      Value view = memref::ViewOp::create(here, alloc.getLoc(), alloc.getType(), arena,
                                          offsets[number], alloc.getDynamicSizes());
      if (Attribute why = alloc->getAttr(whyAttribute))
        view.getDefiningOp()->setAttr(whyAttribute, why);
      tenant.end->erase();
      alloc.replaceAllUsesWith(view);
      alloc.erase();
      continue;
    }
    // From its offset on, all: the callee has its own plan.
    auto call = cast<func::CallOp>(tenant.op);
    auto bytes = MemRefType::get({ShapedType::kDynamic}, here.getI8Type());
    Value rest = arith::SubIOp::create(here, call.getLoc(), offsets.back(), offsets[number]);
    Value view = memref::ViewOp::create(here, call.getLoc(), bytes, arena, offsets[number], rest);
    call.getOperandsMutable().append(view);
  }
}

struct PlanArena : impl::PlanArenaBase<PlanArena> {
  void runOnOperation() override {
    // Callees first: a call takes what its callee's plan says.
    SmallVector<func::FuncOp> order;
    for (auto function : getOperation().getOps<func::FuncOp>())
      visit(function, order);
    llvm::StringMap<Plan> plans;
    for (func::FuncOp function : order) {
      if (function.isDeclaration() || !llvm::hasSingleElement(function.getBody()))
        continue;
      Planner planner(function, plans);
      planner.plan();
      Plan &plan = plans[function.getName()];
      if (!plan.empty() && !function->hasAttr(entryAttribute) && function.isPrivate()) {
        planner.writeSize();
        plan.fromCaller = callersKnow(function, plans);
        if (!plan.fromCaller)
          plan.size.erase();
      }
    }
    for (func::FuncOp function : order)
      if (auto plan = plans.find(function.getName()); plan != plans.end())
        // (A single buffer is its own arena, unless it is made again and again.)
        if (plan->second.fromCaller || plan->second.tenants.size() > 1 ||
            llvm::any_of(plan->second.tenants, [&](Tenant &tenant) {
              return isa<func::CallOp>(tenant.op) || tenant.op->getParentOp() != function;
            }))
          Planner(function, plans).rewrite();
  }

private:
  void visit(func::FuncOp function, SmallVector<func::FuncOp> &order) {
    if (llvm::is_contained(order, function))
      return;
    function.walk([&](func::CallOp call) {
      if (auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee());
          callee && callee != function)
        visit(callee, order);
    });
    order.push_back(function);
  }

  /// Whether every call of the function may hand in its arena. (In what threads run, memory is
  /// each thread's own.)
  bool callersKnow(func::FuncOp callee, llvm::StringMap<Plan> &plans) {
    auto uses = SymbolTable::getSymbolUses(callee, getOperation());
    return uses && llvm::all_of(*uses, [&](SymbolTable::SymbolUse use) {
             auto call = dyn_cast<func::CallOp>(use.getUser());
             if (!call || call->getParentOfType<scf::ForallOp>())
               return false;
             return Planner(call->getParentOfType<func::FuncOp>(), plans).knowsSizeOf(call);
           });
  }
};

} // namespace
} // namespace qkv

// One equation as linalg.generic.
//
// In: an elementwise expression or one plain reduction, and the dimensions it is over. Out: a
// tensor over the dimensions. Reads whose indices are letters (with an offset, the same
// everywhere) are operands with projected permutations; all others are tensor.extract in the
// body, kept inside their tensors.
#include "compiler/equations/Attention.h"
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

namespace qkv::irgen {

using namespace mlir;
using K = Expr::Kind;

namespace {

/// letter + rest, or rest alone (letter -1); rest may be null: 0. Letter -2: no such axis.
struct SplitIndex {
  int letter = -1;
  ExprPtr rest;
};

class PieceEmitter {
public:
  PieceEmitter(FunctionEmitter &f, const std::vector<Dimension> &dimensions,
               const std::vector<Facts> &facts, Location loc)
      : f_(f), b_(f.builder), facts_(facts), loc_(loc), outside_(f, f.builder, facts, loc) {
    outside_.letters = f.letters;
    for (const Dimension &d : dimensions)
      addDimension(d);
  }

  Value emit(const ExprPtr &e, mlir::Type type, const std::string &label) {
    bool reduces = e->kind == K::Reduce;
    size_t parallel = dimensions_.size();
    if (reduces)
      for (int l : e->letters)
        addDimension({l, Size(0), f_.program.letters[l].extent});
    SmallVector<OpFoldResult> shape;
    for (size_t d = 0; d < parallel; ++d)
      shape.push_back(f_.extent(dimensions_[d].extent));
    Value init = tensor::EmptyOp::create(b_, loc_, shape, type);
    if (reduces)
      init = f_.fill(loc_, identity(*e, type), init);

    std::vector<ExprPtr> roots =
        reduces ? std::vector<ExprPtr>{e->args[0], e->args[1]} : std::vector<ExprPtr>{e};
    for (auto &r : roots)
      collect(r);
    coverReduced(parallel);

    MLIRContext *context = b_.getContext();
    unsigned count = dimensions_.size();
    SmallVector<AffineExpr> out;
    for (unsigned d = 0; d < parallel; ++d)
      out.push_back(getAffineDimExpr(d, context));
    SmallVector<AffineMap> maps(maps_);
    maps.push_back(AffineMap::get(count, 0, out, context));
    SmallVector<utils::IteratorType> iterators(parallel, utils::IteratorType::parallel);
    iterators.append(count - parallel, utils::IteratorType::reduction);
    auto generic = linalg::GenericOp::create(b_, loc_, TypeRange{init.getType()}, operands_,
                                             ValueRange{init}, maps, iterators);
    generic->setAttr(equationAttribute, b_.getStringAttr(label));
    if (!ofInput_)
      generic->setAttr(sharedAttribute, b_.getUnitAttr());
    for (unsigned d = 0; d < parallel && f_.program.batch >= 0; ++d)
      if (dimensions_[d].extent == Size::atom(f_.program.batch))
        generic->setAttr(batchAttribute, b_.getI64IntegerAttr(d));

    // The body; `b_` comes back behind the operation.
    OpBuilder::InsertionGuard guard(b_);
    SmallVector<mlir::Type> types;
    for (Value operand : operands_)
      types.push_back(getElementTypeOrSelf(operand.getType()));
    types.push_back(type);
    Block *body =
        b_.createBlock(&generic.getRegion(), {}, types, SmallVector<Location>(types.size(), loc_));
    ScalarEmitter inside(f_, b_, facts_, loc_);
    inside.letters = f_.letters;
    for (auto &[node, operand] : given_)
      inside.given[node] = operand < 0 ? scalars_[-1 - operand] : body->getArgument(operand);
    for (size_t d = 0; d < count; ++d)
      if (usesLetter(dimensions_[d].letter)) {
        Value position = linalg::IndexOp::create(b_, loc_, d);
        if (dimensions_[d].base != Size(0))
          position = arith::AddIOp::create(b_, loc_, position, f_.value(dimensions_[d].base));
        inside.letters[dimensions_[d].letter] = position;
      }
    Value result;
    if (!reduces) {
      result = type.isF64() ? inside.emit(e) : inside.data(e);
      roundHere(result);
      if (type.isBF16() || type.isF16())
        result = arith::TruncFOp::create(b_, loc_, type, result);
    } else {
      Value value = type.isF64() ? inside.emit(e->args[0]) : inside.data(e->args[0]);
      Value soFar = body->getArguments().back();
      if (e->args[1])
        value =
            arith::SelectOp::create(b_, loc_, inside.emit(e->args[1]), value, identity(*e, type));
      result = combine(*e, soFar, value);
    }
    linalg::YieldOp::create(b_, loc_, ValueRange{result});
    return generic.getResult(0);
  }

private:
  void addDimension(const Dimension &d) {
    number_[d.letter] = static_cast<int>(dimensions_.size());
    dimensions_.push_back(d);
  }

  /// A product that is an equation's element is rounded, whoever adds it to something: whether it
  /// is computed in the loop that reads it must not change a bit.
  static void roundHere(Value value) {
    while (auto negative = value.getDefiningOp<arith::NegFOp>())
      value = negative.getOperand();
    if (auto product = value.getDefiningOp<arith::MulFOp>())
      product.setFastmath(arith::FastMathFlags::none);
  }

  Value identity(const Expr &e, mlir::Type type) {
    bool isInt = !llvm::isa<FloatType>(type);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    auto number = [&](int64_t whole, double real) -> Value {
      if (isInt)
        return arith::ConstantOp::create(b_, loc_, b_.getI64IntegerAttr(whole));
      return arith::ConstantOp::create(b_, loc_, b_.getFloatAttr(type, real));
    };
    switch (e.reduction) {
    case Reduction::Sum:
      return number(0, 0);
    case Reduction::Prod:
      return number(1, 1);
    case Reduction::Max:
      return number(std::numeric_limits<int64_t>::min(), -infinity);
    case Reduction::Min:
      return number(std::numeric_limits<int64_t>::max(), infinity);
    default:
      throw Defect("irgen: a reduction that should have been split");
    }
  }

  Value combine(const Expr &e, Value soFar, Value value) {
    bool isInt = !llvm::isa<FloatType>(value.getType());
    auto fast = e.constant ? arith::FastMathFlags::none
                           : arith::FastMathFlags::contract | arith::FastMathFlags::reassoc;
    switch (e.reduction) {
    case Reduction::Sum:
      return isInt ? Value(arith::AddIOp::create(b_, loc_, soFar, value))
                   : Value(arith::AddFOp::create(b_, loc_, soFar, value, fast));
    case Reduction::Prod:
      return isInt ? Value(arith::MulIOp::create(b_, loc_, soFar, value))
                   : Value(arith::MulFOp::create(b_, loc_, soFar, value, fast));
    case Reduction::Max:
      return isInt ? Value(arith::MaxSIOp::create(b_, loc_, soFar, value))
                   : Value(arith::MaxNumFOp::create(b_, loc_, soFar, value));
    default:
      return isInt ? Value(arith::MinSIOp::create(b_, loc_, soFar, value))
                   : Value(arith::MinNumFOp::create(b_, loc_, soFar, value));
    }
  }

  /// The letters of the dimensions in an expression: which ones, as found by free letters.
  bool moves(const ExprPtr &e) {
    for (int l : free_.of(e))
      if (number_.count(l))
        return true;
    return false;
  }

  std::optional<SplitIndex> splitIndex(const ExprPtr &e) {
    if (e->kind == K::Letter && number_.count(e->letter))
      return SplitIndex{e->letter, nullptr};
    if (!moves(e))
      return SplitIndex{-1, e};
    if (e->kind != K::Apply || (e->op != Op::Add && e->op != Op::Sub))
      return std::nullopt;
    bool firstMoves = moves(e->args[0]);
    if (firstMoves == moves(e->args[1]) || (e->op == Op::Sub && !firstMoves))
      return std::nullopt;
    auto part = splitIndex(e->args[firstMoves ? 0 : 1]);
    const ExprPtr &other = e->args[firstMoves ? 1 : 0];
    if (!part || part->letter < 0)
      return std::nullopt;
    ExprPtr rest = part->rest;
    if (e->op == Op::Sub)
      rest = apply(Op::Sub, {rest ? rest : integer(0), other}, e->span);
    else
      rest = rest ? apply(Op::Add, {rest, other}, e->span) : other;
    return SplitIndex{part->letter, rest};
  }

  /// Reads below `e` that can be operands become operands.
  void collect(const ExprPtr &e) {
    if (!e || !seen_.insert(e).second)
      return;
    if (e->kind == K::Read) {
      ofInput_ = ofInput_ || f_.plan.ofInput[e->tensor];
      if (!moves(e)) {
        scalars_.push_back(outside_.emit(e));
        given_[e] = -static_cast<int>(scalars_.size());
        return;
      }
      if (asOperand(e))
        return;
    }
    if (e->kind == K::Letter)
      used_.insert(e->letter);
    for (auto &a : e->args)
      collect(a);
  }

  bool usesLetter(int l) const { return used_.count(l) > 0; }

  /// The indices of a read that may be one of an operand: each a letter of its own and what does
  /// not depend on the tile; inside of the tensor wherever the tile goes.
  std::optional<std::vector<SplitIndex>> operandIndices(const ExprPtr &e) {
    const Tensor &t = f_.program.tensors[e->tensor];
    std::vector<SplitIndex> indices;
    std::set<int> letters;
    for (size_t i = 0; i < e->args.size(); ++i) {
      if (f_.isLocal(e->tensor, i)) {
        indices.push_back({-2, nullptr});
        continue;
      }
      auto split = splitIndex(e->args[i]);
      if (!split || (split->letter >= 0 &&
                     (!letters.insert(split->letter).second || f_.keptOf(e->tensor, i))))
        return std::nullopt;
      const Axis &axis = t.axes[i];
      if (split->letter >= 0
              ? !f_.bounds.inside(e->args[i], axis, facts_)
              : !f_.bounds.inside(e->args[i], axis, facts_) &&
                    !f_.bounds.atLeast(axis.extent + Size(axis.before + axis.after), 1))
        return std::nullopt;
      indices.push_back(*split);
    }
    return indices;
  }

  bool asOperand(const ExprPtr &e) {
    const Tensor &t = f_.program.tensors[e->tensor];
    auto source = f_.tensors.find(e->tensor);
    if (source == f_.tensors.end())
      throw Defect("irgen: " + t.name + " is read before it is computed");
    auto found = operandIndices(e);
    if (!found)
      return false;
    const std::vector<SplitIndex> &indices = *found;
    const qkv_held *held = f_.panels(e->tensor);
    // Panels have no slices along their axis: all of it, or one position.
    if (held && indices[held->panel_axis].letter >= 0 &&
        (indices[held->panel_axis].rest ||
         dimensions_[number_.at(indices[held->panel_axis].letter)].base != Size(0)))
      return false;
    MLIRContext *context = b_.getContext();
    SmallVector<Part> parts; // one for each dimension in memory
    bool whole = true;
    for (size_t i = 0; i < indices.size(); ++i) {
      const Axis &axis = t.axes[i];
      if (indices[i].letter == -2) // has this position alone
        continue;
      if (indices[i].letter < 0) {
        Value at = outside_.storageIndex(e->args[i], e->tensor, i);
        parts.push_back({getAsOpFoldResult(at), b_.getIndexAttr(1), {}});
        whole = false;
        continue;
      }
      const Dimension &d = dimensions_[number_.at(indices[i].letter)];
      if (i == 0 && f_.blocks.count(e->tensor)) { // which has these positions alone
        parts.push_back({b_.getIndexAttr(0), f_.extent(d.extent),
                         getAffineDimExpr(number_.at(indices[i].letter), context)});
        continue;
      }
      OpFoldResult offset = b_.getIndexAttr(axis.before);
      if (d.base != Size(0))
        offset = f_.add(loc_, offset, getAsOpFoldResult(f_.value(d.base)));
      if (indices[i].rest)
        offset = f_.add(loc_, offset, getAsOpFoldResult(outside_.index(indices[i].rest)));
      whole &= isZeroInteger(offset) && !axis.before && !axis.after &&
               (d.extent == axis.extent || (held && i == size_t(held->panel_axis)));
      parts.push_back(
          {offset, f_.extent(d.extent), getAffineDimExpr(number_.at(indices[i].letter), context)});
    }
    if (held)
      splitPanels(parts, *held, f_.storageType(e->tensor).getShape());
    SmallVector<AffineExpr> results;
    SmallVector<OpFoldResult> offsets, sizes;
    SmallVector<int64_t> shape;
    for (const Part &part : parts) {
      offsets.push_back(part.offset);
      sizes.push_back(part.size);
      if (!part.at)
        continue;
      results.push_back(part.at);
      shape.push_back(getConstantIntValue(part.size).value_or(ShapedType::kDynamic));
    }
    Value operand = source->second;
    if (!whole) {
      SmallVector<OpFoldResult> strides(offsets.size(), b_.getIndexAttr(1));
      auto type = RankedTensorType::get(shape, f_.elementType(e->tensor));
      operand = tensor::ExtractSliceOp::create(b_, loc_, type, operand, offsets, sizes, strides);
    }
    auto map = AffineMap::get(dimensions_.size(), 0, results, context);
    given_[e] = addOperand(operand, map);
    return true;
  }

  /// What an operand takes of one dimension of a tensor in memory, and the index of its elements
  /// (null: it is one position, and no dimension of the operand).
  struct Part {
    OpFoldResult offset, size;
    AffineExpr at;
  };

  /// Puts the number of the panel and the position in it in the place of their axis.
  void splitPanels(SmallVectorImpl<Part> &parts, const qkv_held &held, ArrayRef<int64_t> shape) {
    Part axis = parts[held.panel_axis], number, inside;
    if (axis.at) {
      OpFoldResult zero = b_.getIndexAttr(0);
      number = {zero, b_.getIndexAttr(shape[held.panel_order]), axis.at.floorDiv(held.panel_width)};
      inside = {zero, b_.getIndexAttr(held.panel_width), axis.at % held.panel_width};
    } else {
      Value at = f_.asValue(axis.offset), width = f_.constant(held.panel_width);
      OpFoldResult one = b_.getIndexAttr(1);
      number = {b_.createOrFold<arith::DivUIOp>(loc_, at, width), one, {}};
      inside = {b_.createOrFold<arith::RemUIOp>(loc_, at, width), one, {}};
    }
    parts.erase(parts.begin() + held.panel_axis);
    parts.insert(parts.begin() + held.panel_order, number);
    parts.push_back(inside);
  }

  int addOperand(Value operand, AffineMap map) {
    for (size_t i = 0; i < operands_.size(); ++i)
      if (operands_[i] == operand && maps_[i] == map)
        return static_cast<int>(i);
    operands_.push_back(operand);
    maps_.push_back(map);
    return static_cast<int>(operands_.size()) - 1;
  }

  /// linalg finds the extents of its dimensions in its operands: those that no operand has are
  /// given by one without values.
  void coverReduced(size_t parallel) {
    MLIRContext *context = b_.getContext();
    SmallVector<AffineExpr> results;
    SmallVector<OpFoldResult> shape;
    for (size_t d = parallel; d < dimensions_.size(); ++d) {
      bool covered = false;
      for (AffineMap map : maps_)
        covered |= llvm::is_contained(map.getResults(), getAffineDimExpr(d, context));
      if (covered)
        continue;
      results.push_back(getAffineDimExpr(d, context));
      shape.push_back(f_.extent(dimensions_[d].extent));
    }
    if (results.empty())
      return;
    Value empty = tensor::EmptyOp::create(b_, loc_, shape, b_.getF32Type());
    operands_.push_back(empty);
    maps_.push_back(AffineMap::get(dimensions_.size(), 0, results, context));
  }

  FunctionEmitter &f_;
  OpBuilder &b_;
  const std::vector<Facts> &facts_;
  Location loc_;
  ScalarEmitter outside_;
  FreeLetters free_;
  std::vector<Dimension> dimensions_;
  std::unordered_map<int, int> number_; // of letters
  std::set<ExprPtr> seen_;
  std::set<int> used_; // letters whose number the body needs
  SmallVector<Value> operands_;
  SmallVector<AffineMap> maps_;
  bool ofInput_ = false; // it reads what depends on an input
  std::vector<Value> scalars_;
  std::map<ExprPtr, int> given_; // operand, or -1 - scalar
};

} // namespace

Value FunctionEmitter::compute(const ExprPtr &e, const std::vector<Dimension> &dimensions,
                               mlir::Type type, const std::vector<Facts> &facts, Span span,
                               const std::string &label) {
  bool half = type.isBF16() || type.isF16();
  if (asWeightedSum(program, e)) {
    if (half)
      throw Defect("irgen: a weighted sum in 16 bits");
    return attention(e, dimensions, facts, span, label);
  }
  Location loc = state.location(span, label);
  // A reduction is rounded behind: of doubles in a tensor of floats, of floats in 16 bits.
  bool reduces = e->kind == K::Reduce && e->type == Type::Float;
  mlir::Type computed = reduces && e->constant ? mlir::Type(builder.getF64Type())
                        : reduces && half      ? builder.getF32Type()
                                               : type;
  Value result = PieceEmitter(*this, dimensions, facts, loc).emit(e, computed, label);
  if (computed == type)
    return result;
  SmallVector<OpFoldResult> shape;
  for (const Dimension &d : dimensions)
    shape.push_back(extent(d.extent));
  Value init = tensor::EmptyOp::create(builder, loc, shape, type);
  AffineMap map = AffineMap::getMultiDimIdentityMap(dimensions.size(), builder.getContext());
  SmallVector<utils::IteratorType> iterators(dimensions.size(), utils::IteratorType::parallel);
  auto generic =
      linalg::GenericOp::create(builder, loc, TypeRange{init.getType()}, ValueRange{result},
                                ValueRange{init}, ArrayRef<AffineMap>{map, map}, iterators);
  OpBuilder::InsertionGuard guard(builder);
  Block *body = builder.createBlock(&generic.getRegion(), {}, {computed, type}, {loc, loc});
  Value narrow = arith::TruncFOp::create(builder, loc, type, body->getArgument(0));
  linalg::YieldOp::create(builder, loc, ValueRange{narrow});
  return generic.getResult(0);
}

} // namespace qkv::irgen

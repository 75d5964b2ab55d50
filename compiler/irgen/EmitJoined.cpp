// Tensors that are others put together along an axis (P5): each of those goes to its places.
//
// In: y[p] = if p < C then a[p] else b[p - C], or if p % 2 == 0 then a[p // 2] else b[p // 2], or
// a[p // D, p % D]. Out: a and b as they are, inserted at an offset, with a stride, or with axes
// merged; nothing is asked element by element. Parts that nobody else reads are computed at this
// place, so that they can be computed into y.
#include "compiler/irgen/Emitter.h"

#include "compiler/equations/Expressions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <algorithm>
#include <functional>

namespace qkv::irgen {

using namespace mlir;
using K = Expr::Kind;

namespace {

std::optional<Size> sizeOf(const ExprPtr &e) {
  auto place = letterPlus(e);
  return place && place->letter < 0 ? std::optional(place->rest) : std::nullopt;
}

bool isApply(const ExprPtr &e, Op op) { return e->kind == K::Apply && e->op == op; }

bool isLetter(const ExprPtr &e, int letter) { return e->kind == K::Letter && e->letter == letter; }

/// What of `p` is asked: lo <= p < hi, and p % step == first.
struct Question {
  std::optional<Size> lo, hi;
  int64_t step = 1, first = 0;
};

std::optional<Question> questionOf(const ExprPtr &condition, int letter) {
  Question out;
  for (const ExprPtr &e : conjuncts(condition)) {
    if (e->kind != K::Apply || e->args.size() != 2)
      return std::nullopt;
    auto a = sizeOf(e->args[0]), b = sizeOf(e->args[1]);
    if (e->op == Op::Less && isLetter(e->args[0], letter) && b && !out.hi) {
      out.hi = b;
    } else if (e->op == Op::LessEqual && a && isLetter(e->args[1], letter) && !out.lo) {
      out.lo = a;
    } else if (e->op == Op::Equal && isApply(e->args[0], Op::Mod) && b && b->constant() &&
               isLetter(e->args[0]->args[0], letter) && out.step == 1) {
      auto step = sizeOf(e->args[0]->args[1]);
      if (!step || step->constant().value_or(0) < 2)
        return std::nullopt;
      out.step = *step->constant();
      out.first = *b->constant();
    } else {
      return std::nullopt;
    }
  }
  return out;
}

class JoinedFinder {
public:
  JoinedFinder(const Program &program, Bounds &bounds, int tensor)
      : program_(program), bounds_(bounds), t_(program.tensors[tensor]) {}

  std::optional<Joined> run() {
    if (t_.kind != Tensor::Kind::Equation || t_.pieces.size() != 1 || t_.pieces[0].guard)
      return std::nullopt;
    piece_ = &t_.pieces[0];
    for (size_t a = 0; a < t_.axes.size(); ++a)
      if (piece_->indices[a].letter < 0 ||
          !runsOver(program_, piece_->indices[a].letter, t_.axes[a]))
        return std::nullopt;
    if (piece_->value->kind == K::Read)
      return merged();
    if (piece_->value->kind != K::If)
      return std::nullopt;
    for (size_t a = 0; a < t_.axes.size(); ++a) {
      out_ = {static_cast<int>(a), false, {}};
      letter_ = piece_->indices[a].letter;
      if (collect() && (inTurns() || sideBySide()))
        return out_;
    }
    return std::nullopt;
  }

private:
  /// The axis of a read that has an index along y's own, if all others are as y has them.
  bool fits(const Expr &read) {
    if (read.kind != K::Read)
      return false;
    const Tensor &from = program_.tensors[read.tensor];
    if (from.kind == Tensor::Kind::Param || from.axes.size() != t_.axes.size() ||
        from.type != t_.type || from.half != t_.half || from.constant != t_.constant)
      return false;
    for (size_t a = 0; a < t_.axes.size(); ++a)
      if (static_cast<int>(a) != out_.axis &&
          (!isLetter(read.args[a], piece_->indices[a].letter) ||
           !runsOver(program_, piece_->indices[a].letter, from.axes[a])))
        return false;
    return true;
  }

  /// The choices, the last of which has no question.
  bool collect() {
    questions_.clear();
    reads_.clear();
    const Expr *e = piece_->value.get();
    for (; e->kind == K::If; e = e->args[2].get()) {
      auto question = questionOf(e->args[0], letter_);
      if (!question || !fits(*e->args[1]))
        return false;
      questions_.push_back(*question);
      reads_.push_back(e->args[1].get());
    }
    reads_.push_back(e);
    return fits(*e);
  }

  const ExprPtr &indexOf(size_t part) const { return reads_[part]->args[out_.axis]; }
  const Axis &axisOf(size_t part) const {
    return program_.tensors[reads_[part]->tensor].axes[out_.axis];
  }

  /// p % 2 == 0, p % 2 == 1: as many as the step has.
  bool inTurns() {
    int64_t step = questions_[0].step;
    if (step < 2 || static_cast<int64_t>(reads_.size()) != step)
      return false;
    std::set<int64_t> left;
    for (int64_t r = 0; r < step; ++r)
      left.insert(r);
    for (size_t i = 0; i < reads_.size(); ++i) {
      bool last = i == questions_.size();
      if (!last && (questions_[i].step != step || questions_[i].lo || questions_[i].hi ||
                    !left.count(questions_[i].first)))
        return false;
      int64_t first = last ? *left.begin() : questions_[i].first;
      left.erase(first);
      const ExprPtr &index = indexOf(i);
      auto by = isApply(index, Op::FloorDiv) ? sizeOf(index->args[1]) : std::nullopt;
      const Axis &axis = axisOf(i);
      // As many as the axis has positions of that kind, and no more.
      Size room = t_.axes[out_.axis].extent - Size(first), taken = axis.extent * Size(step);
      if (!by || *by != Size(step) || !isLetter(index->args[0], letter_) || axis.before ||
          axis.after || !bounds_.atLeast(taken - room, 0) ||
          !bounds_.atLeast(room - taken + Size(step - 1), 0))
        return false;
      out_.parts.push_back({reads_[i]->tensor, Size(0), axis.extent, Size(first), step});
    }
    return true;
  }

  /// p < C and the rest, one behind the other.
  bool sideBySide() {
    const Size &extent = t_.axes[out_.axis].extent;
    std::vector<std::pair<Size, Size>> ranges;
    for (const Question &q : questions_) {
      if (q.step != 1)
        return false;
      ranges.push_back({q.lo.value_or(Size(0)), q.hi.value_or(extent)});
    }
    // The last one has the gap that the others leave.
    auto starting = [&](const Size &at) {
      return std::find_if(ranges.begin(), ranges.end(), [&](auto &r) { return r.first == at; });
    };
    Size at(0);
    std::set<size_t> used;
    auto follow = [&] {
      for (auto next = starting(at); next != ranges.end() && at != extent; next = starting(at)) {
        if (!used.insert(next - ranges.begin()).second)
          return;
        at = next->second;
      }
    };
    follow();
    std::pair<Size, Size> gap{at, extent};
    for (size_t i = 0; i < ranges.size(); ++i)
      if (!used.count(i) && std::none_of(ranges.begin(), ranges.end(),
                                         [&](auto &r) { return r.second == ranges[i].first; }))
        gap.second = ranges[i].first;
    at = gap.second;
    follow();
    if (at != extent || used.size() != ranges.size())
      return false;
    ranges.push_back(gap);
    for (size_t i = 0; i < ranges.size(); ++i) {
      auto place = letterPlus(indexOf(i));
      const Axis &axis = axisOf(i);
      if (!place || place->letter != letter_ || axis.before || axis.after)
        return false;
      Size offset = ranges[i].first + place->rest, count = ranges[i].second - ranges[i].first;
      if (!bounds_.atLeast(count, 0) || !bounds_.atLeast(offset, 0) ||
          !bounds_.atLeast(axis.extent - offset - count, 0))
        return false;
      out_.parts.push_back({reads_[i]->tensor, offset, count, ranges[i].first, 1});
    }
    return true;
  }

  /// a[p // D, p % D]: the axes of a in one.
  std::optional<Joined> merged() {
    const Expr &read = *piece_->value;
    const Tensor &from = program_.tensors[read.tensor];
    if (from.kind == Tensor::Kind::Param || from.axes.size() <= t_.axes.size() ||
        from.type != t_.type || from.constant != t_.constant)
      return std::nullopt;
    size_t more = from.axes.size() - t_.axes.size();
    size_t axis = 0;
    auto plain = [&](size_t mine, size_t its) {
      return isLetter(read.args[its], piece_->indices[mine].letter) &&
             runsOver(program_, piece_->indices[mine].letter, from.axes[its]);
    };
    while (axis < t_.axes.size() && plain(axis, axis))
      ++axis;
    if (axis == t_.axes.size())
      return std::nullopt;
    for (size_t a = axis + 1; a < t_.axes.size(); ++a)
      if (!plain(a, a + more))
        return std::nullopt;
    int letter = piece_->indices[axis].letter;
    Size behind(1);
    for (size_t i = axis + more + 1; i-- > axis;) {
      const Axis &own = from.axes[i];
      ExprPtr e = read.args[i];
      if (own.before || own.after)
        return std::nullopt;
      if (i > axis) {
        auto by = isApply(e, Op::Mod) ? sizeOf(e->args[1]) : std::nullopt;
        if (!by || *by != own.extent)
          return std::nullopt;
        e = e->args[0];
      }
      if (behind != Size(1)) {
        auto by = isApply(e, Op::FloorDiv) ? sizeOf(e->args[1]) : std::nullopt;
        if (!by || *by != behind)
          return std::nullopt;
        e = e->args[0];
      }
      if (!isLetter(e, letter))
        return std::nullopt;
      behind = behind * own.extent;
    }
    if (behind != t_.axes[axis].extent)
      return std::nullopt;
    return Joined{static_cast<int>(axis), true, {{read.tensor, Size(0), behind, Size(0), 1}}};
  }

  const Program &program_;
  Bounds &bounds_;
  const Tensor &t_;
  const Piece *piece_ = nullptr;
  int letter_ = -1;
  Joined out_;
  std::vector<Question> questions_;
  std::vector<const Expr *> reads_;
};

} // namespace

void findJoined(Plan &plan, bool late) {
  const Program &program = plan.prepared.program;
  Bounds bounds(program);
  std::set<int> alone;
  for (const ScheduleNode &node : plan.nodes)
    if (node.tensor >= 0 && !plan.prepared.checks.count(node.tensor)) {
      alone.insert(node.tensor);
      if (auto joined = JoinedFinder(program, bounds, node.tensor).run())
        plan.joined.emplace(node.tensor, std::move(*joined));
    }
  for (auto &[tensor, joined] : plan.joined)
    for (const Joined::Part &part : joined.parts)
      if (late && alone.count(part.tensor) && !plan.isResult[part.tensor] &&
          plan.readers[part.tensor].size() == 1 &&
          program.tensors[part.tensor].region == program.tensors[tensor].region)
        plan.joinedInto[part.tensor] = tensor;
}

void FunctionEmitter::computeJoined(int tensor, const Joined &joined) {
  const Tensor &t = program.tensors[tensor];
  Location loc = state.location(t.pieces[0].span ? t.pieces[0].span : t.span, t.label);
  auto valueOf = [&](const Joined::Part &part) {
    if (auto late = plan.joinedInto.find(part.tensor);
        late != plan.joinedInto.end() && late->second == tensor)
      computeWhole(part.tensor);
    return tensors.at(part.tensor);
  };
  if (joined.merges) {
    Value value = valueOf(joined.parts[0]);
    auto type = llvm::cast<RankedTensorType>(value.getType());
    SmallVector<ReassociationIndices> groups;
    int64_t at = 0, more = type.getRank() - static_cast<int64_t>(t.axes.size());
    for (size_t a = 0; a < t.axes.size(); ++a) {
      groups.emplace_back();
      for (int64_t last = at + (static_cast<int>(a) == joined.axis ? more : 0); at <= last; ++at)
        groups.back().push_back(at);
    }
    tensors[tensor] = tensor::CollapseShapeOp::create(builder, loc, value, groups);
    return;
  }
  SmallVector<OpFoldResult> shape;
  for (const Axis &axis : t.axes)
    shape.push_back(extent(axis.extent));
  // What is there already comes first: the others are no reason why it could not be computed here.
  std::function<bool(int)> isThere = [&](int part) {
    auto own = plan.joined.find(part);
    return tensors.count(part) > 0 || (plan.joinedInto.count(part) && own != plan.joined.end() &&
                                       own->second.merges && isThere(own->second.parts[0].tensor));
  };
  std::vector<Joined::Part> parts = joined.parts;
  std::stable_partition(parts.begin(), parts.end(),
                        [&](const Joined::Part &part) { return isThere(part.tensor); });
  Value into = tensor::EmptyOp::create(builder, loc, shape, elementType(tensor));
  for (const Joined::Part &part : parts) {
    Value value = valueOf(part);
    SmallVector<OpFoldResult> from(shape.size(), builder.getIndexAttr(0)), sizes(shape), to(from),
        ones(shape.size(), builder.getIndexAttr(1)), strides(ones);
    sizes[joined.axis] = extent(part.count);
    from[joined.axis] = getAsOpFoldResult(this->value(part.from));
    to[joined.axis] = getAsOpFoldResult(this->value(part.to));
    strides[joined.axis] = builder.getIndexAttr(part.step);
    if (part.count != program.tensors[part.tensor].axes[joined.axis].extent)
      value = tensor::ExtractSliceOp::create(builder, loc, value, from, sizes, ones);
    into = tensor::InsertSliceOp::create(builder, loc, value, into, to, sizes, strides);
  }
  tensors[tensor] = into;
}

} // namespace qkv::irgen

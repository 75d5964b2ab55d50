// Recurrences: scf.for over positions.
//
// In: a loop of the order. Out: its tensors, carried through the loop and written a position at
// a time. Each is computed at positions that it has alone (their ranges may differ), along the axes
// of the loops around as well (R4). What must hold for the loop to work in place: a step reads what
// is carried before it writes there.
#include "compiler/irgen/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <algorithm>

namespace qkv::irgen {

using namespace mlir;

namespace {

/// A piece and its positions on the loop's axis: first <= p < end, without the holes.
struct Segment {
  int piece;
  Size first, end;
  std::vector<Size> holes;
};

class LoopEmitter {
public:
  LoopEmitter(FunctionEmitter &f, const ScheduleNode &loop) : f_(f), b_(f.builder), loop_(loop) {
    for (auto &[tensor, axis] : loop.axes)
      axis_[tensor] = axis;
  }

  void run() {
    Location loc = f_.state.location(f_.program.tensors[loop_.axes[0].first].span,
                                     f_.program.tensors[loop_.axes[0].first].label);
    findLocal();
    makeTensors();
    for (auto &[tensor, axis] : loop_.axes)
      plan(tensor, axis);

    std::vector<Size> firsts, ends;
    for (auto &[tensor, segments] : segments_)
      for (const Segment &s : segments) {
        if (std::find(firsts.begin(), firsts.end(), s.first) == firsts.end())
          firsts.push_back(s.first);
        if (std::find(ends.begin(), ends.end(), s.end) == ends.end())
          ends.push_back(s.end);
      }
    if (firsts.empty()) {
      for (auto &[tensor, piece] : early_)
        start(tensor, piece);
      return;
    }
    keepExtreme(firsts, /*least=*/true);
    keepExtreme(ends, false);
    Value first = extreme(loc, firsts, /*least=*/true), end = extreme(loc, ends, false);
    if (firsts.size() == 1)
      first_ = firsts[0];
    if (ends.size() == 1)
      end_ = ends[0];
    starts(loc, first, end);
    for (auto &member : loop_.axes)
      f_.loopRanges[member] = {first_, end_};
    keepWhatSkips();
    for (auto &member : loop_.axes)
      if (!local_.count(member.first))
        carried_.push_back(member);

    SmallVector<Value> carried;
    for (auto &[tensor, axis] : carried_)
      carried.push_back(f_.tensors[tensor]);
    auto op = scf::ForOp::create(b_, loc, first, end, f_.constant(1), carried);
    op->setAttr(equationAttribute, b_.getStringAttr(f_.program.tensors[loop_.axes[0].first].name));
    emitBody(op, loc, first, end);
    for (size_t i = 0; i < carried_.size(); ++i)
      f_.tensors[carried_[i].first] = op.getResult(i);
    for (auto &member : loop_.axes) {
      f_.at.erase(member);
      f_.loopRanges.erase(member);
    }
    for (int tensor : local_) {
      f_.tensors.erase(tensor);
      f_.local.erase(tensor);
    }
  }

private:
  void makeTensors() {
    for (auto &[tensor, axis] : loop_.axes) {
      if (f_.tensors.count(tensor) || local_.count(tensor))
        continue;
      const Tensor &t = f_.program.tensors[tensor];
      Value &made = f_.tensors[tensor];
      made = f_.zeros(tensor, f_.state.location(t.span, t.name));
      if (auto zeros = made.getDefiningOp<linalg::FillOp>(); zeros && isWritten(tensor, axis)) {
        made = zeros.getOutputs()[0];
        zeros.erase();
      }
    }
  }

  /// What is computed at a position.
  void emitBody(scf::ForOp op, Location loc, Value first, Value end) {
    OpBuilder::InsertionGuard guard(b_);
    Block *body = op.getBody();
    if (!body->empty()) // (made where nothing is carried)
      body->back().erase();
    b_.setInsertionPointToEnd(body);
    position_ = op.getInductionVar();
    if (!loop_.forward) { // end - 1, ..., first
      Value sum = arith::AddIOp::create(b_, loc, first, end);
      Value last = arith::SubIOp::create(b_, loc, sum, f_.constant(1));
      position_ = arith::SubIOp::create(b_, loc, last, position_);
    }
    for (size_t i = 0; i < carried_.size(); ++i)
      f_.tensors[carried_[i].first] = op.getRegionIterArgs()[i];
    for (auto &member : loop_.axes)
      f_.at[member] = position_;
    for (const ScheduleNode &child : loop_.children)
      if (child.tensor < 0)
        f_.computeLoop(child);
      else
        step(child.tensor);
    SmallVector<Value> yielded;
    for (auto &[tensor, axis] : carried_)
      yielded.push_back(f_.tensors[tensor]);
    scf::YieldOp::create(b_, loc, yielded);
  }

  Value extreme(Location loc, const std::vector<Size> &sizes, bool least) {
    Value out;
    for (const Size &s : sizes) {
      Value v = f_.value(s);
      if (!out)
        out = v;
      else
        out = least ? b_.createOrFold<arith::MinSIOp>(loc, out, v)
                    : b_.createOrFold<arith::MaxSIOp>(loc, out, v);
    }
    return out;
  }

  /// Leaves out bounds that others are no more than (or no less), whatever the sizes.
  void keepExtreme(std::vector<Size> &sizes, bool least) {
    for (size_t i = sizes.size(); i-- > 0;)
      for (size_t o = 0; o < sizes.size(); ++o)
        if (o != i && f_.bounds.atLeast(least ? sizes[i] - sizes[o] : sizes[o] - sizes[i], 0)) {
          sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(i));
          break;
        }
  }

  /// The range of all pieces on the loop's axis, where it is one.
  std::optional<std::pair<Size, Size>> onlyRange(int tensor, int axis) {
    std::optional<std::pair<Size, Size>> out;
    const Tensor &t = f_.program.tensors[tensor];
    for (size_t p = 0; p < t.pieces.size(); ++p) {
      if (t.pieces[p].indices[axis].letter < 0)
        return std::nullopt;
      PieceRange range = f_.bounds.range(tensor, static_cast<int>(p), axis);
      std::pair<Size, Size> here{range.base, range.extent};
      if (!range.holes.empty() || (out && *out != here))
        return std::nullopt;
      out = here;
    }
    return out;
  }

  /// Whether the loop writes all elements of a tensor, and reads none.
  bool isWritten(int tensor, int axis) {
    const Tensor &t = f_.program.tensors[tensor];
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (t.axes[a].before || t.axes[a].after || f_.at.count({tensor, static_cast<int>(a)}) ||
          t.pieces[0].indices[a].letter < 0 ||
          !runsOver(f_.program, t.pieces[0].indices[a].letter, t.axes[a]))
        return false;
    for (int reader : f_.plan.readers[tensor])
      if (axis_.count(reader))
        return false;
    auto range = t.pieces.size() == 1 ? onlyRange(tensor, axis) : std::nullopt;
    return range && range->first == Size(0) && range->second == t.axes[axis].extent &&
           !f_.keptOf(tensor, axis) && !inner(loop_.children, tensor);
  }

  /// Whether all that `reader` reads of a tensor is at its own position, within its range.
  bool readsHere(int reader, int tensor, const std::pair<Size, Size> &range) {
    const Tensor &t = f_.program.tensors[reader];
    int axis = axis_.at(reader);
    bool here = true;
    auto visit = [&](const ExprPtr &root, int piece) {
      if (root)
        forEachNode(root, [&](const Expr &e) {
          if (e.kind != Expr::Kind::Read || e.tensor != tensor)
            return;
          const ExprPtr &index = e.args[axis_.at(tensor)];
          here = here && index->kind == Expr::Kind::Letter &&
                 index->letter == t.pieces[piece].indices[axis].letter;
          if (here) {
            PieceRange own = f_.bounds.range(reader, piece, axis);
            here = own.base == range.first && own.extent == range.second;
          }
        });
    };
    for (size_t p = 0; p < t.pieces.size(); ++p) {
      visit(t.pieces[p].value, static_cast<int>(p));
      visit(t.pieces[p].guard, static_cast<int>(p));
    }
    auto checks = f_.prepared.checks.find(reader);
    if (checks != f_.prepared.checks.end())
      for (const Check &c : checks->second) {
        visit(c.value, c.piece);
        for (auto &condition : c.conditions)
          visit(condition, c.piece);
      }
    return here;
  }

  /// Tensors that are read in this loop alone, at the position where they were computed.
  void findLocal() {
    std::map<int, std::pair<Size, Size>> ranges;
    std::set<int> leaves;
    for (const ScheduleNode &child : loop_.children)
      if (child.tensor >= 0) {
        leaves.insert(child.tensor);
        if (auto range = onlyRange(child.tensor, axis_.at(child.tensor))) {
          ranges.emplace(child.tensor, *range);
          local_.insert(child.tensor);
        }
      }
    for (auto &[tensor, axis] : loop_.axes) // those of a loop around are carried by it
      if (f_.tensors.count(tensor))
        local_.erase(tensor);
    std::set<int> candidates = local_;
    for (int tensor : candidates)
      if (f_.plan.isResult[tensor] ||
          !std::all_of(
              f_.plan.readers[tensor].begin(), f_.plan.readers[tensor].end(), [&](int reader) {
                return leaves.count(reader) && readsHere(reader, tensor, ranges.at(tensor));
              }))
        local_.erase(tensor);
    for (int tensor : local_)
      f_.local[tensor].insert(axis_.at(tensor));
  }

  /// Whether a piece is computed at all positions of the loop along one axis of its tensor.
  bool isEverywhere(int tensor, int piece, int axis) {
    const PieceIndex &index = f_.program.tensors[tensor].pieces[piece].indices[axis];
    auto loop = f_.loopRanges.find({tensor, axis});
    if (index.letter < 0 || loop == f_.loopRanges.end() || !loop->second.first ||
        !loop->second.second)
      return false;
    PieceRange range = f_.bounds.range(tensor, piece, axis);
    return range.holes.empty() && *loop->second.first == range.base &&
           *loop->second.second == range.base + range.extent;
  }

  /// What is not computed at each step of this loop and those around has its positions in memory.
  void keepWhatSkips() {
    std::set<int> candidates = local_;
    for (int tensor : candidates) {
      const Tensor &t = f_.program.tensors[tensor];
      bool everywhere = true;
      for (size_t a = 0; a < t.axes.size(); ++a)
        if (static_cast<int>(a) == axis_.at(tensor) || f_.at.count({tensor, static_cast<int>(a)}))
          for (size_t p = 0; p < t.pieces.size(); ++p)
            everywhere =
                everywhere && isEverywhere(tensor, static_cast<int>(p), static_cast<int>(a));
      if (everywhere)
        continue;
      local_.erase(tensor);
      f_.local.erase(tensor);
      f_.tensors[tensor] = f_.zeros(tensor, f_.state.location(t.span, t.name));
    }
  }

  /// Which pieces are computed at which positions; starts that need nothing of the loop are
  /// computed before it.
  void plan(int tensor, int axis) {
    const Tensor &t = f_.program.tensors[tensor];
    for (size_t p = t.pieces.size(); p-- > 0;) {
      int piece = static_cast<int>(p);
      if (t.pieces[p].indices[axis].letter < 0 && isStart(t, t.pieces[p], tensor, axis) &&
          (!f_.keptOf(tensor, axis) || isBeforeAll(tensor, piece, axis)))
        early_.push_back({tensor, piece});
      else
        segments_[tensor].push_back(segmentOf(tensor, piece, axis));
    }
  }

  /// A start, computed before the loop.
  void start(int tensor, int piece) {
    const Tensor &t = f_.program.tensors[tensor];
    int axis = axis_.at(tensor);
    f_.at[{tensor, axis}] = f_.value(t.pieces[piece].indices[axis].position);
    f_.tensors[tensor] = f_.computePiece(tensor, piece, f_.tensors[tensor]);
    f_.at.erase({tensor, axis});
  }

  /// All of them. One of many elements that the loop and what is behind it may not ask for (a step
  /// in which no page ends) is computed where one of them does.
  void starts(Location loc, Value first, Value end) {
    for (auto &[tensor, piece] : early_) {
      bool certain = !isLarge(tensor) || f_.plan.isResult[tensor];
      Value wanted = certain ? Value() : isWanted(loc, tensor, piece, first, end);
      if (!wanted) {
        start(tensor, piece);
        continue;
      }
      // (Zeros, too, are for who asks.)
      Value before = f_.tensors[tensor];
      auto zeros = before.getDefiningOp<linalg::FillOp>();
      if (zeros && before.use_empty())
        before = zeros.getOutputs()[0];
      auto branch = scf::IfOp::create(b_, loc, TypeRange{before.getType()}, wanted, true);
      OpBuilder::InsertionGuard guard(b_);
      b_.setInsertionPointToEnd(branch.thenBlock());
      if (zeros && f_.tensors[tensor].use_empty()) {
        f_.tensors[tensor] = f_.fill(loc, zeros.getInputs()[0], before);
        zeros.erase();
      }
      start(tensor, piece);
      scf::YieldOp::create(b_, loc, f_.tensors[tensor]);
      b_.setInsertionPointToEnd(branch.elseBlock());
      scf::YieldOp::create(b_, loc, before);
      f_.tensors[tensor] = branch.getResult(0);
    }
  }

  /// Whether a position of a tensor has many elements.
  bool isLarge(int tensor) {
    Size size(1);
    const Tensor &t = f_.program.tensors[tensor];
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (static_cast<int>(a) != axis_.at(tensor))
        size = size * t.axes[a].extent;
    return f_.bounds.atLeast(size, 4096);
  }

  /// Whether the loop has a step, or what is behind it elements that may read the start; null:
  /// it is certain.
  Value isWanted(Location loc, int tensor, int piece, Value first, Value end) {
    if (!loop_.forward || (first_ && end_ && f_.bounds.atLeast(*end_ - *first_, 1)))
      return {};
    int axis = axis_.at(tensor);
    const Size &position = f_.program.tensors[tensor].pieces[piece].indices[axis].position;
    Value out = arith::CmpIOp::create(b_, loc, arith::CmpIPredicate::slt, first, end);
    for (int reader : f_.plan.readers[tensor]) {
      if (axis_.count(reader))
        continue;
      const Tensor &r = f_.program.tensors[reader];
      bool asks = f_.prepared.checks.count(reader) > 0;
      for (const Piece &p : r.pieces)
        for (const ExprPtr &root : {p.value, p.guard})
          if (root)
            forEachNode(root, [&](const Expr &e) {
              if (e.kind != Expr::Kind::Read || e.tensor != tensor)
                return;
              auto at = letterPlus(e.args[axis]);
              asks = asks || !at || !f_.bounds.atLeast(at->rest - position, 1);
            });
      if (!asks)
        continue;
      Value any = arith::ConstantOp::create(b_, loc, b_.getBoolAttr(true));
      for (const Axis &a : r.axes) {
        Size extent = a.extent + Size(a.before + a.after);
        if (!f_.bounds.atLeast(extent, 1) && f_.isKnown(extent))
          any = arith::AndIOp::create(b_, loc, any,
                                      arith::CmpIOp::create(b_, loc, arith::CmpIPredicate::sgt,
                                                            f_.value(extent), f_.constant(0)));
      }
      out = arith::OrIOp::create(b_, loc, out, any);
    }
    return out;
  }

  /// Whether the loop comes to all positions of a tensor's letters later.
  bool isBeforeAll(int tensor, int piece, int axis) {
    const Tensor &t = f_.program.tensors[tensor];
    const Size &position = t.pieces[piece].indices[axis].position;
    for (size_t p = 0; p < t.pieces.size(); ++p) {
      if (t.pieces[p].indices[axis].letter < 0)
        continue;
      PieceRange range = f_.bounds.range(tensor, static_cast<int>(p), axis);
      if (!f_.bounds.atLeast(loop_.forward ? range.base - position - Size(1)
                                           : position - range.base - range.extent,
                             0))
        return false;
    }
    return true;
  }

  Segment segmentOf(int tensor, int piece, int axis) {
    const PieceIndex &index = f_.program.tensors[tensor].pieces[piece].indices[axis];
    if (index.letter < 0)
      return {piece, index.position, index.position + Size(1), {}};
    PieceRange range = f_.bounds.range(tensor, piece, axis);
    return {piece, range.base, range.base + range.extent, std::move(range.holes)};
  }

  /// Nothing else is computed at its position, and it reads nothing that the loop computes.
  bool isStart(const Tensor &t, const Piece &piece, int tensor, int axis) {
    if (inner(loop_.children, tensor)) // a loop inside has its own starts
      return false;
    int number = static_cast<int>(&piece - t.pieces.data());
    for (size_t a = 0; a < piece.indices.size(); ++a) {
      bool around = f_.at.count({tensor, static_cast<int>(a)}) > 0;
      if (static_cast<int>(a) != axis &&
          (around ? !isEverywhere(tensor, number, static_cast<int>(a))
                  : piece.indices[a].letter < 0))
        return false;
    }
    for (const Piece &o : t.pieces)
      if (&o != &piece && o.indices[axis].letter < 0 &&
          o.indices[axis].position == piece.indices[axis].position)
        return false;
    bool reads = false;
    for (const ExprPtr &e : {piece.value, piece.guard})
      if (e)
        forEachNode(e, [&](const Expr &n) {
          reads |= n.kind == Expr::Kind::Read && axis_.count(n.tensor);
        });
    return !reads;
  }

  static bool inner(const std::vector<ScheduleNode> &nodes, int tensor) {
    for (const ScheduleNode &n : nodes)
      if (n.tensor < 0)
        for (auto &[t, axis] : n.axes)
          if (t == tensor)
            return true;
    return false;
  }

  /// A tensor at this position: its pieces there, the general one first.
  void step(int tensor) {
    if (local_.count(tensor)) {
      f_.computeWhole(tensor);
      return;
    }
    const Tensor &t = f_.program.tensors[tensor];
    Location loc = f_.state.location(t.span, t.label);
    for (const Segment &s : segments_[tensor]) {
      Value takes;
      auto require = [&](arith::CmpIPredicate predicate, Value position, const Size &size) {
        Value holds = arith::CmpIOp::create(b_, loc, predicate, position, f_.value(size));
        takes = takes ? Value(arith::AndIOp::create(b_, loc, takes, holds)) : holds;
      };
      auto within = [&](Value position, const Segment &s, const std::optional<Size> &first,
                        const std::optional<Size> &end) {
        if (!first || *first != s.first)
          require(arith::CmpIPredicate::sge, position, s.first);
        if (!end || *end != s.end)
          require(arith::CmpIPredicate::slt, position, s.end);
        for (const Size &hole : s.holes)
          require(arith::CmpIPredicate::ne, position, hole);
      };
      within(position_, s, first_, end_);
      for (size_t a = 0; a < t.axes.size(); ++a) { // of the loops around
        std::pair<int, int> member{tensor, static_cast<int>(a)};
        auto at = f_.at.find(member);
        if (at == f_.at.end() || member.second == axis_.at(tensor) ||
            isEverywhere(tensor, s.piece, member.second))
          continue;
        auto &[first, end] = f_.loopRanges[member];
        within(at->second, segmentOf(tensor, s.piece, member.second), first, end);
      }
      Value before = f_.tensors[tensor];
      if (!takes) {
        f_.tensors[tensor] = f_.computePiece(tensor, s.piece, before);
        continue;
      }
      auto branch = scf::IfOp::create(b_, loc, TypeRange{before.getType()}, takes, true);
      {
        OpBuilder::InsertionGuard guard(b_);
        b_.setInsertionPointToEnd(branch.thenBlock());
        scf::YieldOp::create(b_, loc, f_.computePiece(tensor, s.piece, before));
        b_.setInsertionPointToEnd(branch.elseBlock());
        scf::YieldOp::create(b_, loc, before);
      }
      f_.tensors[tensor] = branch.getResult(0);
    }
  }

  FunctionEmitter &f_;
  OpBuilder &b_;
  const ScheduleNode &loop_;
  std::map<int, int> axis_;
  std::set<int> local_;
  std::vector<std::pair<int, int>> carried_; // (tensor, axis)
  std::map<int, std::vector<Segment>> segments_;
  std::vector<std::pair<int, int>> early_; // (tensor, piece)
  std::optional<Size> first_, end_;        // of the loop, where all agree
  Value position_;
};

} // namespace

void FunctionEmitter::computeLoop(const ScheduleNode &loop) {
  if (loop.axes.empty()) // what it computed is in another loop (KeepLatest.cpp)
    return;
  if (prepared.grouped.count(loop.axes[0].first))
    computeGroup(loop);
  else
    LoopEmitter(*this, loop).run();
}

} // namespace qkv::irgen

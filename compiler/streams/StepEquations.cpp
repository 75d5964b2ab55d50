// The model's equations as those of a step (StepBuilder.h). In: pieces over positions of the
// stream. Out: pieces over rows; reads of what is kept, of what is new, or of both.
#include "compiler/equations/Rewrite.h"
#include "compiler/streams/Positions.h"
#include "compiler/streams/StepBuilder.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

void StepBuilder::rewriteAll() {
  for (Letter &l : step_.letters)
    if (growsWith(step_, l.extent))
      l.extent = at(l.extent, length_);
  for (size_t i = 0; i < model_.tensors.size(); ++i) {
    int t = static_cast<int>(i);
    Tensor &tensor = step_.tensors[t];
    for (size_t a = 0; a < tensor.axes.size(); ++a)
      if (!(found_.live[t] && isRows(t) && found_.roles[t].row == static_cast<int>(a)))
        tensor.axes[a].extent = at(tensor.axes[a].extent, length_);
    if (!found_.live[t]) {
      tensor.pieces.clear();
      continue;
    }
    rewrite(t);
  }
  for (auto &[t, pieces] : outside_)
    step_.tensors[t].pieces.insert(step_.tensors[t].pieces.begin(), pieces.begin(), pieces.end());
}

void StepBuilder::rewrite(int t) {
  Tensor &tensor = step_.tensors[t];
  bool rows = isRows(t);
  int row = found_.roles[t].row;
  std::vector<Piece> pieces;
  std::vector<Piece> single; // at one position of the stream
  for (Piece piece : tensor.pieces) {
    nodes_.clear();
    auto mapper = [&](const ExprPtr &e) { return found(t, e); };
    if (!rows) {
      piece.value = mapper(piece.value);
      piece.guard = piece.guard ? mapper(piece.guard) : nullptr;
      for (PieceIndex &index : piece.indices)
        if (index.letter < 0)
          index.position = at(index.position, length_);
      pieces.push_back(std::move(piece));
      continue;
    }
    PieceIndex &index = piece.indices[row];
    if (index.letter < 0) {
      auto position = index.position.constant();
      if (position && *position >= 0) {
        piece.value = mapper(piece.value);
        piece.guard = piece.guard ? mapper(piece.guard) : nullptr;
        single.push_back(std::move(piece));
      }
      continue; // before the first: kept; behind the last: read by nobody
    }
    // The letter is the position; the new one is the row.
    int fresh = newLetter(step_, step_.letters[index.letter].name, count(t));
    std::unordered_map<int, ExprPtr> letters{{index.letter, plus(letter(fresh), before(t))}};
    index.letter = fresh;
    piece.value = substitute(mapper(piece.value), letters);
    piece.guard = piece.guard ? substitute(mapper(piece.guard), letters) : nullptr;
    simplifyRows(piece.value);
    if (piece.guard)
      simplifyRows(piece.guard);
    pieces.push_back(std::move(piece));
  }
  if (!single.empty())
    pieces = {merged(t, single, pieces)};
  tensor.pieces = std::move(pieces);
}

/// (row + n) - n is the row.
void StepBuilder::simplifyRows(ExprPtr &root) const {
  Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
    if (e->kind != K::Apply || e->op != Op::Add || e->args[1]->kind != K::Size)
      return e;
    const ExprPtr &inner = e->args[0];
    if (inner->kind != K::Apply || inner->type != Type::Int)
      return e;
    // a + s + t, (a - c) + t with a = x + s
    if (inner->op == Op::Add && inner->args[1]->kind == K::Size)
      return plus(inner->args[0], inner->args[1]->size + e->args[1]->size);
    if ((inner->op == Op::Add || inner->op == Op::Sub) && inner->args[1]->kind == K::Int) {
      const ExprPtr &left = inner->args[0];
      if (left->kind == K::Apply && left->op == Op::Add && left->args[1]->kind == K::Size) {
        int64_t c = inner->op == Op::Add ? inner->args[1]->integer : -inner->args[1]->integer;
        return plus(left->args[0], left->args[1]->size + e->args[1]->size + Size(c));
      }
    }
    return e;
  });
  root = mapper(root);
}

/// Pieces at single positions of the stream and the general ones as one piece, which decides for
/// each element.
Piece StepBuilder::merged(int t, const std::vector<Piece> &single,
                          const std::vector<Piece> &general) {
  const Tensor &tensor = step_.tensors[t];
  int row = found_.roles[t].row;
  return whole(step_, tensor, [&](const std::vector<ExprPtr> &at) {
    std::vector<const Piece *> order;
    for (const Piece &p : single)
      order.push_back(&p);
    for (const Piece &p : general)
      order.push_back(&p);
    auto constants = [](const Piece *p) {
      return std::count_if(p->indices.begin(), p->indices.end(),
                           [](const PieceIndex &i) { return i.letter < 0; });
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](const Piece *a, const Piece *b) { return constants(a) < constants(b); });
    ExprPtr value;
    for (const Piece *p : order) { // the most general one is the last to be asked for
      ExprPtr condition;
      std::unordered_map<int, ExprPtr> letters;
      for (size_t a = 0; a < p->indices.size(); ++a) {
        const PieceIndex &index = p->indices[a];
        if (index.letter >= 0) {
          letters[index.letter] = at[a];
          continue;
        }
        Size position = static_cast<int>(a) == row ? index.position - before(t) : index.position;
        condition = both(condition, compare(Op::Equal, at[a], position));
      }
      ExprPtr own = substitute(p->value, letters);
      if (p->guard)
        own = choose(substitute(p->guard, letters), own, zeroOf(tensor.type), p->span);
      value = value && condition ? choose(condition, own, value, p->span) : own;
    }
    return value;
  });
}

/// An expression of a reader with its reads where they now are; letters still count positions of
/// the stream.
ExprPtr StepBuilder::found(int reader, const ExprPtr &e) {
  if (!e)
    return e;
  auto [at, fresh] = nodes_.try_emplace(e, nullptr);
  if (!fresh)
    return at->second;
  ExprPtr out;
  if (e->kind == K::Size && growsWith(step_, e->size)) {
    out = size(this->at(e->size, length_));
  } else {
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(found(reader, a));
    out = withArgs(e, std::move(args));
    if (e->kind == K::Read && found_.live[e->tensor] && isRows(e->tensor))
      out = readOfRows(reader, *e, out);
  }
  return nodes_[e] = out;
}

ExprPtr StepBuilder::readOfRows(int reader, const Expr &original, const ExprPtr &e) {
  int t = e->tensor, row = found_.roles[t].row;
  const Plan &plan = plans_[t];
  const ExprPtr &position = e->args[row];
  auto other = [&](int tensor, const Slice &slice, const ExprPtr &index, bool rowFirst = false) {
    auto copy = std::make_shared<Expr>(*e);
    copy->tensor = tensor;
    copy->args.clear();
    copy->checked.clear();
    for (size_t a = 0; a < e->args.size(); ++a)
      if (!slice[a]) {
        copy->args.push_back(static_cast<int>(a) == row ? index : e->args[a]);
        copy->checked.push_back(a < e->checked.size() && e->checked[a]);
      }
    if (rowFirst) {
      rowsToFront(copy->args, rowAmong(t, slice));
      rowsToFront(copy->checked, rowAmong(t, slice));
    }
    copy->own = static_cast<int>(copy->args.size());
    return ExprPtr(copy);
  };
  ExprPtr fresh = other(plan.rows, Slice(e->args.size()), plus(position, -before(t)));
  auto lag = found_.lags.find(&original);
  if (lag == found_.lags.end() && found_.fromStream[t])
    throw Defect("streams: a read of " + model_.tensors[t].name + " was not looked at");
  if (lag == found_.lags.end() || lag->second.present || !found_.fromStream[t] ||
      !(lag->second.first || lag->second.latest || lag->second.unbounded))
    return fresh;
  Slice slice = sliceOf(t, lag->second);
  Size b(outsideOf(t));
  bool inside = found_.loops[reader] >= 0 && found_.loops[reader] == found_.loops[t];
  // Inside of a recurrence what is new is no part of the tensor that is joined behind it.
  auto either = [&](int number, const Size &shift) {
    const State &state = out_.states[number];
    ExprPtr kept = other(state.input, slice, plus(position, shift), growsInPlace(state.kind));
    return choose(compare(Op::Less, position, before(t)), kept, fresh, e->span);
  };
  auto tail = [&] {
    Size shift = plan.window ? -bases_.at(t) : b;
    return inside ? either(plan.tailStates.at(slice), shift)
                  : other(plan.tails.at(slice), slice, plus(position, shift), true);
  };
  auto first = [&] {
    return inside ? either(plan.firstStates.at(slice), b)
                  : other(plan.firsts.at(slice), slice, plus(position, b));
  };
  if (plan.history)
    return tail();
  if (!lag->second.first)
    return plan.window ? tail() : fresh;
  if (!lag->second.latest)
    return first();
  return choose(compare(Op::Less, position, Size(plan.first)), first(),
                plan.window ? tail() : fresh, e->span);
}

} // namespace qkv::streams

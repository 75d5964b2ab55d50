// What recurrences keep of their tensors: the latest positions, where nothing reads others.
//
// In: the order of computation. Out: the same, where a loop also computes what is read in it alone
// and what reads it at its own step; and how many positions a tensor of a loop has in memory. A
// state space of 16 x 64 x 64 values, whose output is a sum over 64 of them, then keeps one step.
//
//   h[t,d,n] = exp(dt[t,d] * A[d,n]) * h[t-1,d,n] + B[t,n] * x[t,d];  y[t,d] = sum[n](C[t,n] *
//   h[t,d,n])
//
// What must hold: all that is read of such a tensor is at a known number of positions before the
// one that is computed, or before the last one behind the loop. Nothing enters a loop that is a
// matrix to all positions at once, nor what would then be kept in the place of as much.
#include "compiler/irgen/Outline.h"

#include "compiler/equations/Bounds.h"
#include "compiler/equations/Expressions.h"

#include <algorithm>

namespace qkv::irgen {

using K = Expr::Kind;

namespace {

/// A read, and the piece that it stands in.
struct Use {
  int reader;
  const Piece *piece;
  const Expr *read;
};

class LatestKeeper {
public:
  LatestKeeper(const Prepared &prepared, std::vector<ScheduleNode> &nodes, const OwnSizes *own)
      : prepared_(prepared), program_(prepared.program), bounds_(prepared.program), own_(own),
        nodes_(nodes), uses_(program_.tensors.size()), operands_(program_.tensors.size()),
        isResult_(program_.tensors.size()), special_(program_.tensors.size()),
        nodeOf_(program_.tensors.size(), -1) {}

  Kept run() {
    findUses();
    for (size_t n = 0; n < nodes_.size(); ++n)
      for (int t : tensorsOf(nodes_[n]))
        nodeOf_[t] = static_cast<int>(n);
    for (size_t n = 0; n < nodes_.size(); ++n)
      if (nodes_[n].tensor < 0 && !nodes_[n].axes.empty())
        visit(static_cast<int>(n));
    return std::move(kept_);
  }

private:
  void findUses() {
    for (const Result &r : program_.results)
      isResult_[r.tensor] = true;
    for (auto &[chosen, taken] : prepared_.chosen)
      special_[chosen] = special_[taken] = true;
    for (int first : prepared_.firsts)
      special_[first] = true;
    for (const Group &g : prepared_.groups)
      for (int t : {g.chosen, g.order, g.place, g.begins})
        special_[t] = true;
    for (auto &[tensor, group] : prepared_.grouped)
      special_[tensor] = true;
    for (int t : liveTensors(program_))
      for (const Piece &p : program_.tensors[t].pieces) {
        auto note = [&](const ExprPtr &root) {
          if (root)
            forEachNode(root, [&](const Expr &e) {
              if (e.kind == K::Weighted)
                weighted_.insert(t);
              if (e.kind != K::Read)
                return;
              uses_[e.tensor].push_back({t, &p, &e});
              operands_[t].push_back({t, &p, &e});
            });
        };
        note(p.value);
        note(p.guard);
        auto checks = prepared_.checks.find(t);
        if (checks == prepared_.checks.end())
          continue;
        for (const Check &c : checks->second)
          if (&program_.tensors[t].pieces[c.piece] == &p) {
            note(c.value);
            for (const ExprPtr &condition : c.conditions)
              note(condition);
          }
      }
  }

  void visit(int node) {
    node_ = node;
    const ScheduleNode &loop = nodes_[node];
    axes_ = {loop.axes.begin(), loop.axes.end()};
    numberChildren();
    bool plain = std::none_of(loop.axes.begin(), loop.axes.end(),
                              [&](auto &m) { return prepared_.grouped.count(m.first); });
    if (!plain)
      return;
    for (bool moved = true; moved;) {
      moved = false;
      std::map<int, int> members = axes_;
      for (auto &[tensor, axis] : members)
        moved = moved || takeReaders(tensor);
      for (auto &[tensor, axis] : members)
        for (const Use &use : operands_[tensor])
          moved = moved || (!axes_.count(use.read->tensor) && takeOperand(use.read->tensor));
    }
    // What each sequence computes by itself is code for one sequence, which has all positions.
    if (own_ &&
        std::any_of(axes_.begin(), axes_.end(), [&](auto &m) { return own_->used[m.first]; }))
      return;
    for (auto &[tensor, axis] : axes_)
      if (auto positions = positionsOf(tensor))
        kept_[{tensor, axis}] = *positions;
  }

  /// How many positions before the one that is computed a read of the loop's is.
  std::optional<int64_t> lagOf(const Use &use, int readerAxis, int axis) {
    auto place = letterPlus(use.read->args[axis]);
    const PieceIndex &own = use.piece->indices[readerAxis];
    if (!place || place->letter != own.letter)
      return std::nullopt;
    Size lag = (own.letter < 0 ? own.position : Size(0)) - place->rest;
    auto known = (nodes_[node_].forward ? lag : -lag).constant();
    return known && *known >= 0 ? known : std::nullopt;
  }

  /// How many positions before the loop's last one a read behind the loop is, at most.
  std::optional<int64_t> distanceOf(const Use &use, int axis) {
    auto place = letterPlus(use.read->args[axis]);
    if (!place)
      return std::nullopt;
    Size first = place->rest, last = place->rest;
    if (place->letter >= 0)
      last = last + program_.letters[place->letter].extent - Size(1);
    const Axis &a = program_.tensors[use.read->tensor].axes[axis];
    bool forward = nodes_[node_].forward;
    Size end = forward ? a.extent + Size(a.after - 1) : Size(-a.before);
    auto most = (forward ? end - first : last - end).constant();
    auto least = (forward ? end - last : first - end).constant();
    return most && least && *least >= 0 && *most < maxPositions ? most : std::nullopt;
  }

  const std::vector<ScheduleNode> &children() const { return nodes_[node_].children; }

  /// The child of the loop that computes a tensor.
  size_t childOf(int tensor) const { return child_.at(tensor); }

  void numberChildren() {
    child_.clear();
    for (size_t c = 0; c < children().size(); ++c)
      for (int t : tensorsOf(children()[c]))
        child_[t] = c;
  }

  /// Whether a position is computed at once: by one equation, and in no loop inside.
  bool isOneStep(int tensor, int axis) const {
    if (children()[childOf(tensor)].tensor < 0)
      return false;
    std::set<Size> at;
    size_t general = 0;
    for (const Piece &p : program_.tensors[tensor].pieces) {
      for (size_t a = 0; a < p.indices.size(); ++a)
        if (static_cast<int>(a) != axis && p.indices[a].letter < 0)
          return false;
      general += p.indices[axis].letter >= 0;
      if (p.indices[axis].letter < 0 && !at.insert(p.indices[axis].position).second)
        return false;
    }
    return general <= 1;
  }

  /// How many of its latest positions are read of a tensor of the loop; none: it is needed whole.
  std::optional<int64_t> positionsOf(int tensor) {
    int axis = axes_.at(tensor);
    const Tensor &t = program_.tensors[tensor];
    if (isResult_[tensor] || special_[tensor])
      return std::nullopt;
    int64_t positions = 1;
    std::set<Size> starts;
    for (const Piece &p : t.pieces)
      if (p.indices[axis].letter < 0)
        starts.insert(p.indices[axis].position);
    positions = std::max<int64_t>(positions, starts.size());
    bool atOnce = isOneStep(tensor, axis);
    size_t child = childOf(tensor);
    for (const Use &use : uses_[tensor]) {
      auto reader = axes_.find(use.reader);
      std::optional<int64_t> lag =
          reader == axes_.end() ? distanceOf(use, axis) : lagOf(use, reader->second, axis);
      bool apart = weighted_.count(use.reader) || (own_ && own_->used[use.reader]);
      if (!lag || (reader == axes_.end() && apart))
        return std::nullopt;
      // What is read when the position itself is there has a place of its own.
      bool before =
          reader != axes_.end() && atOnce && (use.reader == tensor || childOf(use.reader) < child);
      positions = std::max(positions, *lag + !before);
    }
    auto extent = t.axes[axis].extent.constant();
    if (positions > maxPositions || (extent && *extent <= 2 * positions))
      return std::nullopt;
    return positions;
  }

  /// The elements of a position.
  Size stepOf(int tensor, int axis) {
    Size out(1);
    const Tensor &t = program_.tensors[tensor];
    for (size_t a = 0; a < t.axes.size(); ++a)
      if (static_cast<int>(a) != axis)
        out = out * (t.axes[a].extent + Size(t.axes[a].before + t.axes[a].after));
    return out;
  }

  /// Whether `a` is at least twice `b`.
  bool isTwice(const Size &a, const Size &b) { return bounds_.atLeast(a - b - b, 0); }

  /// Whether a tensor is computed by itself, as tensors of the loop are, over such an axis.
  bool couldEnter(int tensor) {
    const Tensor &t = program_.tensors[tensor];
    int node = nodeOf_[tensor];
    return t.kind == Tensor::Kind::Equation && node >= 0 && !(own_ && own_->used[tensor]) &&
           nodes_[node].tensor == tensor && !special_[tensor] && !prepared_.checks.count(tensor) &&
           !weighted_.count(tensor) &&
           t.region == program_.tensors[nodes_[node_].axes[0].first].region;
  }

  /// The axis along which `reader` reads a tensor of the loop at its own step, or -1.
  int axisLike(int reader, int tensor, int axis) {
    const Tensor &r = program_.tensors[reader];
    for (size_t a = 0; a < r.axes.size(); ++a) {
      const Size &extent = program_.tensors[tensor].axes[axis].extent;
      bool fits = !r.axes[a].before && !r.axes[a].after &&
                  (r.axes[a].extent == extent ||
                   (nodes_[node_].forward && bounds_.atLeast(extent - r.axes[a].extent, 0)));
      for (const Use &use : uses_[tensor])
        fits = fits && (use.reader != reader || lagOf(use, static_cast<int>(a), axis));
      if (fits)
        return static_cast<int>(a);
    }
    return -1;
  }

  /// Whether `reader`, which reads `tensor`, does as much at a step as it has elements there: what
  /// is the same at all steps is no greater.
  bool isOfEachStep(int reader, int axis, int tensor) {
    std::set<int> has;
    for (const Use &use : operands_[reader])
      if (use.read->tensor == tensor)
        for (const ExprPtr &index : use.read->args)
          if (index->kind == K::Letter)
            has.insert(index->letter);
    for (const Use &use : operands_[reader]) {
      std::set<int> letters;
      for (const ExprPtr &index : use.read->args)
        letters.insert(free_.of(index).begin(), free_.of(index).end());
      if (!letters.count(use.piece->indices[axis].letter) &&
          !std::includes(has.begin(), has.end(), letters.begin(), letters.end()))
        return false;
    }
    return true;
  }

  /// All that depends on what the loop computes.
  std::set<int> behind() {
    std::set<int> out;
    std::vector<int> open;
    for (auto &[tensor, axis] : axes_)
      open.push_back(tensor);
    while (!open.empty()) {
      int tensor = open.back();
      open.pop_back();
      for (const Use &use : uses_[tensor])
        if (out.insert(use.reader).second)
          open.push_back(use.reader);
    }
    return out;
  }

  /// Puts a tensor in front of the `at`-th child of the loop.
  void add(int tensor, int axis, size_t at) {
    ScheduleNode &loop = nodes_[node_];
    ScheduleNode leaf;
    leaf.tensor = tensor;
    loop.axes.push_back({tensor, axis});
    loop.children.insert(loop.children.begin() + static_cast<std::ptrdiff_t>(at), leaf);
    axes_[tensor] = axis;
    numberChildren();
  }

  void taken(int tensor) {
    nodes_[nodeOf_[tensor]] = {};
    nodeOf_[tensor] = node_;
  }

  /// Whether all that a tensor reads of `members` is at positions before its own.
  bool readsBefore(int tensor, int axis, const std::map<int, int> &members) {
    for (const Use &use : operands_[tensor])
      if (auto of = members.find(use.read->tensor); of != members.end()) {
        auto lag = lagOf(use, axis, of->second);
        if (!lag || *lag < 1)
          return false;
      }
    return true;
  }

  /// Takes what reads `tensor` behind the loop into it, where the tensor then is not kept whole.
  bool takeReaders(int tensor) {
    if (isResult_[tensor] || special_[tensor] || positionsOf(tensor))
      return false;
    Size whole = stepOf(tensor, axes_.at(tensor)), left(0);
    std::map<int, int> entering; // node -> axis
    std::vector<int> open{tensor};
    std::map<int, int> axes = axes_;
    while (!open.empty()) {
      int read = open.back();
      open.pop_back();
      for (const Use &use : uses_[read]) {
        int axis = axes.at(read);
        if (axes.count(use.reader) || distanceOf(use, axis))
          continue;
        int at = couldEnter(use.reader) ? axisLike(use.reader, read, axis) : -1;
        if (at < 0 || !isOfEachStep(use.reader, at, read))
          return false;
        axes[use.reader] = at;
        entering[nodeOf_[use.reader]] = at;
        Size size = stepOf(use.reader, at);
        if (!isResult_[use.reader] && !isTwice(whole, size))
          open.push_back(use.reader); // it must not be kept in the other's place
        else
          left = left + size;
      }
    }
    if (entering.empty() || !isTwice(whole, left))
      return false;
    std::set<int> later = behind();
    for (auto &[node, axis] : entering)
      for (const Use &use : operands_[nodes_[node].tensor])
        if (later.count(use.read->tensor) && !axes.count(use.read->tensor))
          return false;
    ScheduleNode before = nodes_[node_];
    std::map<int, int> had = axes_;
    // In their order; what reads earlier positions alone comes in front, so that they are in the
    // same place as later ones.
    for (auto at = entering.rbegin(); at != entering.rend(); ++at)
      if (readsBefore(nodes_[at->first].tensor, at->second, axes))
        add(nodes_[at->first].tensor, at->second, 0);
    for (auto &[node, axis] : entering)
      if (!axes_.count(nodes_[node].tensor))
        add(nodes_[node].tensor, axis, children().size());
    if (!positionsOf(tensor)) {
      nodes_[node_] = std::move(before);
      axes_ = std::move(had);
      numberChildren();
      return false;
    }
    std::vector<int> numbers;
    for (auto &[node, axis] : entering)
      numbers.push_back(nodes_[node].tensor);
    for (int number : numbers)
      taken(number);
    return true;
  }

  /// Whether a tensor is a product of matrices, large ones, that each step has of its own: as much
  /// work for all steps at once as for one after the other.
  bool isProductOfEachStep(int tensor, int axis) {
    const Tensor &t = program_.tensors[tensor];
    if (t.pieces.size() != 1 || t.pieces[0].value->kind != K::Reduce ||
        t.pieces[0].value->reduction != Reduction::Sum)
      return false;
    Size terms(1);
    for (int l : t.pieces[0].value->letters)
      terms = terms * program_.letters[l].extent;
    int position = t.pieces[0].indices[axis].letter;
    for (const Use &use : operands_[tensor])
      if (std::none_of(use.read->args.begin(), use.read->args.end(),
                       [&](const ExprPtr &index) { return free_.of(index).count(position) > 0; }))
        return false;
    return bounds_.atLeast(terms, 32) && bounds_.atLeast(stepOf(tensor, axis), 16384);
  }

  /// Takes what only the loop reads, each step its own, into it, where it is greater than what it
  /// is made of.
  bool takeOperand(int tensor) {
    const Tensor &t = program_.tensors[tensor];
    if (isResult_[tensor] || t.constant || !couldEnter(tensor))
      return false;
    int axis = -1;
    for (const Use &use : uses_[tensor]) {
      auto reader = axes_.find(use.reader);
      if (reader == axes_.end())
        return false;
      int at = -1;
      for (size_t a = 0; a < t.axes.size(); ++a)
        if (auto lag = lagOf(use, reader->second, static_cast<int>(a)); lag && *lag == 0)
          at = static_cast<int>(a);
      const Tensor &r = program_.tensors[use.reader];
      if (at < 0 || (axis >= 0 && at != axis) || t.axes[at].before || t.axes[at].after ||
          t.axes[at].extent != r.axes[reader->second].extent)
        return false;
      axis = at;
    }
    Size made(0);
    std::set<int> counted;
    bool reduces = false;
    for (const Piece &p : t.pieces) {
      if (p.indices[axis].letter < 0)
        return false;
      forEachNode(p.value, [&](const Expr &e) { reduces = reduces || e.kind == K::Reduce; });
    }
    if (reduces && !isProductOfEachStep(tensor, axis))
      return false;
    for (const Use &use : operands_[tensor]) {
      const Tensor &from = program_.tensors[use.read->tensor];
      for (size_t a = 0; a < from.axes.size(); ++a)
        if (free_.of(use.read->args[a]).count(use.piece->indices[axis].letter) &&
            counted.insert(use.read->tensor).second)
          made = made + stepOf(use.read->tensor, static_cast<int>(a));
    }
    // (A product's operands are in memory anyway.)
    Size size = stepOf(tensor, axis);
    if (counted.empty() || !isTwice(reduces ? size + size + size + size : size, made))
      return false;
    size_t reader = children().size();
    for (const Use &use : uses_[tensor])
      reader = std::min(reader, childOf(use.reader));
    add(tensor, axis, reader);
    taken(tensor);
    return true;
  }

  static constexpr int64_t maxPositions = 16;

  const Prepared &prepared_;
  const Program &program_;
  Bounds bounds_;
  const OwnSizes *own_;
  FreeLetters free_;
  std::vector<ScheduleNode> &nodes_;
  std::vector<std::vector<Use>> uses_, operands_; ///< by what is read; by reader
  std::vector<bool> isResult_;
  std::vector<bool> special_; ///< what is not computed by its equation: choices
  std::set<int> weighted_;    ///< tensors of weighted sums
  std::vector<int> nodeOf_;
  int node_ = -1;
  std::map<int, int> axes_;     ///< of the loop at hand, by tensor
  std::map<int, size_t> child_; ///< of the loop at hand, that computes a tensor
  Kept kept_;
};

} // namespace

Kept keepLatest(const Prepared &prepared, std::vector<ScheduleNode> &nodes, const OwnSizes *own) {
  return LatestKeeper(prepared, nodes, own).run();
}

} // namespace qkv::irgen

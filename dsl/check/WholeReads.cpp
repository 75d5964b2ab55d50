// Whole tensors handed to a call inside their own recurrence (R2).
//
// In: which tensor was handed over whole in whose equation, and the finished equations. Out: an
// error for each that its own recurrence reaches.
#include "dsl/check/Elaborator.h"

#include <algorithm>

namespace qkv::sema {

namespace {

/// The recurrences of a program: tensors that need each other have one number (Tarjan's strongly
/// connected components, without recursion; each tensor and each read once).
class Recurrences {
public:
  explicit Recurrences(const Program &program)
      : program_(program), state_(program.tensors.size()) {}

  /// Whether each of two tensors needs the other.
  bool together(int a, int b) {
    for (int t : {a, b})
      if (state_[t].index < 0)
        search(t);
    return state_[a].recurrence == state_[b].recurrence && (a != b || state_[a].cyclic);
  }

private:
  struct State {
    int index = -1, low = 0, recurrence = -1;
    bool cyclic = false; ///< needs itself
  };
  struct Frame {
    int tensor;
    std::vector<int> reads;
    size_t next = 0;
  };

  std::vector<int> readsOf(int tensor) const {
    std::set<int> reads;
    std::set<const Expr *> seen;
    std::vector<const Expr *> work;
    for (auto &p : program_.tensors[tensor].pieces) {
      work.push_back(p.value.get());
      work.push_back(p.guard.get());
    }
    while (!work.empty()) {
      const Expr *e = work.back();
      work.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        reads.insert(e->tensor);
      for (auto &a : e->args)
        work.push_back(a.get());
    }
    return {reads.begin(), reads.end()};
  }

  void enter(int tensor) {
    state_[tensor].index = state_[tensor].low = count_++;
    open_.push_back(tensor);
    frames_.push_back({tensor, readsOf(tensor)});
  }

  void search(int root) {
    enter(root);
    while (!frames_.empty()) {
      Frame &f = frames_.back();
      State &here = state_[f.tensor];
      if (f.next < f.reads.size()) {
        int read = f.reads[f.next++];
        here.cyclic |= read == f.tensor;
        if (state_[read].index < 0)
          enter(read); // (moves the frames)
        else if (state_[read].recurrence < 0)
          here.low = std::min(here.low, state_[read].index);
        continue;
      }
      int tensor = f.tensor;
      frames_.pop_back();
      if (!frames_.empty())
        state_[frames_.back().tensor].low = std::min(state_[frames_.back().tensor].low, here.low);
      if (here.low == here.index)
        close(tensor);
    }
  }

  /// What is open from `first` on is one recurrence.
  void close(int first) {
    bool several = open_.back() != first;
    int tensor;
    do {
      tensor = open_.back();
      open_.pop_back();
      state_[tensor].recurrence = first;
      state_[tensor].cyclic |= several;
    } while (tensor != first);
  }

  const Program &program_;
  std::vector<State> state_;
  std::vector<Frame> frames_;
  std::vector<int> open_;
  int count_ = 0;
};

} // namespace

bool Elaborator::checkWholeReads() {
  Recurrences recurrences(*program_);
  bool ok = true;
  for (auto &r : wholeReads_) {
    if (r.reader < 0 || program_->tensors[r.tensor].kind != Tensor::Kind::Equation ||
        !recurrences.together(r.tensor, r.reader))
      continue;
    ok = false;
    const std::string &name = program_->tensors[r.tensor].label;
    error(
        r.span,
        name +
            " is handed over whole inside of its own recurrence, and so counts as read everywhere",
        "R2")
        .hint("hand over a slice, such as " + name + "[t-1]");
  }
  return ok;
}

} // namespace qkv::sema

// Whole tensors handed to a call inside their own recurrence (R2).
//
// In: which tensor was handed over whole in whose equation, and the finished equations. Out: an
// error for each that its own recurrence reaches.
#include "dsl/check/Elaborator.h"

namespace qkv::sema {

bool Elaborator::checkWholeReads() {
  // What each tensor reads, directly.
  std::map<int, std::set<int>> reads;
  auto readsOf = [&](int t) -> const std::set<int> & {
    auto [it, fresh] = reads.try_emplace(t);
    if (!fresh)
      return it->second;
    std::set<const Expr *> seen;
    std::vector<const Expr *> work;
    for (auto &p : program_->tensors[t].pieces) {
      work.push_back(p.value.get());
      work.push_back(p.guard.get());
    }
    while (!work.empty()) {
      const Expr *e = work.back();
      work.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == Expr::Kind::Read)
        it->second.insert(e->tensor);
      for (auto &a : e->args)
        work.push_back(a.get());
    }
    return it->second;
  };
  auto reaches = [&](int from, int to) {
    std::set<int> seen;
    std::vector<int> work{from};
    while (!work.empty()) {
      int t = work.back();
      work.pop_back();
      for (int r : readsOf(t)) {
        if (r == to)
          return true;
        if (seen.insert(r).second)
          work.push_back(r);
      }
    }
    return false;
  };
  bool ok = true;
  for (auto &r : wholeReads_) {
    if (program_->tensors[r.tensor].kind != Tensor::Kind::Equation ||
        !reaches(r.tensor, r.reader) || !reaches(r.reader, r.tensor))
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

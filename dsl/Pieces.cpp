// Whether the pieces of a tensor fit together: of two that overlap one is inside the other, all
// positions are covered, and nothing is left out between a start and the tensor (P1, P4).
#include "dsl/Elaborator.h"

#include <algorithm>

namespace qkv::sema {

// P1: of two pieces that overlap one is inside the other, and all positions are covered.
bool Elaborator::checkPieces(Variable &v) {
  const Tensor &t = program_->tensors[v.view.tensor];
  size_t lifted = v.scope->body->lifted.size(), rank = v.view.rank();
  struct P {
    std::vector<std::optional<Size>> at; // nothing: a letter
    Span span;
  };
  std::vector<P> pieces;
  for (auto &item : v.items) {
    P p;
    p.span = item.statement->targets[item.target].span;
    auto indices = targetIndices(item);
    if (!indices)
      return false;
    for (auto &x : *indices)
      p.at.push_back(x.letter ? std::nullopt : std::optional(x.value));
    p.at.resize(rank);
    pieces.push_back(std::move(p));
  }
  for (size_t i = 0; i < pieces.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      bool apart = false, inI = true, inJ = true;
      for (size_t a = 0; a < rank; ++a) {
        auto &x = pieces[i].at[a], &y = pieces[j].at[a];
        if (x && y && *x != *y) {
          if (!(*x - *y).isConstant() && !symbolic_) {
            error(pieces[i].span,
                  "whether position " + x->text(program_->atoms) + " is position " +
                      y->text(program_->atoms) + " depends on the sizes",
                  "E2")
                .note(pieces[j].span, "the other one");
            return false;
          }
          apart = true;
        }
        inI &= !x || (y && *x == *y); // j inside i
        inJ &= !y || (x && *x == *y); // i inside j
      }
      if (apart || inI != inJ)
        continue;
      error(pieces[i].span,
            inI ? v.name + " is defined here and at another place for the same positions"
                : "these positions overlap with those of another equation of " + v.name +
                      ", and neither are inside the other",
            inI ? "E1" : "P1")
          .note(pieces[j].span, "the other one");
      return false;
    }
  // Coverage, axis by axis: general pieces take what numbers leave.
  std::function<bool(const std::vector<const P *> &, size_t, std::string)> cover =
      [&](const std::vector<const P *> &some, size_t axis, std::string where) -> bool {
    if (axis == rank)
      return !some.empty();
    std::vector<const P *> general;
    std::vector<Size> numbers;
    for (auto *p : some)
      if (!p->at[axis])
        general.push_back(p);
      else if (std::find(numbers.begin(), numbers.end(), *p->at[axis]) == numbers.end())
        numbers.push_back(*p->at[axis]);
    const Axis &ax = t.axes[lifted + axis];
    // Positions that a number names, inside or outside.
    for (auto &n : numbers) {
      std::vector<const P *> here = general;
      bool outside = (n.constant() && *n.constant() < 0) ||
                     ((n - ax.extent).constant() && *(n - ax.extent).constant() >= 0);
      if (outside)
        here.clear();
      for (auto *p : some)
        if (p->at[axis] && *p->at[axis] == n)
          here.push_back(p);
      if (!cover(here, axis + 1, where + (where.empty() ? "" : ", ") + n.text(program_->atoms)))
        return false;
    }
    // Between a start and the tensor nothing is left out (P4).
    auto named = [&](const Size &n) {
      return std::find(numbers.begin(), numbers.end(), n) != numbers.end();
    };
    bool anyBefore = false, anyAfter = false;
    for (auto &n : numbers) {
      anyBefore |= n.constant() && *n.constant() < 0;
      auto past = (n - ax.extent).constant();
      anyAfter |= past && *past >= 0;
    }
    for (int64_t k = 1; anyBefore && k <= ax.before; ++k)
      if (!named(Size(-k))) {
        error(v.span,
              v.name + " has no value at position " + std::to_string(-k) +
                  ", between its start and the tensor",
              "P4");
        return false;
      }
    for (int64_t k = 0; anyAfter && k < ax.after; ++k)
      if (!named(ax.extent + Size(k))) {
        error(v.span,
              v.name + " has no value at position " + (ax.extent + Size(k)).text(program_->atoms) +
                  ", between the tensor and its end",
              "P4");
        return false;
      }
    if (!general.empty())
      return cover(general, axis + 1, where + (where.empty() ? "" : ", ") + ax.name);
    auto extent = ax.extent.constant();
    if (!extent) {
      if (symbolic_)
        return true;
      error(v.span, v.name + " is not defined at all positions of " + ax.name, "P1");
      return false;
    }
    for (int64_t p = 0; p < *extent; ++p)
      if (!named(Size(p))) {
        error(v.span,
              v.name + " has no equation for position " + std::to_string(p) + " of index " +
                  std::to_string(axis + 1),
              "P1");
        return false;
      }
    return true;
  };
  std::vector<const P *> all;
  for (auto &p : pieces)
    all.push_back(&p);
  size_t errors = diagnostics_.errorCount();
  if (cover(all, 0, ""))
    return true;
  if (diagnostics_.errorCount() == errors)
    error(v.span, v.name + " is not defined at all of its positions", "P1")
        .hint("an equation with a letter in every place, or one more for what is missing");
  return false;
}

} // namespace qkv::sema

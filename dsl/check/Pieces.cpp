// Whether the pieces of a tensor fit together: of two that overlap one is inside the other, all
// positions are covered, and nothing is left out between a start and the tensor (P1, P4).
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <map>

namespace qkv::sema {
namespace {

/// The number in a position such as T - 1.
int64_t numberIn(const Size &s) {
  auto it = s.terms().find({});
  return it == s.terms().end() ? 0 : it->second;
}

/// At least 1 whatever the sizes are, each of them at least 1 (A4).
bool positive(const Size &s, const SizeAtoms &atoms) {
  int64_t least = 0;
  for (auto &[monomial, coefficient] : s.terms()) {
    least += coefficient;
    for (int a : monomial)
      if (coefficient < 0 || atoms[a].lhs)
        return false;
  }
  return least >= 1;
}

} // namespace

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
    for (size_t a = 0; a < indices->size(); ++a) {
      const TargetIndex &x = (*indices)[a];
      p.at.push_back(x.letter ? std::nullopt
                              : std::optional(positionOn(v.view.extents[a], x.value)));
    }
    p.at.resize(rank);
    pieces.push_back(std::move(p));
  }
  // E2: two positions of one axis are equal or different whatever the sizes are. Those of one
  // part in the sizes differ by a number; of others the nearest two decide.
  for (size_t a = 0; a < rank && !symbolic_; ++a) {
    struct Part {
      const P *least, *most;
      int64_t low, high;
    };
    std::map<Size, Part> parts;
    for (auto &p : pieces) {
      if (!p.at[a])
        continue;
      int64_t number = numberIn(*p.at[a]);
      auto [it, fresh] = parts.try_emplace(*p.at[a] - Size(number), Part{&p, &p, number, number});
      Part &part = it->second;
      if (number < part.low)
        part.least = &p, part.low = number;
      if (number > part.high)
        part.most = &p, part.high = number;
    }
    for (auto &[x, px] : parts)
      for (auto &[y, py] : parts) {
        if (&px == &py || positive(*px.least->at[a] - *py.most->at[a], program_->atoms) ||
            positive(*py.least->at[a] - *px.most->at[a], program_->atoms))
          continue;
        error(px.least->span,
              "whether position " + px.least->at[a]->text(program_->atoms) + " is position " +
                  py.most->at[a]->text(program_->atoms) + " depends on the sizes",
              "E2")
            .note(py.most->span, "the other one");
        return false;
      }
  }
  auto outside = [&](const Size &position, size_t axis) {
    auto past = (position - t.axes[lifted + axis].extent).constant();
    return (position.constant() && *position.constant() < 0) || (past && *past >= 0);
  };
  // Pieces with numbers on the same axes overlap where all of them are the same; others where
  // they are on the axes that both have numbers for. A letter takes no position outside (P4).
  std::map<std::vector<bool>, std::vector<const P *>> patterns;
  for (auto &p : pieces) {
    std::vector<bool> pattern;
    for (auto &x : p.at)
      pattern.push_back(x.has_value());
    patterns[pattern].push_back(&p);
  }
  for (auto &[one, some] : patterns)
    for (auto &[two, others] : patterns) {
      bool inside = &one != &two, contains = inside; // all numbers of one, or two, are the other's
      for (size_t a = 0; a < rank; ++a) {
        inside &= !two[a] || one[a];
        contains &= !one[a] || two[a];
      }
      if (inside || contains)
        continue;
      std::map<std::vector<Size>, const P *> at; // by the numbers that both have
      auto meet = [&](const P *p, bool first) -> const P * {
        std::vector<Size> numbers;
        for (size_t a = 0; a < rank; ++a)
          if (one[a] && two[a])
            numbers.push_back(*p->at[a]);
          else if (p->at[a] && outside(*p->at[a], a))
            return nullptr;
        auto it = at.find(numbers);
        if (it != at.end())
          return it->second;
        if (first)
          at[numbers] = p;
        return nullptr;
      };
      bool same = &one == &two;
      for (auto *p : some) {
        const P *before = meet(p, true);
        if (!before || !same)
          continue;
        error(p->span, v.name + " is defined here and at another place for the same positions",
              "E1")
            .note(before->span, "the other one");
        return false;
      }
      for (auto *p : others) {
        const P *before = same ? nullptr : meet(p, false);
        if (!before)
          continue;
        const P *later = before->span.begin > p->span.begin ? before : p;
        error(later->span,
              "these positions overlap with those of another equation of " + v.name +
                  ", and neither are inside the other",
              "P1")
            .note((later == p ? before : p)->span, "the other one");
        return false;
      }
    }
  // Coverage, axis by axis: general pieces take what numbers leave.
  std::function<bool(const std::vector<const P *> &, size_t, std::string)> cover =
      [&](const std::vector<const P *> &some, size_t axis, std::string where) -> bool {
    if (axis == rank)
      return !some.empty();
    std::vector<const P *> general;
    std::map<Size, std::vector<const P *>> numbers;
    for (auto *p : some)
      if (!p->at[axis])
        general.push_back(p);
      else
        numbers[*p->at[axis]].push_back(p);
    const Axis &ax = t.axes[lifted + axis];
    // Positions that a number names, inside or outside.
    for (auto &[n, own] : numbers) {
      std::vector<const P *> here = general;
      if (outside(n, axis))
        here.clear();
      here.insert(here.end(), own.begin(), own.end());
      if (!cover(here, axis + 1, where + (where.empty() ? "" : ", ") + n.text(program_->atoms)))
        return false;
    }
    // Between a start and the tensor nothing is left out (P4).
    auto named = [&](const Size &n) { return numbers.count(n) > 0; };
    bool anyBefore = false, anyAfter = false;
    for (auto &[n, own] : numbers) {
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

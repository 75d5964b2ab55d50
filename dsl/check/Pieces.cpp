// Whether the pieces of a tensor fit together: of two that overlap one is inside the other, all
// positions are covered, and nothing is left out between a start and the tensor (P1, P4, P5).
#include "dsl/check/Pieces.h"

#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <map>

namespace qkv::sema {
namespace {

using Kind = AxisSet::Kind;

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

Diagnostic &PieceCheck::error(Span at, std::string message, std::string rule) {
  failed_ = true;
  return error_(at, std::move(message), std::move(rule));
}

bool PieceCheck::run() {
  for (size_t a = 0; a < axes_.size(); ++a)
    if (!symbolic_ && !positionsDiffer(a))
      return false;
  if (!numbersFit() || !stripesFit())
    return false;
  std::vector<const Set *> all;
  for (auto &p : pieces_)
    all.push_back(&p);
  if (covered(all, 0))
    return true;
  if (!failed_)
    error(span_, name_ + " is not defined at all of its positions", "P1")
        .hint("an equation with a letter in every place, or one more for what is missing");
  return false;
}

// E2: two positions of one axis are equal or different whatever the sizes are. Those of one
// part in the sizes differ by a number; of others the nearest two decide.
bool PieceCheck::positionsDiffer(size_t a) {
  struct Part {
    const Set *least, *most;
    int64_t low, high;
  };
  std::map<Size, Part> parts;
  for (auto &p : pieces_) {
    if (p.at[a].kind != Kind::At)
      continue;
    const Size &position = p.at[a].first;
    int64_t number = numberIn(position);
    auto [it, fresh] = parts.try_emplace(position - Size(number), Part{&p, &p, number, number});
    Part &part = it->second;
    if (number < part.low)
      part.least = &p, part.low = number;
    if (number > part.high)
      part.most = &p, part.high = number;
  }
  for (auto &[x, px] : parts)
    for (auto &[y, py] : parts) {
      if (&px == &py || positive(px.least->at[a].first - py.most->at[a].first, program_.atoms) ||
          positive(py.least->at[a].first - px.most->at[a].first, program_.atoms))
        continue;
      error(px.least->span,
            "whether position " + px.least->at[a].first.text(program_.atoms) + " is position " +
                py.most->at[a].first.text(program_.atoms) + " depends on the sizes",
            "E2")
          .note(py.most->span, "the other one");
      return false;
    }
  return true;
}

bool PieceCheck::outside(const Size &position, size_t axis) const {
  auto at = position.constant(), past = (position - axes_[axis].extent).constant();
  return (at && *at < 0) || (past && *past >= 0);
}

void PieceCheck::saySame(const Set &one, const Set &other) {
  error(one.span, name_ + " is defined here and at another place for the same positions", "E1")
      .note(other.span, "the other one");
}

void PieceCheck::sayOverlap(const Set &one, const Set &other) {
  bool first = one.span.begin > other.span.begin;
  error((first ? one : other).span,
        "these positions overlap with those of another equation of " + name_ +
            ", and neither are inside the other",
        "P1")
      .note((first ? other : one).span, "the other one");
}

// Pieces with numbers on the same axes overlap where all of them are the same; others where
// they are on the axes that both have numbers for. A letter takes no position outside (P4).
bool PieceCheck::numbersFit() {
  std::map<std::vector<bool>, std::vector<const Set *>> patterns;
  for (auto &p : pieces_) {
    if (p.striped())
      continue;
    std::vector<bool> pattern;
    for (auto &x : p.at)
      pattern.push_back(x.kind == Kind::At);
    patterns[pattern].push_back(&p);
  }
  for (auto &[one, some] : patterns)
    for (auto &[two, others] : patterns) {
      bool inside = &one != &two, contains = inside; // all numbers of one, or two, are the other's
      for (size_t a = 0; a < axes_.size(); ++a) {
        inside &= !two[a] || one[a];
        contains &= !one[a] || two[a];
      }
      if (!inside && !contains && !patternsFit({one, some}, {two, others}))
        return false;
    }
  return true;
}

bool PieceCheck::patternsFit(const Pattern &one, const Pattern &two) {
  bool same = one.first == two.first;
  std::map<std::vector<Size>, const Set *> at; // by the numbers that both have
  auto meet = [&](const Set *p, bool first) -> const Set * {
    std::vector<Size> numbers;
    for (size_t a = 0; a < axes_.size(); ++a)
      if (one.first[a] && two.first[a])
        numbers.push_back(p->at[a].first);
      else if (p->at[a].kind == Kind::At && outside(p->at[a].first, a))
        return nullptr;
    auto it = at.find(numbers);
    if (it != at.end())
      return it->second;
    if (first)
      at[numbers] = p;
    return nullptr;
  };
  for (auto *p : one.second) {
    const Set *before = meet(p, true);
    if (before && same) {
      saySame(*p, *before);
      return false;
    }
  }
  for (auto *p : two.second)
    if (const Set *before = same ? nullptr : meet(p, false)) {
      sayOverlap(*before, *p);
      return false;
    }
  return true;
}

// P5: a piece with a stripe is apart from every other on some axis, or inside of it, or around it.
bool PieceCheck::stripesFit() {
  for (size_t i = 0; i < pieces_.size(); ++i)
    for (size_t k = 0; k < pieces_.size(); ++k) {
      const Set &one = pieces_[i], &other = pieces_[k];
      if (!one.striped() || (other.striped() ? k >= i : k == i))
        continue;
      bool disjoint = false, inside = true, around = true;
      for (size_t a = 0; a < axes_.size(); ++a) {
        const AxisSet &x = one.at[a], &y = other.at[a];
        disjoint |= apart(program_, x, y);
        for (auto *s : {&x, &y})
          disjoint |= s->kind == Kind::At && outside(s->first, a) && !(x == y);
        inside &= within(program_, x, y);
        around &= within(program_, y, x);
      }
      if (disjoint || inside != around)
        continue;
      if (inside)
        saySame(one, other);
      else
        sayOverlap(one, other);
      return false;
    }
  return true;
}

// P4: between a start, or an end, and the tensor nothing is left out.
bool PieceCheck::joined(size_t axis, const std::map<Size, Sets> &numbers) {
  const Axis &ax = axes_[axis];
  bool before = false, after = false;
  for (auto &[n, own] : numbers) {
    before |= n.constant() && *n.constant() < 0;
    auto past = (n - ax.extent).constant();
    after |= past && *past >= 0;
  }
  for (int64_t k = 1; before && k <= ax.before; ++k)
    if (!numbers.count(Size(-k))) {
      error(span_,
            name_ + " has no value at position " + std::to_string(-k) +
                ", between its start and the tensor",
            "P4");
      return false;
    }
  for (int64_t k = 0; after && k < ax.after; ++k)
    if (!numbers.count(ax.extent + Size(k))) {
      error(span_,
            name_ + " has no value at position " + (ax.extent + Size(k)).text(program_.atoms) +
                ", between the tensor and its end",
            "P4");
      return false;
    }
  return true;
}

// Axis by axis: each set of positions that some pieces name must be covered on the axes that
// follow, by these pieces and those whose sets are around theirs.
bool PieceCheck::covered(const Sets &some, size_t axis) {
  if (axis == axes_.size())
    return !some.empty();
  Sets general, spread; ///< all that have no number here, the general ones among them
  std::map<Size, Sets> numbers;
  std::vector<AxisSet> stripes;
  for (auto *p : some) {
    const AxisSet &set = p->at[axis];
    if (set.kind != Kind::At)
      spread.push_back(p);
    if (set.kind == Kind::All)
      general.push_back(p);
    else if (set.kind == Kind::At)
      numbers[set.first].push_back(p);
    else if (std::find(stripes.begin(), stripes.end(), set) == stripes.end())
      stripes.push_back(set);
  }
  for (auto &[n, own] : numbers) {
    Sets here = own;
    for (auto *p : spread)
      if (!outside(n, axis) && within(program_, AxisSet::at(n), p->at[axis]))
        here.push_back(p);
    if (!covered(here, axis + 1))
      return false;
  }
  for (auto &s : stripes) {
    Sets here;
    for (auto *p : spread)
      if (within(program_, s, p->at[axis]))
        here.push_back(p);
    if (!covered(here, axis + 1))
      return false;
  }
  if (!joined(axis, numbers))
    return false;
  if (!general.empty())
    return covered(general, axis + 1);
  return stripes.empty() ? counted(axis, numbers) : tiled(axis, numbers, stripes);
}

// An axis that has numbers only.
bool PieceCheck::counted(size_t axis, const std::map<Size, Sets> &numbers) {
  auto extent = axes_[axis].extent.constant();
  if (!extent) {
    if (symbolic_)
      return true;
    error(span_, name_ + " is not defined at all positions of " + axes_[axis].name, "P1");
    return false;
  }
  for (int64_t p = 0; p < *extent; ++p)
    if (!numbers.count(Size(p))) {
      sayMissing(axis, Size(p));
      return false;
    }
  return true;
}

void PieceCheck::sayMissing(size_t axis, const Size &position) {
  error(span_,
        name_ + " has no equation for position " + position.text(program_.atoms) + " of index " +
            std::to_string(axis + 1),
        "P1");
}

// From position 0 on: whatever begins where the last ended, stripes of one step side by side.
bool PieceCheck::tiled(size_t axis, const std::map<Size, Sets> &numbers,
                       const std::vector<AxisSet> &stripes) {
  Size done(0);
  std::vector<bool> used(stripes.size());
  while (done != axes_[axis].extent) {
    std::optional<Size> next;
    for (size_t i = 0; i < stripes.size() && !next; ++i)
      if (!used[i] && stripes[i].first == done)
        next = combed(i, stripes, used);
    if (!next && numbers.count(done))
      next = done + Size(1);
    if (!next) {
      if (!symbolic_)
        sayMissing(axis, done);
      return symbolic_;
    }
    done = *next;
  }
  return true;
}

// Where the stripe `from` and those beside it with its step, which take turns, end; nothing where
// positions between them are missing.
std::optional<Size> PieceCheck::combed(size_t from, const std::vector<AxisSet> &stripes,
                                       std::vector<bool> &used) {
  const AxisSet &first = stripes[from];
  used[from] = true;
  Size total = first.count, least = first.count;
  for (int64_t r = 1; r < first.step; ++r) {
    size_t i = 0;
    while (i < stripes.size() &&
           (stripes[i].step != first.step || stripes[i].first != first.first + Size(r)))
      ++i;
    // Each has as many positions as the one before it, or, from some one on, one less.
    if (i == stripes.size() || (stripes[i].count != least &&
                                (least != first.count || stripes[i].count != least - Size(1))))
      return std::nullopt;
    used[i] = true;
    least = stripes[i].count;
    total = total + least;
  }
  return first.first + total;
}

bool Elaborator::checkPieces(Variable &v) {
  const Tensor &t = program_->tensors[v.view.tensor];
  size_t lifted = v.scope->body->lifted.size();
  std::vector<Axis> axes(t.axes.begin() + lifted, t.axes.end());
  std::vector<PieceCheck::Set> pieces;
  for (auto &item : v.items) {
    PieceCheck::Set p;
    p.span = item.statement->targets[item.target].span;
    auto indices = targetIndices(item);
    if (!indices)
      return false;
    for (size_t a = 0; a < indices->size(); ++a)
      p.at.push_back(setOf((*indices)[a], axes[a].extent));
    p.at.resize(axes.size());
    pieces.push_back(std::move(p));
  }
  auto say = [&](Span at, std::string message, std::string rule) -> Diagnostic & {
    return error(at, std::move(message), std::move(rule));
  };
  return PieceCheck(*program_, v.name, v.span, axes, pieces, symbolic_, say).run();
}

} // namespace qkv::sema

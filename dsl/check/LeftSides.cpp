// Left sides of equations with indices: what stands in each place, and the shape that they give a
// tensor together (E2, E4, P2, P4, P5, F4).
//
// In: the statements of one name. Out: its axes, or a diagnostic.
#include "dsl/check/Elaborator.h"
#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::sema {

Size Elaborator::TargetIndex::count() const {
  Size all(1);
  for (auto &[name, extent] : letters)
    all = all * extent;
  return all;
}

std::optional<std::vector<Elaborator::TargetIndex>> Elaborator::targetIndices(const Item &item) {
  const ast::Target &t = item.statement->targets[item.target];
  std::vector<TargetIndex> out;
  std::set<std::string> seen;
  bool ok = true;
  for (auto &ix : t.indices) {
    auto index = targetIndex(*ix, item);
    ok &= index.has_value();
    if (!index)
      continue;
    index->span = ix->span;
    for (auto &[name, extent] : index->letters)
      if (!seen.insert(name).second) {
        error(ix->span, "the letter " + name + " stands on the left twice", "E2")
            .hint("a diagonal is written with an if, or with a second letter");
        ok = false;
      }
    out.push_back(std::move(*index));
  }
  return ok ? std::optional(out) : std::nullopt;
}

bool Elaborator::hasLetter(const ast::Expr &e, const Item &item) {
  if (e.kind == ast::Expr::Kind::Name) {
    bool found = false;
    letterExtent(e.name.text, item.scope, *item.scope->body->file, found);
    return found;
  }
  return std::any_of(e.children.begin(), e.children.end(),
                     [&](auto &c) { return c && hasLetter(*c, item); });
}

std::optional<Elaborator::TargetIndex> Elaborator::targetIndex(const ast::Expr &ix,
                                                               const Item &item) {
  const ast::Target &t = item.statement->targets[item.target];
  FileScope &file = *item.scope->body->file;
  TargetIndex r;
  if (ix.kind == ast::Expr::Kind::Name)
    return targetName(ix, item);
  if (ix.kind == ast::Expr::Kind::Merged)
    return targetLetters(ix, item, r) ? std::optional(r) : std::nullopt;
  if (ix.kind == ast::Expr::Kind::Access && find(item.scope, ix.name.text, 1 << 30)) {
    error(ix.span,
          "an index on the left is a letter or a number known at compile time, and an element of " +
              ix.name.text + " is a value",
          "E2")
        .hint("the right side says what goes where: " + t.name.text +
              (t.indices.size() > 1 ? "[...,k]" : "[k]") + " = sum[j](... where " + ix.name.text +
              "[j] == k)");
    return std::nullopt;
  }
  if (!hasLetter(ix, item)) {
    auto size = sizeOf(ix, item.scope, file, "an index on the left");
    if (!size)
      return std::nullopt;
    r.first = *size;
    return r;
  }
  if (!stripeOf(ix, item, r))
    return std::nullopt;
  if (r.step < 1 || !(symbolic_ || atLeast(*program_, r.first, 0))) {
    error(ix.span,
          r.step < 1 ? "the number before a letter on the left is a positive integer"
                     : "positions on the left begin at 0, and these begin at " +
                           r.first.text(program_->atoms),
          "P5")
        .hint("shift the reads on the right instead");
    return std::nullopt;
  }
  return r;
}

// A letter, or the name of a size or constant.
std::optional<Elaborator::TargetIndex> Elaborator::targetName(const ast::Expr &ix,
                                                              const Item &item) {
  const std::string &n = ix.name.text;
  FileScope &file = *item.scope->body->file;
  TargetIndex r;
  bool found = false;
  auto extent = letterExtent(n, item.scope, file, found);
  if (found) {
    if (!extent)
      return std::nullopt;
    r.letters.push_back({n, *extent});
    return r;
  }
  bool isConstant = false;
  namedConstant(n, item.scope, file, isConstant);
  if (isConstant) {
    auto size = sizeOf(ix, item.scope, file, "an index on the left");
    if (!size)
      return std::nullopt;
    r.first = *size;
    return r;
  }
  auto &d = error(ix.span,
                  n + " is neither a letter nor a size; the range of a letter comes "
                      "from an argument or an index",
                  "L3");
  std::string near = nearest(n, namesIn(item.scope));
  if (item.scope->body->names.count(n))
    sayHidden(d, n, *item.scope->body);
  else
    d.hint(near.empty() ? "index " + n + " < ..." : "did you mean " + near + "?");
  return std::nullopt;
}

// P5: (h,d), the letters of one axis in row-major order.
bool Elaborator::targetLetters(const ast::Expr &ix, const Item &item, TargetIndex &out) {
  for (auto &c : ix.children) {
    auto one = c->kind == ast::Expr::Kind::Name ? targetName(*c, item) : std::nullopt;
    if (c->kind == ast::Expr::Kind::Name && !one)
      return false;
    if (!one || one->letters.empty()) {
      error(c->span, "an index of several, (h,d), takes letters", "P5");
      return false;
    }
    out.letters.push_back(one->letters[0]);
  }
  return true;
}

// P5: step * letter + first.
bool Elaborator::stripeOf(const ast::Expr &e, const Item &item, TargetIndex &out) {
  using K = ast::Expr::Kind;
  auto fail = [&] {
    error(
        e.span,
        "an index on the left is a letter, a number, or c * n + b with one letter n and numbers c "
        "and b known at compile time",
        "P5")
        .hint("shift the reads on the right instead");
    return false;
  };
  if (!hasLetter(e, item)) {
    auto size = sizeOf(e, item.scope, *item.scope->body->file, "a number on the left");
    if (size)
      out = {{}, 0, *size, e.span};
    return size.has_value();
  }
  if (e.kind == K::Name) {
    auto letter = targetName(e, item);
    if (letter)
      out = *letter;
    return letter.has_value();
  }
  if (e.kind != K::Binary || e.ops[0] == "/" || e.ops[0] == "^")
    return fail();
  for (size_t i = 0; i < e.children.size(); ++i) {
    TargetIndex next;
    if (!stripeOf(*e.children[i], item, next))
      return false;
    if (i == 0) {
      out = next;
      continue;
    }
    const std::string &op = e.ops[i - 1];
    if (op == "+" || op == "-") {
      if (!out.letters.empty() && !next.letters.empty())
        return fail();
      int64_t sign = op == "+" ? 1 : -1;
      if (!next.letters.empty())
        out.letters = next.letters, out.step = sign * next.step;
      out.first = out.first + next.first * Size(sign);
      continue;
    }
    if (!out.letters.empty() && next.letters.empty())
      std::swap(out, next);
    auto by = out.first.constant();
    int64_t step = 0;
    if (op != "*" || !out.letters.empty() || (!next.letters.empty() && !by) ||
        __builtin_mul_overflow(next.step, by.value_or(0), &step))
      return fail();
    next.first = next.first * out.first;
    next.step = step;
    out = next;
  }
  return true;
}

Size Elaborator::positionOn(const Size &extent, const Size &position) const {
  if (extent.terms().size() != 1 || extent.terms().begin()->first.size() != 1)
    return position;
  const SizeAtom &atom = program_->atoms[extent.terms().begin()->first[0]];
  if (atom.kind != SizeAtom::Kind::Max || *atom.rhs != Size(0))
    return position;
  auto past = (position - *atom.lhs).constant();
  return past ? extent + Size(*past) : position;
}

static bool isCall(const ast::Expr &e) { return e.kind == ast::Expr::Kind::Call && !e.indexed; }

// The left sides of a name's equations, which have equally many indices (E2).
std::optional<std::vector<Elaborator::LeftSide>> Elaborator::leftSides(const Variable &v) {
  std::vector<LeftSide> sides;
  bool ok = true;
  for (const Item &item : v.items) {
    LeftSide side;
    auto indices = targetIndices(item);
    ok &= indices.has_value();
    if (indices)
      side.indices = *indices;
    side.rank = side.indices.size();
    const ast::Expr &value = *item.statement->value;
    if (indices && isCall(value)) {
      FunctionRef f = function(value.name.text, item.scope);
      if (f.definition && item.target < f.definition->results.size()) {
        size_t more = f.definition->results[item.target].letters.size();
        side.rank += more;
        side.partial = more > 0;
      }
    }
    sides.push_back(std::move(side));
  }
  if (!ok)
    return std::nullopt;
  size_t rank = sides[0].rank;
  for (size_t i = 1; i < sides.size(); ++i)
    if (sides[i].rank != rank) {
      const Item &item = v.items[i];
      error(item.statement->targets[item.target].span,
            v.name + " is defined with " + std::to_string(sides[i].rank) +
                (sides[i].rank == 1 ? " index" : " indices") + " here, and with " +
                std::to_string(rank) + " before",
            "E2")
          .note(v.items[0].statement->targets[v.items[0].target].span, "here");
      return std::nullopt;
    }
  return sides;
}

// An axis is as long as its letters say: equally long, or, where pieces take parts of it (P5), up
// to the end of the one that ends last.
bool Elaborator::lettersExtents(const Variable &v, const std::vector<LeftSide> &sides, Axes &axes) {
  for (size_t a = 0; a < axes.extents.size(); ++a) {
    std::vector<const TargetIndex *> spread;
    for (auto &side : sides)
      if (a < side.indices.size() && !side.indices[a].letters.empty())
        spread.push_back(&side.indices[a]);
    if (spread.empty())
      continue;
    for (auto &[name, extent] : spread[0]->letters)
      axes.names[a] += name;
    bool parts = std::any_of(spread.begin(), spread.end(), [](auto *x) { return !x->plain(); });
    for (auto *last : spread) {
      bool isLast = std::all_of(spread.begin(), spread.end(), [&](auto *x) {
        return parts ? atLeast(*program_, last->end() - x->end(), 0) : x->end() == last->end();
      });
      if (isLast) {
        axes.extents[a] = last->end();
        break;
      }
    }
    if (axes.extents[a])
      continue;
    const TargetIndex *other = spread[1];
    for (auto *x : spread)
      if (x->end() != spread[0]->end()) {
        other = x;
        break;
      }
    if (parts)
      error(other->span,
            "which of the pieces of " + v.name + " ends last depends on the sizes: at " +
                other->end().text(program_->atoms) + " this one, and at " +
                spread[0]->end().text(program_->atoms) + " another",
            "P5")
          .note(spread[0]->span, "the other one");
    else
      error(other->span,
            "index " + std::to_string(a + 1) + " of " + v.name + " ranges over " +
                other->end().text(program_->atoms) + " here, and over " +
                spread[0]->end().text(program_->atoms) + " before",
            "E4");
    return false;
  }
  return true;
}

// Letters that an equation leaves off are those of its call's result (F4).
bool Elaborator::callExtents(const Variable &v, const std::vector<LeftSide> &sides, Axes &axes) {
  size_t rank = axes.extents.size();
  for (size_t i = 0; i < sides.size(); ++i) {
    size_t given = sides[i].indices.size();
    bool missing = false;
    for (size_t a = given; a < rank; ++a)
      missing |= !axes.extents[a];
    if (!sides[i].partial || !missing)
      continue;
    const Item &item = v.items[i];
    Env &env = statementEnv(item);
    if (env.letters.empty())
      for (auto &x : sides[i].indices)
        bindTarget(x, env);
    auto views = callStatement(item, env);
    if (!views)
      return false;
    const View &view = (*views)[item.target];
    for (size_t a = given; a < rank && a - given < view.rank(); ++a)
      if (!axes.extents[a]) {
        axes.extents[a] = view.extents[a - given];
        axes.names[a] = view.names[a - given];
      }
  }
  return true;
}

// P4: positions outside of the tensor.
bool Elaborator::outsideOf(const Variable &v, const TargetIndex &index, size_t a, Axes &axes) {
  const Size &extent = *axes.extents[a], p = positionOn(extent, index.first);
  auto fromStart = p.constant(), fromEnd = (p - extent).constant();
  if (fromStart && *fromStart < 0)
    axes.before[a] = std::max(axes.before[a], -*fromStart);
  else if (fromEnd && *fromEnd >= 0)
    axes.after[a] = std::max(axes.after[a], *fromEnd + 1);
  else if (!(fromStart && *fromStart == 0) && !(fromEnd && *fromEnd < 0) &&
           !(fromStart && extent.constant()) && !symbolic_ &&
           !(atLeast(*program_, p, 0) && atLeast(*program_, extent - p, 1))) {
    // (The first position, and what is counted from the end, may be missing: mergeEmptyRanges.)
    error(index.span,
          "whether position " + p.text(program_->atoms) + " is one of " + v.name +
              "'s depends on the size " + extent.text(program_->atoms),
          "E2");
    return false;
  }
  return true;
}

// P2: an axis with constants only spans from 0; P4: constants outside.
bool Elaborator::positionExtents(const Variable &v, const std::vector<LeftSide> &sides,
                                 Axes &axes) {
  for (size_t a = 0; a < axes.extents.size(); ++a) {
    if (!axes.extents[a]) {
      int64_t top = 0;
      for (auto &side : sides) {
        auto n = side.indices[a].first.constant();
        if (!n) {
          error(side.indices[a].span,
                "an axis that is defined at numbers only has the extent they "
                "span, and " +
                    side.indices[a].first.text(program_->atoms) + " is not known",
                "P2");
          return false;
        }
        top = std::max(top, *n + 1);
      }
      axes.extents[a] = Size(top);
      axes.names[a] = "_";
    }
    for (auto &side : sides)
      if (a < side.indices.size() && side.indices[a].letters.empty() &&
          !outsideOf(v, side.indices[a], a, axes))
        return false;
    if (axes.before[a] > 4096 || axes.after[a] > 4096) {
      error(v.span, "a start further than 4096 positions outside of " + v.name, "P4");
      return false;
    }
  }
  return true;
}

} // namespace qkv::sema

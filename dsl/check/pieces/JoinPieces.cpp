// Pieces that take a part of an axis, put together (P5). See JoinPieces.h.
#include "dsl/check/pieces/JoinPieces.h"
#include "dsl/check/pieces/IndexNodes.h"

#include "dsl/proof/Proof.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace qkv::sema {
namespace {

using K = Expr::Kind;

ExprPtr apply(Op op, ExprPtr a, ExprPtr b) {
  auto e = node(K::Apply, a->span);
  e->op = op;
  e->args = {std::move(a), std::move(b)};
  if (op == Op::FloorDiv || op == Op::Mod)
    e->checked = {false};
  return e;
}

/// `a - b` and `a // b`, where they are not `a`.
ExprPtr minus(const ExprPtr &a, const Size &b) {
  return b == Size(0) ? a : apply(Op::Sub, a, sizeNode(b, a->span));
}
ExprPtr over(const ExprPtr &a, const Size &b) {
  return b == Size(1) ? a : apply(Op::FloorDiv, a, sizeNode(b, a->span));
}

/// Tensors that may need themselves: all that remain when those that read nothing more, and those
/// that nothing more reads, are taken away again and again.
std::vector<bool> inCycles(const Program &program) {
  size_t n = program.tensors.size();
  std::vector<std::set<int>> reads(n), readers(n);
  for (size_t t = 0; t < n; ++t) {
    std::unordered_set<const Expr *> seen;
    std::vector<const Expr *> open;
    for (const Piece &p : program.tensors[t].pieces)
      open.insert(open.end(), {p.value.get(), p.guard.get()});
    while (!open.empty()) {
      const Expr *e = open.back();
      open.pop_back();
      if (!e || !seen.insert(e).second)
        continue;
      if (e->kind == K::Read) {
        reads[t].insert(e->tensor);
        readers[e->tensor].insert(static_cast<int>(t));
      }
      for (auto &a : e->args)
        open.push_back(a.get());
    }
  }
  std::vector<bool> left(n, true);
  auto peel = [&](std::vector<std::set<int>> ahead, const std::vector<std::set<int>> &behind) {
    std::vector<int> work;
    for (size_t t = 0; t < n; ++t)
      if (ahead[t].empty())
        work.push_back(static_cast<int>(t));
    while (!work.empty()) {
      int t = work.back();
      work.pop_back();
      left[t] = false;
      for (int b : behind[t])
        if (ahead[b].erase(t) && ahead[b].empty())
          work.push_back(b);
    }
  };
  peel(reads, readers);
  peel(readers, reads);
  return left;
}

class Joiner {
public:
  Joiner(Program &program, const PieceStripes &stripes)
      : program_(program), stripes_(stripes), inCycles_(inCycles(program)) {
    for (const Tensor &t : program.tensors)
      names_.insert(t.name);
  }

  void run() {
    std::set<int> tensors;
    for (auto &[key, stripes] : stripes_)
      tensors.insert(key.first);
    for (int t : tensors)
      if (program_.tensors[t].kind == Tensor::Kind::Equation)
        join(t);
  }

private:
  /// A piece with the positions that it takes on each axis.
  struct Part {
    Piece piece;
    std::vector<AxisSet> sets;
    Stripes stripes;
    bool hollow = false; ///< other pieces lie inside of it
  };

  static const Stripe *stripeOn(const Part &part, size_t axis) {
    for (const Stripe &s : part.stripes)
      if (s.axis == axis)
        return &s;
    return nullptr;
  }

  bool inside(const Part &a, const Part &b) const {
    for (size_t axis = 0; axis < a.sets.size(); ++axis)
      if (!within(program_, a.sets[axis], b.sets[axis]))
        return false;
    return true;
  }

  void join(int tensor) {
    std::vector<Part> parts;
    const auto &pieces = program_.tensors[tensor].pieces;
    for (size_t i = 0; i < pieces.size(); ++i) {
      Part part{pieces[i], {}, {}, false};
      if (auto found = stripes_.find({tensor, i}); found != stripes_.end())
        part.stripes = found->second;
      for (size_t a = 0; a < part.piece.indices.size(); ++a) {
        const PieceIndex &index = part.piece.indices[a];
        const Stripe *s = stripeOn(part, a);
        part.sets.push_back(s                  ? s->set
                            : index.letter < 0 ? AxisSet::at(index.position)
                                               : AxisSet());
      }
      parts.push_back(std::move(part));
    }
    for (Part &a : parts)
      for (const Part &b : parts)
        a.hollow |= &a != &b && inside(b, a);
    // Those with the same numbers on the same axes become one piece.
    std::vector<std::vector<Part *>> groups;
    for (Part &part : parts) {
      auto same = std::find_if(groups.begin(), groups.end(),
                               [&](auto &g) { return sameNumbers(*g[0], part); });
      if (same == groups.end())
        groups.push_back({&part});
      else
        same->push_back(&part);
    }
    std::vector<Piece> joined;
    for (auto &group : groups)
      joined.push_back(
          std::any_of(group.begin(), group.end(), [](const Part *p) { return !p->stripes.empty(); })
              ? together(tensor, innermostFirst(group))
              : group[0]->piece);
    program_.tensors[tensor].pieces = std::move(joined);
  }

  static bool sameNumbers(const Part &a, const Part &b) {
    for (size_t axis = 0; axis < a.sets.size(); ++axis) {
      bool number = a.sets[axis].kind == AxisSet::Kind::At;
      if (number != (b.sets[axis].kind == AxisSet::Kind::At) ||
          (number && a.sets[axis].first != b.sets[axis].first))
        return false;
    }
    return true;
  }

  std::vector<Part *> innermostFirst(std::vector<Part *> group) const {
    std::vector<Part *> out;
    while (!group.empty()) {
      auto next = std::find_if(group.begin(), group.end(), [&](Part *p) {
        return std::none_of(group.begin(), group.end(),
                            [&](Part *o) { return o != p && inside(*o, *p); });
      });
      if (next == group.end())
        next = group.begin(); // equal sets were an error
      out.push_back(*next);
      group.erase(next);
    }
    return out;
  }

  /// One piece over whole axes: each element's value is that of the first part that has it.
  Piece together(int tensor, const std::vector<Part *> &group) {
    Piece out = group[0]->piece;
    const Tensor &t = program_.tensors[tensor];
    for (size_t a = t.lifted; a < out.indices.size(); ++a)
      if (out.indices[a].letter >= 0) {
        program_.letters.push_back({t.axes[a].name, t.axes[a].extent});
        out.indices[a].letter = static_cast<int>(program_.letters.size()) - 1;
      }
    ExprPtr value;
    for (size_t i = group.size(); i-- > 0;) {
      const Part &part = *group[i];
      ExprPtr condition = i + 1 < group.size() ? membership(tensor, part, out) : nullptr;
      ExprPtr here = valueOf(tensor, part, out, group.size() == 1);
      if (!value || !condition) { // the last, or one that has all
        value = here;
        continue;
      }
      auto choice = node(K::If, part.piece.span);
      choice->args = {condition, here, value};
      value = choice;
    }
    out.value = value;
    return out;
  }

  /// Whether the position of `at` is one of the part's; null: it is.
  ExprPtr membership(int tensor, const Part &part, const Piece &at) const {
    ExprPtr all;
    auto add = [&](const ExprPtr &condition) {
      all = all ? apply(Op::And, all, condition) : condition;
    };
    for (size_t a = 0; a < part.sets.size(); ++a) {
      const AxisSet &set = part.sets[a];
      if (set.kind != AxisSet::Kind::Stripe)
        continue;
      Span span = part.piece.span;
      ExprPtr p = letterNode(at.indices[a].letter, span);
      auto first = set.first.constant();
      auto left = (program_.tensors[tensor].axes[a].extent - set.end()).constant();
      if (!first || *first >= set.step)
        add(apply(Op::LessEqual, sizeNode(set.first, span), p));
      if (!left || *left >= set.step)
        add(apply(Op::Less, p, sizeNode(set.end(), span)));
      if (set.step > 1) {
        ExprPtr step = sizeNode(Size(set.step), span);
        add(first
                ? apply(Op::Equal, apply(Op::Mod, p, step), sizeNode(Size(*first % set.step), span))
                : apply(Op::Equal, apply(Op::Mod, minus(p, set.first), step),
                        sizeNode(Size(0), span)));
      }
    }
    return all;
  }

  /// What the letters of a part are at the position of `at`.
  std::vector<std::pair<int, ExprPtr>> lettersAt(const Part &part, const Piece &at) const {
    std::vector<std::pair<int, ExprPtr>> out;
    for (size_t a = 0; a < part.sets.size(); ++a) {
      if (at.indices[a].letter < 0)
        continue;
      ExprPtr p = letterNode(at.indices[a].letter, part.piece.span);
      const Stripe *s = stripeOn(part, a);
      if (!s) {
        out.push_back({part.piece.indices[a].letter, p});
        continue;
      }
      if (auto first = s->set.first.constant())
        p = minus(over(p, Size(s->set.step)), Size(*first / s->set.step));
      else
        p = over(minus(p, s->set.first), Size(s->set.step));
      splitLetters(s->letters, p, out);
    }
    return out;
  }

  /// The letters of (h,d) from their position: h = p // D, d = p % D.
  void splitLetters(const std::vector<int> &letters, const ExprPtr &p,
                    std::vector<std::pair<int, ExprPtr>> &out) const {
    Size behind(1);
    std::vector<std::pair<int, ExprPtr>> found;
    for (size_t i = letters.size(); i-- > 0;) {
      const Size &extent = program_.letters[letters[i]].extent;
      ExprPtr at = over(p, behind);
      if (i > 0)
        at = extent == Size(1) ? sizeNode(Size(0), p->span)
                               : apply(Op::Mod, at, sizeNode(extent, p->span));
      found.push_back({letters[i], at});
      behind = behind * extent;
    }
    out.insert(out.end(), found.rbegin(), found.rend());
  }

  ExprPtr valueOf(int tensor, const Part &part, const Piece &at, bool alone) {
    auto letters = lettersAt(part, at);
    bool shifted = std::all_of(part.stripes.begin(), part.stripes.end(), [](const Stripe &s) {
      return s.letters.size() == 1 && s.set.step == 1;
    });
    // x[t+1] beside x[0] alone: the same loop with another beginning.
    if (part.stripes.empty() || part.hollow || inCycles_[tensor] || (alone && shifted)) {
      std::unordered_map<int, ExprPtr> by(letters.begin(), letters.end());
      return substitute(part.piece.value, by);
    }
    int own = ownTensor(tensor, part, letters);
    auto read = node(K::Read, part.piece.span);
    read->tensor = own;
    for (auto &[letter, index] : letters)
      read->args.push_back(index);
    read->checked.assign(read->args.size(), false);
    return read;
  }

  /// The part as a tensor over its letters.
  int ownTensor(int tensor, const Part &part, const std::vector<std::pair<int, ExprPtr>> &letters) {
    Tensor own = program_.tensors[tensor];
    own.axes.clear();
    own.pieces.clear();
    own.span = part.piece.span;
    Piece piece = part.piece;
    piece.indices.clear();
    for (auto &[letter, index] : letters) {
      own.axes.push_back({program_.letters[letter].name, program_.letters[letter].extent, 0, 0});
      piece.indices.push_back({letter, {}});
    }
    own.pieces.push_back(std::move(piece));
    for (int k = 1;; ++k) {
      own.name = program_.tensors[tensor].name + ".piece" + std::to_string(k);
      if (names_.insert(own.name).second)
        break;
    }
    program_.tensors.push_back(std::move(own));
    return static_cast<int>(program_.tensors.size()) - 1;
  }

  Program &program_;
  const PieceStripes &stripes_;
  std::vector<bool> inCycles_;
  std::set<std::string> names_;
};

} // namespace

void joinPieces(Program &program, const PieceStripes &stripes) {
  if (!stripes.empty())
    Joiner(program, stripes).run();
}

} // namespace qkv::sema

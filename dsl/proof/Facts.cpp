// What conditions say (A1, A5, P3). In: a guard, or a piece of a tensor. Out: linear facts and
// disjunctions of such. Sound, not complete: what is not understood says nothing.
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <limits>
#include <set>

namespace qkv {

namespace {
size_t weight(const Facts &f) {
  size_t sum = f.all.size();
  for (auto &alternatives : f.any)
    for (auto &a : alternatives)
      sum += 1 + weight(a);
  return sum;
}

/// Whether a value is an int, also before types are known.
bool isIntegral(const Program &program, const ExprPtr &x) {
  using K = Expr::Kind;
  if (x->type != Type::Unknown)
    return x->type == Type::Int;
  switch (x->kind) {
  case K::Int:
  case K::Letter:
  case K::Size:
  case K::Step:
    return true;
  case K::Read:
    return program.tensors[x->tensor].type == Type::Int;
  case K::If:
    return isIntegral(program, x->args[1]) && isIntegral(program, x->args[2]);
  case K::Apply:
    if (isCondition(x->op) || typingOf(x->op) != Typing::Same)
      return typingOf(x->op) == Typing::Int;
    return std::all_of(x->args.begin(), x->args.end(),
                       [&](const ExprPtr &a) { return isIntegral(program, a); });
  case K::Reduce:
    return x->type == Type::Int;
  default:
    return false;
  }
}
} // namespace

Facts Prover::facts(const ExprPtr &e, bool truth) {
  auto find = [&] {
    Facts f = factsOf(e, truth);
    if (weight(f) > maxFacts) { // knowing less is sound
      f.any.clear();
      f.all.resize(std::min(f.all.size(), maxFacts));
    }
    return f;
  };
  if (!e || e->args.empty())
    return find();
  if (e->kind != Expr::Kind::Read)
    return remembered(facts_[truth], e.get(), e, find);
  int budget = 60;
  return remembered(factsOfReads_[truth], key(e, budget), e, find);
}

Facts Prover::factsOf(const ExprPtr &e, bool truth) {
  using K = Expr::Kind;
  struct Depth {
    int &d;
    ~Depth() { --d; }
  } guard{++depth_};
  Facts out;
  cut_ |= depth_ > 200;
  if (!e || depth_ > 200)
    return out;
  auto merge = [&](Facts f) {
    out.all.insert(out.all.end(), f.all.begin(), f.all.end());
    for (auto &a : f.any)
      out.any.push_back(std::move(a));
  };
  if (e->kind == K::Bool) {
    if ((e->integer != 0) != truth)
      out.all.push_back(Linear(-1)); // never
    return out;
  }
  if (e->kind == K::Read) {
    if (ExprPtr inside = lookThrough(e)) {
      const Tensor &t = program_.tensors[e->tensor];
      if (t.type != Type::Int && t.type != Type::Float) {
        Inside definition(*this, e->tensor);
        return facts(inside, truth);
      }
    }
    return out;
  }
  if (e->kind == K::If) { // c and a, or not c and b
    Facts yes = facts(e->args[0], true), no = facts(e->args[0], false);
    auto with = [](Facts f, const Facts &g) {
      f.all.insert(f.all.end(), g.all.begin(), g.all.end());
      f.any.insert(f.any.end(), g.any.begin(), g.any.end());
      return f;
    };
    out.any.push_back({with(yes, facts(e->args[1], truth)), with(no, facts(e->args[2], truth))});
    return out;
  }
  if (e->kind != K::Apply)
    return out;
  Op op = e->op;
  if (op == Op::Not)
    return facts(e->args[0], !truth);
  if (op == Op::And || op == Op::Or) {
    if ((op == Op::And) == truth) {
      merge(facts(e->args[0], truth));
      merge(facts(e->args[1], truth));
    } else {
      out.any.push_back({facts(e->args[0], truth), facts(e->args[1], truth)});
    }
    return out;
  }
  if (op < Op::Equal)
    return out;
  return factsOfComparison(e, truth);
}

// left op right, of integers.
Facts Prover::factsOfComparison(const ExprPtr &e, bool truth) {
  Facts out;
  Op op = e->op;
  if (!isIntegral(program_, e->args[0]) || !isIntegral(program_, e->args[1]))
    return out;
  bool ignored = false;
  Linear left = linear(e->args[0], ignored), right = linear(e->args[1], ignored), d = right - left;
  if (!truth) {
    static const Op negated[] = {Op::NotEqual, Op::Equal,     Op::GreaterEqual,
                                 Op::Greater,  Op::LessEqual, Op::Less};
    op = negated[static_cast<int>(op) - static_cast<int>(Op::Equal)];
  }
  switch (op) {
  case Op::Equal:
    out.all = {d, d * -1};
    break;
  case Op::NotEqual: {
    Facts less, more;
    less.all = {d - Linear(1)};
    more.all = {d * -1 - Linear(1)};
    out.any.push_back({less, more});
    break;
  }
  case Op::Less:
    out.all = {d - Linear(1)};
    break;
  case Op::LessEqual:
    out.all = {d};
    break;
  case Op::Greater:
    out.all = {d * -1 - Linear(1)};
    break;
  case Op::GreaterEqual:
    out.all = {d * -1};
    break;
  default:
    break;
  }
  // A rank that is less than a number is not that of an element which its guard leaves out (S3).
  bool less = op == Op::Less || op == Op::LessEqual || op == Op::Equal;
  bool greater = op == Op::Greater || op == Op::GreaterEqual || op == Op::Equal;
  for (size_t side : {0, 1}) {
    const Linear &bound = side == 0 ? right : left;
    if (!(side == 0 ? less : greater) || !bound.valid() || !bound.isConstant() ||
        bound.constant() == std::numeric_limits<int64_t>::max())
      continue;
    ExprPtr rank = e->args[side];
    size_t depth = inside_.size();
    while (rank && rank->kind == Expr::Kind::Read) {
      inside_.push_back(rank->tensor);
      rank = lookThrough(rank);
    }
    if (rank && rank->kind == Expr::Kind::Reduce && rank->reduction == Reduction::Rank &&
        rank->args[1]) {
      std::unordered_map<int, ExprPtr> position;
      for (size_t i = 0; i < rank->letters.size(); ++i)
        position[rank->letters[i]] = rank->args[i + 2];
      Facts guard = facts(substitute(rank->args[1], position), true);
      out.all.insert(out.all.end(), guard.all.begin(), guard.all.end());
      out.any.insert(out.any.end(), guard.any.begin(), guard.any.end());
    }
    inside_.resize(depth);
  }
  return out;
}

Facts Prover::facts(const Tensor &tensor, const Piece &piece) {
  Facts out;
  if (piece.guard)
    out = facts(piece.guard, true);
  // P3: positions at an edge that have an equation of their own for everything this piece
  // has on the other axes.
  for (size_t axis = 0; axis < piece.indices.size(); ++axis) {
    if (piece.indices[axis].letter < 0)
      continue;
    auto letter = std::make_shared<Expr>();
    letter->kind = Expr::Kind::Letter;
    letter->letter = piece.indices[axis].letter;
    bool ignored = false;
    Linear x = linear(ExprPtr(letter), ignored);
    const Size &extent = program_.letters[piece.indices[axis].letter].extent;
    std::set<Size> taken;
    for (const Piece &p : tensor.pieces) {
      if (&p == &piece || p.indices[axis].letter >= 0)
        continue;
      bool covers = true;
      for (size_t i = 0; i < p.indices.size(); ++i)
        if (i != axis && p.indices[i].letter < 0 &&
            !(piece.indices[i].letter < 0 && piece.indices[i].position == p.indices[i].position))
          covers = false;
      const Size &at = p.indices[axis].position;
      auto past = (at - extent).constant();
      if (covers && !(at.constant() && *at.constant() < 0) && !(past && *past >= 0)) // P4
        taken.insert(at);
    }
    Size low(0), high = extent - Size(1);
    while (taken.erase(low))
      low = low + Size(1);
    while (taken.erase(high))
      high = high - Size(1);
    if (taken.size() > maxTaken)
      taken.clear(); // knowing less is sound
    if (low != Size(0))
      out.all.push_back(x - linear(low));
    if (high != extent - Size(1))
      out.all.push_back(linear(high) - x);
    for (const Size &s : taken) { // between: x != s
      Facts less, more;
      less.all = {linear(s) - Linear(1) - x};
      more.all = {x - Linear(1) - linear(s)};
      out.any.push_back({less, more});
    }
  }
  return out;
}

} // namespace qkv

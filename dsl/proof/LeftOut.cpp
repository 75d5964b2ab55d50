// In: expressions. Out: LeftOut.h. What a tensor may be is the least solution of what its pieces
// say, so a recurrence is left out only if something beside itself leaves it out.
#include "dsl/proof/LeftOut.h"

#include "dsl/proof/Proof.h"

#include <limits>

namespace qkv {

using K = Expr::Kind;

bool isZeroLiteral(const ExprPtr &e) {
  return (e->kind == K::Float && e->number == 0) || (e->kind == K::Int && e->integer == 0) ||
         (e->kind == K::Convert && isZeroLiteral(e->args[0]));
}

/// -inf, written out.
static bool isMinusInfinity(const ExprPtr &e, bool negative = true) {
  if (e->kind == K::Float) {
    double infinity = std::numeric_limits<double>::infinity();
    return e->number == (negative ? -infinity : infinity);
  }
  return e->kind == K::Apply && e->op == Op::Neg && isMinusInfinity(e->args[0], !negative);
}

static ExprPtr logical(Op op, const ExprPtr &a, const ExprPtr &b, Span span) {
  auto out = std::make_shared<Expr>();
  out->kind = K::Apply;
  out->type = Type::Bool;
  out->op = op;
  out->span = span;
  out->args = {a};
  if (b)
    out->args.push_back(b);
  return out;
}

/// Null is true.
static ExprPtr both(const ExprPtr &a, const ExprPtr &b) {
  return !a || !b ? (a ? a : b) : logical(Op::And, a, b, a->span);
}

static ExprPtr either(const ExprPtr &a, const ExprPtr &b) {
  return !a || !b ? nullptr : logical(Op::Or, a, b, a->span);
}

void LeftOut::settle() {
  size_t first = tensors_.size();
  if (first == program_.tensors.size())
    return;
  tensors_.resize(program_.tensors.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    known_.clear();
    for (size_t t = first; t < tensors_.size(); ++t) {
      if (tensors_[t] || program_.tensors[t].kind != Tensor::Kind::Equation)
        continue;
      for (const Piece &piece : program_.tensors[t].pieces)
        if (piece.value && mayBe(piece.value))
          tensors_[t] = changed = true;
    }
  }
}

bool LeftOut::may(int tensor) {
  settle();
  return tensors_[tensor];
}

void LeftOut::mark(int tensor) {
  settle();
  tensors_[tensor] = true;
  known_.clear();
}

bool LeftOut::may(const ExprPtr &e) {
  settle();
  return mayBe(e);
}

bool LeftOut::mayBe(const ExprPtr &root) {
  // (The left spine of a long product is walked without recursion.)
  for (ExprPtr e = root; e;) {
    switch (e->kind) {
    case K::Read:
      return tensors_[e->tensor];
    case K::Convert:
      e = e->args[0];
      continue;
    case K::If: {
      auto [at, fresh] = known_.try_emplace(e, false);
      if (fresh) {
        bool out = isZeroLiteral(e->args[1]) || isZeroLiteral(e->args[2]) || mayBe(e->args[1]) ||
                   mayBe(e->args[2]);
        known_[e] = out;
        return out;
      }
      return at->second;
    }
    case K::Reduce:
      if (e->reduction == Reduction::Softmax)
        return true;
      if (e->reduction != Reduction::Sum && e->reduction != Reduction::Mean &&
          e->reduction != Reduction::Prod)
        return false;
      e = e->args[0];
      continue;
    case K::Apply: {
      bool sum = e->op == Op::Add || e->op == Op::Sub;
      if (sum || e->op == Op::Mul) {
        // (Not entered before it is known: an `if` looks itself up.)
        auto at = known_.find(e->args[1]);
        bool second = at != known_.end() ? at->second : mayBe(e->args[1]);
        known_[e->args[1]] = second;
        if (second != sum)
          return second;
      } else if (e->op != Op::Neg && e->op != Op::Div) {
        return false;
      }
      e = e->args[0];
      continue;
    }
    default:
      return false;
    }
  }
  return false;
}

ExprPtr LeftOut::definition(const ExprPtr &read) const {
  const Tensor &t = program_.tensors[read->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1)
    return nullptr;
  const Piece &p = t.pieces[0];
  std::unordered_map<int, ExprPtr> letters;
  for (size_t i = 0; i < p.indices.size(); ++i) {
    if (p.indices[i].letter < 0)
      return nullptr;
    letters[p.indices[i].letter] = read->args[i];
  }
  return substitute(p.value, letters);
}

// c where the one side takes part, or not c where the other does.
static ExprPtr oneOf(const ExprPtr &e, const ExprPtr &yes, bool noYes, const ExprPtr &no,
                     bool noNo) {
  const ExprPtr &c = e->args[0];
  ExprPtr otherwise = logical(Op::Not, c, nullptr, c->span);
  if (noYes && noNo)
    return nullptr;
  if (noNo)
    return both(c, yes);
  if (noYes)
    return both(otherwise, no);
  if (!yes && !no)
    return nullptr;
  return either(both(c, yes), both(otherwise, no));
}

ExprPtr LeftOut::partOf(const ExprPtr &e) {
  if (--budget_ < 0 || !may(e))
    return nullptr;
  auto of = [&](size_t a) { return partOf(e->args[a]); };
  switch (e->kind) {
  case K::Read: {
    ExprPtr inside = definition(e);
    return inside ? partOf(inside) : nullptr;
  }
  case K::Convert:
    return of(0);
  case K::If:
    return oneOf(e, of(1), isZeroLiteral(e->args[1]), of(2), isZeroLiteral(e->args[2]));
  case K::Reduce: {
    if (e->reduction != Reduction::Softmax)
      return nullptr;
    std::unordered_map<int, ExprPtr> position;
    for (size_t i = 0; i < e->letters.size(); ++i)
      position[e->letters[i]] = e->args[i + 2];
    ExprPtr part = both(e->args[1], isScore(e->args[0]));
    return part ? substitute(part, position) : nullptr;
  }
  case K::Apply:
    switch (e->op) {
    case Op::Mul:
      return both(of(0), of(1));
    case Op::Add:
    case Op::Sub:
      return either(of(0), of(1));
    case Op::Neg:
    case Op::Div:
      return of(0);
    default:
      return nullptr;
    }
  default:
    return nullptr;
  }
}

/// What holds where a score is not -inf.
ExprPtr LeftOut::isScore(const ExprPtr &e) {
  if (--budget_ < 0)
    return nullptr;
  auto of = [&](size_t a) { return isScore(e->args[a]); };
  if (e->kind == K::Read) {
    ExprPtr inside = definition(e);
    return inside ? isScore(inside) : nullptr;
  }
  if (e->kind == K::If)
    return oneOf(e, of(1), isMinusInfinity(e->args[1]), of(2), isMinusInfinity(e->args[2]));
  if (e->kind == K::Apply && e->op == Op::Add)
    return both(of(0), of(1));
  if (e->kind == K::Apply && e->op == Op::Sub)
    return of(0);
  return nullptr;
}

} // namespace qkv

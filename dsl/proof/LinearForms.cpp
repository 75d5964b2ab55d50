// Indices as linear forms (A1, A5). In: an index or a size. Out: a form in letters, sizes and
// opaque values, each variable with what it is known to be made of. Definitions of tensors of ints
// are looked through.
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <utility>

namespace qkv {

int Prover::variable(const std::string &key) {
  auto [it, fresh] = variables_.try_emplace(key, static_cast<int>(makers_.size()));
  if (fresh) {
    makers_.push_back(nullptr);
    definitions_.push_back(nullptr);
  }
  return it->second;
}

Linear Prover::monomial(const Size::Monomial &m) {
  std::string k = "M";
  for (int a : m)
    k += std::to_string(a) + ",";
  bool fresh = !variables_.count(k);
  int v = variable(k);
  if (fresh)
    makers_[v] = [this, m, v] {
      Facts f;
      Linear x = Linear::variable(v);
      if (m.size() > 1) {
        // Products of sizes, each at least 1 where it is a declared one, are at least each.
        for (int a : m)
          if (program_.atoms[a].lhs)
            return f;
        Size::Monomial rest(m.begin() + 1, m.end());
        f.all.push_back(x - monomial(rest));
        f.all.push_back(x - monomial({m[0]}));
        return f;
      }
      const SizeAtom &atom = program_.atoms[m[0]];
      if (!atom.lhs) { // A4
        f.all.push_back(x - Linear(atom.min));
        f.all.push_back(Linear(atom.max) - x);
        return f;
      }
      if (atom.kind == SizeAtom::Kind::Max || atom.kind == SizeAtom::Kind::Min) {
        // At least (at most) each, and one of them.
        int64_t sign = atom.kind == SizeAtom::Kind::Max ? 1 : -1;
        Linear l = linear(*atom.lhs), r = linear(*atom.rhs);
        f.all = {(x - l) * sign, (x - r) * sign};
        Facts isLeft, isRight;
        isLeft.all = {(l - x) * sign};
        isRight.all = {(r - x) * sign};
        f.any.push_back({isLeft, isRight});
        return f;
      }
      auto divisor = atom.rhs->constant();
      if (!divisor && atom.rhs->least(program_.atoms) >= 1) {
        bool remainder = atom.kind == SizeAtom::Kind::Mod;
        if (remainder ||
            atom.lhs->least(program_.atoms) >= 0) // a quotient is at most what it is of
          f.all = {x, remainder ? linear(*atom.rhs) - Linear(1) - x : linear(*atom.lhs) - x};
        return f;
      }
      if (!divisor || *divisor <= 0)
        return f;
      if (atom.kind == SizeAtom::Kind::FloorDiv) {
        Linear a = linear(*atom.lhs);
        f.all.push_back(a - x * *divisor);
        f.all.push_back(x * *divisor + Linear(*divisor - 1) - a);
      } else {
        f.all.push_back(x);
        f.all.push_back(Linear(*divisor - 1) - x);
      }
      return f;
    };
  return Linear::variable(v);
}

Linear Prover::linear(const Size &size) {
  Linear l;
  for (auto &[m, c] : size.terms())
    l.add(m.empty() ? Linear(1) : monomial(m), c);
  return l;
}

// The text of an expression, so that equal values are one variable; long ones by address.
std::string Prover::key(const ExprPtr &e, int &budget) {
  if (!e)
    return "-";
  auto address = [&] {
    named_.insert(e); // nothing else gets this address
    return "@" + std::to_string(reinterpret_cast<uintptr_t>(e.get()));
  };
  if (--budget < 0)
    return address();
  std::string k = std::to_string(static_cast<int>(e->kind)) + ":" + std::to_string(e->integer) +
                  ":" + std::to_string(e->letter) + ":" + std::to_string(e->tensor) + ":" +
                  std::to_string(static_cast<int>(e->op)) + ":" +
                  std::to_string(static_cast<int>(e->reduction)) + ":" +
                  (e->kind == Expr::Kind::Float ? std::to_string(e->number) : std::string()) +
                  (e->kind == Expr::Kind::Size ? e->size.text(program_.atoms) : std::string());
  if (e->kind == Expr::Kind::Reduce || e->kind == Expr::Kind::Float)
    k += address();
  k += "(";
  for (auto &a : e->args)
    k += key(a, budget) + ",";
  return k + ")";
}

int Prover::opaque(const ExprPtr &e) {
  int budget = 60;
  return variable("E" + key(e, budget));
}

ExprPtr Prover::lookThrough(const ExprPtr &read) {
  const Tensor &t = program_.tensors[read->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1)
    return nullptr;
  // Definitions may follow from one another in a long row, but a recurrence only from itself, and
  // reads that branch again and again are cut off.
  constexpr size_t maxRow = 60;
  constexpr int maxRepeats = 6, maxLooks = 2000;
  if (inside_.empty())
    looks_ = 0;
  if (inside_.size() >= maxRow || ++looks_ > maxLooks ||
      std::count(inside_.begin(), inside_.end(), read->tensor) >= maxRepeats) {
    cut_ = true;
    return nullptr;
  }
  const Piece &p = t.pieces[0];
  std::unordered_map<int, ExprPtr> letters;
  for (size_t i = 0; i < p.indices.size(); ++i) {
    if (p.indices[i].letter < 0)
      return nullptr;
    letters[p.indices[i].letter] = read->args[i];
  }
  return substitute(p.value, letters);
}

Linear Prover::linear(const ExprPtr &e, bool &value) {
  auto find = [&] {
    bool inside = false;
    Linear l = linearOf(e, inside);
    return std::make_pair(l, inside);
  };
  std::pair<Linear, bool> found;
  if (e->kind == Expr::Kind::Read) {
    int budget = 60;
    found = remembered(linearReads_, key(e, budget), e, find);
  } else {
    found = e->args.empty() ? find() : remembered(linears_, e.get(), e, find);
  }
  value |= found.second;
  return found.first;
}

// A value that is not linear; what the maker says of its variable is known.
int Prover::opaque(const ExprPtr &e, const std::function<std::function<Facts()>(int)> &maker) {
  int before = static_cast<int>(makers_.size());
  int v = opaque(e);
  if (v >= before)
    makers_[v] = maker(v);
  return v;
}

Linear Prover::unknown(const ExprPtr &e, bool &value) {
  value = true;
  return Linear::variable(opaque(e));
}

Linear Prover::ofLetter(int letter) {
  std::string k = "L" + std::to_string(letter);
  bool fresh = !variables_.count(k);
  int v = variable(k);
  if (fresh)
    makers_[v] = [this, letter, v] {
      Facts f;
      f.all.push_back(Linear::variable(v));
      f.all.push_back(linear(program_.letters[letter].extent) - Linear(1) - Linear::variable(v));
      return f;
    };
  return Linear::variable(v);
}

Linear Prover::ofRead(const ExprPtr &e, bool &value) {
  if (program_.tensors[e->tensor].type == Type::Float)
    return unknown(e, value);
  if (ExprPtr defined = lookThrough(e)) {
    Inside definition(*this, e->tensor);
    return linear(defined, value);
  }
  return unknown(e, value);
}

// if c then a else b: it is a and c holds, or b and c does not.
Linear Prover::ofChoice(const ExprPtr &e, bool &value) {
  ExprPtr c = e->args[0];
  bool inA = false, inB = false;
  Linear la = linear(e->args[1], inA), lb = linear(e->args[2], inB);
  value |= inA || inB;
  return Linear::variable(opaque(e, [&](int v) -> std::function<Facts()> {
    return [this, c, la, lb, v] {
      Linear x = Linear::variable(v);
      Facts yes = facts(c, true), no = facts(c, false), f;
      yes.all.insert(yes.all.end(), {x - la, la - x});
      no.all.insert(no.all.end(), {x - lb, lb - x});
      f.any.push_back({yes, no});
      return f;
    };
  }));
}

// a // m and a % m: m*q <= a <= m*q + m-1.
Linear Prover::ofQuotient(const ExprPtr &e, bool &value) {
  Linear a = linear(e->args[0], value), b = linear(e->args[1], value);
  if (!b.isConstant() || b.constant() <= 0)
    return unknown(e, value);
  int64_t m = b.constant();
  if (a.isConstant()) {
    int64_t q = a.constant() / m - (a.constant() % m < 0);
    return e->op == Op::FloorDiv ? Linear(q) : Linear(a.constant() - q * m);
  }
  // The quotient of equal operands is one variable, whatever the operation.
  std::string k = "Q" + std::to_string(m) + ":" + std::to_string(a.constant());
  for (auto &[v, c] : a.terms())
    k += "," + std::to_string(v) + "*" + std::to_string(c);
  bool fresh = !variables_.count(k);
  int v = variable(k);
  if (fresh)
    makers_[v] = [a, m, v] {
      Facts f;
      Linear q = Linear::variable(v);
      f.all.push_back(a - q * m);
      f.all.push_back(q * m + Linear(m - 1) - a);
      return f;
    };
  Linear q = Linear::variable(v);
  return e->op == Op::FloorDiv ? q : a - q * m;
}

// min, max and abs: no more (no less) than each operand, and one of them.
Linear Prover::ofExtreme(const ExprPtr &e, bool &value) {
  Linear a = linear(e->args[0], value);
  Linear b = e->op == Op::Abs ? a * -1 : linear(e->args[1], value);
  int64_t sign = e->op == Op::Min ? 1 : -1;
  value = true;
  return Linear::variable(opaque(e, [&](int v) -> std::function<Facts()> {
    return [a, b, v, sign] {
      Linear x = Linear::variable(v);
      Facts f, isA, isB;
      f.all = {(a - x) * sign, (b - x) * sign};
      isA.all = {x - a, a - x};
      isB.all = {x - b, b - x};
      f.any.push_back({isA, isB});
      return f;
    };
  }));
}

Linear Prover::ofApply(const ExprPtr &e, bool &value) {
  auto arg = [&](size_t i) { return linear(e->args[i], value); };
  switch (e->op) {
  case Op::Neg:
    return arg(0) * -1;
  case Op::Add:
    return arg(0) + arg(1);
  case Op::Sub:
    return arg(0) - arg(1);
  case Op::Mul: {
    Linear a = arg(0), b = arg(1);
    if (a.isConstant())
      return b * a.constant();
    if (b.isConstant())
      return a * b.constant();
    return unknown(e, value);
  }
  case Op::FloorDiv:
  case Op::Mod:
    return ofQuotient(e, value);
  case Op::Min:
  case Op::Max:
  case Op::Abs:
    return ofExtreme(e, value);
  default:
    return unknown(e, value);
  }
}

Linear Prover::linearOf(const ExprPtr &e, bool &value) {
  using K = Expr::Kind;
  struct Depth {
    int &d;
    ~Depth() { --d; }
  } guard{++depth_};
  if (depth_ > 200) {
    cut_ = true;
    return unknown(e, value);
  }
  switch (e->kind) {
  case K::Int:
  case K::Step:
    return Linear(e->integer);
  case K::Letter:
    return ofLetter(e->letter);
  case K::Size:
    for (auto &[m, c] : e->size.terms())
      if (m.size() > 1)
        value = true;
    return linear(e->size);
  case K::Read:
    return ofRead(e, value);
  case K::If:
    return ofChoice(e, value);
  case K::Apply:
    return ofApply(e, value);
  default:
    return unknown(e, value);
  }
}

} // namespace qkv

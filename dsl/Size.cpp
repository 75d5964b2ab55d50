// Arithmetic of sizes (E4). In: sizes and atoms. Out: sizes in normal form: no zero
// coefficients, monomials with their atoms in order.
#include "dsl/Size.h"

#include <algorithm>
#include <cmath>

namespace qkv {

int SizeAtoms::add(SizeAtom atom) {
  if (atom.lhs)
    for (int i = 0; i < count(); ++i) {
      const SizeAtom &a = atoms_[i];
      if (a.kind == atom.kind && *a.lhs == *atom.lhs && *a.rhs == *atom.rhs)
        return i;
    }
  atoms_.push_back(std::move(atom));
  return count() - 1;
}

Size::Size(int64_t constant) {
  if (constant != 0)
    terms_[{}] = constant;
}

Size Size::atom(int atom) {
  Size s;
  s.terms_[{atom}] = 1;
  return s;
}

bool Size::isConstant() const {
  return terms_.empty() || (terms_.size() == 1 && terms_.begin()->first.empty());
}

std::optional<int64_t> Size::constant() const {
  if (terms_.empty())
    return 0;
  if (isConstant())
    return terms_.begin()->second;
  return std::nullopt;
}

// Sizes beyond 64 bits wrap: the checker bounds every extent before it is used.
static int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
static int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

Size Size::operator+(const Size &o) const {
  Size r = *this;
  for (auto &[monomial, coefficient] : o.terms_) {
    int64_t &c = r.terms_[monomial];
    c = wrapAdd(c, coefficient);
    if (c == 0)
      r.terms_.erase(monomial);
  }
  return r;
}

Size Size::operator-() const { return *this * Size(-1); }
Size Size::operator-(const Size &o) const { return *this + -o; }

Size Size::operator*(const Size &o) const {
  Size r;
  for (auto &[m1, c1] : terms_)
    for (auto &[m2, c2] : o.terms_) {
      Monomial m = m1;
      m.insert(m.end(), m2.begin(), m2.end());
      std::sort(m.begin(), m.end());
      Size term;
      if (int64_t c = wrapMul(c1, c2))
        term.terms_[m] = c;
      r = r + term;
    }
  return r;
}

static int64_t floorDivide(int64_t a, int64_t b) {
  if (b == 0)
    return 0;
  if (b == -1)
    return wrapMul(a, -1);
  int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

int64_t Size::evaluate(const SizeAtoms &atoms, const std::vector<int64_t> &values) const {
  int64_t total = 0;
  for (auto &[monomial, coefficient] : terms_) {
    int64_t product = coefficient;
    for (int a : monomial) {
      const SizeAtom &atom = atoms[a];
      int64_t v = 0;
      if (atom.kind == SizeAtom::Kind::Dynamic || atom.kind == SizeAtom::Kind::Stream) {
        v = a < static_cast<int>(values.size()) ? values[a] : 0;
      } else {
        int64_t l = atom.lhs->evaluate(atoms, values), r = atom.rhs->evaluate(atoms, values);
        int64_t q = floorDivide(l, r);
        v = atom.kind == SizeAtom::Kind::FloorDiv ? q
            : atom.kind == SizeAtom::Kind::Mod    ? wrapAdd(l, -wrapMul(q, r))
            : atom.kind == SizeAtom::Kind::Max    ? std::max(l, r)
                                                  : std::min(l, r);
      }
      product = wrapMul(product, v);
    }
    total = wrapAdd(total, product);
  }
  return total;
}

double Size::magnitude(const SizeAtoms &atoms) const {
  double total = 0;
  for (auto &[monomial, coefficient] : terms_) {
    double product = std::fabs(static_cast<double>(coefficient));
    for (int a : monomial) {
      const SizeAtom &atom = atoms[a];
      product *= !atom.lhs                          ? static_cast<double>(atom.max)
                 : atom.kind == SizeAtom::Kind::Mod ? atom.rhs->magnitude(atoms)
                 : atom.kind == SizeAtom::Kind::FloorDiv
                     ? atom.lhs->magnitude(atoms)
                     : std::max(atom.lhs->magnitude(atoms), atom.rhs->magnitude(atoms));
    }
    total += product;
  }
  return total;
}

// Sums of the least that each term can be. `T - T // 2` is bounded term by term, so below what it
// can be: the bound holds, another may be tighter.
double Size::least(const SizeAtoms &atoms) const {
  auto leastOf = [&](const SizeAtom &atom) -> double {
    if (!atom.lhs)
      return static_cast<double>(atom.min); // A4
    double l = atom.lhs->least(atoms), r = atom.rhs->least(atoms);
    if (atom.kind == SizeAtom::Kind::Max)
      return std::max(l, r);
    if (atom.kind == SizeAtom::Kind::Min)
      return std::min(l, r);
    // Quotients and remainders by a positive divisor.
    bool counts = r >= 1 && (atom.kind == SizeAtom::Kind::Mod || l >= 0);
    return counts ? 0 : -atom.lhs->magnitude(atoms) - atom.rhs->magnitude(atoms);
  };
  double total = 0;
  for (auto &[monomial, coefficient] : terms_) {
    double low = 1;
    bool positive = true; // every factor is at least 0
    for (int a : monomial) {
      double atom = leastOf(atoms[a]);
      positive = positive && atom >= 0;
      low *= atom;
    }
    if (coefficient > 0 && positive)
      total += static_cast<double>(coefficient) * low;
    else {
      Size term;
      term.terms_[monomial] = coefficient;
      total -= term.magnitude(atoms);
    }
  }
  return total;
}

size_t Size::degree() const {
  size_t degree = 0;
  for (auto &[monomial, coefficient] : terms_)
    degree = std::max(degree, monomial.size());
  return degree;
}

std::string Size::text(const SizeAtoms &atoms) const {
  if (terms_.empty())
    return "0";
  std::string out;
  // Highest degree first; the constant term stands at the end.
  std::vector<std::pair<Monomial, int64_t>> ordered(terms_.begin(), terms_.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](auto &a, auto &b) { return a.first.size() > b.first.size(); });
  for (auto &[monomial, coefficient] : ordered) {
    int64_t c = coefficient;
    if (!out.empty()) {
      out += c < 0 ? " - " : " + ";
      c = c < 0 ? -c : c;
    }
    std::string term;
    if (monomial.empty() || (c != 1 && c != -1))
      term = std::to_string(c);
    else if (c == -1)
      term = "-";
    bool star = !monomial.empty() && !term.empty() && term != "-";
    for (int a : monomial) {
      if (star)
        term += "*";
      star = true;
      const SizeAtom &atom = atoms[a];
      if (!atom.lhs) {
        term += atom.name;
        continue;
      }
      auto operand = [&](const Size &s) {
        std::string t = s.text(atoms);
        return s.terms().size() > 1 ? "(" + t + ")" : t;
      };
      if (atom.kind == SizeAtom::Kind::Max || atom.kind == SizeAtom::Kind::Min) {
        term += (atom.kind == SizeAtom::Kind::Max ? "max(" : "min(") + atom.lhs->text(atoms) +
                ", " + atom.rhs->text(atoms) + ")";
        continue;
      }
      term += "(" + operand(*atom.lhs) + (atom.kind == SizeAtom::Kind::FloorDiv ? " // " : " % ") +
              operand(*atom.rhs) + ")";
    }
    out += term;
  }
  return out;
}

Size floorDiv(const Size &a, const Size &b, SizeAtoms &atoms) {
  auto ca = a.constant(), cb = b.constant();
  if (ca && cb)
    return Size(floorDivide(*ca, *cb));
  if (cb && *cb == 1)
    return a;
  // A divisor that divides every coefficient leaves no atom: (2*T) // 2 is T.
  if (cb && *cb > 1) {
    Size whole, rest;
    for (auto &[monomial, coefficient] : a.terms()) {
      Size term(1);
      for (int atom : monomial)
        term = term * Size::atom(atom);
      int64_t q = floorDivide(coefficient, *cb), r = coefficient - q * *cb;
      whole = whole + term * Size(q);
      rest = rest + term * Size(r);
    }
    if (rest == Size(0))
      return whole;
    if (rest.isConstant())
      return whole; // 0 <= rest < b
    if (whole != Size(0))
      return whole + floorDiv(rest, b, atoms);
  }
  return Size::atom(atoms.add(
      {SizeAtom::Kind::FloorDiv, "", 0, std::make_shared<Size>(a), std::make_shared<Size>(b)}));
}

Size floorMod(const Size &a, const Size &b, SizeAtoms &atoms) {
  if (auto cb = b.constant()) {
    if (auto ca = a.constant())
      return Size(*ca - floorDivide(*ca, *cb) * *cb);
    return a - floorDiv(a, b, atoms) * b;
  }
  return Size::atom(atoms.add(
      {SizeAtom::Kind::Mod, "", 0, std::make_shared<Size>(a), std::make_shared<Size>(b)}));
}

// The operands of max and min in one order, so that max(a, b) and max(b, a) are equal.
Size maximum(const Size &a, const Size &b, SizeAtoms &atoms) {
  if (auto difference = (a - b).constant())
    return *difference >= 0 ? a : b;
  if (a < b)
    return maximum(b, a, atoms);
  return Size::atom(atoms.add(
      {SizeAtom::Kind::Max, "", 0, std::make_shared<Size>(a), std::make_shared<Size>(b)}));
}

Size minimum(const Size &a, const Size &b, SizeAtoms &atoms) {
  if (auto difference = (a - b).constant())
    return *difference <= 0 ? a : b;
  if (a < b)
    return minimum(b, a, atoms);
  return Size::atom(atoms.add(
      {SizeAtom::Kind::Min, "", 0, std::make_shared<Size>(a), std::make_shared<Size>(b)}));
}

} // namespace qkv

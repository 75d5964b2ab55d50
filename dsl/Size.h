// Sizes: polynomials with integer coefficients in the dynamic and stream sizes (E4).
//
// A size that is known is a polynomial of degree 0. `a // b`, `a % b`, `max(a, b)` and
// `min(a, b)`, for sizes that are not known, are atoms of their own, equal if their operands are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

class Size;

/// What a polynomial is over.
struct SizeAtom {
  enum class Kind { Dynamic, Stream, FloorDiv, Mod, Max, Min };
  Kind kind;
  std::string name;                ///< Dynamic, Stream
  int64_t max = 0;                 ///< Dynamic, Stream: between `min` and this (A4)
  std::shared_ptr<const Size> lhs; ///< the operands of the other kinds
  std::shared_ptr<const Size> rhs;
  int64_t min = 1; ///< Dynamic, Stream
};

/// The atoms of one program, by number. Equal atoms have one number.
class SizeAtoms {
public:
  int add(SizeAtom atom);
  const SizeAtom &operator[](int atom) const { return atoms_[atom]; }
  int count() const { return static_cast<int>(atoms_.size()); }

private:
  std::vector<SizeAtom> atoms_;
};

class Size {
public:
  /// A monomial: atom numbers in order, with repeats. Empty: the constant term.
  using Monomial = std::vector<int>;

  Size(int64_t constant = 0);
  static Size atom(int atom);

  bool isConstant() const;
  /// The number, where it is known.
  std::optional<int64_t> constant() const;
  const std::map<Monomial, int64_t> &terms() const { return terms_; }

  Size operator+(const Size &o) const;
  Size operator-(const Size &o) const;
  Size operator*(const Size &o) const;
  Size operator-() const;
  bool operator==(const Size &o) const { return terms_ == o.terms_; }
  bool operator!=(const Size &o) const { return terms_ != o.terms_; }
  bool operator<(const Size &o) const { return terms_ < o.terms_; }

  /// The value for given atoms (indexed by atom number; those that are made of sizes are ignored
  /// and computed). A division by zero gives 0.
  int64_t evaluate(const SizeAtoms &atoms, const std::vector<int64_t> &values) const;
  /// No less than the absolute value for any sizes within their bounds (A4).
  double magnitude(const SizeAtoms &atoms) const;
  /// No more than the value for any sizes within their bounds.
  double least(const SizeAtoms &atoms) const;
  /// How many atoms are multiplied at most.
  size_t degree() const;
  /// As a person writes it: "2*T + 1".
  std::string text(const SizeAtoms &atoms) const;

private:
  std::map<Monomial, int64_t> terms_; // no zero coefficients
};

/// floor(a / b) and a - b*floor(a / b); numbers where both are, else an atom.
/// Precondition: b is not the number 0.
Size floorDiv(const Size &a, const Size &b, SizeAtoms &atoms);
Size floorMod(const Size &a, const Size &b, SizeAtoms &atoms);
/// The greater and the less of both; one of them where their difference is a number, else an atom.
Size maximum(const Size &a, const Size &b, SizeAtoms &atoms);
Size minimum(const Size &a, const Size &b, SizeAtoms &atoms);

} // namespace qkv

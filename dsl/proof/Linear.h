// Linear inequalities of integers and whether they can hold together.
//
// In: constraints sum(c*x) + c0 >= 0 with integer coefficients. Out: whether they are
// infeasible, by Fourier-Motzkin elimination over the rationals, tightened where only an
// integer can be meant. "false" also means "too large to tell": a proof
// that is not found is never a wrong proof.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace qkv {

/// sum(coefficient * variable) + constant. Overflow makes it invalid: it proves nothing.
class Linear {
public:
  Linear(int64_t constant = 0) : constant_(constant) {}
  static Linear variable(int v) {
    Linear l;
    l.terms_[v] = 1;
    return l;
  }
  Linear &add(const Linear &o, int64_t times = 1);
  Linear operator+(const Linear &o) const { return Linear(*this).add(o); }
  Linear operator-(const Linear &o) const { return Linear(*this).add(o, -1); }
  Linear operator*(int64_t k) const { return Linear(0).add(*this, k); }
  bool isConstant() const { return terms_.empty(); }
  bool valid() const { return valid_; }
  int64_t constant() const { return constant_; }
  const std::map<int, int64_t> &terms() const { return terms_; }
  int64_t coefficient(int v) const {
    auto it = terms_.find(v);
    return it == terms_.end() ? 0 : it->second;
  }
  bool operator<(const Linear &o) const {
    return constant_ != o.constant_ ? constant_ < o.constant_ : terms_ < o.terms_;
  }
  bool operator==(const Linear &o) const {
    return valid_ && o.valid_ && constant_ == o.constant_ && terms_ == o.terms_;
  }
  /// Divides by the greatest common divisor of the coefficients; the constant rounds down.
  void reduce();

private:
  std::map<int, int64_t> terms_; // no zeros
  int64_t constant_ = 0;
  bool valid_ = true;
};

/// True if no integers satisfy `each >= 0` for all constraints.
bool infeasible(std::vector<Linear> constraints);

} // namespace qkv

// Fourier-Motzkin elimination. The variable whose elimination makes fewest new constraints
// goes first; beyond a limit the question is given up. Where all lower or all upper bounds of a
// variable have the coefficient 1, its elimination loses no integer solution and invents none;
// such variables go before others, so that quotients (t - m < m*q <= t) come last, when what is
// left of them can be rounded.
#include "dsl/proof/Linear.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace qkv {

Linear &Linear::add(const Linear &o, int64_t times) {
  valid_ = valid_ && o.valid_;
  auto accumulate = [&](int64_t &target, int64_t value) {
    int64_t product, total;
    if (__builtin_mul_overflow(value, times, &product) ||
        __builtin_add_overflow(target, product, &total))
      valid_ = false;
    else
      target = total;
  };
  accumulate(constant_, o.constant_);
  for (auto &[v, c] : o.terms_) {
    int64_t &target = terms_[v];
    accumulate(target, c);
    if (target == 0)
      terms_.erase(v);
  }
  return *this;
}

void Linear::reduce() {
  int64_t g = 0;
  for (auto &[v, c] : terms_)
    g = std::gcd(g, c);
  if (g <= 1)
    return;
  for (auto &[v, c] : terms_)
    c /= g;
  // The variables are integers: 2*x - 1 >= 0 says x >= 1.
  constant_ = constant_ / g - (constant_ % g < 0);
}

bool infeasible(std::vector<Linear> constraints) {
  constexpr size_t limit = 1500;
  constexpr size_t inexact = 50; // constraints that an exact elimination may make more
  while (true) {
    std::set<Linear> unique;
    for (Linear &c : constraints) {
      if (!c.valid())
        continue; // dropping a fact is sound
      if (c.isConstant()) {
        if (c.constant() < 0)
          return true;
        continue;
      }
      c.reduce();
      unique.insert(c);
    }
    constraints.assign(unique.begin(), unique.end());
    if (constraints.empty() || constraints.size() > limit)
      return false;
    struct Bounds { // of one variable: how many, and whether each has the coefficient 1 or -1
      size_t lower = 0, upper = 0;
      bool unitLower = true, unitUpper = true;
    };
    std::map<int, Bounds> bounds;
    for (const Linear &c : constraints)
      for (auto &[v, k] : c.terms()) {
        Bounds &b = bounds[v];
        ++(k > 0 ? b.lower : b.upper);
        b.unitLower &= k <= 1;
        b.unitUpper &= k >= -1;
      }
    int best = -1;
    size_t bestCost = 0, bestScore = 0;
    for (auto &[v, b] : bounds) {
      size_t cost = b.lower * b.upper;
      size_t score = cost + (b.unitLower || b.unitUpper ? 0 : inexact);
      if (best < 0 || score < bestScore) {
        best = v;
        bestCost = cost;
        bestScore = score;
      }
    }
    if (bestCost > limit)
      return false;
    std::vector<Linear> next;
    std::vector<const Linear *> lower, upper;
    for (const Linear &c : constraints) {
      int64_t k = c.coefficient(best);
      if (k == 0)
        next.push_back(c);
      else
        (k > 0 ? lower : upper).push_back(&c);
    }
    // a*x + p >= 0 and -b*x + q >= 0 give b*p + a*q >= 0.
    for (const Linear *l : lower)
      for (const Linear *u : upper)
        next.push_back(Linear(0).add(*l, -u->coefficient(best)).add(*u, l->coefficient(best)));
    constraints = std::move(next);
  }
}

} // namespace qkv

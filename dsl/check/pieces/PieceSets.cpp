// How the positions that pieces take lie to each other. See PieceSets.h.
#include "dsl/check/pieces/PieceSets.h"

#include "dsl/proof/Proof.h"

#include <numeric>

namespace qkv::sema {
namespace {

/// The remainder of a size by a number, where it is the same for all sizes; -1: it is not.
int64_t remainder(const Size &size, int64_t by) {
  int64_t rest = 0;
  for (auto &[monomial, coefficient] : size.terms())
    if (monomial.empty())
      rest = ((coefficient % by) + by) % by;
    else if (coefficient % by != 0)
      return -1;
  return rest;
}

/// The whole of `a` lies before `b`.
bool before(const Program &program, const AxisSet &a, const AxisSet &b) {
  return atLeast(program, b.first - a.end(), 0);
}

} // namespace

bool apart(const Program &program, const AxisSet &a, const AxisSet &b) {
  using K = AxisSet::Kind;
  if (a.kind == K::All || b.kind == K::All)
    return false;
  if (before(program, a, b) || before(program, b, a))
    return true;
  if (a.kind == K::At && b.kind == K::At)
    return a.first != b.first; // E2: they are equal or different whatever the sizes are
  int64_t common = a.kind == K::At ? b.step : b.kind == K::At ? a.step : std::gcd(a.step, b.step);
  return common > 1 && remainder(a.first - b.first, common) > 0;
}

bool within(const Program &program, const AxisSet &a, const AxisSet &b) {
  using K = AxisSet::Kind;
  if (b.kind == K::All || a == b)
    return true;
  if (a.kind == K::All || b.kind == K::At)
    return false;
  bool onSteps = (a.kind == K::At || a.step % b.step == 0) &&
                 (b.step == 1 || remainder(a.first - b.first, b.step) == 0);
  return onSteps && atLeast(program, a.first - b.first, 0) &&
         atLeast(program, b.end() - a.end(), 0);
}

} // namespace qkv::sema

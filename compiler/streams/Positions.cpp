// Extents that grow with the stream. In: sizes. Out: Positions.h. Holds: what is not understood is
// nothing, never a guess.
#include "compiler/streams/Positions.h"

#include "compiler/equations/Expressions.h"

namespace qkv::streams {

using namespace equations;

bool growsWith(const Program &program, const Size &size) {
  if (program.stream < 0)
    return false;
  for (auto &[monomial, coefficient] : size.terms())
    for (int a : monomial) {
      const SizeAtom &atom = program.atoms[a];
      if (a == program.stream ||
          (atom.lhs && (growsWith(program, *atom.lhs) || growsWith(program, *atom.rhs))))
        return true;
    }
  return false;
}

Size atLength(const Size &size, const Size &length, Program &program) {
  Size out;
  for (auto &[monomial, coefficient] : size.terms()) {
    Size product(coefficient);
    for (int a : monomial) {
      const SizeAtom atom = program.atoms[a];
      if (a == program.stream) {
        product = product * length;
        continue;
      }
      if (!atom.lhs || !growsWith(program, Size::atom(a))) {
        product = product * Size::atom(a);
        continue;
      }
      Size lhs = atLength(*atom.lhs, length, program), rhs = atLength(*atom.rhs, length, program);
      product = product * (atom.kind == SizeAtom::Kind::FloorDiv ? floorDiv(lhs, rhs, program.atoms)
                           : atom.kind == SizeAtom::Kind::Mod    ? floorMod(lhs, rhs, program.atoms)
                           : atom.kind == SizeAtom::Kind::Max ? maximum(lhs, rhs, program.atoms)
                                                              : minimum(lhs, rhs, program.atoms));
    }
    out = out + product;
  }
  return out;
}

namespace {

/// extent = (steps * T + before) // divisor + rest, steps and divisor being numbers.
struct Pace {
  int64_t steps = 0, divisor = 1;
  Size before, rest;
};

Size product(const Size::Monomial &monomial, int64_t coefficient) {
  Size out(coefficient);
  for (int a : monomial)
    out = out * Size::atom(a);
  return out;
}

std::optional<Pace> paceOf(const Program &program, const Size &extent) {
  Pace pace;
  // An extent that may be negative is empty then: max(E, 0) has the positions of E.
  if (extent.terms().size() == 1 && extent.terms().begin()->first.size() == 1 &&
      extent.terms().begin()->second == 1) {
    const SizeAtom &atom = program.atoms[extent.terms().begin()->first[0]];
    if (atom.kind == SizeAtom::Kind::Max && (*atom.lhs == Size(0) || *atom.rhs == Size(0)))
      return paceOf(program, *atom.lhs == Size(0) ? *atom.rhs : *atom.lhs);
  }
  for (auto &[monomial, coefficient] : extent.terms()) {
    Size term = product(monomial, coefficient);
    if (!growsWith(program, term)) {
      pace.rest = pace.rest + term;
      continue;
    }
    if (monomial.size() != 1 || pace.steps)
      return std::nullopt;
    const SizeAtom &atom = program.atoms[monomial[0]];
    if (monomial[0] == program.stream) {
      pace.steps = coefficient;
      continue;
    }
    auto divisor = atom.kind == SizeAtom::Kind::FloorDiv ? atom.rhs->constant() : std::nullopt;
    if (coefficient != 1 || !divisor || *divisor < 1)
      return std::nullopt;
    auto inner = paceOf(program, *atom.lhs);
    if (!inner || inner->divisor != 1)
      return std::nullopt;
    pace.steps = inner->steps;
    pace.before = inner->rest;
    pace.divisor = *divisor;
  }
  if (pace.steps < 1)
    return std::nullopt;
  return pace;
}

} // namespace

std::optional<ExprPtr> arrivalOf(const Program &program, const Size &extent,
                                 const ExprPtr &position) {
  auto pace = paceOf(program, extent);
  if (!pace)
    return std::nullopt;
  // (k*T + b) // r + c > p  <=>  k*T >= r * (p - c + 1) - b
  auto plus = [](ExprPtr a, const Size &b) {
    return b == Size(0) ? a : apply(Op::Add, {std::move(a), size(b)}, {});
  };
  ExprPtr least = plus(position, Size(1) - pace->rest);
  if (pace->divisor != 1)
    least = apply(Op::Mul, {integer(pace->divisor), least}, {});
  least = plus(least, -pace->before);
  if (pace->steps == 1)
    return least;
  return apply(Op::FloorDiv, {plus(least, Size(pace->steps - 1)), integer(pace->steps)}, {});
}

int64_t positionsIn(const Program &program, const Size &extent, int64_t count) {
  auto pace = paceOf(program, extent);
  return pace ? (count * pace->steps + pace->divisor - 1) / pace->divisor : count;
}

double positionsPerStep(const Program &program, const Size &extent) {
  auto pace = paceOf(program, extent);
  return pace ? static_cast<double>(pace->steps) / static_cast<double>(pace->divisor) : 1;
}

double valuesOfPosition(const Program &program, const std::set<int> &letters) {
  double out = 1;
  for (int l : letters)
    if (const Size &extent = program.letters[l].extent; !growsWith(program, extent))
      out *= extent.magnitude(program.atoms);
  return out;
}

} // namespace qkv::streams

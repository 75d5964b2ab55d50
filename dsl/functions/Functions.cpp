// The tables of functions and reductions.
#include "dsl/functions/Functions.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qkv {
namespace {

using Floats = double (*)(double, double);
using Ints = int64_t (*)(int64_t, int64_t);

constexpr bool one = false, several = true, cheap = false, costly = true;

constexpr Ints noInts = nullptr;

template <double (*f)(double)> double of(double x, double) { return f(x); }

double reciprocalRoot(double x) { return 1 / std::sqrt(x); }
// (exp(-x) may be infinite: the result is 0 then, as it should be.)
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double magnitude(double x) { return std::fabs(x); }
// What is not a number stays visible (C4).
double least(double x, double y) { return x < y || x != x ? x : y; }
double greatest(double x, double y) { return x > y || x != x ? x : y; }

int64_t intMagnitude(int64_t x, int64_t) {
  return x < 0 ? static_cast<int64_t>(-static_cast<uint64_t>(x)) : x;
}
int64_t intLeast(int64_t x, int64_t y) { return std::min(x, y); }
int64_t intGreatest(int64_t x, int64_t y) { return std::max(x, y); }

double exponential(double x) { return std::exp(x); }
double exponentialLess1(double x) { return std::expm1(x); }
double logarithm(double x) { return std::log(x); }
double logarithmOf1Plus(double x) { return std::log1p(x); }
double root(double x) { return std::sqrt(x); }
double hyperbolicTangent(double x) { return std::tanh(x); }
double errorFunction(double x) { return std::erf(x); }
double sine(double x) { return std::sin(x); }
double cosine(double x) { return std::cos(x); }
double down(double x) { return std::floor(x); }
double up(double x) { return std::ceil(x); }
double nearest(double x) { return std::nearbyint(x); } // halves to even

} // namespace

std::span<const Function> functions() {
  static constexpr Function table[] = {
      {Op::Exp, "exp", Typing::Float, one, costly, of<exponential>, noInts},
      {Op::Expm1, "expm1", Typing::Float, one, costly, of<exponentialLess1>, noInts},
      {Op::Log, "log", Typing::Float, one, costly, of<logarithm>, noInts},
      {Op::Log1p, "log1p", Typing::Float, one, costly, of<logarithmOf1Plus>, noInts},
      {Op::Sqrt, "sqrt", Typing::Float, one, costly, of<root>, noInts},
      {Op::Rsqrt, "rsqrt", Typing::Float, one, costly, of<reciprocalRoot>, noInts},
      {Op::Tanh, "tanh", Typing::Float, one, costly, of<hyperbolicTangent>, noInts},
      {Op::Sigmoid, "sigmoid", Typing::Float, one, costly, of<logistic>, noInts},
      {Op::Erf, "erf", Typing::Float, one, costly, of<errorFunction>, noInts},
      {Op::Sin, "sin", Typing::Float, one, costly, of<sine>, noInts},
      {Op::Cos, "cos", Typing::Float, one, costly, of<cosine>, noInts},
      {Op::Abs, "abs", Typing::Same, one, cheap, of<magnitude>, intMagnitude},
      {Op::Floor, "floor", Typing::Int, one, cheap, of<down>, noInts},
      {Op::Ceil, "ceil", Typing::Int, one, cheap, of<up>, noInts},
      {Op::Round, "round", Typing::Int, one, cheap, of<nearest>, noInts},
      {Op::Min, "min", Typing::Same, several, cheap, least, intLeast},
      {Op::Max, "max", Typing::Same, several, cheap, greatest, intGreatest},
  };
  return table;
}

std::span<const ReductionInfo> reductions() {
  // In the order of the enum.
  static constexpr ReductionInfo table[] = {
      {Reduction::Sum, "sum", Typing::Same, false, false},
      {Reduction::Max, "max", Typing::Same, false, false},
      {Reduction::Min, "min", Typing::Same, false, false},
      {Reduction::Mean, "mean", Typing::Float, false, false},
      {Reduction::Prod, "prod", Typing::Same, false, false},
      {Reduction::LogSumExp, "logsumexp", Typing::Float, false, false},
      {Reduction::ArgMax, "argmax", Typing::Int, true, false},
      {Reduction::ArgMin, "argmin", Typing::Int, true, false},
      {Reduction::Softmax, "softmax", Typing::Float, false, true},
      {Reduction::Rank, "rank", Typing::Int, false, true},
  };
  return table;
}

const Function *functionNamed(std::string_view name) {
  for (const Function &f : functions())
    if (f.name == name)
      return &f;
  return nullptr;
}

const Function *functionOf(Op op) {
  static const std::vector<const Function *> byOp = [] {
    std::vector<const Function *> out(static_cast<size_t>(Op::GreaterEqual) + 1, nullptr);
    for (const Function &f : functions())
      out[static_cast<size_t>(f.op)] = &f;
    return out;
  }();
  return byOp[static_cast<size_t>(op)];
}

const char *opName(Op op) {
  if (const Function *f = functionOf(op))
    return f->name;
  switch (op) {
  case Op::Neg:
  case Op::Sub:
    return "-";
  case Op::Not:
    return "not";
  case Op::Add:
    return "+";
  case Op::Mul:
    return "*";
  case Op::Div:
    return "/";
  case Op::FloorDiv:
    return "//";
  case Op::Mod:
    return "%";
  case Op::Pow:
    return "^";
  case Op::And:
    return "and";
  case Op::Or:
    return "or";
  case Op::Equal:
    return "==";
  case Op::NotEqual:
    return "!=";
  case Op::Less:
    return "<";
  case Op::LessEqual:
    return "<=";
  case Op::Greater:
    return ">";
  case Op::GreaterEqual:
    return ">=";
  default:
    return "";
  }
}

bool isCostly(Op op) {
  const Function *f = functionOf(op);
  return op == Op::Pow || (f && f->costly);
}

Typing typingOf(Op op) {
  if (const Function *f = functionOf(op))
    return f->typing;
  return op == Op::Div || op == Op::Pow ? Typing::Float : Typing::Same;
}

bool isComparison(Op op) { return op >= Op::Equal; }

bool isCondition(Op op) {
  return op == Op::Not || op == Op::And || op == Op::Or || isComparison(op);
}

int64_t wholeToInt(double whole) {
  if (whole != whole)
    return 0;
  if (whole >= 0x1p63)
    return std::numeric_limits<int64_t>::max();
  if (whole < -0x1p63)
    return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(whole);
}

const ReductionInfo *reductionNamed(std::string_view name) {
  for (const ReductionInfo &r : reductions())
    if (r.name == name)
      return &r;
  return nullptr;
}

const ReductionInfo &infoOf(Reduction reduction) {
  return reductions()[static_cast<size_t>(reduction)];
}

const char *reductionName(Reduction reduction) { return infoOf(reduction).name; }

std::vector<std::string> functionNames() {
  std::vector<std::string> out;
  for (const Function &f : functions())
    out.emplace_back(f.name);
  return out;
}

} // namespace qkv

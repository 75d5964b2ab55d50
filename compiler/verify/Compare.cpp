// The tolerance.
#include "compiler/verify/Compare.h"

#include <algorithm>
#include <cmath>

namespace qkv {
namespace {

double flushed(double value) { return std::fabs(value) < 1e-37 ? 0 : value; }

/// |a - b|, 0 where both are the same infinity.
double distance(double a, double b) {
  a = flushed(a);
  b = flushed(b);
  return a == b ? 0 : std::fabs(a - b);
}

Comparison compareFloats(const Expected &expected, const std::vector<double> &got) {
  Comparison result;
  const std::vector<double> &exact = expected.exact.floats;
  double largest = 0, f32Error = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    if (std::isnan(exact[i]))
      continue;
    if (std::isfinite(exact[i]))
      largest = std::max(largest, std::fabs(exact[i]));
    for (const Values &run : expected.rounded) {
      double error = distance(run.floats[i], exact[i]);
      // An f32 run that left the numbers allows anything.
      f32Error = std::isnan(error) ? INFINITY : std::max(f32Error, error);
    }
  }
  result.bound = std::max(2 * f32Error, 2e-6 * largest);
  for (size_t i = 0; i < exact.size(); ++i) {
    if (std::isnan(exact[i]))
      continue;
    double error = distance(got[i], exact[i]);
    bool wrong = !(error <= result.bound) && !std::isinf(result.bound);
    if (wrong && result.same) {
      result.same = false;
      result.at = static_cast<int64_t>(i);
      result.expected = exact[i];
      result.got = got[i];
    }
    result.error = std::isnan(error) ? INFINITY : std::max(result.error, error);
  }
  return result;
}

} // namespace

Comparison compare(const Expected &expected, const Values &got) {
  if (expected.exact.type == Type::Float)
    return compareFloats(expected, got.floats);
  Comparison result;
  const std::vector<int64_t> &exact = expected.exact.ints;
  for (size_t i = 0; i < exact.size() && result.same; ++i) {
    // What depends on floats may jump: any run of the interpreter is right.
    bool right = got.ints[i] == exact[i];
    for (const Values &run : expected.rounded)
      right |= got.ints[i] == run.ints[i];
    if (right)
      continue;
    result.same = false;
    result.at = static_cast<int64_t>(i);
    result.expected = static_cast<double>(exact[i]);
    result.got = static_cast<double>(got.ints[i]);
    result.error = std::fabs(result.expected - result.got);
  }
  return result;
}

std::string indexText(const std::vector<int64_t> &shape, int64_t at) {
  std::string text;
  for (size_t axis = shape.size(); axis-- > 0;) {
    text = std::to_string(at % shape[axis]) + (text.empty() ? "" : ",") + text;
    at /= shape[axis];
  }
  return text.empty() ? "" : "[" + text + "]";
}

} // namespace qkv

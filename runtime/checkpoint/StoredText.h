// Expressions as text that runs when weights are opened: what a page says of the numbers and places
// of stored tensors (rule C5).
//
// In: postfix words between spaces: numbers, `x` (the stored number), `a0`, `a1` ... (positions
// along the parameter's axes), `neg + - * / // % ^`, the functions of the language (min and max of
// two), `== != < <= > >= and or not`, and `if` behind a condition and two values. Out: numbers.
// Holds: a parsed text leaves exactly one number, whatever it was; integers that do not fit wrap.
#pragma once

#include "dsl/functions/Functions.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// The number that is all of a text, written with a point whatever the locale; none if it is none.
std::optional<double> numberOf(const std::string &text);

class StoredText {
public:
  /// Nothing where the text is no expression over `axes` positions (`whole`: of integers, without x
  /// and what gives fractions) or over x.
  static std::optional<StoredText> parse(std::string_view text, int32_t axes, bool whole);

  /// In double precision. For texts over x.
  double of(double x) const;
  /// None where it divides by zero. For texts over positions.
  std::optional<int64_t> at(const int64_t *positions) const;
  /// The axis whose position it is, and nothing else; -1: it is something else.
  int32_t axis() const;
  /// Whether it asks for the position along an axis.
  bool uses(int32_t axis) const;

private:
  struct Step {
    enum class Kind : uint8_t { Number, Stored, Axis, Apply, If } kind = Kind::Number;
    Op op = Op::Add;
    int32_t axis = 0;
    int64_t whole = 0;
    double number = 0;
    double (*function)(double, double) = nullptr; ///< Apply: of the table; null: an operator
  };
  static bool read(std::string_view word, int32_t axes, bool whole, Step &step);
  static constexpr size_t deepest = 32; ///< numbers that wait for an operator

  std::vector<Step> steps;
};

} // namespace qkv::rt

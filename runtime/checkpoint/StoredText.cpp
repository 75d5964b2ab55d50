// Expressions over stored numbers and positions (StoredText.h).
#include "runtime/checkpoint/StoredText.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <locale.h>

namespace qkv::rt {
namespace {

struct Word {
  std::string_view text;
  Op op;
  bool two;   ///< of two operands
  bool whole; ///< gives an integer of integers
};
constexpr Word words[] = {
    {"neg", Op::Neg, false, true},        {"not", Op::Not, false, true},
    {"+", Op::Add, true, true},           {"-", Op::Sub, true, true},
    {"*", Op::Mul, true, true},           {"/", Op::Div, true, false},
    {"//", Op::FloorDiv, true, true},     {"%", Op::Mod, true, true},
    {"^", Op::Pow, true, false},          {"and", Op::And, true, true},
    {"or", Op::Or, true, true},           {"==", Op::Equal, true, true},
    {"!=", Op::NotEqual, true, true},     {"<", Op::Less, true, true},
    {"<=", Op::LessEqual, true, true},    {">", Op::Greater, true, true},
    {">=", Op::GreaterEqual, true, true},
};

bool takesTwo(Op op) { return op >= Op::Add && op != Op::Not; }

/// The next word; empty at the end.
std::string_view nextWord(std::string_view &text) {
  size_t begin = std::min(text.find_first_not_of(' '), text.size());
  size_t end = std::min(text.find(' ', begin), text.size());
  std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

template <typename T> T compared(Op op, T x, T y) {
  switch (op) {
  case Op::Equal:
    return x == y;
  case Op::NotEqual:
    return x != y;
  case Op::Less:
    return x < y;
  case Op::LessEqual:
    return x <= y;
  case Op::Greater:
    return x > y;
  case Op::GreaterEqual:
    return x >= y;
  case Op::And:
    return x != 0 && y != 0;
  default:
    return x != 0 || y != 0;
  }
}

double apply(Op op, double x, double y) {
  switch (op) {
  case Op::Neg:
    return -x;
  case Op::Not:
    return x == 0;
  case Op::Add:
    return x + y;
  case Op::Sub:
    return x - y;
  case Op::Mul:
    return x * y;
  case Op::Div:
    return x / y;
  case Op::FloorDiv:
    return std::floor(x / y);
  case Op::Mod:
    return x - std::floor(x / y) * y;
  case Op::Pow:
    return std::pow(x, y);
  default:
    return compared(op, x, y);
  }
}

int64_t wrapped(uint64_t bits) { return static_cast<int64_t>(bits); }

/// `good` becomes false where it divides by zero.
int64_t apply(Op op, int64_t x, int64_t y, bool &good) {
  auto a = static_cast<uint64_t>(x), b = static_cast<uint64_t>(y);
  switch (op) {
  case Op::Neg:
    return wrapped(-a);
  case Op::Not:
    return x == 0;
  case Op::Add:
    return wrapped(a + b);
  case Op::Sub:
    return wrapped(a - b);
  case Op::Mul:
    return wrapped(a * b);
  case Op::FloorDiv:
  case Op::Mod: {
    if (y == 0 || y == -1) {
      good &= y != 0;
      return op == Op::Mod ? 0 : wrapped(-a);
    }
    int64_t quotient = x / y - ((x % y != 0) && ((x < 0) != (y < 0)));
    return op == Op::Mod ? wrapped(a - static_cast<uint64_t>(quotient) * b) : quotient;
  }
  case Op::Min:
    return std::min(x, y);
  case Op::Max:
    return std::max(x, y);
  case Op::Abs:
    return x < 0 ? wrapped(-a) : x;
  default:
    return compared(op, x, y);
  }
}

} // namespace

std::optional<double> numberOf(const std::string &text) {
  // (The program around a library may have set a locale that writes 0,5.)
  char *end = nullptr;
  locale_t plain = newlocale(LC_NUMERIC_MASK, "C", nullptr);
  double value = strtod_l(text.c_str(), &end, plain);
  freelocale(plain);
  return !text.empty() && *end == 0 ? std::optional(value) : std::nullopt;
}

bool StoredText::read(std::string_view word, int32_t axes, bool whole, Step &step) {
  const char *begin = word.data(), *end = begin + word.size();
  if (word == "x" && !whole) {
    step.kind = Step::Kind::Stored;
    return true;
  }
  if (word == "if") {
    step.kind = Step::Kind::If;
    return true;
  }
  if (whole && word.size() > 1 && word[0] == 'a' && word[1] >= '0' && word[1] <= '9') {
    step.kind = Step::Kind::Axis;
    auto [at, code] = std::from_chars(begin + 1, end, step.axis);
    return code == std::errc() && at == end && step.axis >= 0 && step.axis < axes;
  }
  step.kind = Step::Kind::Apply;
  for (const Word &one : words)
    if (one.text == word) {
      step.op = one.op;
      return one.whole || !whole;
    }
  if (const Function *function = functionNamed(word)) {
    step.op = function->op;
    step.function = function->value;
    return !whole || function->typing == Typing::Same;
  }
  step.kind = Step::Kind::Number;
  if (whole) {
    auto [at, code] = std::from_chars(begin, end, step.whole);
    return code == std::errc() && at == end;
  }
  // (Words of numbers only: strtod also reads what no page writes.)
  if (word.find_first_not_of("0123456789+-.e") != word.npos && word != "inf" && word != "-inf" &&
      word != "nan")
    return false;
  std::optional<double> number = numberOf(std::string(word));
  step.number = number.value_or(0);
  return number.has_value();
}

std::optional<StoredText> StoredText::parse(std::string_view text, int32_t axes, bool whole) {
  StoredText out;
  size_t waiting = 0;
  for (std::string_view word; !(word = nextWord(text)).empty();) {
    Step step;
    if (!read(word, axes, whole, step))
      return std::nullopt;
    size_t takes = step.kind == Step::Kind::If      ? 3
                   : step.kind != Step::Kind::Apply ? 0
                   : takesTwo(step.op)              ? 2
                                                    : 1;
    if (takes > waiting || (waiting = waiting - takes + 1) > deepest)
      return std::nullopt;
    out.steps.push_back(step);
  }
  return waiting == 1 ? std::optional(std::move(out)) : std::nullopt;
}

double StoredText::of(double x) const {
  double stack[deepest];
  size_t top = 0;
  for (const Step &step : steps) {
    switch (step.kind) {
    case Step::Kind::Number:
      stack[top++] = step.number;
      break;
    case Step::Kind::Stored:
      stack[top++] = x;
      break;
    case Step::Kind::If:
      top -= 2;
      stack[top - 1] = stack[top - 1] != 0 ? stack[top] : stack[top + 1];
      break;
    default: {
      double second = takesTwo(step.op) ? stack[--top] : 0, first = stack[top - 1];
      stack[top - 1] = step.function ? step.function(first, second) : apply(step.op, first, second);
    }
    }
  }
  return stack[0];
}

std::optional<int64_t> StoredText::at(const int64_t *positions) const {
  int64_t stack[deepest];
  size_t top = 0;
  bool good = true;
  for (const Step &step : steps) {
    switch (step.kind) {
    case Step::Kind::Number:
      stack[top++] = step.whole;
      break;
    case Step::Kind::Axis:
      stack[top++] = positions[step.axis];
      break;
    case Step::Kind::If:
      top -= 2;
      stack[top - 1] = stack[top - 1] != 0 ? stack[top] : stack[top + 1];
      break;
    default: {
      int64_t second = takesTwo(step.op) ? stack[--top] : 0;
      stack[top - 1] = apply(step.op, stack[top - 1], second, good);
    }
    }
  }
  return good ? std::optional(stack[0]) : std::nullopt;
}

int32_t StoredText::axis() const {
  return steps.size() == 1 && steps[0].kind == Step::Kind::Axis ? steps[0].axis : -1;
}

bool StoredText::uses(int32_t axis) const {
  return std::any_of(steps.begin(), steps.end(), [&](const Step &step) {
    return step.kind == Step::Kind::Axis && step.axis == axis;
  });
}

} // namespace qkv::rt

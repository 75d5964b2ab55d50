// Extents: from sizes to text, from text to numbers.
#include "compiler/description/Extent.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace qkv {
namespace {

int64_t apply(Extent::Step::Kind kind, int64_t a, int64_t b) {
  using Kind = Extent::Step::Kind;
  auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  switch (kind) {
  case Kind::Add:
    return static_cast<int64_t>(ua + ub);
  case Kind::Sub:
    return static_cast<int64_t>(ua - ub);
  case Kind::Mul:
    return static_cast<int64_t>(ua * ub);
  case Kind::Div:
    // The one quotient that does not fit is -2^63 / -1: it wraps.
    if (b == 0 || b == -1)
      return b == 0 ? 0 : static_cast<int64_t>(0 - ua);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
  case Kind::Max:
    return std::max(a, b);
  case Kind::Min:
    return std::min(a, b);
  default:
    if (b == 0 || b == -1)
      return 0;
    return a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  }
}

bool number(const std::string &text, int64_t &value) {
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

} // namespace

std::optional<Extent> Extent::parse(const std::string &text, size_t sizes) {
  Extent extent;
  std::istringstream words(text);
  int64_t depth = 0;
  for (std::string word; words >> word;) {
    Step step{Step::Kind::Number};
    size_t operation = word == "max"      ? 5
                       : word == "min"    ? 6
                       : word.size() == 1 ? std::string("+-*/%").find(word[0])
                                          : std::string::npos;
    if (operation != std::string::npos) {
      step.kind = static_cast<Step::Kind>(static_cast<int>(Step::Kind::Add) + operation);
      if (depth < 2)
        return std::nullopt;
      --depth;
    } else if (word[0] == 's') {
      step.kind = Step::Kind::Size;
      if (!number(word.substr(1), step.number) || step.number < 0 ||
          static_cast<size_t>(step.number) >= sizes)
        return std::nullopt;
      ++depth;
    } else {
      if (!number(word, step.number))
        return std::nullopt;
      ++depth;
    }
    extent.steps_.push_back(step);
  }
  if (depth != 1)
    return std::nullopt;
  return extent;
}

int64_t Extent::evaluate(const int64_t *sizes) const {
  std::vector<int64_t> stack;
  for (const Step &step : steps_) {
    if (step.kind == Step::Kind::Number) {
      stack.push_back(step.number);
    } else if (step.kind == Step::Kind::Size) {
      stack.push_back(sizes[step.number]);
    } else {
      int64_t right = stack.back();
      stack.pop_back();
      stack.back() = apply(step.kind, stack.back(), right);
    }
  }
  return stack.back();
}

std::string extentText(const Size &size, const SizeAtoms &atoms,
                       const std::vector<int> &dynamicSizes) {
  std::string text;
  auto word = [&](const std::string &w) { text += (text.empty() ? "" : " ") + w; };
  auto atomText = [&](int atom) {
    const SizeAtom &a = atoms[atom];
    if (a.lhs) {
      word(extentText(*a.lhs, atoms, dynamicSizes));
      word(extentText(*a.rhs, atoms, dynamicSizes));
      word(a.kind == SizeAtom::Kind::FloorDiv ? "/"
           : a.kind == SizeAtom::Kind::Mod    ? "%"
           : a.kind == SizeAtom::Kind::Max    ? "max"
                                              : "min");
      return;
    }
    auto at = std::find(dynamicSizes.begin(), dynamicSizes.end(), atom);
    word("s" + std::to_string(at - dynamicSizes.begin()));
  };
  bool first = true;
  for (auto &[monomial, coefficient] : size.terms()) {
    bool factor = !monomial.empty() && coefficient == 1;
    if (!factor)
      word(std::to_string(coefficient));
    for (int atom : monomial) {
      atomText(atom);
      if (factor)
        factor = false;
      else
        word("*");
    }
    if (!first)
      word("+");
    first = false;
  }
  return first ? "0" : text;
}

} // namespace qkv

// Extents as text that evaluates without the program: postfix over the dynamic sizes.
//
// In: "s0 1 + 2 /": integers, sN (the N-th dynamic size), + - * / % (/ and % round down), max, min.
// Out: a number for given sizes, or code. Holds: a parsed extent is well formed; numbers beyond
// 64 bits wrap, a division by zero gives 0.
#pragma once

#include "dsl/Size.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qkv {

class Extent {
public:
  struct Step {
    enum class Kind { Number, Size, Add, Sub, Mul, Div, Mod, Max, Min } kind;
    int64_t number = 0; ///< Number: its value; Size: which
  };

  /// Nothing where the text is no extent over `sizes` dynamic sizes.
  static std::optional<Extent> parse(const std::string &text, size_t sizes);

  const std::vector<Step> &steps() const { return steps_; }
  int64_t evaluate(const int64_t *sizes) const;

private:
  std::vector<Step> steps_;
};

/// A size of a program as such a text. `dynamicSizes` are the atoms that s0, s1 ... stand for.
std::string extentText(const Size &size, const SizeAtoms &atoms,
                       const std::vector<int> &dynamicSizes);

} // namespace qkv

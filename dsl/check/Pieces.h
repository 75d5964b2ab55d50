// Whether the pieces of one tensor fit together (P1, P4, P5).
//
// In: for each piece the positions that it takes on each axis. Out: whether of two that overlap one
// is inside the other and all positions are covered, whatever the sizes are; if not, an error.
#pragma once

#include "dsl/check/pieces/PieceSets.h"
#include "dsl/syntax/Diagnostics.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qkv::sema {

class PieceCheck {
public:
  /// One piece.
  struct Set {
    std::vector<AxisSet> at; ///< one an axis
    Span span;
    bool striped() const {
      return std::any_of(at.begin(), at.end(),
                         [](auto &x) { return x.kind == AxisSet::Kind::Stripe; });
    }
  };
  using Say = std::function<Diagnostic &(Span, std::string, std::string)>;

  PieceCheck(const Program &program, const std::string &name, Span span,
             const std::vector<Axis> &axes, const std::vector<Set> &pieces, bool symbolic, Say say)
      : program_(program), name_(name), span_(span), axes_(axes), pieces_(pieces),
        symbolic_(symbolic), error_(std::move(say)) {}

  bool run();

private:
  using Sets = std::vector<const Set *>;
  using Pattern = std::pair<std::vector<bool>, Sets>; ///< the axes that have numbers; the pieces

  Diagnostic &error(Span at, std::string message, std::string rule);
  void saySame(const Set &one, const Set &other);
  void sayOverlap(const Set &one, const Set &other);
  void sayMissing(size_t axis, const Size &position);
  bool outside(const Size &position, size_t axis) const;
  bool positionsDiffer(size_t axis);
  bool numbersFit();
  bool patternsFit(const Pattern &one, const Pattern &two);
  bool stripesFit();
  bool covered(const Sets &some, size_t axis);
  bool joined(size_t axis, const std::map<Size, Sets> &numbers);
  bool counted(size_t axis, const std::map<Size, Sets> &numbers);
  bool tiled(size_t axis, const std::map<Size, Sets> &numbers, const std::vector<AxisSet> &stripes);
  std::optional<Size> combed(size_t from, const std::vector<AxisSet> &stripes,
                             std::vector<bool> &used);

  const Program &program_;
  const std::string &name_;
  Span span_;
  const std::vector<Axis> &axes_;
  const std::vector<Set> &pieces_;
  bool symbolic_; ///< the definition is checked for letters of any extent
  bool failed_ = false;
  Say error_;
};

} // namespace qkv::sema

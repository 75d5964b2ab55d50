// Pieces at a number in an axis that may be empty (S4): y[0] of u < T - 2, where T may be 2.
//
// In: untyped equations. Out: the same values, and every piece at a number stands at a position
// that its axis has whatever the sizes are, or outside of it (P4). `y[0] = a` beside `y[u] = b`
// becomes `y[u] = if u == 0 then a else b`: where there is no u there is no y[0] either.
#include "dsl/check/Elaborator.h"
#include "dsl/check/pieces/IndexNodes.h"
#include "dsl/proof/Proof.h"

#include <algorithm>
#include <unordered_map>

namespace qkv::sema {
namespace {

using K = Expr::Kind;

class Merger {
public:
  Merger(const Program &program, Tensor &tensor) : program_(program), tensor_(tensor) {}

  /// True where every piece at a number has a position now; false: one has not, and no piece with
  /// a letter beside it.
  bool run() {
    for (size_t axis = 0; axis < tensor_.axes.size(); ++axis)
      while (const Piece *doubtful = firstDoubtful(axis))
        if (!merge(axis, doubtful->indices[axis].position))
          return false;
    return true;
  }

private:
  bool outside(size_t axis, const Size &position) const {
    auto at = position.constant(), past = (position - tensor_.axes[axis].extent).constant();
    return (at && *at < 0) || (past && *past >= 0);
  }

  const Piece *firstDoubtful(size_t axis) const {
    const Size &extent = tensor_.axes[axis].extent;
    if (extent.isConstant())
      return nullptr;
    for (const Piece &p : tensor_.pieces) {
      const PieceIndex &i = p.indices[axis];
      if (i.letter < 0 && !outside(axis, i.position) &&
          !(atLeast(program_, i.position, 0) && atLeast(program_, extent - i.position, 1)))
        return &p;
    }
    return nullptr;
  }

  /// The positions that a piece at the number and one with a letter have in common, with its value.
  std::optional<Piece> meet(const Piece &number, const Piece &general, size_t axis) const {
    Piece out = general;
    std::unordered_map<int, ExprPtr> ofNumber, ofGeneral;
    for (size_t a = 0; a < out.indices.size(); ++a) {
      const PieceIndex &n = number.indices[a], &g = general.indices[a];
      if (a == axis)
        continue;
      if (n.letter < 0 && g.letter < 0 && n.position != g.position)
        return std::nullopt;
      if ((n.letter < 0) != (g.letter < 0) && outside(a, n.letter < 0 ? n.position : g.position))
        return std::nullopt;
      if (n.letter >= 0)
        ofNumber[n.letter] =
            g.letter >= 0 ? letterNode(g.letter, number.span) : sizeNode(g.position, number.span);
      else if (g.letter >= 0) {
        ofGeneral[g.letter] = sizeNode(n.position, number.span);
        out.indices[a] = n;
      }
    }
    auto here = node(K::Apply, number.span);
    here->op = Op::Equal;
    here->args = {letterNode(general.indices[axis].letter, number.span),
                  sizeNode(number.indices[axis].position, number.span)};
    auto value = node(K::If, general.span);
    value->args = {here, substitute(number.value, ofNumber), substitute(general.value, ofGeneral)};
    out.value = value;
    out.guard = substitute(general.guard, ofGeneral);
    return out;
  }

  static bool sameIndices(const Piece &a, const Piece &b, size_t axis) {
    for (size_t i = 0; i < a.indices.size(); ++i)
      if (i != axis && ((a.indices[i].letter < 0) != (b.indices[i].letter < 0) ||
                        a.indices[i].position != b.indices[i].position))
        return false;
    return true;
  }

  /// Puts the pieces at one position of an axis into those that have a letter there.
  bool merge(size_t axis, const Size &position) {
    auto mostConstants = [](const Piece *a, const Piece *b) {
      auto constants = [](const Piece *p) {
        return std::count_if(p->indices.begin(), p->indices.end(),
                             [](const PieceIndex &i) { return i.letter < 0; });
      };
      return constants(a) > constants(b);
    };
    std::vector<const Piece *> numbers, general;
    for (const Piece &p : tensor_.pieces)
      if (p.indices[axis].letter >= 0)
        general.push_back(&p);
      else if (p.indices[axis].position == position)
        numbers.push_back(&p);
    std::stable_sort(numbers.begin(), numbers.end(), mostConstants);
    std::stable_sort(general.begin(), general.end(), mostConstants);
    std::vector<Piece> merged;
    for (const Piece *n : numbers) {
      bool any = false;
      for (const Piece *g : general)
        if (auto both = meet(*n, *g, axis)) {
          any = true;
          // The first of several at the same positions has the most constants: it wins (P1).
          if (std::none_of(merged.begin(), merged.end(),
                           [&](const Piece &m) { return sameIndices(m, *both, axis); }))
            merged.push_back(std::move(*both));
        }
      if (!any)
        return false;
    }
    for (Piece &p : tensor_.pieces) {
      bool number = p.indices[axis].letter < 0;
      if (number ? p.indices[axis].position != position
                 : std::none_of(merged.begin(), merged.end(),
                                [&](const Piece &m) { return sameIndices(m, p, axis); }))
        merged.push_back(std::move(p));
    }
    tensor_.pieces = std::move(merged);
    return true;
  }

  const Program &program_;
  Tensor &tensor_;
};

} // namespace

void mergeEmptyRanges(Program &program, Diagnostics &diagnostics) {
  for (Tensor &tensor : program.tensors)
    if (tensor.pieces.size() > 1 && !Merger(program, tensor).run())
      diagnostics.error(tensor.span,
                        "whether the numbers among the indices of " + tensor.label +
                            " are positions of it depends on the sizes",
                        "E2");
}

} // namespace qkv::sema

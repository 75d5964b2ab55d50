// E5: how many letters are bound at one place. In: a program. Out: an error for each tensor or
// equation with too many: the compiler's loops, its masks and the runtime's shapes have room for so
// many.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <unordered_map>

namespace qkv::sema {
namespace {

constexpr size_t mostLetters = 32;

/// The most letters of reductions that surround one place of an expression.
size_t lettersInside(const ExprPtr &root) {
  std::unordered_map<const Expr *, size_t> seen; // a node, and the most that surrounded it
  std::vector<std::pair<const Expr *, size_t>> open{{root.get(), 0}};
  size_t most = 0;
  while (!open.empty()) {
    auto [e, around] = open.back();
    open.pop_back();
    if (!e)
      continue;
    auto [known, isNew] = seen.try_emplace(e, around);
    if (!isNew && known->second >= around)
      continue;
    known->second = around;
    size_t inside = around + (e->kind == Expr::Kind::Reduce ? e->letters.size() : 0);
    most = std::max(most, inside);
    for (const ExprPtr &argument : e->args)
      open.push_back({argument.get(), inside});
  }
  return most;
}

} // namespace

void checkLetters(const Program &program, Diagnostics &diagnostics) {
  std::string limit = ", at most " + std::to_string(mostLetters) + " are possible";
  for (const Tensor &tensor : program.tensors) {
    size_t axes = tensor.axes.size();
    if (axes > mostLetters) {
      diagnostics.error(tensor.span,
                        tensor.label + " has " + std::to_string(axes) + " axes" + limit, "E5");
      continue;
    }
    for (const Piece &piece : tensor.pieces) {
      size_t letters = axes + std::max(lettersInside(piece.value), lettersInside(piece.guard));
      if (letters > mostLetters)
        diagnostics
            .error(piece.span, "this equation has " + std::to_string(letters) + " letters" + limit,
                   "E5")
            .hint("a sum inside it could be an equation of its own");
    }
  }
}

} // namespace qkv::sema

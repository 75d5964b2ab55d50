// Tables over two sequence letters are written in place where they are read.
//
// In: equations. Out: the same, where no constant tensor over two axes of dynamic or stream
// extent is read: a mask 0 <= i - j < W or a bias slope[h] * (i - j) is computed where it is
// used and never stored (T3). Those that have pieces or reductions stay.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"

#include "dsl/proof/Proof.h"

#include <algorithm>

namespace qkv::equations {

static bool inlined(const Tensor &t) {
  if (t.kind != Tensor::Kind::Equation || !t.constant || t.pieces.size() != 1)
    return false;
  auto dynamic = std::count_if(t.axes.begin(), t.axes.end(),
                               [](const Axis &a) { return !a.extent.isConstant(); });
  if (dynamic < 2)
    return false;
  for (const PieceIndex &i : t.pieces[0].indices)
    if (i.letter < 0)
      return false;
  bool reduces = false;
  forEachNode(t.pieces[0].value, [&](const Expr &e) { reduces |= e.kind == Expr::Kind::Reduce; });
  return !reduces;
}

void inlineTables(Program &program) {
  // (Definitions are done first, whatever their order: a read is replaced by the definition as
  // the mapper leaves it. They cannot read each other in a circle without a piece of their own.)
  std::vector<bool> replaced;
  for (const Tensor &t : program.tensors)
    replaced.push_back(inlined(t));
  if (std::find(replaced.begin(), replaced.end(), true) == replaced.end())
    return;
  Mapper *all = nullptr;
  Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
    if (e->kind != Expr::Kind::Read || !replaced[e->tensor])
      return e;
    const Piece &definition = program.tensors[e->tensor].pieces[0];
    std::unordered_map<int, ExprPtr> letters;
    for (size_t i = 0; i < e->args.size(); ++i)
      letters[definition.indices[i].letter] = e->args[i];
    return substitute((*all)(definition.value), letters);
  });
  all = &mapper;
  for (Tensor &t : program.tensors)
    for (Piece &p : t.pieces) {
      p.value = mapper(p.value);
      p.guard = mapper(p.guard);
    }
}

} // namespace qkv::equations

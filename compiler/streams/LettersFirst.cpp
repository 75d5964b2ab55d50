// Conditions on letters stand in front of those that read data.
//
// In: `rank[j](s[i,j]) < K and j <= i`. Out: `j <= i and rank[j](s[i,j]) < K`: the rank is asked,
// and the scores read, of positions that are there already (A3). Must hold: the value is the same,
// and nothing is read that was not; a condition that a run checks stays where it is, for it may
// fail.
#include "compiler/equations/Expressions.h"
#include "compiler/streams/Rearrange.h"

#include <algorithm>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

struct Asks {
  bool data = false;    ///< reads what depends on more than letters and sizes
  bool checked = false; ///< something is checked when it runs
};

Asks asks(const Program &program, const ExprPtr &condition) {
  Asks out;
  forEachNode(condition, [&](const Expr &e) {
    bool plain = e.kind != K::Reduce && e.kind != K::Weighted;
    if (e.kind == K::Read) {
      plain = program.tensors[e.tensor].constant;
      for (const ExprPtr &index : e.args) // whose proof may need what stands in front of it
        plain = plain && index->kind == K::Letter;
    }
    out.data = out.data || !plain;
    out.checked =
        out.checked || std::find(e.checked.begin(), e.checked.end(), true) != e.checked.end();
  });
  return out;
}

} // namespace

void lettersFirst(Program &program) {
  Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
    if (e->kind != K::Apply || e->op != Op::And)
      return e;
    std::vector<ExprPtr> all = conjuncts(e);
    std::vector<Asks> each;
    for (const ExprPtr &condition : all)
      each.push_back(asks(program, condition));
    if (std::any_of(each.begin(), each.end(), [](const Asks &a) { return a.checked; }))
      return e;
    ExprPtr letters, data;
    bool moves = false;
    for (size_t i = 0; i < all.size(); ++i) {
      moves = moves || (data && !each[i].data);
      ExprPtr &side = each[i].data ? data : letters;
      side = both(side, all[i]);
    }
    return moves ? both(letters, data) : e;
  });
  for (Tensor &t : program.tensors)
    for (Piece &p : t.pieces) {
      p.value = p.value ? mapper(p.value) : nullptr;
      p.guard = p.guard ? mapper(p.guard) : nullptr;
    }
}

} // namespace qkv::streams

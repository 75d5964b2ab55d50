// Recurrences of rows, a row at a time.
//
// In: the order of computation. Out: the same, where a tensor whose rows are recurrences of their
// own along the last axis, y[h,i] = y[h,i-1] + x[h,i], has a loop over the rows around. A step of
// all rows at once reads and writes an element of each, far apart in memory; a row by itself is
// read as it lies. What costs a function or a sum an element stays: rows beside each other fill
// vectors.
#include "compiler/irgen/Outline.h"

#include "compiler/equations/Expressions.h"

namespace qkv::irgen {

using K = Expr::Kind;
using namespace equations;

/// Whether an element costs little, and needs of its own tensor only what is in the same row.
static bool staysInRow(const ExprPtr &root, const Piece &piece, int tensor, size_t last) {
  bool stays = true;
  forEachNode(root, [&](const Expr &e) {
    bool costly = e.kind == K::Reduce || e.kind == K::Weighted ||
                  (e.kind == K::Apply && ((e.op >= Op::Exp && e.op <= Op::Cos) || e.op == Op::Pow));
    stays = stays && !costly;
    if (e.kind != K::Read || e.tensor != tensor)
      return;
    for (size_t a = 0; a < last; ++a)
      stays = stays && e.args[a]->kind == K::Letter && e.args[a]->letter == piece.indices[a].letter;
  });
  return stays;
}

static bool hasRowsApart(const Program &program, const ScheduleNode &loop) {
  if (loop.tensor >= 0 || loop.axes.size() != 1 || loop.children.size() != 1 ||
      loop.children[0].tensor < 0)
    return false;
  auto [number, axis] = loop.axes[0];
  const Tensor &t = program.tensors[number];
  size_t last = t.axes.size() - 1;
  if (t.axes.size() < 2 || static_cast<size_t>(axis) != last)
    return false;
  for (const Piece &p : t.pieces) {
    for (size_t a = 0; a < last; ++a)
      if (p.indices[a].letter < 0 || !runsOver(program, p.indices[a].letter, t.axes[a]))
        return false;
    for (const ExprPtr &e : {p.value, p.guard})
      if (e && !staysInRow(e, p, number, last))
        return false;
  }
  return true;
}

void loopByRows(const Program &program, std::vector<ScheduleNode> &nodes) {
  for (ScheduleNode &node : nodes) {
    if (!hasRowsApart(program, node))
      continue;
    auto [tensor, last] = node.axes[0];
    for (int a = last; a-- > 0;) {
      ScheduleNode rows;
      rows.axes = {{tensor, a}};
      rows.children.push_back(std::move(node));
      node = std::move(rows);
    }
  }
}

} // namespace qkv::irgen

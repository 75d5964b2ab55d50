// Demand: where all readers of a tensor want one position of an axis, only that is computed.
//
// In: equations. Out: the same results from tensors with fewer axes: the last position's
// logits need the head, and of the last layer all but keys and values, at that position alone.
// A recurrence along the axis reads other positions itself, so it keeps it.
#include "compiler/equations/Attention.h"
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Rewrite.h"

#include "dsl/proof/Proof.h"

namespace qkv::equations {

using K = Expr::Kind;

/// The size that an index is, if it is one: free of letters and values.
static std::optional<Size> position(const ExprPtr &e) {
  switch (e->kind) {
  case K::Int:
    return Size(e->integer);
  case K::Size:
    return e->size;
  case K::Apply: {
    if (e->op != Op::Add && e->op != Op::Sub && e->op != Op::Mul)
      return std::nullopt;
    auto a = position(e->args[0]), b = position(e->args[1]);
    if (!a || !b)
      return std::nullopt;
    return e->op == Op::Add ? *a + *b : e->op == Op::Sub ? *a - *b : *a * *b;
  }
  default:
    return std::nullopt;
  }
}

namespace {
struct Drop {
  int axis = -1;
  Size position;
};
} // namespace

/// For each tensor that allows it one axis to drop, and who reads those tensors.
static std::map<int, Drop> findDrops(const Program &program, std::set<int> &readers) {
  std::set<int> live = liveTensors(program);
  std::unordered_map<int, std::vector<const Expr *>> reads;
  std::unordered_map<int, std::set<int>> readersOf;
  std::set<int> kept;
  for (const Result &r : program.results)
    kept.insert(r.tensor);
  for (int t : live)
    for (const Piece &p : program.tensors[t].pieces)
      for (const ExprPtr &e : {p.value, p.guard})
        if (e)
          forEachNode(e, [&](const Expr &n) {
            if (n.kind != K::Read || program.tensors[n.tensor].pieces.size() != 1)
              return;
            reads[n.tensor].push_back(&n);
            readersOf[n.tensor].insert(t);
            if (n.tensor == t)
              kept.insert(t);
          });
  std::map<int, Drop> out;
  for (int t : live) {
    const Tensor &tensor = program.tensors[t];
    if (tensor.kind != Tensor::Kind::Equation || tensor.pieces.size() != 1 || kept.count(t) ||
        reads[t].empty())
      continue;
    for (size_t a = 0; a < tensor.axes.size(); ++a) {
      int own = tensor.pieces[0].indices[a].letter;
      if (own < 0 || tensor.axes[a].before || tensor.axes[a].after)
        continue;
      // (The kernel of a weighted sum computes all of a value.)
      auto sum = asWeightedSum(program, tensor.pieces[0].value);
      if (sum && std::count(sum->values.begin(), sum->values.end(), own))
        continue;
      auto wanted = position(reads[t][0]->args[a]);
      for (const Expr *r : reads[t])
        if (!wanted || position(r->args[a]) != wanted) {
          wanted = std::nullopt;
          break;
        }
      if (!wanted)
        continue;
      out[t] = Drop{static_cast<int>(a), *wanted};
      readers.insert(readersOf[t].begin(), readersOf[t].end());
      break;
    }
  }
  return out;
}

void demandPositions(Program &program) {
  for (;;) {
    std::set<int> readers;
    std::map<int, Drop> drops = findDrops(program, readers);
    if (drops.empty())
      return;
    Mapper mapper([&](const ExprPtr &e) -> ExprPtr {
      auto drop = e->kind == K::Read ? drops.find(e->tensor) : drops.end();
      if (drop == drops.end())
        return e;
      int axis = drop->second.axis;
      auto copy = std::make_shared<Expr>(*e);
      copy->args.erase(copy->args.begin() + axis);
      if (axis < static_cast<int>(copy->checked.size()))
        copy->checked.erase(copy->checked.begin() + axis);
      copy->own -= axis < copy->own;
      return copy;
    });
    for (int t : readers)
      for (Piece &p : program.tensors[t].pieces) {
        p.value = mapper(p.value);
        p.guard = mapper(p.guard);
      }
    for (auto &[t, drop] : drops) {
      Tensor &tensor = program.tensors[t];
      Piece &piece = tensor.pieces[0];
      std::unordered_map<int, ExprPtr> at{{piece.indices[drop.axis].letter, size(drop.position)}};
      piece.value = substitute(piece.value, at);
      if (piece.guard)
        piece.guard = substitute(piece.guard, at);
      piece.indices.erase(piece.indices.begin() + drop.axis);
      tensor.axes.erase(tensor.axes.begin() + drop.axis);
      tensor.lifted -= drop.axis < tensor.lifted;
    }
  }
}

Program lastPosition(const Program &program) {
  Program out = program;
  const Tensor &logits = program.tensors[program.results[0].tensor];
  Tensor last;
  last.name = logits.name + ".last";
  last.label = logits.label;
  last.type = logits.type;
  last.constant = logits.constant;
  last.span = logits.span;
  Piece piece;
  piece.span = logits.span;
  std::vector<ExprPtr> args{size(logits.axes[0].extent - Size(1))};
  for (size_t a = 1; a < logits.axes.size(); ++a) {
    out.letters.push_back({logits.axes[a].name, logits.axes[a].extent});
    int l = static_cast<int>(out.letters.size()) - 1;
    last.axes.push_back({logits.axes[a].name, logits.axes[a].extent, 0, 0});
    piece.indices.push_back({l, {}});
    args.push_back(letter(l));
  }
  piece.value = read(out, program.results[0].tensor, std::move(args), logits.span);
  last.pieces = {std::move(piece)};
  out.tensors.push_back(std::move(last));
  out.results = {{program.results[0].name, static_cast<int>(out.tensors.size()) - 1}};
  return out;
}

} // namespace qkv::equations

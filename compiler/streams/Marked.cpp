// Guards where they hold, and T where it is needed, said in the equations themselves. In: a
// program. Out: Marked.h.
#include "compiler/streams/Marked.h"

#include "compiler/equations/Expressions.h"
#include "compiler/streams/Positions.h"
#include "dsl/proof/LeftOut.h"

#include <map>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class Marker {
public:
  Marker(const Program &program, Marked &out) : program_(program), out_(out), leftOut_(program) {}

  void run(const std::vector<bool> &live) {
    for (size_t t = 0; t < program_.tensors.size(); ++t)
      if (live[t])
        for (Piece &piece : out_.program.tensors[t].pieces) {
          piece.value = value(piece.value, false);
          piece.guard = value(piece.guard, false);
        }
  }

private:
  /// `index`: inside of an access, where T says which element is meant.
  ExprPtr value(const ExprPtr &e, bool index) {
    if (!e)
      return e;
    auto [at, fresh] = done_.try_emplace({e, index}, nullptr);
    if (!fresh)
      return at->second;
    ExprPtr out = made(e, index);
    return done_[{e, index}] = out;
  }

  ExprPtr made(const ExprPtr &e, bool index) {
    if (e->kind == K::Size && !index && growsWith(program_, e->size))
      return apply(Op::Add, {e, readOf(number())}, e->span);
    if (e->kind == K::Apply && e->op >= Op::Equal && !index && comparesT(*e)) {
      std::vector<ExprPtr> sides;
      for (const ExprPtr &side : e->args)
        sides.push_back(value(side, true));
      return both(readOf(comparison(e)), withArgs(e, std::move(sides)));
    }
    std::vector<ExprPtr> args;
    for (const ExprPtr &a : e->args)
      args.push_back(value(a, index || e->kind == K::Read));
    if (e->kind == K::Reduce)
      return reduction(e, std::move(args));
    ExprPtr out = withArgs(e, std::move(args));
    if (e->kind == K::Read)
      out_.original[out.get()] = e.get();
    return out;
  }

  ExprPtr reduction(const ExprPtr &e, std::vector<ExprPtr> args) {
    if (ExprPtr part = value(takesPart(*e), false))
      args[1] = both(args[1], part);
    for (int l : e->letters) {
      const Size &extent = program_.letters[l].extent;
      if (growsWith(program_, extent))
        args[0] = apply(Op::Add, {args[0], readOf(axis(extent), letter(l))}, e->span);
    }
    return withArgs(e, std::move(args));
  }

  /// Under which a reduction's term counts, beside its guard.
  ExprPtr takesPart(const Expr &e) {
    if (e.reduction == Reduction::Sum)
      return leftOut_.takesPart(e.args[0]);
    if (e.reduction != Reduction::Softmax && e.reduction != Reduction::LogSumExp &&
        e.reduction != Reduction::Max)
      return nullptr;
    // An element of a softmax over the same scores, at the letters themselves, takes part where
    // its score is not -inf.
    auto share = std::make_shared<Expr>(e);
    share->reduction = Reduction::Softmax;
    share->args = {e.args[0], nullptr};
    for (int l : e.letters)
      share->args.push_back(letter(l));
    return leftOut_.takesPart(share);
  }

  /// Whether T stands in the sums and products that a comparison compares.
  bool comparesT(const Expr &e) {
    bool holds = false;
    for (const ExprPtr &side : e.args)
      if (!isArithmetic(side, holds))
        return false;
    return holds;
  }
  bool isArithmetic(const ExprPtr &e, bool &holdsT) {
    if (e->kind == K::Read)
      return true; // (its indices are looked at as those of any read)
    if (e->kind == K::Size)
      holdsT = holdsT || growsWith(program_, e->size);
    bool leaf = e->kind == K::Size || e->kind == K::Int || e->kind == K::Float ||
                e->kind == K::Letter || e->kind == K::Step;
    bool inner = e->kind == K::Convert || (e->kind == K::Apply && !isCondition(e->op));
    if (!leaf && !inner)
      return false;
    for (const ExprPtr &a : e->args)
      if (!isArithmetic(a, holdsT))
        return false;
    return true;
  }

  int mark(Marked::Mark mark, Type type, size_t rank) {
    Tensor t;
    t.kind = Tensor::Kind::Input;
    t.name = t.label = "mark" + std::to_string(out_.marks.size());
    t.type = type;
    for (size_t i = 0; i < rank; ++i)
      t.axes.push_back({"", mark.extent, 0, 0});
    int tensor = static_cast<int>(out_.program.tensors.size());
    out_.program.tensors.push_back(std::move(t));
    out_.marks.emplace(tensor, std::move(mark));
    return tensor;
  }
  int number() {
    if (number_ < 0)
      number_ = mark({Marked::Mark::Number, {}, nullptr}, Type::Int, 0);
    return number_;
  }
  int comparison(const ExprPtr &e) {
    return mark({Marked::Mark::Comparison, {}, e}, Type::Bool, 0);
  }
  int axis(const Size &extent) {
    auto [at, fresh] = axes_.try_emplace(extent, -1);
    if (fresh)
      at->second = mark({Marked::Mark::Axis, extent, nullptr}, Type::Float, 1);
    return at->second;
  }
  ExprPtr readOf(int tensor, ExprPtr index = nullptr) const {
    std::vector<ExprPtr> args;
    if (index)
      args.push_back(std::move(index));
    return read(out_.program, tensor, std::move(args), {});
  }

  const Program &program_;
  Marked &out_;
  LeftOut leftOut_;
  std::map<std::pair<ExprPtr, bool>, ExprPtr> done_;
  std::map<Size, int> axes_;
  int number_ = -1;
};

} // namespace

Marked mark(const Program &program, const std::vector<bool> &live) {
  Marked out;
  out.program = program;
  Marker(program, out).run(live);
  return out;
}

} // namespace qkv::streams

// Reductions over all positions are folded as positions arrive (Rearrange.h). In: a program. Out:
// the same with recurrences, or with reductions over all positions so far (RunningReductions.cpp),
// of which the last position is read. Holds: elements are taken in order
// of their positions; what would be as large as a history, or is a product of matrices, stays.
#include "compiler/equations/Expressions.h"
#include "compiler/equations/Reductions.h"
#include "compiler/streams/Dependents.h"
#include "compiler/streams/Factors.h"
#include "compiler/streams/Positions.h"
#include "compiler/streams/Rearrange.h"
#include "dsl/proof/Proof.h"

#include <limits>

namespace qkv::streams {

using namespace equations;
using K = Expr::Kind;

namespace {

class Folder {
public:
  explicit Folder(Program &program)
      : program_(program), inputs_(dependents(program, program.inputs)) {}

  std::set<int> run() {
    for (int t : liveTensors(program_)) {
      const Tensor &tensor = program_.tensors[t];
      if (tensor.kind != Tensor::Kind::Equation || tensor.constant || hasPositions(tensor))
        continue;
      for (size_t p = 0; p < program_.tensors[t].pieces.size(); ++p) {
        tensor_ = t;
        Mapper mapper([&](const ExprPtr &e) { return folded(e); });
        ExprPtr value = mapper(program_.tensors[t].pieces[p].value);
        program_.tensors[t].pieces[p].value = value;
      }
    }
    return std::move(made_);
  }

private:
  bool hasPositions(const Tensor &t) const {
    for (const Axis &axis : t.axes)
      if (growsWith(program_, axis.extent))
        return true;
    return false;
  }

  ExprPtr folded(const ExprPtr &e) {
    if (e->kind != K::Reduce || e->letters.size() != 1 || e->args[1] ||
        (e->type != Type::Float && !isPlace(e)) ||
        program_.letters[e->letters[0]].extent != Size::atom(program_.stream) || !isSmall(e))
      return e;
    Reduction kind = e->reduction == Reduction::Mean ? Reduction::Sum : e->reduction;
    double infinity = std::numeric_limits<double>::infinity();
    switch (kind) {
    case Reduction::Sum:
      return done(e, Op::Add, 0);
    case Reduction::Prod:
      return done(e, Op::Mul, 1);
    case Reduction::Max:
      return done(e, Op::Max, -infinity);
    case Reduction::Min:
      return done(e, Op::Min, infinity);
    case Reduction::LogSumExp:
    case Reduction::ArgMax:
    case Reduction::ArgMin:
      return soFar(e);
    default:
      return e;
    }
  }

  static bool isPlace(const ExprPtr &e) {
    return e->reduction == Reduction::ArgMax || e->reduction == Reduction::ArgMin;
  }

  /// Whether a position's element depends on the stream and on the position's own letter, and the
  /// value is hardly larger than what is read of a position.
  bool isSmall(const ExprPtr &e) {
    int position = e->letters[0];
    const std::set<int> &free = letters_.of(e->args[0]);
    bool alone = free.count(position) > 0, stream = false;
    for (int l : free)
      alone = alone && (l == position || !growsWith(program_, program_.letters[l].extent));
    double largest = 1;
    forEachNode(e->args[0], [&](const Expr &n) {
      if (n.kind == K::Reduce || n.kind == K::Weighted)
        alone = false;
      if (n.kind != K::Read)
        return;
      std::set<int> own;
      for (const ExprPtr &a : n.args) {
        const std::set<int> &of = letters_.of(a);
        own.insert(of.begin(), of.end());
      }
      // (What is of all positions itself is not there yet.)
      auto number = static_cast<size_t>(n.tensor);
      bool ofInputs = number >= inputs_.size() || inputs_[number];
      stream = stream || ofInputs;
      alone = alone && (!ofInputs || own.count(position));
      largest = std::max(largest, valuesOfPosition(program_, own));
    });
    return alone && stream && valuesOfPosition(program_, free) <= largest;
  }

  Tensor newTensor(const ExprPtr &e) {
    const Tensor &origin = program_.tensors[tensor_];
    Tensor t;
    t.name = origin.name + ".folded" + (count_ ? std::to_string(count_) : "");
    ++count_;
    t.label = t.name;
    t.type = e->type;
    t.region = origin.region;
    t.instance = origin.instance;
    t.span = e->span;
    return t;
  }

  /// The reduction over all positions up to each, of which the last one is read.
  ExprPtr soFar(const ExprPtr &e) {
    Tensor t = newTensor(e);
    Piece piece;
    piece.span = e->span;
    std::unordered_map<int, ExprPtr> renamed;
    std::vector<ExprPtr> last;
    std::set<int> others = letters_.of(e->args[0]);
    others.erase(e->letters[0]);
    auto add = [&](int l, const ExprPtr &read) {
      const Letter of = program_.letters[l];
      program_.letters.push_back(of);
      int own = static_cast<int>(program_.letters.size()) - 1;
      t.axes.push_back({of.name, of.extent, 0, 0});
      piece.indices.push_back({own, {}});
      last.push_back(read);
      return own;
    };
    const Size extent = program_.letters[e->letters[0]].extent;
    int row = add(e->letters[0], size(extent - Size(1)));
    for (int l : others)
      renamed[l] = letter(add(l, letter(l)));
    program_.letters.push_back(Letter(program_.letters[e->letters[0]]));
    int key = static_cast<int>(program_.letters.size()) - 1;
    renamed[e->letters[0]] = letter(key);
    auto reduced = std::make_shared<Expr>(*e);
    reduced->letters = {key};
    reduced->args = {substitute(e->args[0], renamed),
                     apply(Op::LessEqual, {letter(key), letter(row)}, e->span)};
    piece.value = reduced;
    t.pieces = {piece};
    program_.tensors.push_back(std::move(t));
    return read(program_, static_cast<int>(program_.tensors.size()) - 1, last, e->span);
  }

  ExprPtr done(const ExprPtr &e, Op op, double identity) {
    Tensor t = newTensor(e);
    t.type = Type::Float;
    Piece first, general;
    first.span = general.span = e->span;
    int number = static_cast<int>(program_.tensors.size());
    made_.insert(number);
    std::unordered_map<int, ExprPtr> renamed;
    std::vector<ExprPtr> last, before;
    std::set<int> others = letters_.of(e->args[0]);
    others.erase(e->letters[0]);
    std::vector<int> order{e->letters[0]};
    order.insert(order.end(), others.begin(), others.end());
    for (int l : order) {
      const Letter of = program_.letters[l];
      bool position = l == e->letters[0];
      program_.letters.push_back(of);
      program_.letters.push_back(of);
      int own = static_cast<int>(program_.letters.size()) - 1;
      t.axes.push_back({of.name, of.extent, position ? 1 : 0, 0});
      general.indices.push_back({own, {}});
      first.indices.push_back(position ? PieceIndex{-1, Size(-1)} : PieceIndex{own - 1, {}});
      renamed[l] = letter(own);
      before.push_back(position ? apply(Op::Sub, {letter(own), integer(1)}, e->span) : letter(own));
      last.push_back(position ? size(of.extent - Size(1)) : letter(l));
    }
    first.value = equations::number(identity);
    t.pieces = {first, general};
    program_.tensors.push_back(t);
    program_.tensors[number].pieces[1].value = apply(
        op, {read(program_, number, before, e->span), substitute(e->args[0], renamed)}, e->span);
    ExprPtr value = read(program_, number, last, e->span);
    return e->reduction == Reduction::Mean ? meanOf(program_, e, value, nullptr) : value;
  }

  Program &program_;
  std::vector<bool> inputs_;
  FreeLetters letters_;
  std::set<int> made_;
  int tensor_ = -1, count_ = 0;
};

} // namespace

std::set<int> foldClosing(Program &program) { return Folder(program).run(); }

} // namespace qkv::streams

// Programs made by hand, for tests of what works on checked equations.
//
// In: letters, tensors and expressions written with C++ operators. Out: a Program with types,
// conversions and constness as the checker sets them. Nothing is proved here: what is built may
// break rules on purpose.
//
//   ProgramBuilder b;
//   Letter i = b.letter("i", 3), j = b.letter("j", 4);
//   int x = b.input("x", Type::Float, {i, j});
//   int y = b.equation("y", Type::Float, {i}, b.sum({j}, b.read(x, {i, j}) * 2.0));
#pragma once

#include "dsl/Program.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace qkv::test {

/// An expression while it is built. Ints, doubles and bools are literals.
struct E {
  ExprPtr node;
  E() = default;
  E(ExprPtr n) : node(std::move(n)) {}
  E(int v) : E(static_cast<int64_t>(v)) {}
  E(int64_t v) {
    auto n = make(Expr::Kind::Int, Type::Int, true);
    n->integer = v;
    node = n;
  }
  E(double v) {
    auto n = make(Expr::Kind::Float, Type::Float, true);
    n->number = v;
    node = n;
  }
  E(bool v) {
    auto n = make(Expr::Kind::Bool, Type::Bool, true);
    n->integer = v;
    node = n;
  }
  Type type() const { return node->type; }
  static std::shared_ptr<Expr> make(Expr::Kind kind, Type type, bool constant) {
    auto n = std::make_shared<Expr>();
    n->kind = kind;
    n->type = type;
    n->constant = constant;
    return n;
  }
};

/// An int as a float (T1).
inline E toFloat(const E &e) {
  if (e.type() != Type::Int)
    return e;
  auto n = E::make(Expr::Kind::Convert, Type::Float, e.node->constant);
  n->args = {e.node};
  return {n};
}

inline E apply(Op op, std::vector<E> args) {
  bool comparison = isComparison(op), logic = isCondition(op) && !comparison;
  bool keeps = typingOf(op) == Typing::Same && !comparison && !logic;
  bool toInt = typingOf(op) == Typing::Int;
  bool anyFloat = false, constant = true;
  for (E &a : args) {
    anyFloat |= a.type() == Type::Float;
    constant &= a.node->constant;
  }
  if (anyFloat || (!comparison && !logic && !keeps))
    for (E &a : args)
      a = toFloat(a);
  Type type = comparison || logic  ? Type::Bool
              : toInt              ? Type::Int
              : keeps && !anyFloat ? Type::Int
                                   : Type::Float;
  auto n = E::make(Expr::Kind::Apply, type, constant);
  n->op = op;
  for (E &a : args)
    n->args.push_back(a.node);
  n->checked = {true};
  return {n};
}

inline E operator+(E a, E b) { return apply(Op::Add, {a, b}); }
inline E operator-(E a, E b) { return apply(Op::Sub, {a, b}); }
inline E operator*(E a, E b) { return apply(Op::Mul, {a, b}); }
inline E operator/(E a, E b) { return apply(Op::Div, {a, b}); }
inline E operator-(E a) { return apply(Op::Neg, {a}); }
inline E operator<(E a, E b) { return apply(Op::Less, {a, b}); }
inline E operator<=(E a, E b) { return apply(Op::LessEqual, {a, b}); }
inline E operator>(E a, E b) { return apply(Op::Greater, {a, b}); }
inline E operator>=(E a, E b) { return apply(Op::GreaterEqual, {a, b}); }
inline E operator==(E a, E b) { return apply(Op::Equal, {a, b}); }
inline E operator!=(E a, E b) { return apply(Op::NotEqual, {a, b}); }
inline E both(E a, E b) { return apply(Op::And, {a, b}); }
inline E either(E a, E b) { return apply(Op::Or, {a, b}); }

/// if condition then yes else no
inline E choose(E condition, E yes, E no) {
  if (yes.type() == Type::Float || no.type() == Type::Float) {
    yes = toFloat(yes);
    no = toFloat(no);
  }
  auto n = E::make(Expr::Kind::If, yes.type(),
                   condition.node->constant && yes.node->constant && no.node->constant);
  n->args = {condition.node, yes.node, no.node};
  return {n};
}

class ProgramBuilder {
public:
  /// A letter of the program; usable as an expression and as an axis.
  struct Index : E {
    int letter = -1;
    Index(E e, int l) : E(std::move(e)), letter(l) {}
  };
  /// Where a piece stands on an axis: a letter or a position.
  struct Place {
    PieceIndex index;
    Place(const Index &i) { index.letter = i.letter; }
    Place(qkv::Size position) { index.position = std::move(position); }
    Place(int position) { index.position = qkv::Size(position); }
  };

  Program program;

  /// A dynamic (or the stream) size; the number of its atom.
  int dynamic(const std::string &name, int64_t max, bool stream = false) {
    SizeAtom atom;
    atom.kind = stream ? SizeAtom::Kind::Stream : SizeAtom::Kind::Dynamic;
    atom.name = name;
    atom.max = max;
    int a = program.atoms.add(atom);
    program.dynamicSizes.push_back(a);
    if (stream)
      program.stream = a;
    return a;
  }

  Index letter(const std::string &name, qkv::Size extent) {
    program.letters.push_back({name, std::move(extent)});
    int l = static_cast<int>(program.letters.size()) - 1;
    auto n = E::make(Expr::Kind::Letter, Type::Int, true);
    n->letter = l;
    return {E{n}, l};
  }

  E size(qkv::Size s) {
    auto n = E::make(Expr::Kind::Size, Type::Int, true);
    n->size = std::move(s);
    return {n};
  }

  int input(const std::string &name, Type type, std::vector<Index> axes) {
    int t = tensor(Tensor::Kind::Input, name, type, axes);
    program.inputs.push_back(t);
    return t;
  }
  int param(const std::string &name, std::vector<Index> axes) {
    int t = tensor(Tensor::Kind::Param, name, Type::Float, axes);
    program.tensors[t].param.stored = {{"", {name}, {}, "", ""}};
    return t;
  }
  /// A tensor without pieces yet; `constant`: it depends on no input and no parameter.
  int declare(const std::string &name, Type type, std::vector<Index> axes, bool constant = false) {
    int t = tensor(Tensor::Kind::Equation, name, type, axes);
    program.tensors[t].constant = constant;
    return t;
  }
  /// A tensor of one general piece.
  int equation(const std::string &name, Type type, std::vector<Index> axes, E value, E guard = {}) {
    int t = declare(name, type, axes, value.node->constant);
    std::vector<Place> places(axes.begin(), axes.end());
    piece(t, places, value, guard);
    return t;
  }
  /// Pieces are given in order: most constant first.
  void piece(int tensor, std::vector<Place> places, E value, E guard = {}) {
    Piece p;
    for (Place &place : places)
      p.indices.push_back(place.index);
    p.value = (program.tensors[tensor].type == Type::Float ? toFloat(value) : value).node;
    p.guard = guard.node;
    program.tensors[tensor].pieces.push_back(std::move(p));
  }
  /// P4: positions outside the range that are defined as well.
  void widen(int tensor, int axis, int64_t before, int64_t after) {
    program.tensors[tensor].axes[axis].before = before;
    program.tensors[tensor].axes[axis].after = after;
  }
  void result(int tensor) { program.results.push_back({program.tensors[tensor].name, tensor}); }

  E read(int tensor, std::vector<E> indices, Span span = {}) {
    const Tensor &t = program.tensors[tensor];
    bool constant = t.constant;
    for (E &i : indices)
      constant &= i.node->constant;
    auto n = E::make(Expr::Kind::Read, t.type, constant);
    n->tensor = tensor;
    for (E &i : indices) {
      n->args.push_back(i.node);
      n->checked.push_back(true);
    }
    n->span = span;
    return {n};
  }

  E reduce(Reduction r, std::vector<Index> letters, E body, E guard = {},
           std::vector<E> position = {}) {
    Typing typing = infoOf(r).typing;
    if (typing == Typing::Float)
      body = toFloat(body);
    bool constant = body.node->constant && (!guard.node || guard.node->constant);
    for (E &p : position)
      constant &= p.node->constant;
    Type type = typing == Typing::Int ? Type::Int : body.type();
    auto n = E::make(Expr::Kind::Reduce, type, constant);
    n->reduction = r;
    for (Index &l : letters)
      n->letters.push_back(l.letter);
    n->args = {body.node, guard.node};
    for (E &p : position)
      n->args.push_back(p.node);
    return {n};
  }
  E sum(std::vector<Index> letters, E body, E guard = {}) {
    return reduce(Reduction::Sum, letters, body, guard);
  }
  /// softmax over `letters` of body where guard, the share at `position`.
  E softmax(std::vector<Index> letters, E body, std::vector<E> position, E guard = {}) {
    return reduce(Reduction::Softmax, letters, body, guard, position);
  }

private:
  int tensor(Tensor::Kind kind, const std::string &name, Type type,
             const std::vector<Index> &axes) {
    Tensor t;
    t.kind = kind;
    t.name = t.label = name;
    t.type = type;
    for (const Index &i : axes)
      t.axes.push_back({program.letters[i.letter].name, program.letters[i.letter].extent, 0, 0});
    program.tensors.push_back(std::move(t));
    return static_cast<int>(program.tensors.size()) - 1;
  }
};

} // namespace qkv::test

// Looks at every node of each live piece once (CheckProgram.h).
#include "compiler/equations/CheckProgram.h"

#include "compiler/equations/Expressions.h"

#include <algorithm>

namespace qkv::equations {

using K = Expr::Kind;

namespace {

class ProgramChecker {
public:
  explicit ProgramChecker(const Program &program) : program_(program) {}

  std::string run() {
    for (const Result &r : program_.results)
      if (!isTensor(r.tensor))
        return "result " + r.name + " is no tensor";
    for (int t : liveTensors(program_)) {
      tensor(program_.tensors[t]);
      if (!broken_.empty())
        return program_.tensors[t].name + ": " + broken_;
    }
    return "";
  }

private:
  bool isTensor(int t) const { return t >= 0 && t < static_cast<int>(program_.tensors.size()); }
  bool isLetter(int l) const { return l >= 0 && l < static_cast<int>(program_.letters.size()); }

  void tensor(const Tensor &t) {
    if (t.type == Type::Unknown)
      return fail("its type is not known");
    if (t.kind == Tensor::Kind::Equation && t.pieces.empty())
      return fail("it has no equation");
    for (const Piece &p : t.pieces) {
      if (p.indices.size() != t.axes.size())
        return fail("a piece has " + std::to_string(p.indices.size()) + " indices for " +
                    std::to_string(t.axes.size()) + " axes");
      std::set<int> own;
      for (const PieceIndex &i : p.indices)
        if (i.letter >= 0 && (!isLetter(i.letter) || !own.insert(i.letter).second))
          return fail("a piece has no letter, or one twice, as an index");
      for (const ExprPtr &e : {p.value, p.guard}) {
        if (!e)
          continue;
        for (int l : free_.of(e))
          if (!own.count(l))
            return fail("the letter " + program_.letters[l].name + " has no value");
        forEachNode(e, [&](const Expr &n) { node(n); });
      }
      if (!p.value)
        return fail("a piece has no value");
      // (A constant int may stand for a float: it is converted where it is stored.)
      if (p.value->type != t.type && !(t.type == Type::Float && p.value->type == Type::Int))
        return fail(std::string("its value is ") + typeName(p.value->type) + ", it is " +
                    typeName(t.type));
      if (p.guard && p.guard->type != Type::Bool)
        return fail("its guard is no bool");
    }
  }

  void node(const Expr &e) {
    if (e.type == Type::Unknown)
      return fail("a node has no type");
    for (int l : e.letters)
      if (!isLetter(l))
        return fail("a node binds no letter");
    for (size_t a = 0; a < e.args.size(); ++a)
      if (!e.args[a] && !mayMiss(e, a))
        return fail("an argument is missing");
    auto is = [&](size_t a, Type type) { return e.args[a]->type == type; };
    switch (e.kind) {
    case K::Letter:
      if (!isLetter(e.letter))
        fail("a letter that is none");
      break;
    case K::Read:
      read(e);
      break;
    case K::If:
      if (e.args.size() != 3 || !is(0, Type::Bool))
        fail("an if has no condition");
      break;
    case K::Convert:
      if (e.args.size() != 1)
        fail("a conversion of nothing");
      break;
    case K::Apply:
      apply(e);
      break;
    case K::Reduce: {
      size_t positions = infoOf(e.reduction).ofElement ? e.letters.size() : 0;
      if (e.letters.empty() || e.args.size() != 2 + positions)
        fail("a reduction without its letters or its position");
      else if (e.args[1] && !is(1, Type::Bool))
        fail("the guard of a reduction is no bool");
      break;
    }
    case K::Weighted:
      if ((e.letters.size() != 2 && e.letters.size() != 6) || e.args.size() != WeightedArg::Count)
        fail("a weighted sum without its letters or its parts");
      break;
    case K::Int:
    case K::Float:
    case K::Bool:
    case K::Size:
    case K::Step:
      break;
    }
  }

  static bool mayMiss(const Expr &e, size_t arg) {
    return (e.kind == K::Reduce && arg == 1) ||
           (e.kind == K::Weighted && arg != WeightedArg::Score);
  }

  void read(const Expr &e) {
    if (!isTensor(e.tensor))
      return fail("a read of no tensor");
    const Tensor &t = program_.tensors[e.tensor];
    if (e.args.size() != t.axes.size())
      return fail(t.name + " has " + std::to_string(t.axes.size()) + " axes and is read with " +
                  std::to_string(e.args.size()) + " indices");
    for (const ExprPtr &a : e.args)
      if (a->type != Type::Int)
        return fail("an index of " + t.name + " is no int");
    if (e.type != t.type)
      fail(t.name + " is " + typeName(t.type) + " and is read as " + typeName(e.type));
  }

  void apply(const Expr &e) {
    bool logical = e.op == Op::And || e.op == Op::Or || e.op == Op::Not;
    bool single = e.op < Op::Add;
    if (e.args.size() != (single ? 1u : 2u))
      return fail(std::string(opName(e.op)) + " has " + std::to_string(e.args.size()) +
                  " arguments");
    for (const ExprPtr &a : e.args)
      if (logical && a->type != Type::Bool)
        return fail(std::string(opName(e.op)) + " of what is no bool");
  }

  void fail(const std::string &what) {
    if (broken_.empty())
      broken_ = what;
  }

  const Program &program_;
  FreeLetters free_;
  std::string broken_;
};

} // namespace

std::string whatIsBroken(const Program &program) { return ProgramChecker(program).run(); }

} // namespace qkv::equations

// Types and exactness of every expression (T1, T3), and letters of its own for every binding.
//
// In: untyped equations. Out: each node typed, ints converted where they meet floats, each
// node marked that depends on letters, sizes and constants alone.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace qkv {

const char *typeName(Type type) {
  switch (type) {
  case Type::Bool:
    return "bool";
  case Type::Int:
    return "int";
  case Type::Float:
    return "float";
  default:
    return "unknown";
  }
}

namespace sema {
namespace {

using K = Expr::Kind;

Type joinTypes(Type a, Type b) {
  if (a == Type::Unknown)
    return b;
  if (b == Type::Unknown || a == b)
    return a;
  return a == Type::Float || b == Type::Float ? Type::Float : Type::Int;
}

class Inference {
public:
  Inference(Program &program, Diagnostics &diagnostics)
      : program_(program), diagnostics_(diagnostics) {}

  std::set<int> run() {
    findReaders();
    findTypes();
    findConstants();
    std::set<int> broken;
    for (size_t number = 0; number < program_.tensors.size(); ++number) {
      Tensor &t = program_.tensors[number];
      ok_ = true;
      for (Piece &p : t.pieces) {
        done_.clear();
        letters_.clear();
        for (PieceIndex &i : p.indices)
          if (i.letter >= 0)
            i.letter = letters_[i.letter] = fresh(i.letter);
        if (p.guard)
          p.guard = rebuild(p.guard);
        p.value = convert(rebuild(p.value), t.type, p.span);
      }
      if (!ok_)
        broken.insert(static_cast<int>(number));
      // Most constant first; the order of the text otherwise.
      std::stable_sort(t.pieces.begin(), t.pieces.end(), [](const Piece &a, const Piece &b) {
        auto constants = [](const Piece &p) {
          return std::count_if(p.indices.begin(), p.indices.end(),
                               [](const PieceIndex &i) { return i.letter < 0; });
        };
        return constants(a) > constants(b);
      });
    }
    return broken;
  }

private:
  int fresh(int letter) {
    Letter copy = program_.letters[letter];
    program_.letters.push_back(copy);
    return static_cast<int>(program_.letters.size()) - 1;
  }

  // Which tensors read a tensor.
  void findReaders() {
    readers_.resize(program_.tensors.size());
    for (size_t t = 0; t < program_.tensors.size(); ++t) {
      std::unordered_set<const Expr *> seen;
      std::unordered_set<int> read;
      std::vector<const Expr *> work;
      for (Piece &p : program_.tensors[t].pieces) {
        work.push_back(p.value.get());
        work.push_back(p.guard.get());
      }
      while (!work.empty()) {
        const Expr *e = work.back();
        work.pop_back();
        if (!e || !seen.insert(e).second)
          continue;
        if (e->kind == K::Read && read.insert(e->tensor).second)
          readers_[e->tensor].push_back(static_cast<int>(t));
        for (auto &a : e->args)
          work.push_back(a.get());
      }
    }
  }

  // Least fixpoint: a tensor is looked at again when one that it reads has changed.
  void findTypes() {
    std::vector<int> work;
    for (size_t t = program_.tensors.size(); t-- > 0;)
      work.push_back(static_cast<int>(t));
    while (!work.empty()) {
      int number = work.back();
      work.pop_back();
      Tensor &t = program_.tensors[number];
      Type joined = t.type;
      types_.clear();
      for (Piece &p : t.pieces)
        joined = joinTypes(joined, typeOf(p.value));
      if (joined == t.type)
        continue;
      t.type = joined;
      work.insert(work.end(), readers_[number].begin(), readers_[number].end());
    }
    for (Tensor &t : program_.tensors)
      if (t.type == Type::Unknown)
        t.type = Type::Float;
    types_.clear();
  }

  Type typeOf(const ExprPtr &e) {
    if (e->args.empty() && e->kind != K::Read)
      return leafType(*e);
    auto it = types_.find(e.get());
    if (it != types_.end())
      return it->second;
    Type t = Type::Float;
    switch (e->kind) {
    case K::Read:
      t = program_.tensors[e->tensor].type;
      break;
    case K::If:
      t = joinTypes(typeOf(e->args[1]), typeOf(e->args[2]));
      break;
    case K::Reduce:
      t = typeOf(infoOf(e->reduction).typing, {e->args[0]});
      break;
    case K::Apply:
      t = isCondition(e->op) ? Type::Bool : typeOf(typingOf(e->op), e->args);
      break;
    default:
      break;
    }
    types_[e.get()] = t;
    return t;
  }

  Type typeOf(Typing typing, const std::vector<ExprPtr> &args) {
    if (typing != Typing::Same)
      return typing == Typing::Int ? Type::Int : Type::Float;
    Type first = typeOf(args[0]);
    return args.size() > 1 ? joinTypes(first, typeOf(args[1])) : first;
  }

  static Type leafType(const Expr &e) {
    return e.kind == K::Float ? Type::Float : e.kind == K::Bool ? Type::Bool : Type::Int;
  }

  // Greatest fixpoint: constant until something says otherwise.
  void findConstants() {
    for (Tensor &t : program_.tensors)
      t.constant = t.kind == Tensor::Kind::Equation;
    std::vector<int> work;
    for (size_t t = 0; t < program_.tensors.size(); ++t)
      if (!program_.tensors[t].constant)
        work.push_back(static_cast<int>(t));
    while (!work.empty()) {
      int data = work.back();
      work.pop_back();
      for (int reader : readers_[data])
        if (std::exchange(program_.tensors[reader].constant, false))
          work.push_back(reader);
    }
  }

  void error(Span at, std::string message, const char *rule, const char *hint = nullptr) {
    ok_ = false;
    auto &d = diagnostics_.error(at, std::move(message), rule);
    if (hint)
      d.hint(hint);
  }

  ExprPtr convert(ExprPtr e, Type type, Span at) {
    if (e->type == type)
      return e;
    if (type == Type::Float && e->type == Type::Int) {
      auto c = std::make_shared<Expr>();
      c->type = Type::Float;
      c->constant = e->constant;
      c->span = e->span;
      if (e->kind == K::Int) {
        c->kind = K::Float;
        c->number = static_cast<double>(e->integer);
      } else {
        c->kind = K::Convert;
        c->args = {e};
      }
      return c;
    }
    if (type == Type::Bool)
      error(e->span,
            std::string("a bool is wanted here, and this is ") +
                (e->type == Type::Int ? "an int" : "a float"),
            "T1", "a comparison makes a bool: x != 0");
    else if (e->type == Type::Bool)
      error(e->span, "bools never become numbers", "T1", "if ... then 1 else 0");
    else
      error(e->span.source ? e->span : at, "an int is wanted here, and this is a float", "T1",
            e->kind == K::Apply && e->op == Op::Div
                ? "'/' makes a float; '//' divides and rounds down"
                : "floor, ceil and round give ints");
    return e;
  }

  ExprPtr number(const ExprPtr &e) { // not a bool
    if (e->type == Type::Bool)
      convert(e, Type::Float, e->span);
    return e;
  }

  ExprPtr rebuild(const ExprPtr &e) {
    auto it = done_.find(e.get());
    if (it != done_.end())
      return it->second;
    auto n = std::make_shared<Expr>(*e);
    if (e->kind == K::Reduce)
      for (int &l : n->letters)
        l = letters_[l] = fresh(l);
    if (e->kind == K::Letter) {
      auto l = letters_.find(e->letter);
      if (l != letters_.end())
        n->letter = l->second;
    }
    for (auto &a : n->args)
      if (a)
        a = rebuild(a);
    ExprPtr result = type(n);
    done_[e.get()] = result;
    return result;
  }

  ExprPtr type(std::shared_ptr<Expr> n) {
    auto &a = n->args;
    bool constant = true;
    for (auto &x : a)
      constant = constant && (!x || x->constant);
    n->constant = constant;
    switch (n->kind) {
    case K::Read:
      n->type = program_.tensors[n->tensor].type;
      n->constant = constant && program_.tensors[n->tensor].constant;
      for (auto &x : a)
        x = convert(x, Type::Int, n->span);
      n->checked.resize(a.size(), false);
      break;
    case K::If: {
      a[0] = convert(a[0], Type::Bool, n->span);
      if ((a[1]->type == Type::Bool) != (a[2]->type == Type::Bool))
        error(n->span, "one side of this if is a bool and the other a number", "T1");
      n->type = joinTypes(a[1]->type, a[2]->type);
      for (int i : {1, 2})
        if (n->type == Type::Float && a[i]->type == Type::Int)
          a[i] = convert(a[i], Type::Float, n->span);
      break;
    }
    case K::Reduce: {
      if (a[1])
        a[1] = convert(a[1], Type::Bool, n->span);
      for (size_t i = 2; i < a.size(); ++i)
        a[i] = convert(a[i], Type::Int, n->span);
      a[0] = number(a[0]);
      Typing typing = infoOf(n->reduction).typing;
      if (typing == Typing::Float)
        a[0] = convert(a[0], Type::Float, n->span);
      n->type = typing == Typing::Int ? Type::Int : a[0]->type;
      break;
    }
    case K::Apply:
      return typeApply(n);
    default:
      n->type = leafType(*n);
    }
    return n;
  }

  ExprPtr typeApply(std::shared_ptr<Expr> n) {
    auto &a = n->args;
    Op op = n->op;
    if (op == Op::Not || op == Op::And || op == Op::Or) {
      for (auto &x : a)
        x = convert(x, Type::Bool, n->span);
      n->type = Type::Bool;
      return n;
    }
    if (isComparison(op) && a[0]->type == Type::Bool && a[1]->type == Type::Bool &&
        (op == Op::Equal || op == Op::NotEqual)) {
      n->type = Type::Bool;
      return n;
    }
    for (auto &x : a)
      x = number(x);
    Typing typing = typingOf(op);
    if (typing == Typing::Int) {
      if (a[0]->type == Type::Int)
        return a[0];
      n->type = Type::Int;
      return n;
    }
    Type joined = typing == Typing::Float ? Type::Float : a[0]->type;
    if (a.size() > 1)
      joined = joinTypes(joined, a[1]->type);
    for (auto &x : a)
      if (joined == Type::Float && x->type == Type::Int)
        x = convert(x, Type::Float, n->span);
    n->type = isComparison(op) ? Type::Bool : joined;
    if (op == Op::FloorDiv || op == Op::Mod) {
      n->checked.assign(1, false);
      if (a[1]->kind == K::Int && a[1]->integer == 0)
        error(n->span, "a division by zero", "T2");
    }
    // Arithmetic of integer literals is done here: -1 is a number.
    if (op == Op::Neg && a[0]->kind == K::Int) {
      auto c = std::make_shared<Expr>(*a[0]);
      c->integer = static_cast<int64_t>(-static_cast<uint64_t>(a[0]->integer));
      c->span = n->span;
      return c;
    }
    if (op == Op::Neg && a[0]->kind == K::Float) {
      auto c = std::make_shared<Expr>(*a[0]);
      c->number = -c->number;
      c->span = n->span;
      return c;
    }
    return n;
  }

  Program &program_;
  Diagnostics &diagnostics_;
  std::vector<std::vector<int>> readers_;
  std::unordered_map<const Expr *, Type> types_;
  std::unordered_map<const Expr *, ExprPtr> done_;
  std::unordered_map<int, int> letters_;
  bool ok_ = true; ///< of the tensor that is looked at
};

} // namespace

std::set<int> inferTypes(Program &program, Diagnostics &diagnostics) {
  return Inference(program, diagnostics).run();
}

} // namespace sema
} // namespace qkv

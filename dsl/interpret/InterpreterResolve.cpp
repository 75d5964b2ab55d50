// Expressions -> nodes of the interpreter, one piece at a time.
//
// In: a checked piece; sizes are bound. Out: nodes with slots for letters, numbers for sizes,
// the places where constants become f32 (T3), and what is worth remembering: shared nodes
// (or nested sharing would be evaluated exponentially often) and reductions that do not depend
// on all letters around them (or each element of a row would reduce the row again).
#include "dsl/interpret/InterpreterMachine.h"

#include <algorithm>

namespace qkv::interpret {

class Resolver {
public:
  Resolver(Machine &machine, TensorState &t, const Piece &piece, PieceState &out)
      : machine_(machine), tensor_(t), piece_(piece), out_(out) {}

  void run() {
    for (const PieceIndex &i : piece_.indices) {
      PieceState::Index index;
      if (i.letter >= 0) {
        index.slot = bind(i.letter);
        index.position = extent(i.letter);
        ++scope_;
      } else {
        index.position = evaluate(i.position);
      }
      out_.indices.push_back(index);
    }
    countUses();
    out_.value = operand(piece_.value, tensor_.tensor->type == Type::Float,
                         machine_.rounding.single() && !tensor_.tensor->constant);
    if (piece_.guard)
      out_.guard = resolve(piece_.guard).node;
    out_.slots = static_cast<int>(slots_.size());
  }

private:
  struct Resolved {
    Node *node = nullptr;
    int64_t cost = 1; // of one evaluation, roughly, in nodes
  };

  // Remembering costs about as much as evaluating this many nodes.
  static constexpr int64_t kCheap = 8;
  static constexpr int64_t kExpensive = 1000;

  int64_t evaluate(const Size &size) const {
    return size.evaluate(machine_.program.atoms, machine_.sizes);
  }
  int64_t extent(int letter) const { return evaluate(machine_.program.letters[letter].extent); }

  int bind(int letter) {
    return slots_.try_emplace(letter, static_cast<int>(slots_.size())).first->second;
  }

  [[noreturn]] void broken(const Expr &e, const std::string &what) {
    throw Failure{{e.span ? e.span : piece_.span,
                   "the checked equations of " + tensor_.tensor->name + " are broken: " + what,
                   ""}};
  }

  void countUses() {
    std::vector<const Expr *> work;
    auto use = [&](const ExprPtr &e) {
      if (e && ++uses_[e.get()] == 1)
        work.push_back(e.get());
    };
    use(piece_.value);
    use(piece_.guard);
    while (!work.empty()) {
      const Expr *e = work.back();
      work.pop_back();
      for (const ExprPtr &arg : e->args)
        use(arg);
    }
  }

  Node *make(Code code, const Expr &e) {
    Node &n = out_.nodes.emplace_back();
    n.code = code;
    n.source = &e;
    n.integral = e.type != Type::Float;
    return &n;
  }

  void setArgs(Node *n, std::vector<Node *> args) {
    for (Node *arg : args)
      if (arg) {
        n->letters |= arg->letters;
        n->depth = std::max(n->depth, arg->depth + 1);
        std::vector<int> both;
        std::set_union(n->free.begin(), n->free.end(), arg->free.begin(), arg->free.end(),
                       std::back_inserter(both));
        n->free = std::move(both);
      }
    n->a = !args.empty() ? args[0] : nullptr;
    n->b = args.size() > 1 ? args[1] : nullptr;
    n->c = args.size() > 2 ? args[2] : nullptr;
    n->args = std::move(args);
  }

  void setLetters(Node *n) {
    n->letters = 0;
    for (int s : n->free)
      n->letters |= uint64_t(1) << (s & 63);
  }

  // An operand: an int becomes a float where one is wanted (T1), a constant an f32 where it
  // meets data (T3).
  Node *operand(const ExprPtr &e, bool wantFloat, bool meetsData) {
    Node *n = resolve(e).node;
    if (wantFloat && n->integral) {
      Node *convert = make(Code::Convert, *e);
      convert->integral = false;
      convert->single = machine_.rounding.single() && !e->constant;
      setArgs(convert, {n});
      convert->mayBeOut = n->mayBeOut;
      n = fold(convert);
    }
    if (meetsData && e->constant && !n->integral) {
      Node *narrow = make(Code::Narrow, *e);
      narrow->integral = false;
      setArgs(narrow, {n});
      narrow->mayBeOut = n->mayBeOut;
      n = fold(narrow);
    }
    return n;
  }

  // Literals as operands need no evaluation.
  Node *fold(Node *n) {
    if (n->code == Code::Convert && n->a->code == Code::Integer) {
      n->number = static_cast<double>(n->a->integer);
      if (n->single)
        n->number = machine_.rounding.narrow(n->number);
    } else if (n->code == Code::Narrow && n->a->code == Code::Number) {
      n->number = nearestSingle(n->a->number);
    } else {
      return n;
    }
    n->code = Code::Number;
    setArgs(n, {});
    n->depth = 1;
    return n;
  }

  Resolved resolve(const ExprPtr &expr) {
    const Expr &e = *expr;
    if (auto found = done_.find(&e); found != done_.end())
      return found->second;
    Resolved r = build(e);
    bool mayBeOut = machine_.leftOut_.may(expr);
    r.node->mayBeOut = mayBeOut;
    if (r.node->code == Code::Narrow)
      r.node->a->mayBeOut = mayBeOut;
    bool reduction = e.kind == Expr::Kind::Reduce && !infoOf(e.reduction).ofElement;
    bool shared = uses_[&e] > 1 && r.cost > kCheap;
    bool invariant = reduction && static_cast<int>(r.node->free.size()) < scope_;
    if (shared || invariant) {
      Memory &memory = out_.memories.emplace_back();
      memory.slots = r.node->free;
      memory.table = reduction;
      Node *remember = make(Code::Remember, e);
      remember->integral = r.node->integral;
      remember->memory = &memory;
      remember->mayBeOut = mayBeOut;
      setArgs(remember, {r.node});
      r = {remember, 3};
    }
    done_[&e] = r;
    return r;
  }

  Resolved build(const Expr &e) {
    using Kind = Expr::Kind;
    bool single = machine_.rounding.single() && e.type == Type::Float && !e.constant;
    switch (e.kind) {
    case Kind::Int:
    case Kind::Bool:
    case Kind::Step: {
      Node *n = make(e.type == Type::Float ? Code::Number : Code::Integer, e);
      n->integer = e.integer;
      n->number = static_cast<double>(e.integer);
      return {n, 1};
    }
    case Kind::Float: {
      Node *n = make(Code::Number, e);
      n->integral = false;
      n->number = e.number;
      return {n, 1};
    }
    case Kind::Size: {
      Node *n = make(Code::Integer, e);
      n->integral = true;
      n->integer = evaluate(e.size);
      return {n, 1};
    }
    case Kind::Letter: {
      auto slot = slots_.find(e.letter);
      if (slot == slots_.end())
        broken(e, "the letter " + machine_.program.letters[e.letter].name + " is not bound");
      Node *n = make(Code::Letter, e);
      n->integral = true;
      n->slot = slot->second;
      n->free = {n->slot};
      setLetters(n);
      return {n, 1};
    }
    case Kind::Read:
      return buildRead(e, single);
    case Kind::Apply:
      return buildApply(e, single);
    case Kind::If: {
      Node *n = make(Code::If, e);
      bool wantFloat = e.type == Type::Float;
      Node *condition = resolve(e.args[0]).node;
      Node *yes = operand(e.args[1], wantFloat, single);
      Node *no = operand(e.args[2], wantFloat, single);
      setArgs(n, {condition, yes, no});
      return {n, cost(e)};
    }
    case Kind::Reduce:
      return buildReduce(e, single);
    case Kind::Weighted:
      return resolve(out_.written.emplace_back(writtenOut(e)));
    case Kind::Convert: {
      Resolved arg = resolve(e.args[0]);
      if (e.type != Type::Float || !arg.node->integral)
        return arg;
      Node *n = make(Code::Convert, e);
      n->single = single;
      setArgs(n, {arg.node});
      return {fold(n), cost(e)};
    }
    }
    broken(e, "a node of no kind");
  }

  int64_t cost(const Expr &e) {
    int64_t sum = 1;
    for (const ExprPtr &arg : e.args)
      if (arg)
        sum += resolve(arg).cost;
    return std::min(sum, kExpensive);
  }

  Resolved buildRead(const Expr &e, bool single) {
    if (e.tensor < 0 || e.tensor >= static_cast<int>(machine_.tensors.size()))
      broken(e, "a read of no tensor");
    TensorState &t = machine_.tensors[e.tensor];
    if (e.args.size() != t.axes.size())
      broken(e, t.tensor->name + " has " + std::to_string(t.axes.size()) + " axes, a read " +
                    std::to_string(e.args.size()) + " indices");
    Node *n = make(Code::Read, e);
    n->integral = t.integral;
    n->tensor = &t;
    std::vector<Node *> args;
    for (const ExprPtr &arg : e.args)
      args.push_back(resolve(arg).node);
    setArgs(n, std::move(args));
    int64_t c = cost(e);
    // A constant tensor is kept in double: at an index that is data, its element is data.
    if (single && t.tensor->constant && !t.integral) {
      Node *narrow = make(Code::Narrow, e);
      setArgs(narrow, {n});
      n = narrow;
    }
    return {n, c};
  }

  Resolved buildApply(const Expr &e, bool single) {
    bool wantFloat = e.type == Type::Float;
    for (const ExprPtr &arg : e.args)
      wantFloat |= arg->type == Type::Float;
    std::vector<Node *> args;
    for (const ExprPtr &arg : e.args)
      args.push_back(operand(arg, wantFloat, machine_.rounding.single() && !e.constant));
    // h[t-1]: the most common index that is not a letter.
    if ((e.op == Op::Add || e.op == Op::Sub) && e.type != Type::Float) {
      Node *letter = args[0], *number = args[1];
      if (e.op == Op::Add && letter->code == Code::Integer)
        std::swap(letter, number);
      if (letter->code == Code::Letter && number->code == Code::Integer) {
        Node *n = make(Code::Shifted, e);
        n->slot = letter->slot;
        n->integer = e.op == Op::Add ? number->integer : wrapSub(0, number->integer);
        n->free = letter->free;
        setLetters(n);
        return {n, 1};
      }
    }
    Node *n = make(Code::Apply, e);
    n->op = e.op;
    n->single = single;
    setArgs(n, std::move(args));
    return {n, cost(e)};
  }

  Resolved buildReduce(const Expr &e, bool single) {
    bool ofElement = infoOf(e.reduction).ofElement;
    if (e.letters.empty())
      broken(e, "a reduction over no letter");
    Node *n = make(Code::Reduce, e);
    n->reduction = e.reduction;
    n->single = single;
    std::vector<Node *> positions;
    for (size_t i = 2; i < e.args.size(); ++i)
      positions.push_back(resolve(e.args[i]).node);
    if (ofElement && positions.size() != e.letters.size())
      broken(e, std::string("a ") + reductionName(e.reduction) + " without its position");
    for (int letter : e.letters)
      n->loops.push_back({bind(letter), extent(letter)});
    scope_ += static_cast<int>(e.letters.size());
    bool bodyFloat = e.type == Type::Float;
    bool meetsData = machine_.rounding.single() && !e.constant;
    Node *body = operand(e.args[0], bodyFloat, meetsData);
    Node *guard = e.args.size() > 1 && e.args[1] ? resolve(e.args[1]).node : nullptr;
    scope_ -= static_cast<int>(e.letters.size());
    setArgs(n, {body, guard});
    for (const LoopLetter &l : n->loops)
      n->free.erase(std::remove(n->free.begin(), n->free.end(), l.slot), n->free.end());
    setLetters(n);
    if (ofElement) {
      // The row depends on less than its element does: not on the position.
      Memory &memory = out_.memories.emplace_back();
      memory.slots = n->free;
      n->memory = &memory;
      Node *row = n;
      n = make(e.reduction == Reduction::Softmax ? Code::Softmax : Code::Rank, e);
      n->single = single;
      n->memory = &memory;
      n->loops = row->loops;
      positions.insert(positions.begin(), row);
      setArgs(n, std::move(positions));
      row->code = Code::Row;
    }
    return {n, kExpensive};
  }

  Machine &machine_;
  TensorState &tensor_;
  const Piece &piece_;
  PieceState &out_;
  int scope_ = 0; // letters bound around the node that is being resolved
  std::unordered_map<int, int> slots_;
  std::unordered_map<const Expr *, int> uses_;
  std::unordered_map<const Expr *, Resolved> done_;
};

void resolvePiece(Machine &machine, TensorState &t, const Piece &piece, PieceState &out) {
  Resolver(machine, t, piece, out).run();
}

} // namespace qkv::interpret

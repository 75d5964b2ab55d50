// Proofs of indices. In: expressions and guards. Out: linear forms, facts, and whether an
// inequality follows. Sound, not complete: what is not found is not claimed.
#include "dsl/Proof.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace qkv {

ExprPtr substitute(const ExprPtr &e, const std::unordered_map<int, ExprPtr> &letters) {
  std::unordered_map<const Expr *, ExprPtr> done;
  std::function<ExprPtr(const ExprPtr &)> walk = [&](const ExprPtr &n) -> ExprPtr {
    if (!n)
      return n;
    if (n->kind == Expr::Kind::Letter) {
      auto it = letters.find(n->letter);
      return it == letters.end() ? n : it->second;
    }
    if (n->args.empty())
      return n;
    auto &slot = done[n.get()];
    if (slot)
      return slot;
    std::vector<ExprPtr> args;
    bool changed = false;
    for (auto &a : n->args) {
      args.push_back(walk(a));
      changed |= args.back() != a;
    }
    ExprPtr result = n;
    if (changed) {
      auto copy = std::make_shared<Expr>(*n);
      copy->args = std::move(args);
      result = copy;
    }
    done[n.get()] = result;
    return result;
  };
  return walk(e);
}

int Prover::variable(const std::string &key) {
  auto [it, fresh] = variables_.try_emplace(key, static_cast<int>(makers_.size()));
  if (fresh) {
    makers_.push_back(nullptr);
    definitions_.push_back(nullptr);
  }
  return it->second;
}

Linear Prover::monomial(const Size::Monomial &m) {
  std::string k = "M";
  for (int a : m)
    k += std::to_string(a) + ",";
  bool fresh = !variables_.count(k);
  int v = variable(k);
  if (fresh)
    makers_[v] = [this, m, v] {
      Facts f;
      Linear x = Linear::variable(v);
      if (m.size() > 1) {
        // Products of sizes, each at least 1 where it is a declared one, are at least each.
        for (int a : m)
          if (program_.atoms[a].lhs)
            return f;
        Size::Monomial rest(m.begin() + 1, m.end());
        f.all.push_back(x - monomial(rest));
        f.all.push_back(x - monomial({m[0]}));
        return f;
      }
      const SizeAtom &atom = program_.atoms[m[0]];
      if (!atom.lhs) { // A4
        f.all.push_back(x - Linear(1));
        f.all.push_back(Linear(atom.max) - x);
        return f;
      }
      auto divisor = atom.rhs->constant();
      if (!divisor || *divisor <= 0)
        return f;
      if (atom.kind == SizeAtom::Kind::FloorDiv) {
        Linear a = linear(*atom.lhs);
        f.all.push_back(a - x * *divisor);
        f.all.push_back(x * *divisor + Linear(*divisor - 1) - a);
      } else {
        f.all.push_back(x);
        f.all.push_back(Linear(*divisor - 1) - x);
      }
      return f;
    };
  return Linear::variable(v);
}

Linear Prover::linear(const Size &size) {
  Linear l;
  for (auto &[m, c] : size.terms())
    l.add(m.empty() ? Linear(1) : monomial(m), c);
  return l;
}

// The text of an expression, so that equal values are one variable; long ones by address.
std::string Prover::key(const ExprPtr &e, int &budget) {
  if (!e)
    return "-";
  auto address = [&] {
    named_.insert(e); // nothing else gets this address
    return "@" + std::to_string(reinterpret_cast<uintptr_t>(e.get()));
  };
  if (--budget < 0)
    return address();
  std::string k = std::to_string(static_cast<int>(e->kind)) + ":" + std::to_string(e->integer) +
                  ":" + std::to_string(e->letter) + ":" + std::to_string(e->tensor) + ":" +
                  std::to_string(static_cast<int>(e->op)) + ":" +
                  std::to_string(static_cast<int>(e->reduction)) + ":" +
                  (e->kind == Expr::Kind::Float ? std::to_string(e->number) : std::string()) +
                  (e->kind == Expr::Kind::Size ? e->size.text(program_.atoms) : std::string());
  if (e->kind == Expr::Kind::Reduce || e->kind == Expr::Kind::Float)
    k += address();
  k += "(";
  for (auto &a : e->args)
    k += key(a, budget) + ",";
  return k + ")";
}

int Prover::opaque(const ExprPtr &e) {
  int budget = 60;
  return variable("E" + key(e, budget));
}

ExprPtr Prover::lookThrough(const ExprPtr &read) {
  const Tensor &t = program_.tensors[read->tensor];
  if (t.kind != Tensor::Kind::Equation || t.pieces.size() != 1)
    return nullptr;
  if (depth_ > 24) {
    cut_ = true;
    return nullptr;
  }
  const Piece &p = t.pieces[0];
  std::unordered_map<int, ExprPtr> letters;
  for (size_t i = 0; i < p.indices.size(); ++i) {
    if (p.indices[i].letter < 0)
      return nullptr;
    letters[p.indices[i].letter] = read->args[i];
  }
  return substitute(p.value, letters);
}

// A node, or a read of equal indices, that was met before: doubled again and again (x = x + x), a
// value would be looked through exponentially often. What was found where the search was cut off
// holds as deep or deeper.
template <class Table, class Key, class Find>
auto Prover::remembered(Table &table, const Key &key, const ExprPtr &e, Find find) {
  auto it = table.find(key);
  if (it != table.end() && (!it->second.cut || depth_ >= it->second.depth)) {
    cut_ |= it->second.cut;
    return it->second.found;
  }
  bool outer = std::exchange(cut_, false);
  auto found = find();
  table[key] = {e, found, depth_, cut_};
  cut_ |= outer;
  return found;
}

Linear Prover::linear(const ExprPtr &e, bool &value) {
  auto find = [&] {
    bool inside = false;
    Linear l = linearOf(e, inside);
    return std::make_pair(l, inside);
  };
  std::pair<Linear, bool> found;
  if (e->kind == Expr::Kind::Read) {
    int budget = 60;
    found = remembered(linearReads_, key(e, budget), e, find);
  } else {
    found = e->args.empty() ? find() : remembered(linears_, e.get(), e, find);
  }
  value |= found.second;
  return found.first;
}

Linear Prover::linearOf(const ExprPtr &e, bool &value) {
  using K = Expr::Kind;
  struct Depth {
    int &d;
    ~Depth() { --d; }
  } guard{++depth_};
  auto opaqueWith = [&](auto maker) {
    int before = static_cast<int>(makers_.size());
    int v = opaque(e);
    if (v >= before)
      makers_[v] = maker(v);
    return Linear::variable(v);
  };
  auto unknown = [&] {
    value = true;
    return Linear::variable(opaque(e));
  };
  if (depth_ > 200) {
    cut_ = true;
    return unknown();
  }
  switch (e->kind) {
  case K::Int:
  case K::Step:
    return Linear(e->integer);
  case K::Letter: {
    int letter = e->letter;
    std::string k = "L" + std::to_string(letter);
    bool fresh = !variables_.count(k);
    int v = variable(k);
    if (fresh)
      makers_[v] = [this, letter, v] {
        Facts f;
        f.all.push_back(Linear::variable(v));
        f.all.push_back(linear(program_.letters[letter].extent) - Linear(1) - Linear::variable(v));
        return f;
      };
    return Linear::variable(v);
  }
  case K::Size:
    for (auto &[m, c] : e->size.terms())
      if (m.size() > 1)
        value = true;
    return linear(e->size);
  case K::Read: {
    if (program_.tensors[e->tensor].type == Type::Float)
      return unknown();
    if (ExprPtr inside = lookThrough(e))
      return linear(inside, value);
    return unknown();
  }
  case K::If: {
    ExprPtr c = e->args[0], a = e->args[1], b = e->args[2];
    bool inA = false, inB = false;
    Linear la = linear(a, inA), lb = linear(b, inB);
    value |= inA || inB;
    return opaqueWith([&](int v) -> std::function<Facts()> {
      return [this, c, la, lb, v] {
        Linear x = Linear::variable(v);
        Facts yes = facts(c, true), no = facts(c, false), f;
        yes.all.insert(yes.all.end(), {x - la, la - x});
        no.all.insert(no.all.end(), {x - lb, lb - x});
        f.any.push_back({yes, no});
        return f;
      };
    });
  }
  case K::Apply: {
    auto arg = [&](size_t i) { return linear(e->args[i], value); };
    switch (e->op) {
    case Op::Neg:
      return arg(0) * -1;
    case Op::Add:
      return arg(0) + arg(1);
    case Op::Sub:
      return arg(0) - arg(1);
    case Op::Mul: {
      Linear a = arg(0), b = arg(1);
      if (a.isConstant())
        return b * a.constant();
      if (b.isConstant())
        return a * b.constant();
      return unknown();
    }
    case Op::FloorDiv:
    case Op::Mod: {
      Linear a = arg(0), b = arg(1);
      if (!b.isConstant() || b.constant() <= 0)
        return unknown();
      int64_t m = b.constant();
      if (a.isConstant()) {
        int64_t q = a.constant() / m - (a.constant() % m < 0);
        return e->op == Op::FloorDiv ? Linear(q) : Linear(a.constant() - q * m);
      }
      // The quotient of equal operands is one variable, whatever the operation.
      std::string k = "Q" + std::to_string(m) + ":" + std::to_string(a.constant());
      for (auto &[v, c] : a.terms())
        k += "," + std::to_string(v) + "*" + std::to_string(c);
      bool fresh = !variables_.count(k);
      int v = variable(k);
      if (fresh)
        makers_[v] = [a, m, v] {
          Facts f;
          Linear q = Linear::variable(v);
          f.all.push_back(a - q * m);
          f.all.push_back(q * m + Linear(m - 1) - a);
          return f;
        };
      Linear q = Linear::variable(v);
      return e->op == Op::FloorDiv ? q : a - q * m;
    }
    case Op::Min:
    case Op::Max:
    case Op::Abs: {
      Linear a = arg(0), b = e->op == Op::Abs ? a * -1 : arg(1);
      int64_t sign = e->op == Op::Min ? 1 : -1;
      value = true;
      return opaqueWith([&](int v) -> std::function<Facts()> {
        return [a, b, v, sign] {
          Linear x = Linear::variable(v);
          Facts f, isA, isB;
          f.all = {(a - x) * sign, (b - x) * sign};
          isA.all = {x - a, a - x};
          isB.all = {x - b, b - x};
          f.any.push_back({isA, isB});
          return f;
        };
      });
    }
    default:
      return unknown();
    }
  }
  default:
    return unknown();
  }
}

namespace {
size_t weight(const Facts &f) {
  size_t sum = f.all.size();
  for (auto &alternatives : f.any)
    for (auto &a : alternatives)
      sum += 1 + weight(a);
  return sum;
}
} // namespace

Facts Prover::facts(const ExprPtr &e, bool truth) {
  auto find = [&] {
    Facts f = factsOf(e, truth);
    if (weight(f) > maxFacts) { // knowing less is sound
      f.any.clear();
      f.all.resize(std::min(f.all.size(), maxFacts));
    }
    return f;
  };
  if (!e || e->args.empty())
    return find();
  if (e->kind != Expr::Kind::Read)
    return remembered(facts_[truth], e.get(), e, find);
  int budget = 60;
  return remembered(factsOfReads_[truth], key(e, budget), e, find);
}

Facts Prover::factsOf(const ExprPtr &e, bool truth) {
  using K = Expr::Kind;
  struct Depth {
    int &d;
    ~Depth() { --d; }
  } guard{++depth_};
  Facts out;
  cut_ |= depth_ > 200;
  if (!e || depth_ > 200)
    return out;
  auto merge = [&](Facts f) {
    out.all.insert(out.all.end(), f.all.begin(), f.all.end());
    for (auto &a : f.any)
      out.any.push_back(std::move(a));
  };
  if (e->kind == K::Bool) {
    if ((e->integer != 0) != truth)
      out.all.push_back(Linear(-1)); // never
    return out;
  }
  if (e->kind == K::Read) {
    if (ExprPtr inside = lookThrough(e)) {
      const Tensor &t = program_.tensors[e->tensor];
      if (t.type != Type::Int && t.type != Type::Float)
        return facts(inside, truth);
    }
    return out;
  }
  if (e->kind == K::If) { // c and a, or not c and b
    Facts yes = facts(e->args[0], true), no = facts(e->args[0], false);
    auto with = [](Facts f, const Facts &g) {
      f.all.insert(f.all.end(), g.all.begin(), g.all.end());
      f.any.insert(f.any.end(), g.any.begin(), g.any.end());
      return f;
    };
    out.any.push_back({with(yes, facts(e->args[1], truth)), with(no, facts(e->args[2], truth))});
    return out;
  }
  if (e->kind != K::Apply)
    return out;
  Op op = e->op;
  if (op == Op::Not)
    return facts(e->args[0], !truth);
  if (op == Op::And || op == Op::Or) {
    if ((op == Op::And) == truth) {
      merge(facts(e->args[0], truth));
      merge(facts(e->args[1], truth));
    } else {
      out.any.push_back({facts(e->args[0], truth), facts(e->args[1], truth)});
    }
    return out;
  }
  if (op < Op::Equal)
    return out;
  std::function<bool(const ExprPtr &)> integral = [&](const ExprPtr &x) -> bool {
    if (x->type != Type::Unknown)
      return x->type == Type::Int;
    switch (x->kind) {
    case K::Int:
    case K::Letter:
    case K::Size:
    case K::Step:
      return true;
    case K::Read:
      return program_.tensors[x->tensor].type == Type::Int;
    case K::If:
      return integral(x->args[1]) && integral(x->args[2]);
    case K::Apply:
      if (x->op == Op::Floor || x->op == Op::Ceil || x->op == Op::Round)
        return true;
      if (x->op == Op::Div || x->op == Op::Pow || (x->op >= Op::Not && x->op <= Op::Cos) ||
          x->op >= Op::And)
        return false;
      return std::all_of(x->args.begin(), x->args.end(), integral);
    case K::Reduce:
      return x->type == Type::Int;
    default:
      return false;
    }
  };
  if (!integral(e->args[0]) || !integral(e->args[1]))
    return out;
  bool ignored = false;
  Linear d = linear(e->args[1], ignored) - linear(e->args[0], ignored); // right - left
  if (!truth) {
    static const Op negated[] = {Op::NotEqual, Op::Equal,     Op::GreaterEqual,
                                 Op::Greater,  Op::LessEqual, Op::Less};
    op = negated[static_cast<int>(op) - static_cast<int>(Op::Equal)];
  }
  switch (op) {
  case Op::Equal:
    out.all = {d, d * -1};
    break;
  case Op::NotEqual: {
    Facts less, more;
    less.all = {d - Linear(1)};
    more.all = {d * -1 - Linear(1)};
    out.any.push_back({less, more});
    break;
  }
  case Op::Less:
    out.all = {d - Linear(1)};
    break;
  case Op::LessEqual:
    out.all = {d};
    break;
  case Op::Greater:
    out.all = {d * -1 - Linear(1)};
    break;
  case Op::GreaterEqual:
    out.all = {d * -1};
    break;
  default:
    break;
  }
  return out;
}

Facts Prover::facts(const Tensor &tensor, const Piece &piece) {
  Facts out;
  if (piece.guard)
    out = facts(piece.guard, true);
  // P3: positions at an edge that have an equation of their own for everything this piece
  // has on the other axes.
  for (size_t axis = 0; axis < piece.indices.size(); ++axis) {
    if (piece.indices[axis].letter < 0)
      continue;
    auto letter = std::make_shared<Expr>();
    letter->kind = Expr::Kind::Letter;
    letter->letter = piece.indices[axis].letter;
    bool ignored = false;
    Linear x = linear(ExprPtr(letter), ignored);
    const Size &extent = program_.letters[piece.indices[axis].letter].extent;
    std::set<Size> taken;
    for (const Piece &p : tensor.pieces) {
      if (&p == &piece || p.indices[axis].letter >= 0)
        continue;
      bool covers = true;
      for (size_t i = 0; i < p.indices.size(); ++i)
        if (i != axis && p.indices[i].letter < 0 &&
            !(piece.indices[i].letter < 0 && piece.indices[i].position == p.indices[i].position))
          covers = false;
      const Size &at = p.indices[axis].position;
      auto past = (at - extent).constant();
      if (covers && !(at.constant() && *at.constant() < 0) && !(past && *past >= 0)) // P4
        taken.insert(at);
    }
    Size low(0), high = extent - Size(1);
    while (taken.erase(low))
      low = low + Size(1);
    while (taken.erase(high))
      high = high - Size(1);
    if (taken.size() > maxTaken)
      taken.clear(); // knowing less is sound
    if (low != Size(0))
      out.all.push_back(x - linear(low));
    if (high != extent - Size(1))
      out.all.push_back(linear(high) - x);
    for (const Size &s : taken) { // between: x != s
      Facts less, more;
      less.all = {linear(s) - Linear(1) - x};
      more.all = {x - Linear(1) - linear(s)};
      out.any.push_back({less, more});
    }
  }
  return out;
}

const Facts &Prover::definition(int v) {
  if (!definitions_[v]) {
    // A copy: it may make variables, and so move the ones that are kept.
    auto maker = makers_[v];
    auto made = std::make_unique<Facts>(maker ? maker() : Facts());
    definitions_[v] = std::move(made);
  }
  return *definitions_[v];
}

bool Prover::refute(Facts::Conjunction facts, std::vector<std::vector<Facts>> any, int budget) {
  // Definitions of every variable that is reached.
  std::set<int> seen;
  std::vector<int> work;
  auto reach = [&](const Linear &l) {
    for (auto &[v, c] : l.terms())
      if (seen.insert(v).second)
        work.push_back(v);
  };
  for (auto &l : facts)
    reach(l);
  while (!work.empty()) {
    int v = work.back();
    work.pop_back();
    const Facts &d = definition(v);
    for (auto &l : d.all) {
      facts.push_back(l);
      reach(l);
    }
    for (auto &a : d.any)
      any.push_back(a);
  }
  if (infeasible(facts))
    return true;
  // Cases: only those that touch what is already there.
  for (size_t i = 0; i < any.size(); ++i) {
    bool touches = false;
    for (auto &alternative : any[i])
      for (auto &l : alternative.all)
        for (auto &[v, c] : l.terms())
          touches |= seen.count(v) > 0;
    if (!touches || budget < static_cast<int>(any[i].size()))
      continue;
    auto rest = any;
    rest.erase(rest.begin() + i);
    for (auto &alternative : any[i]) {
      auto more = facts;
      more.insert(more.end(), alternative.all.begin(), alternative.all.end());
      auto others = rest;
      others.insert(others.end(), alternative.any.begin(), alternative.any.end());
      if (!refute(std::move(more), std::move(others), budget / static_cast<int>(any[i].size())))
        return false;
    }
    return true;
  }
  return false;
}

bool Prover::provable(const Linear &difference, const std::vector<Facts> &known) {
  if (!difference.valid())
    return false;
  if (difference.isConstant() && difference.constant() >= 0)
    return true;
  Facts::Conjunction all;
  std::vector<std::vector<Facts>> any;
  all.push_back(difference * -1 - Linear(1)); // the opposite, of integers
  for (const Facts &f : known) {
    all.insert(all.end(), f.all.begin(), f.all.end());
    any.insert(any.end(), f.any.begin(), f.any.end());
  }
  // Facts that share no variable with the question, however indirectly, cannot help, unless
  // they contradict each other; the first try is without them.
  std::string memo;
  auto write = [&](const Linear &l) {
    memo += std::to_string(l.constant());
    for (auto &[v, c] : l.terms())
      memo += "," + std::to_string(v) + "*" + std::to_string(c);
    memo += ";";
  };
  std::function<void(const Facts &)> writeFacts = [&](const Facts &f) {
    for (auto &l : f.all)
      write(l);
    for (auto &a : f.any) {
      memo += "(";
      for (auto &x : a) {
        writeFacts(x);
        memo += "|";
      }
      memo += ")";
    }
  };
  write(all[0]);
  for (auto &f : known)
    writeFacts(f);
  auto it = proved_.find(memo);
  if (it != proved_.end())
    return it->second;
  bool result = refute(std::move(all), std::move(any), 128);
  proved_[memo] = result;
  return result;
}

// Walks with the guards that hold at each node (A3).
void forEachRead(
    Prover &prover, const Tensor &tensor, const std::function<void(const ReadPlace &)> &visit,
    const std::function<void(const Expr &, const std::vector<Facts> &)> &visitDivision) {
  for (const Piece &piece : tensor.pieces) {
    std::vector<Facts> known{prover.facts(tensor, piece)};
    // A shared node is visited once for each set of guards around it.
    int context = 0;
    std::map<std::tuple<int, const Expr *, bool>, int> contexts;
    std::set<std::pair<const Expr *, int>> visited;
    constexpr size_t maxContexts = 1000; // beyond, guards are not used
    auto enter = [&](const ExprPtr &condition, bool truth) {
      bool more = contexts.size() < maxContexts;
      known.push_back(more ? prover.facts(condition, truth) : Facts());
      if (!more)
        return context;
      int outer = context;
      context = contexts.try_emplace({context, condition.get(), truth}, contexts.size() + 1)
                    .first->second;
      return outer;
    };
    auto leave = [&](int outer) {
      known.pop_back();
      context = outer;
    };
    std::function<void(const ExprPtr &)> walk = [&](const ExprPtr &root) {
      // The left spine of a long sum is walked without recursion (G9).
      ExprPtr e = root;
      while (e) {
        using K = Expr::Kind;
        if (e.use_count() > 2 && !e->args.empty() && !visited.insert({e.get(), context}).second)
          return;
        if (e->kind == K::Read) {
          visit({e.get(), &tensor, &piece, &known});
          for (auto &a : e->args)
            walk(a);
          return;
        }
        if (e->kind == K::If) {
          walk(e->args[0]);
          for (int side : {1, 2}) {
            int outer = enter(e->args[0], side == 1);
            walk(e->args[side]);
            leave(outer);
          }
          return;
        }
        if (e->kind == K::Apply && (e->op == Op::And || e->op == Op::Or)) {
          walk(e->args[0]);
          int outer = enter(e->args[0], e->op == Op::And);
          walk(e->args[1]);
          leave(outer);
          return;
        }
        if (e->kind == K::Reduce) {
          if (e->args[1]) {
            walk(e->args[1]);
            int outer = enter(e->args[1], true);
            walk(e->args[0]);
            leave(outer);
          } else {
            walk(e->args[0]);
          }
          for (size_t i = 2; i < e->args.size(); ++i)
            walk(e->args[i]);
          return;
        }
        if (e->kind == K::Apply && (e->op == Op::FloorDiv || e->op == Op::Mod) && visitDivision)
          visitDivision(*e, known);
        for (size_t i = 1; i < e->args.size(); ++i)
          walk(e->args[i]);
        if (e->args.empty())
          return;
        e = e->args[0];
      }
    };
    if (piece.guard) {
      // Inside a guard its own truth is not known.
      std::vector<Facts> saved;
      std::swap(saved, known);
      walk(piece.guard);
      std::swap(saved, known);
    }
    walk(piece.value);
  }
}

} // namespace qkv

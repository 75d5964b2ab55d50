// Making expressions with their types, and looking at their letters and structure.
#include "compiler/equations/Expressions.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace qkv::equations {

using K = Expr::Kind;

static std::shared_ptr<Expr> make(K kind, Type type, Span span = {}) {
  auto e = std::make_shared<Expr>();
  e->kind = kind;
  e->type = type;
  e->span = span;
  return e;
}

static bool allConstant(const std::vector<ExprPtr> &args) {
  return std::all_of(args.begin(), args.end(), [](auto &a) { return !a || a->constant; });
}

ExprPtr integer(int64_t value) {
  auto e = make(K::Int, Type::Int);
  e->constant = true;
  e->integer = value;
  return e;
}

ExprPtr number(double value) {
  auto e = make(K::Float, Type::Float);
  e->constant = true;
  e->number = value;
  return e;
}

ExprPtr letter(int letter) {
  auto e = make(K::Letter, Type::Int);
  e->constant = true;
  e->letter = letter;
  return e;
}

ExprPtr size(const Size &size) {
  if (auto known = size.constant())
    return integer(*known);
  auto e = make(K::Size, Type::Int);
  e->constant = true;
  e->size = size;
  return e;
}

ExprPtr apply(Op op, std::vector<ExprPtr> args, Span span) {
  bool toInt = typingOf(op) == Typing::Int;
  auto e = make(K::Apply, isCondition(op) ? Type::Bool : toInt ? Type::Int : args[0]->type, span);
  e->op = op;
  e->constant = allConstant(args);
  if (op == Op::FloorDiv || op == Op::Mod)
    e->checked.assign(1, false);
  e->args = std::move(args);
  return e;
}

ExprPtr choose(ExprPtr condition, ExprPtr yes, ExprPtr no, Span span) {
  auto e = make(K::If, yes->type, span);
  e->args = {std::move(condition), std::move(yes), std::move(no)};
  e->constant = allConstant(e->args);
  return e;
}

ExprPtr toFloat(const ExprPtr &a) {
  if (a->type == Type::Float)
    return a;
  if (a->kind == K::Int)
    return number(static_cast<double>(a->integer));
  auto e = make(K::Convert, Type::Float, a->span);
  e->args = {a};
  e->constant = a->constant;
  return e;
}

ExprPtr read(const Program &program, int tensor, std::vector<ExprPtr> args, Span span) {
  const Tensor &t = program.tensors[tensor];
  auto e = make(K::Read, t.type, span);
  e->tensor = tensor;
  e->constant = t.constant && allConstant(args);
  e->checked.assign(args.size(), false);
  e->own = static_cast<int>(args.size());
  e->args = std::move(args);
  return e;
}

ExprPtr reduce(Reduction reduction, std::vector<int> letters, ExprPtr body, ExprPtr guard,
               Span span) {
  auto e = make(K::Reduce, body->type, span);
  e->reduction = reduction;
  e->letters = std::move(letters);
  e->args = {std::move(body), std::move(guard)};
  e->constant = allConstant(e->args);
  return e;
}

ExprPtr withArgs(const ExprPtr &e, std::vector<ExprPtr> args) {
  if (args == e->args)
    return e;
  auto copy = std::make_shared<Expr>(*e);
  copy->args = std::move(args);
  return copy;
}

std::optional<LetterPlus> letterPlus(const ExprPtr &e) {
  if (e->kind == K::Letter)
    return LetterPlus{e->letter, Size(0)};
  if (e->kind == K::Int)
    return LetterPlus{-1, Size(e->integer)};
  if (e->kind == K::Size)
    return LetterPlus{-1, e->size};
  if (e->kind != K::Apply || (e->op != Op::Add && e->op != Op::Sub && e->op != Op::Mul))
    return std::nullopt;
  auto a = letterPlus(e->args[0]), b = letterPlus(e->args[1]);
  if (!a || !b || (a->letter >= 0 && b->letter >= 0) || (e->op == Op::Sub && b->letter >= 0))
    return std::nullopt;
  if (e->op == Op::Mul)
    return a->letter >= 0 || b->letter >= 0 ? std::nullopt
                                            : std::optional(LetterPlus{-1, a->rest * b->rest});
  return LetterPlus{std::max(a->letter, b->letter),
                    e->op == Op::Add ? a->rest + b->rest : a->rest - b->rest};
}

ExprPtr both(const ExprPtr &a, const ExprPtr &b) {
  if (!a || !b || a == b)
    return a ? a : b;
  return apply(Op::And, {a, b}, a->span);
}

std::vector<ExprPtr> conjuncts(const ExprPtr &e) {
  std::vector<ExprPtr> out, work;
  if (e)
    work.push_back(e);
  while (!work.empty()) {
    ExprPtr c = work.back();
    work.pop_back();
    if (c->kind == K::Apply && c->op == Op::And) {
      work.push_back(c->args[1]);
      work.push_back(c->args[0]);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

const std::set<int> &FreeLetters::of(const ExprPtr &e) {
  static const std::set<int> none;
  if (!e)
    return none;
  auto found = done_.find(e);
  if (found != done_.end())
    return found->second;
  std::set<int> out;
  if (e->kind == K::Letter)
    out.insert(e->letter);
  for (size_t i = 0; i < e->args.size(); ++i) {
    std::set<int> inner = of(e->args[i]);
    if (binds(*e, i))
      for (int l : e->letters)
        inner.erase(l);
    out.insert(inner.begin(), inner.end());
  }
  return done_.emplace(e, std::move(out)).first->second;
}

void forEachNode(const ExprPtr &root, const std::function<void(const Expr &)> &visit) {
  std::unordered_set<const Expr *> seen;
  std::vector<const Expr *> work{root.get()};
  while (!work.empty()) {
    const Expr *e = work.back();
    work.pop_back();
    if (!e || !seen.insert(e).second)
      continue;
    visit(*e);
    for (size_t i = e->args.size(); i-- > 0;)
      work.push_back(e->args[i].get());
  }
}

ExprPtr Mapper::operator()(const ExprPtr &e) {
  if (!e)
    return e;
  auto found = done_.find(e);
  if (found != done_.end())
    return found->second;
  std::vector<ExprPtr> args;
  for (auto &a : e->args)
    args.push_back((*this)(a));
  ExprPtr result = change_(withArgs(e, std::move(args)));
  done_[e] = result;
  return result;
}

bool runsOver(const Program &program, int letter, const Axis &axis) {
  return program.letters[letter].extent == axis.extent && !axis.before && !axis.after;
}

std::set<int> liveTensors(const Program &program) {
  std::set<int> live;
  std::vector<int> work;
  for (const Result &r : program.results)
    work.push_back(r.tensor);
  while (!work.empty()) {
    int t = work.back();
    work.pop_back();
    if (!live.insert(t).second)
      continue;
    for (const Piece &p : program.tensors[t].pieces)
      for (const ExprPtr &e : {p.value, p.guard})
        if (e)
          forEachNode(e, [&](const Expr &n) {
            if (n.kind == K::Read)
              work.push_back(n.tensor);
          });
  }
  return live;
}

static std::string sizeText(const Size &size) {
  std::string out;
  for (auto &[monomial, coefficient] : size.terms()) {
    out += std::to_string(coefficient);
    for (int atom : monomial)
      out += "*" + std::to_string(atom);
    out += "+";
  }
  return out;
}

void Text::write(const ExprPtr &e, std::string &out) {
  if (!e) {
    out += "-";
    return;
  }
  if (!e->args.empty()) {
    auto [at, fresh] = written_.try_emplace(e, static_cast<int>(written_.size()));
    if (!fresh) {
      out += "#" + std::to_string(at->second);
      return;
    }
  }
  out += static_cast<char>('A' + static_cast<int>(e->kind));
  if (e->constant)
    out += '!';
  switch (e->kind) {
  case K::Int:
  case K::Bool:
    out += std::to_string(e->integer);
    break;
  case K::Float: {
    uint64_t bits;
    std::memcpy(&bits, &e->number, sizeof bits);
    out += std::to_string(bits);
    break;
  }
  case K::Letter: {
    auto bound = bound_.find(e->letter);
    out += bound != bound_.end() ? "b" + std::to_string(bound->second) : letters_(e->letter);
    break;
  }
  case K::Size:
    out += sizeText(e->size);
    break;
  case K::Step:
    out += steps_(*e);
    break;
  case K::Read:
    out += tensors_(e->tensor);
    break;
  case K::Apply:
    out += std::to_string(static_cast<int>(e->op));
    break;
  case K::Reduce:
  case K::Weighted:
    out += std::to_string(static_cast<int>(e->reduction));
    for (int l : e->letters) {
      bound_.try_emplace(l, static_cast<int>(bound_.size()));
      out += "," + sizeText(program_.letters[l].extent);
    }
    break;
  case K::If:
  case K::Convert:
    break;
  }
  for (bool checked : e->checked)
    out += checked ? '?' : '.';
  out += static_cast<char>('a' + static_cast<int>(e->type));
  if (e->args.empty())
    return;
  out += "(";
  for (auto &a : e->args) {
    write(a, out);
    out += " ";
  }
  out += ")";
}

} // namespace qkv::equations

// Nodes of the program's expressions, kept within the limits of G9.
//
// In: operands. Out: a node that knows which letters it depends on and how many operations stand
// below it; one too deep is said and cut off.
#include "dsl/check/Elaborator.h"

#include <algorithm>
#include <utility>

namespace qkv::sema {

std::shared_ptr<Expr> Elaborator::make(Expr::Kind kind, Span span) {
  auto e = std::make_shared<Expr>();
  made_.erase(e.get()); // one that is gone
  e->kind = kind;
  e->span = span;
  return e;
}

ExprPtr Elaborator::apply(Op op, std::vector<ExprPtr> args, Span span) {
  auto e = make(Expr::Kind::Apply, span);
  e->op = op;
  e->args = std::move(args);
  return bounded(std::move(e));
}

ExprPtr Elaborator::bounded(std::shared_ptr<Expr> e) {
  Extent extent;
  for (auto &a : e->args) {
    if (!a)
      continue;
    if (auto it = made_.find(a.get()); it != made_.end())
      extent.height = std::max(extent.height, it->second.height);
    auto letters = freeLetters(a);
    if (!extent.letters || extent.letters->empty()) {
      extent.letters = letters;
    } else if (!std::includes(extent.letters->begin(), extent.letters->end(), letters->begin(),
                              letters->end())) {
      auto both = std::make_shared<std::set<int>>(*extent.letters);
      both->insert(letters->begin(), letters->end());
      extent.letters = both;
    }
  }
  if (!e->letters.empty() && extent.letters) {
    auto free = std::make_shared<std::set<int>>(*extent.letters);
    for (int l : e->letters)
      free->erase(l);
    extent.letters = free;
  }
  if (++extent.height <= maxHeight) {
    made_[e.get()] = extent;
    return e;
  }
  fewOperands(maxHeight + 1, e->span);
  return integer(0, e->span);
}

std::shared_ptr<const std::set<int>> Elaborator::freeLetters(const ExprPtr &e) {
  static const auto none = std::make_shared<const std::set<int>>();
  if (e->kind == Expr::Kind::Letter)
    return std::make_shared<const std::set<int>>(std::set<int>{e->letter});
  auto it = made_.find(e.get());
  return it == made_.end() || !it->second.letters ? none : it->second.letters;
}

bool Elaborator::fewOperands(size_t count, Span at) {
  if (count <= maxHeight)
    return true;
  error(at,
        "more than " + std::to_string(maxHeight) +
            " operations follow from one another in this expression",
        "G9")
      .hint("give parts of it equations of their own");
  return false;
}

ExprPtr Elaborator::integer(int64_t v, Span span) {
  auto e = make(Expr::Kind::Int, span);
  e->integer = v;
  return e;
}

ExprPtr Elaborator::sizeExpr(const Size &s, Span span) {
  if (auto n = s.constant())
    return integer(*n, span);
  auto e = make(Expr::Kind::Size, span);
  e->size = s;
  return e;
}

ExprPtr Elaborator::letterExpr(int letter, Span span) {
  auto e = make(Expr::Kind::Letter, span);
  e->letter = letter;
  return e;
}

void Elaborator::sayText(Span at) {
  error(at, "a text is no value of an equation", "C2")
      .hint("it is compared: config(\"kind\", \"none\") == \"none\"");
}

ExprPtr Elaborator::constantExpr(const Constant &c, Span span) {
  if (c.kind == Constant::Kind::Int) {
    if (c.region >= 0) {
      auto e = make(Expr::Kind::Step, span);
      e->region = c.region;
      e->integer = c.size.constant().value_or(0);
      return e;
    }
    return sizeExpr(c.size, span);
  }
  if (c.kind == Constant::Kind::Text) {
    sayText(span);
    return nullptr;
  }
  auto e = make(c.kind == Constant::Kind::Bool ? Expr::Kind::Bool : Expr::Kind::Float, span);
  e->integer = c.boolean;
  e->number = c.number;
  return e;
}

ExprPtr Elaborator::readView(const View &view, std::vector<ExprPtr> indices, Span span, bool own) {
  if (view.scalar)
    return view.scalar;
  auto e = make(Expr::Kind::Read, span);
  e->tensor = view.tensor;
  e->args = view.leading;
  for (auto &i : indices)
    e->args.push_back(i);
  e->checked.assign(e->args.size(), false);
  e->own = static_cast<int>(own ? e->args.size() : view.own);
  return bounded(std::move(e));
}

} // namespace qkv::sema

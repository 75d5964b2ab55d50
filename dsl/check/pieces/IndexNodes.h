// Nodes of expressions that what is made of pieces needs: letters and sizes.
#pragma once

#include "dsl/Program.h"

#include <memory>

namespace qkv::sema {

inline std::shared_ptr<Expr> node(Expr::Kind kind, Span span) {
  auto e = std::make_shared<Expr>();
  e->kind = kind;
  e->span = span;
  return e;
}

inline ExprPtr letterNode(int letter, Span span) {
  auto e = node(Expr::Kind::Letter, span);
  e->letter = letter;
  return e;
}

inline ExprPtr sizeNode(const Size &size, Span span) {
  auto known = size.constant();
  auto e = node(known ? Expr::Kind::Int : Expr::Kind::Size, span);
  e->integer = known.value_or(0);
  e->size = size;
  return e;
}

} // namespace qkv::sema

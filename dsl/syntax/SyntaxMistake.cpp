// See SyntaxMistake.h.
#include "dsl/syntax/SyntaxMistake.h"

namespace qkv::grammar {

std::string written(const Token &token) {
  const std::string &text = token.span.source->text();
  std::string result = text.substr(token.span.begin, token.span.end - token.span.begin);
  return result.size() > 40 ? "this" : "'" + result + "'";
}

std::string describe(const Token &token) {
  switch (token.kind) {
  case Kind::EndOfFile:
    return "the end of the file";
  case Kind::StatementEnd:
    return token.span.begin == token.span.end ? "the end of the line" : "';'";
  case Kind::String:
    return "a string";
  default:
    return written(token);
  }
}

Span Mistake::place() const {
  Span span = found_.span;
  if (found_.kind == Kind::EndOfFile && at_ != first_)
    span.begin = span.end = at_[-1].span.end;
  return span;
}

Place Mistake::opener() const {
  int depth = 0;
  for (Place p = at_; p != first_;) {
    --p;
    switch (p->kind) {
    case Kind::RightParen:
    case Kind::RightBracket:
      ++depth;
      break;
    case Kind::LeftParen:
    case Kind::LeftBracket:
      if (depth-- == 0)
        return p;
      break;
    case Kind::StatementEnd:
    case Kind::LeftBrace:
    case Kind::RightBrace:
      return nullptr;
    default:
      break;
    }
  }
  return nullptr;
}

bool Mistake::reported() const {
  for (Place p = at_; p->kind != Kind::EndOfFile && p->kind != Kind::StatementEnd &&
                      p->kind != Kind::LeftBrace && p->kind != Kind::RightBrace;
       ++p)
    if (p->kind == Kind::Bad)
      return true;
  return false;
}

} // namespace qkv::grammar

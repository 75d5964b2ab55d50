// Tokens -> the tree of a template. Holds: a tag or a form that is not known is an error; how deep
// anything is nested is bounded.
#pragma once

#include "runtime/template/Lexer.h"
#include "runtime/template/Syntax.h"

#include <initializer_list>
#include <string_view>

namespace qkv::jinja {

class Parser {
public:
  Parser(std::vector<Token> tokens, std::string &why) : list(std::move(tokens)), why(why) {}
  /// Statements up to a tag that ends them (which is read, but for its name), or the end.
  bool block(Block &block, std::initializer_list<std::string_view> ends);
  bool atEnd() const { return now().kind == Token::Kind::End; }

private:
  // Statements (Parser.cpp).
  bool statement(Block &block);
  bool forTag(Statement &out);
  bool ifTag(Statement &out);
  bool setTag(Statement &out);
  bool macroTag(Statement &out);
  bool callTag(Statement &out);
  bool filterTag(Statement &out);
  bool withTag(Statement &out);
  bool bodyUntil(Block &body, std::string_view end);
  bool target(Target &target, bool attributes);
  bool parameters(MacroBody &macro);
  // Expressions (ParseExpressions.cpp). Null with `why` set.
  Expr expression(bool conditions = true);
  Expr tuple(bool conditions = true);
  Expr conditional();
  Expr either();
  Expr both();
  Expr negation();
  Expr comparison();
  Expr sum();
  Expr joined();
  Expr product();
  Expr power();
  Expr unary(bool filters);
  Expr primary();
  Expr brackets();
  Expr behind(Expr node);
  Expr filtersBehind(Expr node);
  Expr subscript(Expr node);
  Expr call(Expr node);
  Expr filter(Expr node);
  Expr test(Expr node);
  bool arguments(Arguments &arguments);
  Expr leftToRight(Expr (Parser::*next)(), std::initializer_list<std::string_view> marks);
  Expr make(Expression::Kind kind, std::string text = "");
  /// The node, once all is in it; null with `why` set where its tree is too high.
  Expr grown(Expr node);

  const Token &now() const { return list[at]; }
  const Token &ahead() const { return list[std::min(at + 1, list.size() - 1)]; }
  void next() {
    if (at + 1 < list.size())
      ++at;
  }
  bool isMark(std::string_view mark) const {
    return now().kind == Token::Kind::Mark && now().text == mark;
  }
  bool isName(std::string_view name) const {
    return now().kind == Token::Kind::Name && now().text == name;
  }
  bool takeMark(std::string_view mark) { return isMark(mark) && (next(), true); }
  bool takeName(std::string_view name) { return isName(name) && (next(), true); }
  bool need(Token::Kind kind, const char *what);
  bool needMark(std::string_view mark);
  bool wrong(const std::string &what);
  Expr null(const std::string &what) {
    wrong(what);
    return nullptr;
  }

  /// Counts how deep the parser is.
  class Deeper {
  public:
    explicit Deeper(Parser &parser) : parser(parser) { ++parser.depth; }
    ~Deeper() { --parser.depth; }
    bool tooDeep() const { return parser.depth > 200; }

  private:
    Parser &parser;
  };

  std::vector<Token> list;
  size_t at = 0;
  int depth = 0;
  std::string &why;
};

} // namespace qkv::jinja

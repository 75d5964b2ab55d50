// Statements of a template.
#include "runtime/template/Parser.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::jinja {

bool Parser::wrong(const std::string &what) {
  if (why.empty())
    why = rt::format("line %d: %s", now().line, what.c_str());
  return false;
}

bool Parser::need(Token::Kind kind, const char *what) {
  if (now().kind != kind)
    return wrong(std::string("expected ") + what);
  next();
  return true;
}

bool Parser::needMark(std::string_view mark) {
  return takeMark(mark) || wrong("expected " + std::string(mark));
}

bool Parser::block(Block &block, std::initializer_list<std::string_view> ends) {
  Deeper deeper(*this);
  if (deeper.tooDeep())
    return wrong("it is nested too deep");
  while (!atEnd()) {
    auto make = [&](Statement::Kind kind) {
      block.push_back(std::make_unique<Statement>());
      block.back()->kind = kind;
      block.back()->line = now().line;
      return block.back().get();
    };
    if (now().kind == Token::Kind::Data) {
      make(Statement::Kind::Text)->text = now().text;
      next();
    } else if (now().kind == Token::Kind::PrintBegin) {
      Statement *print = make(Statement::Kind::Print);
      next();
      if (!(print->expression = tuple()) || !need(Token::Kind::PrintEnd, "}}"))
        return false;
    } else {
      next(); // a tag begins
      if (now().kind != Token::Kind::Name)
        return wrong("expected the name of a tag");
      if (std::find(ends.begin(), ends.end(), now().text) != ends.end())
        return true;
      if (!statement(block))
        return false;
    }
  }
  return ends.size() == 0 || wrong("expected " + std::string(*(ends.end() - 1)));
}

bool Parser::bodyUntil(Block &body, std::string_view end) {
  if (!need(Token::Kind::TagEnd, "%}") || !block(body, {end}))
    return false;
  next();
  return need(Token::Kind::TagEnd, "%}");
}

bool Parser::statement(Block &block) {
  std::string name = now().text;
  block.push_back(std::make_unique<Statement>());
  Statement &out = *block.back();
  out.line = now().line;
  next();
  if (name == "for")
    return forTag(out);
  if (name == "if")
    return ifTag(out);
  if (name == "set")
    return setTag(out);
  if (name == "macro")
    return macroTag(out);
  if (name == "call")
    return callTag(out);
  if (name == "filter")
    return filterTag(out);
  if (name == "with")
    return withTag(out);
  if (name == "break" || name == "continue") {
    out.kind = name == "break" ? Statement::Kind::Break : Statement::Kind::Continue;
    return need(Token::Kind::TagEnd, "%}");
  }
  if (name == "generation") { // marks what a model is trained to write
    out.kind = Statement::Kind::Group;
    return bodyUntil(out.body, "endgeneration");
  }
  --at;
  return wrong("the tag " + rt::quote(name) + " is not known");
}

/// a, (a, b), or with `attributes` ns.a
bool Parser::target(Target &target, bool attributes) {
  Deeper deeper(*this);
  if (deeper.tooDeep())
    return wrong("it is nested too deep");
  auto one = [&](Target &single) {
    if (takeMark("("))
      return this->target(single, false) && needMark(")");
    single.name = now().text;
    return need(Token::Kind::Name, "a name");
  };
  if (!one(target))
    return false;
  if (attributes && takeMark(".")) {
    target.attribute = now().text;
    return need(Token::Kind::Name, "a name");
  }
  if (!isMark(","))
    return true;
  Target all;
  all.several.push_back(std::move(target));
  while (takeMark(",") && (now().kind == Token::Kind::Name || isMark("(")) && !isName("in"))
    if (!one(all.several.emplace_back()))
      return false;
  target = std::move(all);
  return true;
}

bool Parser::forTag(Statement &out) {
  out.kind = Statement::Kind::For;
  if (!target(out.targets.emplace_back(), false))
    return false;
  if (!takeName("in"))
    return wrong("expected in");
  if (!(out.expression = tuple(/*conditions=*/false)))
    return false;
  if (takeName("if") && !(out.condition = expression()))
    return false;
  out.recursive = takeName("recursive");
  if (!need(Token::Kind::TagEnd, "%}") || !block(out.body, {"else", "endfor"}))
    return false;
  if (takeName("else"))
    return bodyUntil(out.otherwise, "endfor");
  next();
  return need(Token::Kind::TagEnd, "%}");
}

bool Parser::ifTag(Statement &out) {
  Statement *one = &out;
  for (int count = 0;; ++count) {
    if (count > 200)
      return wrong("it has too many elif");
    one->kind = Statement::Kind::If;
    if (!(one->expression = tuple(/*conditions=*/false)) || !need(Token::Kind::TagEnd, "%}") ||
        !block(one->body, {"elif", "else", "endif"}))
      return false;
    if (takeName("else"))
      return bodyUntil(one->otherwise, "endif");
    if (takeName("endif"))
      return need(Token::Kind::TagEnd, "%}");
    next();
    one->otherwise.push_back(std::make_unique<Statement>());
    one = one->otherwise.back().get();
    one->line = now().line;
  }
}

bool Parser::setTag(Statement &out) {
  out.kind = Statement::Kind::Set;
  if (!target(out.targets.emplace_back(), true))
    return false;
  if (takeMark("="))
    return (out.expression = tuple()) != nullptr && need(Token::Kind::TagEnd, "%}");
  out.kind = Statement::Kind::SetBlock;
  while (takeMark("|")) {
    Expr one = filter(nullptr);
    if (!one)
      return false;
    out.filters.push_back(std::move(one));
  }
  return bodyUntil(out.body, "endset");
}

/// (a, b=1)
bool Parser::parameters(MacroBody &macro) {
  while (!isMark(")")) {
    if (!macro.parameters.empty() && !needMark(","))
      return false;
    if (isMark(")"))
      break;
    Parameter &one = macro.parameters.emplace_back();
    one.name = now().text;
    if (!need(Token::Kind::Name, "a name") || (takeMark("=") && !(one.fallback = expression())))
      return false;
  }
  next();
  return true;
}

bool Parser::macroTag(Statement &out) {
  out.kind = Statement::Kind::Macro;
  out.macro = std::make_shared<MacroBody>();
  out.macro->name = now().text;
  return need(Token::Kind::Name, "a name") && needMark("(") && parameters(*out.macro) &&
         bodyUntil(out.macro->body, "endmacro");
}

bool Parser::callTag(Statement &out) {
  out.kind = Statement::Kind::Call;
  out.macro = std::make_shared<MacroBody>();
  out.macro->name = "caller";
  if (takeMark("(") && !parameters(*out.macro))
    return false;
  if (!(out.expression = expression()))
    return false;
  if (out.expression->kind != Expression::Kind::Call)
    return wrong("expected a call");
  return bodyUntil(out.macro->body, "endcall");
}

bool Parser::filterTag(Statement &out) {
  out.kind = Statement::Kind::Filter;
  do {
    Expr one = filter(nullptr);
    if (!one)
      return false;
    out.filters.push_back(std::move(one));
  } while (takeMark("|"));
  return bodyUntil(out.body, "endfilter");
}

bool Parser::withTag(Statement &out) {
  out.kind = Statement::Kind::With;
  while (now().kind != Token::Kind::TagEnd) {
    if (!out.names.empty() && !needMark(","))
      return false;
    std::string name = now().text;
    Expr value;
    if (!need(Token::Kind::Name, "a name") || !needMark("=") || !(value = expression()))
      return false;
    out.names.emplace_back(name, std::move(value));
  }
  return bodyUntil(out.body, "endwith");
}

bool parse(const std::string &source, Block &block, std::string &why) {
  std::vector<Token> list;
  why.clear();
  if (!tokens(source, list, why))
    return false;
  return Parser(std::move(list), why).block(block, {});
}

} // namespace qkv::jinja

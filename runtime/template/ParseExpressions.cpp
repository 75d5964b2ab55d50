// Expressions of a template, loosest first: a if b else c; or; and; not; comparisons; + and -; ~;
// * / // %; **; signs; what stands behind a value; filters and tests.
#include "runtime/template/Parser.h"

#include "runtime/Error.h"

#include <algorithm>

namespace qkv::jinja {

using K = Expression::Kind;

Expr Parser::make(K kind, std::string text) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = now().line;
  node->text = std::move(text);
  return node;
}

Expr Parser::grown(Expr node) {
  constexpr int highest = 300;
  auto over = [&](const Expr &child) {
    if (child)
      node->height = std::max(node->height, child->height + 1);
  };
  for (const Expr &child : node->children)
    over(child);
  for (const Expr &child : node->arguments.plain)
    over(child);
  for (const Expr &child : node->arguments.spread)
    over(child);
  for (const auto &[name, child] : node->arguments.named)
    over(child);
  return node->height <= highest ? std::move(node) : null("an expression of it is too long");
}

Expr Parser::expression(bool conditions) {
  Deeper deeper(*this);
  if (deeper.tooDeep())
    return null("it is nested too deep");
  return conditions ? conditional() : either();
}

/// a, b: a tuple; a alone: itself.
Expr Parser::tuple(bool conditions) {
  Expr first = expression(conditions);
  if (!first || !isMark(","))
    return first;
  Expr all = make(K::Tuple);
  all->children.push_back(std::move(first));
  while (takeMark(",")) {
    bool ends = now().kind == Token::Kind::PrintEnd || now().kind == Token::Kind::TagEnd ||
                isMark(")") || isMark("=") || isName("if");
    if (ends)
      break;
    Expr one = expression(conditions);
    if (!one)
      return nullptr;
    all->children.push_back(std::move(one));
  }
  return grown(std::move(all));
}

Expr Parser::conditional() {
  Expr value = either();
  while (value && takeName("if")) {
    Expr choose = make(K::Choose), condition = either(), other;
    if (!condition)
      return nullptr;
    choose->children.push_back(std::move(value));
    choose->children.push_back(std::move(condition));
    if (takeName("else")) {
      if (!(other = expression()))
        return nullptr;
      choose->children.push_back(std::move(other));
    }
    value = grown(std::move(choose));
  }
  return value;
}

Expr Parser::leftToRight(Expr (Parser::*part)(), std::initializer_list<std::string_view> marks) {
  Expr left = (this->*part)();
  while (left) {
    auto found = std::find_if(marks.begin(), marks.end(),
                              [&](auto mark) { return isMark(mark) || isName(mark); });
    if (found == marks.end())
      return left;
    Expr node = make(K::Binary, std::string(*found));
    next();
    Expr right = (this->*part)();
    if (!right)
      return nullptr;
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    left = grown(std::move(node));
  }
  return left;
}

Expr Parser::either() { return leftToRight(&Parser::both, {"or"}); }
Expr Parser::both() { return leftToRight(&Parser::negation, {"and"}); }

Expr Parser::negation() {
  if (!isName("not"))
    return comparison();
  Deeper deeper(*this);
  if (deeper.tooDeep())
    return null("it is nested too deep");
  Expr node = make(K::Unary, "not");
  next();
  Expr inner = negation();
  if (!inner)
    return nullptr;
  node->children.push_back(std::move(inner));
  return grown(std::move(node));
}

Expr Parser::comparison() {
  Expr first = sum();
  if (!first)
    return nullptr;
  Expr node;
  for (;;) {
    std::string sign;
    for (std::string_view mark : {"==", "!=", "<", "<=", ">", ">="})
      if (isMark(mark))
        sign = mark;
    if (isName("in"))
      sign = "in";
    bool notIn = isName("not") && ahead().kind == Token::Kind::Name && ahead().text == "in";
    if (notIn) {
      next();
      sign = "not in";
    }
    if (sign.empty())
      break;
    if (!node) {
      node = make(K::Compare);
      node->children.push_back(std::move(first));
    }
    next();
    Expr other = sum();
    if (!other)
      return nullptr;
    node->operators.push_back(sign);
    node->children.push_back(std::move(other));
  }
  return node ? grown(std::move(node)) : std::move(first);
}

Expr Parser::sum() { return leftToRight(&Parser::joined, {"+", "-"}); }
Expr Parser::joined() { return leftToRight(&Parser::product, {"~"}); }
Expr Parser::product() { return leftToRight(&Parser::power, {"*", "/", "//", "%"}); }

Expr Parser::power() {
  Expr left = unary(true);
  while (left && isMark("**")) {
    Expr node = make(K::Binary, "**");
    next();
    Expr right = unary(true);
    if (!right)
      return nullptr;
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    left = grown(std::move(node));
  }
  return left;
}

Expr Parser::unary(bool filters) {
  Deeper deeper(*this);
  if (deeper.tooDeep())
    return null("it is nested too deep");
  Expr node;
  if (isMark("-") || isMark("+")) {
    node = make(K::Unary, now().text);
    next();
    Expr inner = unary(false);
    if (!inner)
      return nullptr;
    node->children.push_back(std::move(inner));
    node = grown(std::move(node));
  } else {
    node = primary();
  }
  if (node)
    node = behind(std::move(node));
  return node && filters ? filtersBehind(std::move(node)) : std::move(node);
}

Expr Parser::primary() {
  const Token token = now();
  Expr node;
  switch (token.kind) {
  case Token::Kind::Name:
    node = make(K::Constant);
    if (token.text == "true" || token.text == "True")
      node->value = Value::of(true);
    else if (token.text == "false" || token.text == "False")
      node->value = Value::of(false);
    else if (token.text == "none" || token.text == "None")
      node->value = Value::none();
    else
      node = make(K::Name, token.text);
    next();
    return node;
  case Token::Kind::Text: {
    node = make(K::Constant);
    std::string text;
    for (; now().kind == Token::Kind::Text; next())
      text += now().text;
    node->value = Value::text(text);
    return node;
  }
  case Token::Kind::Int:
  case Token::Kind::Float:
    node = make(K::Constant);
    node->value = token.kind == Token::Kind::Int ? Value::of(token.whole) : Value::of(token.number);
    next();
    return node;
  case Token::Kind::Mark:
    return brackets();
  default:
    return null("expected a value");
  }
}

/// ( ), [ ], { }
Expr Parser::brackets() {
  if (takeMark("(")) {
    if (takeMark(")"))
      return make(K::Tuple);
    Expr inner = tuple();
    return inner && needMark(")") ? std::move(inner) : nullptr;
  }
  if (isMark("[")) {
    Expr node = make(K::List);
    next();
    while (!takeMark("]")) {
      if (!node->children.empty() && !needMark(","))
        return nullptr;
      if (takeMark("]"))
        break;
      Expr one = expression();
      if (!one)
        return nullptr;
      node->children.push_back(std::move(one));
    }
    return grown(std::move(node));
  }
  if (!isMark("{"))
    return null("unexpected " + now().text);
  Expr node = make(K::Dict);
  next();
  while (!takeMark("}")) {
    if (!node->children.empty() && !needMark(","))
      return nullptr;
    if (takeMark("}"))
      break;
    Expr key = expression(), value;
    if (!key || !needMark(":") || !(value = expression()))
      return nullptr;
    node->children.push_back(std::move(key));
    node->children.push_back(std::move(value));
  }
  return grown(std::move(node));
}

Expr Parser::behind(Expr node) {
  while (node) {
    if (isMark(".")) {
      next();
      Expr inner;
      if (now().kind == Token::Kind::Int) {
        inner = make(K::Item);
        Expr which = make(K::Constant);
        which->value = Value::of(now().whole);
        inner->children.push_back(std::move(node));
        inner->children.push_back(std::move(which));
      } else {
        inner = make(K::Attribute, now().text);
        inner->children.push_back(std::move(node));
        if (now().kind != Token::Kind::Name)
          return null("expected a name behind the dot");
      }
      next();
      node = grown(std::move(inner));
    } else if (isMark("[")) {
      node = subscript(std::move(node));
    } else if (isMark("(")) {
      node = call(std::move(node));
    } else {
      break;
    }
  }
  return node;
}

/// a[i], a[i:j:k]
Expr Parser::subscript(Expr of) {
  Expr node = make(K::Item);
  next();
  node->children.push_back(std::move(of));
  bool slice = false;
  Expr part;
  for (;;) {
    if (isMark(":") || isMark("]")) {
      if (slice || isMark(":"))
        node->children.push_back(std::move(part));
      if (takeMark("]"))
        break;
      next();
      slice = true;
      part = nullptr;
      if (node->children.size() > 3)
        return null("a slice has three parts at most");
    } else {
      if (part || !(part = tuple()))
        return part ? null("expected ]") : nullptr;
      if (!slice && isMark("]")) {
        next();
        node->children.push_back(std::move(part));
        return grown(std::move(node));
      }
    }
  }
  if (!slice)
    return null("expected a value between the brackets");
  node->kind = K::Slice;
  while (node->children.size() < 4)
    node->children.push_back(nullptr);
  return grown(std::move(node));
}

bool Parser::arguments(Arguments &out) {
  next(); // (
  bool first = true;
  while (!takeMark(")")) {
    if (!first && !needMark(","))
      return false;
    if (takeMark(")"))
      return true;
    first = false;
    if (isMark("**"))
      return wrong("named values in one (**) are not supported");
    bool spread = takeMark("*");
    bool named =
        now().kind == Token::Kind::Name && ahead().kind == Token::Kind::Mark && ahead().text == "=";
    std::string name = now().text;
    if (named) {
      next();
      next();
    }
    Expr value = expression();
    if (!value)
      return false;
    if (spread)
      out.spread.push_back(std::move(value));
    else if (named)
      out.named.emplace_back(name, std::move(value));
    else if (!out.named.empty() || !out.spread.empty())
      return wrong("a value without a name stands behind one with a name");
    else
      out.plain.push_back(std::move(value));
  }
  return true;
}

Expr Parser::call(Expr node) {
  Expr out = make(K::Call);
  out->children.push_back(std::move(node));
  return arguments(out->arguments) ? grown(std::move(out)) : nullptr;
}

Expr Parser::filtersBehind(Expr node) {
  while (node) {
    if (takeMark("|"))
      node = filter(std::move(node));
    else if (takeName("is"))
      node = test(std::move(node));
    else if (isMark("("))
      node = call(std::move(node));
    else
      break;
  }
  return node;
}

Expr Parser::filter(Expr node) {
  Expr out = make(K::Filter, now().text);
  if (!need(Token::Kind::Name, "the name of a filter"))
    return nullptr;
  if (node)
    out->children.push_back(std::move(node));
  if (isMark("(") && !arguments(out->arguments))
    return nullptr;
  return grown(std::move(out));
}

Expr Parser::test(Expr node) {
  bool negated = takeName("not");
  Expr out = make(K::Test, now().text);
  out->negated = negated;
  if (!need(Token::Kind::Name, "the name of a test"))
    return nullptr;
  out->children.push_back(std::move(node));
  using T = Token::Kind;
  T kind = now().kind;
  bool value = kind == T::Text || kind == T::Int || kind == T::Float || isMark("[") ||
               isMark("{") ||
               (kind == T::Name && !isName("else") && !isName("or") && !isName("and") &&
                !isName("is") && !isName("if") && !isName("not"));
  if (isMark("(")) {
    if (!arguments(out->arguments))
      return nullptr;
  } else if (value) {
    Expr argument = primary();
    if (argument)
      argument = behind(std::move(argument));
    if (!argument)
      return nullptr;
    out->arguments.plain.push_back(std::move(argument));
  }
  return grown(std::move(out));
}

} // namespace qkv::jinja

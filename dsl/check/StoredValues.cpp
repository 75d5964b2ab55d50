// Places and values of stored tensors as texts (StoredValues.h).
#include "dsl/check/StoredValues.h"

#include "dsl/functions/Functions.h"
#include "runtime/checkpoint/StoredPlace.h"

#include <algorithm>
#include <charconv>

namespace qkv::sema {
namespace {

using K = ast::Expr::Kind;

/// Whether `part` is in an expression.
bool contains(const ast::Expr &e, const ast::Expr &part) {
  auto in = [&](const ast::ExprPtr &one) { return one && contains(*one, part); };
  return &e == &part || std::any_of(e.children.begin(), e.children.end(), in) ||
         std::any_of(e.arguments.begin(), e.arguments.end(),
                     [&](const ast::Argument &a) { return in(a.value); });
}

std::string numberText(double number) {
  char text[64];
  auto [end, code] = std::to_chars(text, text + sizeof text, number);
  return {text, end};
}

} // namespace

int StoredValues::letter(const std::string &name) const {
  auto at = std::find(letters_.begin(), letters_.end(), name);
  return at == letters_.end() ? -1 : static_cast<int>(at - letters_.begin());
}

bool StoredValues::hasLetters(const ast::Expr &e) const {
  if (e.kind == K::Name)
    return letter(e.name.text) >= 0;
  auto in = [&](const ast::ExprPtr &one) { return one && hasLetters(*one); };
  return std::any_of(e.children.begin(), e.children.end(), in) ||
         std::any_of(e.arguments.begin(), e.arguments.end(),
                     [&](const ast::Argument &a) { return in(a.value); });
}

// A number without letters in it.
StoredValues::Text StoredValues::wholeNumber(const ast::Expr &e) {
  auto c = evaluate_(e);
  if (!c)
    return std::nullopt;
  if (c->kind == Constant::Kind::Bool)
    return c->boolean ? "1" : "0";
  if (c->kind == Constant::Kind::Int)
    if (auto number = c->size.constant())
      return std::to_string(*number);
  say_(e.span, "a place in a stored tensor is made of letters and integers known at compile time");
  return std::nullopt;
}

// (g,r): the position that counts them in row-major order.
StoredValues::Text StoredValues::mergedText(const ast::Expr &e) {
  std::string out;
  for (auto &child : e.children) {
    int axis = child->kind == K::Name ? letter(child->name.text) : -1;
    if (axis < 0) {
      say_(child->span, "in an index of several letters each is a letter of the param");
      return std::nullopt;
    }
    std::string one = "a" + std::to_string(axis);
    out = out.empty() ? one : out + " " + std::to_string(shape_[axis]) + " * " + one + " +";
  }
  return out;
}

// A built-in function of operands.
StoredValues::Text StoredValues::callText(const ast::Expr &e,
                                          const std::function<Text(const ast::Expr &)> &operand,
                                          bool whole) {
  const Function *function = functionNamed(e.name.text);
  bool fits = function && (function->several ? e.arguments.size() > 1 : e.arguments.size() == 1) &&
              !e.indexed && (!whole || function->typing == Typing::Same);
  if (!fits) {
    say_(e.span, e.name.text + " does not stand " +
                     (whole ? "in a place: it is made of + - * // %, min, max and if"
                            : "around a stored tensor: the functions of the language do"));
    return std::nullopt;
  }
  std::string out;
  for (auto &argument : e.arguments) {
    auto one = operand(*argument.value);
    if (!one)
      return one;
    out = out.empty() ? *one : out + " " + *one + " " + e.name.text;
  }
  return function->several ? out : out + " " + e.name.text;
}

StoredValues::Text StoredValues::wholeText(const ast::Expr &e) {
  if (!hasLetters(e))
    return wholeNumber(e);
  auto child = [&](size_t i) { return wholeText(*e.children[i]); };
  auto operand = [this](const ast::Expr &one) { return wholeText(one); };
  switch (e.kind) {
  case K::Name:
    return "a" + std::to_string(letter(e.name.text));
  case K::Merged:
    return mergedText(e);
  case K::Unary: {
    auto one = child(0);
    return one ? Text(*one + (e.op == "not" ? " not" : " neg")) : one;
  }
  case K::Binary: {
    auto out = child(0);
    for (size_t i = 0; out && i < e.ops.size(); ++i) {
      auto one = child(i + 1);
      if (e.ops[i] == "/" || e.ops[i] == "^") {
        say_(e.span, "'" + e.ops[i] + "' does not stand in a place").hint("// rounds down");
        return std::nullopt;
      }
      out = one ? Text(*out + " " + *one + " " + e.ops[i]) : one;
    }
    return out;
  }
  case K::Compare: {
    std::string all;
    for (size_t i = 0; i < e.ops.size(); ++i) {
      auto x = child(i), y = child(i + 1);
      if (!x || !y)
        return std::nullopt;
      all += (all.empty() ? "" : " ") + *x + " " + *y + " " + e.ops[i] + (i ? " and" : "");
    }
    return all;
  }
  case K::If: {
    if (!hasLetters(*e.children[0])) {
      auto c = evaluate_(*e.children[0]);
      if (!c || c->kind != Constant::Kind::Bool)
        return std::nullopt;
      return child(c->boolean ? 1 : 2);
    }
    auto c = child(0), x = child(1), y = child(2);
    return c && x && y ? Text(*c + " " + *x + " " + *y + " if") : std::nullopt;
  }
  case K::Call:
    return callText(e, operand, /*whole=*/true);
  default:
    say_(e.span, "a place in a stored tensor is made of + - * // %, min, max and if");
    return std::nullopt;
  }
}

// A number, or a sum with one in it: what reads a part of an axis says where it begins.
bool StoredValues::isPart(const ast::Expr &index) const {
  if (index.kind == K::If && !hasLetters(*index.children[0])) {
    auto c = evaluate_(*index.children[0]);
    return c && isPart(*index.children[c->boolean ? 1 : 2]);
  }
  if (!hasLetters(index))
    return true;
  bool sum = index.kind == K::Binary && (index.ops[0] == "+" || index.ops[0] == "-");
  return sum && std::any_of(index.children.begin(), index.children.end(),
                            [&](auto &term) { return !hasLetters(*term); });
}

// Whether every index is inside an axis, and takes all of it where it must.
bool StoredValues::check(const std::string &text, const ast::Expr &tensor) {
  auto parsed = rt::StoredPlace::parse(text, static_cast<int32_t>(shape_.size()));
  if (!parsed) {
    say_(tensor.span, "this place is nested too deeply");
    return false;
  }
  auto reaches = parsed->reaches(shape_);
  for (size_t i = 0; i < reaches.size(); ++i) {
    const ast::Expr &index = *tensor.indices[i];
    if (!reaches[i].countable) {
      say_(index.span, "this place has more than 2^32 positions: a letter for each axis");
      return false;
    }
    if (!reaches[i].divides) {
      say_(index.span, "a division by zero");
      return false;
    }
    if (reaches[i].least < 0) {
      say_(index.span, "this place goes down to " + std::to_string(reaches[i].least) +
                           ", and a stored tensor begins at 0");
      return false;
    }
    if (reaches[i].part ||
        (reaches[i].least == 0 && (index.kind == K::Name || index.kind == K::Merged)))
      continue;
    if (reaches[i].most >= 0 && (reaches[i].least > 0 || !parsed->covers(i, shape_, reaches[i]))) {
      say_(index.span, "this place leaves out some of the positions from 0 to " +
                           std::to_string(reaches[i].most))
          .hint("a part of an axis is read from a number on: 0 + ...");
      return false;
    }
  }
  return true;
}

// The letter itself where an index is that: a place that depends on a size may be none.
std::string StoredValues::simplest(const std::string &index) const {
  auto parsed = rt::StoredText::parse(index, static_cast<int32_t>(shape_.size()), /*whole=*/true);
  int only = -1;
  for (size_t axis = 0; parsed && axis < shape_.size(); ++axis)
    if (parsed->uses(static_cast<int32_t>(axis))) {
      if (only >= 0)
        return index;
      only = static_cast<int>(axis);
    }
  constexpr int64_t longest = int64_t(1) << 26; // a longer one stays as it is written
  if (only >= 0 && (parsed->axis() == only || shape_[only] > longest))
    return index;
  std::vector<int64_t> at(shape_.size());
  for (int64_t p = 0; only >= 0 && p < shape_[only]; ++p) {
    at[only] = p;
    if (parsed->at(at.data()) != p)
      return index;
  }
  return only >= 0 ? "a" + std::to_string(only) : index;
}

StoredValues::Text StoredValues::place(const ast::Expr &tensor, const std::vector<int> &stacked) {
  if (!tensor.indexed)
    return "";
  std::string out, plain;
  for (size_t axis = 0; axis < letters_.size(); ++axis)
    if (std::find(stacked.begin(), stacked.end(), static_cast<int>(axis)) == stacked.end())
      plain += (plain.empty() ? "a" : " ; a") + std::to_string(axis);
  for (auto &index : tensor.indices) {
    auto one = wholeText(*index);
    if (!one)
      return one;
    out += (out.empty() ? "" : " ; ") + simplest(*one) + (isPart(*index) ? " part" : "");
  }
  if (out == plain)
    return "";
  return check(out, tensor) ? Text(out) : std::nullopt;
}

StoredValues::Text StoredValues::valueText(const ast::Expr &e, const ast::Expr &tensor) {
  if (&e == &tensor)
    return "x";
  if (!contains(e, tensor)) {
    auto c = evaluate_(e);
    if (!c)
      return std::nullopt;
    if (c->kind == Constant::Kind::Float)
      return numberText(c->number);
    if (c->kind == Constant::Kind::Int)
      if (auto number = c->size.constant())
        return std::to_string(*number);
    say_(e.span, "around a stored tensor stand numbers that are known at compile time");
    return std::nullopt;
  }
  auto child = [&](size_t i) { return valueText(*e.children[i], tensor); };
  switch (e.kind) {
  case K::Unary:
    if (e.op == "-") {
      auto one = child(0);
      return one ? Text(*one + " neg") : one;
    }
    break;
  case K::Binary: {
    if (e.ops[0] == "and" || e.ops[0] == "or")
      break;
    auto out = child(0);
    for (size_t i = 0; out && i < e.ops.size(); ++i) {
      auto one = child(i + 1);
      out = one ? Text(*out + " " + *one + " " + e.ops[i]) : one;
    }
    return out;
  }
  case K::If:
    if (!contains(*e.children[0], tensor)) {
      auto c = evaluate_(*e.children[0]);
      if (!c || c->kind != Constant::Kind::Bool)
        return std::nullopt;
      return child(c->boolean ? 1 : 2);
    }
    break;
  case K::Call:
    return callText(
        e, [&](const ast::Expr &one) { return valueText(one, tensor); }, /*whole=*/false);
  default:
    break;
  }
  say_(e.span, "around a stored tensor stand numbers, + - * / // % ^ and the functions of the "
               "language");
  return std::nullopt;
}

StoredValues::Text StoredValues::value(const ast::Expr &whole, const ast::Expr &tensor) {
  auto text = valueText(whole, tensor);
  if (!text || *text == "x")
    return text ? Text("") : text;
  if (rt::StoredText::parse(*text, 0, /*whole=*/false))
    return text;
  say_(whole.span, "this expression is nested too deeply");
  return std::nullopt;
}

} // namespace qkv::sema

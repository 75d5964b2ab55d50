// What the grammar's rules do with what they read: make nodes of the syntax tree and fill them.
//
// In: an attribute and the node that a rule is making. Out: the node. For Parser.cpp alone.
#pragma once

#include "dsl/syntax/TokenParsers.h"

namespace qkv::grammar {

using ast::Expr;
using ast::ExprPtr;

inline Span spanOf(Place first, Place last) {
  return first == last ? first->span : join(first->span, (last - 1)->span);
}
inline void setSpan(ExprPtr &node, Span span) { node->span = span; }
template <class Node> auto setSpan(Node &node, Span span) -> decltype((void)(node.span = span)) {
  node.span = span;
}

/// Gives the node of a rule the span of its tokens: parentheses are part of what is in them.
/// (X3 hands a rule's on_success no node where the rule has actions; its context has it.)
template <class Subject> struct Spanned : x3::unary_parser<Subject, Spanned<Subject>> {
  using x3::unary_parser<Subject, Spanned<Subject>>::unary_parser;
  static constexpr bool is_pass_through_unary = true;
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &context, RContext &node,
             Attribute &attribute) const {
    Place begin = first;
    if (!this->subject.parse(first, last, context, node, attribute))
      return false;
    if constexpr (std::is_same_v<std::remove_const_t<Attribute>, x3::unused_type>)
      setSpan(node, spanOf(begin, first));
    else
      setSpan(attribute, spanOf(begin, first));
    return true;
  }
};
template <class P> auto spanned(P const &parser) {
  return Spanned<typename x3::extension::as_parser<P>::value_type>(x3::as_parser(parser));
}

inline ExprPtr make(Expr::Kind kind) {
  auto node = std::make_shared<Expr>();
  node->kind = kind;
  return node;
}

inline ExprPtr literal(const Token &token) {
  ExprPtr node =
      make(token.kind == Kind::Integer                                  ? Expr::Kind::Integer
           : token.kind == Kind::Number || token.kind == Kind::Infinity ? Expr::Kind::Number
           : token.kind == Kind::String                                 ? Expr::Kind::String
                                                                        : Expr::Kind::Boolean);
  node->integer = token.integer;
  node->number =
      token.kind == Kind::Infinity ? std::numeric_limits<double>::infinity() : token.number;
  node->boolean = token.kind == Kind::True;
  if (token.kind == Kind::String)
    node->name = {token.text, token.span};
  node->span = token.span;
  return node;
}

inline ExprPtr named(ast::Name name) {
  ExprPtr node = make(Expr::Kind::Name);
  node->span = name.span;
  node->name = std::move(name);
  return node;
}

inline const auto become = [](auto &ctx) { x3::_val(ctx) = std::move(x3::_attr(ctx)); };

/// An operator follows: the operand becomes the first of a flat node (G9).
template <Expr::Kind kind>
inline const auto wrap = [](auto &ctx) {
  ExprPtr node = make(kind);
  node->children.push_back(std::move(x3::_val(ctx)));
  x3::_val(ctx) = std::move(node);
};
inline const auto addOperator = [](auto &ctx) {
  x3::_val(ctx)->ops.push_back(x3::_attr(ctx)->text);
  x3::_val(ctx)->opSpans.push_back(x3::_attr(ctx)->span);
};

inline const auto startPrefix = [](auto &ctx) {
  ExprPtr node = make(Expr::Kind::Unary);
  node->op = x3::_attr(ctx)->text;
  node->opSpan = x3::_attr(ctx)->span;
  x3::_val(ctx) = std::move(node);
};
inline const auto startIf = [](auto &ctx) { x3::_val(ctx) = make(Expr::Kind::If); };

inline const auto toLiteral = [](auto &ctx) { x3::_val(ctx) = literal(*x3::_attr(ctx)); };
inline const auto toNegative = [](auto &ctx) {
  x3::_val(ctx) = std::move(x3::_attr(ctx));
  x3::_val(ctx)->integer = -x3::_val(ctx)->integer;
  x3::_val(ctx)->number = -x3::_val(ctx)->number;
};
inline const auto toName = [](auto &ctx) { x3::_val(ctx) = named(std::move(x3::_attr(ctx))); };
inline const auto wordToName = [](auto &ctx) {
  x3::_val(ctx) = named({x3::_attr(ctx)->text, x3::_attr(ctx)->span});
};

inline const auto startNode = [](auto &ctx) {
  using K = Expr::Kind;
  Place word = x3::_attr(ctx);
  ExprPtr node = make(word->kind == Kind::Extent    ? K::Extent
                      : word->kind == Kind::Config  ? K::Config
                      : word->kind == Kind::Dynamic ? K::Dynamic
                      : word->kind == Kind::Stream  ? K::Stream
                                                    : K::Reduction);
  if (node->kind == K::Reduction) {
    node->op = word->text;
    node->opSpan = word->span;
  }
  x3::_val(ctx) = std::move(node);
};
inline const auto setName = [](auto &ctx) { x3::_val(ctx)->name = std::move(x3::_attr(ctx)); };
inline const auto setKey = [](auto &ctx) {
  x3::_val(ctx)->name = {x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
inline const auto setLetters = [](auto &ctx) {
  x3::_val(ctx)->letters = std::move(x3::_attr(ctx));
};
inline const auto addChild = [](auto &ctx) {
  x3::_val(ctx)->children.push_back(std::move(x3::_attr(ctx)));
};
inline const auto startMerged = [](auto &ctx) { x3::_val(ctx) = make(Expr::Kind::Merged); };
inline const auto setAccess = [](auto &ctx) {
  x3::_val(ctx)->kind = Expr::Kind::Access;
  x3::_val(ctx)->indices = std::move(x3::_attr(ctx));
};

inline const auto startCall = [](auto &ctx) { x3::_val(ctx) = make(Expr::Kind::Call); };
inline const auto addArgument = [](auto &ctx) {
  x3::_val(ctx)->arguments.push_back(std::move(x3::_attr(ctx)));
};
inline const auto setResultIndices = [](auto &ctx) {
  x3::_val(ctx)->indexed = true;
  x3::_val(ctx)->indices = std::move(x3::_attr(ctx));
};
inline const auto setFrom = [](auto &ctx) {
  x3::_val(ctx)->from = ast::Text{x3::_attr(ctx)->text, x3::_attr(ctx)->span, {}};
};
inline const auto takeCall = [](auto &ctx) {
  ast::Name name = std::move(x3::_val(ctx)->name);
  x3::_val(ctx) = std::move(x3::_attr(ctx));
  x3::_val(ctx)->name = std::move(name);
};
inline const auto takeBuiltIn = [](auto &ctx) {
  takeCall(ctx);
  const Expr &call = *x3::_val(ctx);
  const std::string &name = call.name.text;
  if ((name == "min" || name == "max") && call.arguments.size() < 2)
    throw Misuse{call.name.span, "'" + name + "(' takes two or more arguments", "G7",
                 "the " + std::string(name == "max" ? "greatest" : "least") + " of a row is " +
                     name + "[j](...)"};
  if (call.from)
    throw Misuse{call.from->span,
                 "'" + name + "' has no parameters: 'from' follows the call of a block", "G6", ""};
};

inline const auto startRoot = [](auto &ctx) {
  x3::_val(ctx) = make(Expr::Kind::Call);
  x3::_val(ctx)->name = {"sqrt", x3::_attr(ctx)->span};
};
inline const auto setRootOperand = [](auto &ctx) {
  x3::_val(ctx)->arguments.push_back({std::nullopt, std::move(x3::_attr(ctx))});
};
inline const auto noCallBehindRoot = [](auto &ctx) {
  throw Misuse{x3::_attr(ctx)->span,
               "'√' takes one name, access, number or parenthesis, not a call", "G2",
               "put the call in parentheses: √(f(x))"};
};

inline const auto setLabel = [](auto &ctx) { x3::_val(ctx).name = std::move(x3::_attr(ctx)); };
inline const auto setValue = [](auto &ctx) { x3::_val(ctx).value = std::move(x3::_attr(ctx)); };
inline const auto setBrackets = [](auto &ctx) {
  x3::_val(ctx).indexed = true;
  x3::_val(ctx).letters = std::move(x3::_attr(ctx));
};
/// The first string in what a param is made of; `second` is the next one, where there are more.
inline const Expr *tensorIn(const Expr &e, const Expr *&second) {
  if (e.kind == Expr::Kind::String)
    return &e;
  const Expr *found = nullptr;
  auto look = [&](const ExprPtr &part) {
    const Expr *one = part ? tensorIn(*part, second) : nullptr;
    second = second || !found ? second : one;
    found = found ? found : one;
  };
  for (const ExprPtr &child : e.children)
    look(child);
  for (const ast::Argument &argument : e.arguments)
    look(argument.value);
  return found;
}
inline const auto addStored = [](auto &ctx) {
  auto &stored = x3::_val(ctx).stored;
  if (stored.empty() || stored.back().value)
    stored.emplace_back();
  ast::Stored &last = stored.back();
  last.value = std::move(x3::_attr(ctx));
  const Expr *second = nullptr;
  last.tensor = tensorIn(*last.value, second);
  if (second && second->name.text == last.tensor->name.text)
    throw Misuse{last.value->span,
                 "a parameter is made of one tensor of the checkpoint, and it is named twice here",
                 "C5", "what takes it twice is an equation: w2[c] = w[c] * w[c]"};
  if (second || !last.tensor)
    throw Misuse{last.value->span,
                 "a parameter is made of one tensor of the checkpoint, and several are named here",
                 "C5", "a letter inside a name stacks tensors: \"experts.{e}.weight\""};
};
inline const auto addStoredFormat = [](auto &ctx) {
  x3::_val(ctx).stored.push_back({std::move(x3::_attr(ctx)), nullptr, nullptr});
};
inline const auto addFormat = [](auto &ctx) {
  x3::_val(ctx)->formats.push_back({std::move(x3::_attr(ctx)), "", {}});
};
inline const auto setFormatText = [](auto &ctx) {
  ast::FormatText &last = x3::_val(ctx)->formats.back();
  last.text = x3::_attr(ctx)->text;
  last.span = x3::_attr(ctx)->span;
};
inline const auto addFromFormat = [](auto &ctx) {
  x3::_val(ctx)->from->formats.push_back({std::move(x3::_attr(ctx)), "", {}});
};
inline const auto setFromFormatText = [](auto &ctx) {
  ast::FormatText &last = x3::_val(ctx)->from->formats.back();
  last.text = x3::_attr(ctx)->text;
  last.span = x3::_attr(ctx)->span;
};
inline const auto setLength = [](auto &ctx) { x3::_val(ctx)->length = true; };
inline const auto setPlace = [](auto &ctx) {
  x3::_val(ctx)->indexed = true;
  x3::_val(ctx)->indices = std::move(x3::_attr(ctx));
};
inline const auto setFallback = [](auto &ctx) {
  x3::_val(ctx).fallback = std::move(x3::_attr(ctx));
};
inline const auto setType = [](auto &ctx) { x3::_val(ctx).type = std::move(x3::_attr(ctx)); };
inline const auto setTargetName = [](auto &ctx) {
  x3::_val(ctx).name = {x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
inline const auto setTargetIndices = [](auto &ctx) {
  x3::_val(ctx).indexed = true;
  x3::_val(ctx).indices = std::move(x3::_attr(ctx));
};

inline const auto setStatementKind = [](auto &ctx) {
  using K = ast::Statement::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Size    ? K::Size
                       : kind == Kind::Const ? K::Const
                       : kind == Kind::Index ? K::Index
                                             : K::Param;
};
inline const auto startEquation = [](auto &ctx) {
  x3::_val(ctx).kind = ast::Statement::Kind::Equation;
};
inline const auto addDeclaration = [](auto &ctx) {
  x3::_val(ctx).declarations.push_back(std::move(x3::_attr(ctx)));
};
inline const auto addParam = [](auto &ctx) {
  x3::_val(ctx).params.push_back(std::move(x3::_attr(ctx)));
};
inline const auto addTarget = [](auto &ctx) {
  x3::_val(ctx).targets.push_back(std::move(x3::_attr(ctx)));
};

inline const auto setFormalKind = [](auto &ctx) {
  using K = ast::Formal::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Size ? K::Size : kind == Kind::Const ? K::Const : K::Function;
};
inline const auto setDefinitionKind = [](auto &ctx) {
  using K = ast::Definition::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Fn ? K::Fn : kind == Kind::Block ? K::Block : K::Model;
};
inline const auto addFormal = [](auto &ctx) {
  x3::_val(ctx).formals.push_back(std::move(x3::_attr(ctx)));
};
inline const auto addResult = [](auto &ctx) {
  x3::_val(ctx).results.push_back(std::move(x3::_attr(ctx)));
};
inline const auto setLetter = [](auto &ctx) { x3::_val(ctx).letter = std::move(x3::_attr(ctx)); };
inline const auto setCount = [](auto &ctx) { x3::_val(ctx).count = std::move(x3::_attr(ctx)); };

} // namespace qkv::grammar

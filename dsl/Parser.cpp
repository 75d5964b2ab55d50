// The grammar in Boost.Spirit X3, rule by rule as in GRAMMAR.md (G2 to G6).
//
// In: tokens, whose nesting is within bounds (G9). Out: nodes of the syntax tree with their
// spans. What must hold: a token or two decide between alternatives, and behind that every
// element is expected (`>`), so the place of a failure is the place of the mistake.
#include "dsl/Grammar.h"

#include <boost/fusion/include/at_c.hpp>
#include <boost/spirit/home/x3.hpp>

namespace qkv::grammar {

namespace x3 = boost::spirit::x3;
using ast::Expr;
using ast::ExprPtr;
using boost::fusion::at_c;
using lexical::Kind;
using lexical::spelling;

//===-- Tokens as parsers ---------------------------------------------------------------===//

/// A token that says nothing beyond being there.
struct Sign : x3::parser<Sign> {
  using attribute_type = x3::unused_type;
  static constexpr bool has_attribute = false;
  Kind kind;
  constexpr explicit Sign(Kind kind) : kind(kind) {}
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &) const {
    if (first == last || first->kind != kind)
      return false;
    ++first;
    return true;
  }
};

/// One of some tokens; the attribute is the token.
struct OneOf : x3::parser<OneOf> {
  using attribute_type = Place;
  static constexpr bool has_attribute = true;
  uint64_t kinds = 0;
  template <class... Kinds> constexpr explicit OneOf(Kinds... list) {
    static_assert(static_cast<int>(Kind::Stream) < 64);
    kinds = (... | (uint64_t(1) << static_cast<int>(list)));
  }
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &out) const {
    if (first == last || !(kinds >> static_cast<int>(first->kind) & 1))
      return false;
    x3::traits::move_to(static_cast<Place>(first), out);
    ++first;
    return true;
  }
};

/// A name; also the word `max` where it is only a label.
template <bool Label> struct Word : x3::parser<Word<Label>> {
  using attribute_type = ast::Name;
  static constexpr bool has_attribute = true;
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &out) const {
    if (first == last ||
        !(Label ? first->kind == Kind::MinMax && first->text == "max" : first->kind == Kind::Name))
      return false;
    x3::traits::move_to(ast::Name{first->text, first->span}, out);
    ++first;
    return true;
  }
};

} // namespace qkv::grammar

// What a failure of `>` calls them: a sign by its spelling, a rule by its name, everything
// else by what it begins with.
namespace boost::spirit::x3 {
template <> struct get_info<qkv::grammar::Sign> {
  using result_type = std::string;
  std::string operator()(qkv::grammar::Sign const &sign) const {
    return "'" + std::string(qkv::lexical::spelling(sign.kind)) + "'";
  }
};
template <class Subject, class Action> struct get_info<action<Subject, Action>> {
  using result_type = std::string;
  std::string operator()(action<Subject, Action> const &p) const { return what(p.subject); }
};
template <class Left, class Right> struct get_info<sequence<Left, Right>> {
  using result_type = std::string;
  std::string operator()(sequence<Left, Right> const &p) const { return what(p.left); }
};
template <class Left, class Right> struct get_info<alternative<Left, Right>> {
  using result_type = std::string;
  std::string operator()(alternative<Left, Right> const &p) const { return what(p.right); }
};
} // namespace boost::spirit::x3

namespace qkv::grammar {

namespace {

constexpr Sign sign(Kind kind) { return Sign(kind); }
const auto comma = sign(Kind::Comma);
const auto assign = sign(Kind::Assign);

/// One or more, with commas: behind a comma there must be one more.
template <class P> auto list(P const &element) { return element >> *(comma > element); }

//===-- Nodes ---------------------------------------------------------------------------===//

Span spanOf(Place first, Place last) {
  return first == last ? first->span : join(first->span, (last - 1)->span);
}
void setSpan(ExprPtr &node, Span span) { node->span = span; }
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

ExprPtr make(Expr::Kind kind) {
  auto node = std::make_shared<Expr>();
  node->kind = kind;
  return node;
}

ExprPtr literal(const Token &token) {
  ExprPtr node = make(token.kind == Kind::Integer  ? Expr::Kind::Integer
                      : token.kind == Kind::Number ? Expr::Kind::Number
                      : token.kind == Kind::String ? Expr::Kind::String
                                                   : Expr::Kind::Boolean);
  node->integer = token.integer;
  node->number = token.number;
  node->boolean = token.kind == Kind::True;
  if (token.kind == Kind::String)
    node->name = {token.text, token.span};
  node->span = token.span;
  return node;
}

ExprPtr named(ast::Name name) {
  ExprPtr node = make(Expr::Kind::Name);
  node->span = name.span;
  node->name = std::move(name);
  return node;
}

//===-- What the rules do ---------------------------------------------------------------===//

const auto become = [](auto &ctx) { x3::_val(ctx) = std::move(x3::_attr(ctx)); };

/// An operator follows: the operand becomes the first of a flat node (G9).
template <Expr::Kind kind>
const auto wrap = [](auto &ctx) {
  ExprPtr node = make(kind);
  node->children.push_back(std::move(x3::_val(ctx)));
  x3::_val(ctx) = std::move(node);
};
const auto addOperator = [](auto &ctx) {
  x3::_val(ctx)->ops.push_back(x3::_attr(ctx)->text);
  x3::_val(ctx)->opSpans.push_back(x3::_attr(ctx)->span);
};

const auto startPrefix = [](auto &ctx) {
  ExprPtr node = make(Expr::Kind::Unary);
  node->op = x3::_attr(ctx)->text;
  node->opSpan = x3::_attr(ctx)->span;
  x3::_val(ctx) = std::move(node);
};
const auto startIf = [](auto &ctx) { x3::_val(ctx) = make(Expr::Kind::If); };

const auto toLiteral = [](auto &ctx) { x3::_val(ctx) = literal(*x3::_attr(ctx)); };
const auto toNegative = [](auto &ctx) {
  x3::_val(ctx) = std::move(x3::_attr(ctx));
  x3::_val(ctx)->integer = -x3::_val(ctx)->integer;
  x3::_val(ctx)->number = -x3::_val(ctx)->number;
};
const auto toName = [](auto &ctx) { x3::_val(ctx) = named(std::move(x3::_attr(ctx))); };
const auto wordToName = [](auto &ctx) {
  x3::_val(ctx) = named({x3::_attr(ctx)->text, x3::_attr(ctx)->span});
};

const auto startNode = [](auto &ctx) {
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
const auto setName = [](auto &ctx) { x3::_val(ctx)->name = std::move(x3::_attr(ctx)); };
const auto setKey = [](auto &ctx) {
  x3::_val(ctx)->name = {x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
const auto setLetters = [](auto &ctx) { x3::_val(ctx)->letters = std::move(x3::_attr(ctx)); };
const auto addChild = [](auto &ctx) {
  x3::_val(ctx)->children.push_back(std::move(x3::_attr(ctx)));
};
const auto setAccess = [](auto &ctx) {
  x3::_val(ctx)->kind = Expr::Kind::Access;
  x3::_val(ctx)->indices = std::move(x3::_attr(ctx));
};

const auto startCall = [](auto &ctx) { x3::_val(ctx) = make(Expr::Kind::Call); };
const auto addArgument = [](auto &ctx) {
  x3::_val(ctx)->arguments.push_back(std::move(x3::_attr(ctx)));
};
const auto setResultIndices = [](auto &ctx) {
  x3::_val(ctx)->indexed = true;
  x3::_val(ctx)->indices = std::move(x3::_attr(ctx));
};
const auto setFrom = [](auto &ctx) {
  x3::_val(ctx)->from = ast::Text{x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
const auto takeCall = [](auto &ctx) {
  ast::Name name = std::move(x3::_val(ctx)->name);
  x3::_val(ctx) = std::move(x3::_attr(ctx));
  x3::_val(ctx)->name = std::move(name);
};
const auto takeBuiltIn = [](auto &ctx) {
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

const auto startRoot = [](auto &ctx) {
  x3::_val(ctx) = make(Expr::Kind::Call);
  x3::_val(ctx)->name = {"sqrt", x3::_attr(ctx)->span};
};
const auto setRootOperand = [](auto &ctx) {
  x3::_val(ctx)->arguments.push_back({std::nullopt, std::move(x3::_attr(ctx))});
};
const auto noCallBehindRoot = [](auto &ctx) {
  throw Misuse{x3::_attr(ctx)->span,
               "'√' takes one name, access, number or parenthesis, not a call", "G2",
               "put the call in parentheses: √(f(x))"};
};

const auto setLabel = [](auto &ctx) { x3::_val(ctx).name = std::move(x3::_attr(ctx)); };
const auto setValue = [](auto &ctx) { x3::_val(ctx).value = std::move(x3::_attr(ctx)); };
const auto setBrackets = [](auto &ctx) {
  x3::_val(ctx).indexed = true;
  x3::_val(ctx).letters = std::move(x3::_attr(ctx));
};
const auto setText = [](auto &ctx) {
  x3::_val(ctx).text = ast::Text{x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
const auto setFallback = [](auto &ctx) { x3::_val(ctx).fallback = std::move(x3::_attr(ctx)); };
const auto setType = [](auto &ctx) { x3::_val(ctx).type = std::move(x3::_attr(ctx)); };
const auto setTargetName = [](auto &ctx) {
  x3::_val(ctx).name = {x3::_attr(ctx)->text, x3::_attr(ctx)->span};
};
const auto setTargetIndices = [](auto &ctx) {
  x3::_val(ctx).indexed = true;
  x3::_val(ctx).indices = std::move(x3::_attr(ctx));
};

const auto setStatementKind = [](auto &ctx) {
  using K = ast::Statement::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Size    ? K::Size
                       : kind == Kind::Const ? K::Const
                       : kind == Kind::Index ? K::Index
                                             : K::Param;
};
const auto startEquation = [](auto &ctx) { x3::_val(ctx).kind = ast::Statement::Kind::Equation; };
const auto addDeclaration = [](auto &ctx) {
  x3::_val(ctx).declarations.push_back(std::move(x3::_attr(ctx)));
};
const auto addParam = [](auto &ctx) { x3::_val(ctx).params.push_back(std::move(x3::_attr(ctx))); };
const auto addTarget = [](auto &ctx) {
  x3::_val(ctx).targets.push_back(std::move(x3::_attr(ctx)));
};

const auto setFormalKind = [](auto &ctx) {
  using K = ast::Formal::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Size ? K::Size : kind == Kind::Const ? K::Const : K::Function;
};
const auto setDefinitionKind = [](auto &ctx) {
  using K = ast::Definition::Kind;
  Kind kind = x3::_attr(ctx)->kind;
  x3::_val(ctx).kind = kind == Kind::Fn ? K::Fn : kind == Kind::Block ? K::Block : K::Model;
};
const auto addFormal = [](auto &ctx) {
  x3::_val(ctx).formals.push_back(std::move(x3::_attr(ctx)));
};
const auto addResult = [](auto &ctx) {
  x3::_val(ctx).results.push_back(std::move(x3::_attr(ctx)));
};
const auto setLetter = [](auto &ctx) { x3::_val(ctx).letter = std::move(x3::_attr(ctx)); };
const auto setCount = [](auto &ctx) { x3::_val(ctx).count = std::move(x3::_attr(ctx)); };

/// operand (operator operand)*: one flat node (G9), or the operand itself.
template <Expr::Kind kind, class Operand, class Operator>
auto chain(Operand const &operand, Operator const &op) {
  return operand[become] >> -(&op[wrap<kind>] >> +(op[addOperator] > operand[addChild]));
}

//===-- Rules ---------------------------------------------------------------------------===//

template <class Id, class Attribute> using Rule = x3::rule<Id, Attribute>;
#define QKV_RULE(name, attribute, what)                                                            \
  struct name##Rule {};                                                                            \
  const Rule<name##Rule, attribute> name = what

QKV_RULE(name, ast::Name, "a name");
QKV_RULE(letter, ast::Name, "a letter");
QKV_RULE(type, ast::Name, "a type (float, int, bool or token)");
QKV_RULE(label, ast::Name, "'max'");
QKV_RULE(text, Place, "a string");
QKV_RULE(letters, std::vector<ast::Name>, "'['");
QKV_RULE(indices, std::vector<ExprPtr>, "'['");

QKV_RULE(expression, ExprPtr, "an expression");
QKV_RULE(conjunction, ExprPtr, "an expression");
QKV_RULE(negation, ExprPtr, "an expression");
QKV_RULE(comparison, ExprPtr, "an expression");
QKV_RULE(sum, ExprPtr, "an expression");
QKV_RULE(product, ExprPtr, "an expression");
QKV_RULE(factor, ExprPtr, "an expression");
QKV_RULE(powerOf, ExprPtr, "an expression");
QKV_RULE(operand, ExprPtr, "an expression");

QKV_RULE(parenthesis, ExprPtr, "'('");
QKV_RULE(number, ExprPtr, "a number");
QKV_RULE(numeral, ExprPtr, "a number");
QKV_RULE(conditional, ExprPtr, "'if'");
QKV_RULE(reduction, ExprPtr, "a reduction");
QKV_RULE(reading, ExprPtr, "a name");
QKV_RULE(builtIn, ExprPtr, "a function");
QKV_RULE(call, ExprPtr, "'('");
QKV_RULE(root, ExprPtr, "'√'");
QKV_RULE(rootOperand, ExprPtr, "a name, an access, a number or a parenthesis");
QKV_RULE(rootAccess, ExprPtr, "a name");
QKV_RULE(extent, ExprPtr, "'extent'");
QKV_RULE(config, ExprPtr, "'config'");
QKV_RULE(configDefault, ExprPtr, "a default");
QKV_RULE(arriving, ExprPtr, "'dynamic'");
QKV_RULE(argument, ast::Argument, "an argument");
QKV_RULE(argumentValue, ExprPtr, "an expression");
QKV_RULE(functionName, ExprPtr, "a function");

QKV_RULE(definition, ast::Declaration, "a name");
QKV_RULE(range, ast::Declaration, "a letter");
QKV_RULE(param, ast::Param, "a name");
QKV_RULE(fallback, ExprPtr, "a tensor's name or a number");
QKV_RULE(fallbackName, ExprPtr, "a name");
QKV_RULE(fallbackNumber, ExprPtr, "a number");
QKV_RULE(target, ast::Target, "a name");
QKV_RULE(statement, ast::Statement, "a statement");
QKV_RULE(repeatHead, ast::Repeat, "'repeat'");
QKV_RULE(formal, ast::Formal, "an argument");
QKV_RULE(result, ast::Result, "a result");
QKV_RULE(signature, ast::Definition, "a definition");
QKV_RULE(import, ast::Use, "'use'");
#undef QKV_RULE

// Names and lists
const auto name_def = Word<false>();
const auto letter_def = Word<false>();
const auto type_def = Word<false>();
const auto label_def = Word<true>();
const auto text_def = OneOf(Kind::String);
const auto letters_def = sign(Kind::LeftBracket) > (letter >> *(comma > letter)) >
                         sign(Kind::RightBracket);
const auto indices_def = sign(Kind::LeftBracket) > (expression >> *(comma > expression)) >
                         sign(Kind::RightBracket);

// Expressions, loosest first (G2, G3)
const auto expression_def = spanned(chain<Expr::Kind::Binary>(conjunction, OneOf(Kind::Or)));
const auto conjunction_def = spanned(chain<Expr::Kind::Binary>(negation, OneOf(Kind::And)));
const auto negation_def =
    spanned((OneOf(Kind::Not)[startPrefix] > negation[addChild]) | comparison[become]);
const auto comparison_def = spanned(
    chain<Expr::Kind::Compare>(sum, OneOf(Kind::Equal, Kind::NotEqual, Kind::Less, Kind::LessEqual,
                                          Kind::Greater, Kind::GreaterEqual)));
const auto sum_def = spanned(chain<Expr::Kind::Binary>(product, OneOf(Kind::Plus, Kind::Minus)));
const auto product_def = spanned(chain<Expr::Kind::Binary>(
    factor, OneOf(Kind::Star, Kind::Slash, Kind::SlashSlash, Kind::Percent)));
const auto factor_def =
    spanned((OneOf(Kind::Minus)[startPrefix] > factor[addChild]) | powerOf[become]);
const auto powerOf_def =
    spanned(operand[become] >> -((&OneOf(Kind::Caret)[wrap<Expr::Kind::Binary>] >>
                                  OneOf(Kind::Caret)[addOperator]) > factor[addChild]));

const auto parenthesis_def = spanned(sign(Kind::LeftParen) > expression > sign(Kind::RightParen));
const auto operand_def = reading | number | builtIn | reduction | parenthesis | conditional |
                         extent | root | config | arriving;
const auto number_def = OneOf(Kind::Integer, Kind::Number, Kind::True, Kind::False)[toLiteral];
const auto numeral_def = OneOf(Kind::Integer, Kind::Number)[toLiteral];
const auto conditional_def =
    spanned(sign(Kind::If)[startIf] > expression[addChild] > sign(Kind::Then) >
            expression[addChild] > sign(Kind::Else) > expression[addChild]);
const auto reading_def = spanned(name[toName] >> -(indices[setAccess] | call[takeCall]));
const auto builtIn_def = spanned((OneOf(Kind::Function, Kind::MinMax)[wordToName] >>
                                  &sign(Kind::LeftParen)) > call[takeBuiltIn]);
const auto call_def = (sign(Kind::LeftParen)[startCall] > -list(argument[addArgument]) >
                       sign(Kind::RightParen)) >>
                      -indices[setResultIndices] >> -(sign(Kind::From) > text[setFrom]);
const auto argument_def =
    ((name >> sign(Kind::Colon))[setLabel] > argumentValue[setValue]) | expression[setValue];
const auto argumentValue_def = functionName | expression;
// A built-in function handed over by name.
const auto functionName_def = OneOf(Kind::Function, Kind::MinMax)[wordToName] >>
                              !(sign(Kind::LeftParen) | sign(Kind::LeftBracket));
const auto reduction_def =
    spanned((OneOf(Kind::Reduction, Kind::MinMax)[startNode] >> &sign(Kind::LeftBracket)) >
            letters[setLetters] > sign(Kind::LeftParen) > expression[addChild] >
            -(sign(Kind::Where) > expression[addChild]) > sign(Kind::RightParen));
const auto root_def = spanned(OneOf(Kind::Root)[startRoot] > rootOperand[setRootOperand]);
const auto rootOperand_def = number | parenthesis | rootAccess;
const auto rootAccess_def =
    spanned(name[toName] >> -(indices[setAccess] | &OneOf(Kind::LeftParen)[noCallBehindRoot]));
const auto extent_def = spanned(OneOf(Kind::Extent)[startNode] > sign(Kind::LeftParen) >
                                letter[setName] > sign(Kind::RightParen));
const auto config_def =
    spanned(OneOf(Kind::Config)[startNode] > sign(Kind::LeftParen) > text[setKey] >
            -(comma > configDefault[addChild]) > sign(Kind::RightParen));
const auto configDefault_def = OneOf(Kind::String)[toLiteral] | expression[become];
const auto arriving_def =
    spanned(OneOf(Kind::Dynamic, Kind::Stream)[startNode] > sign(Kind::LeftParen) > label >
            sign(Kind::Colon) > expression[addChild] > sign(Kind::RightParen));

// Statements (G5)
const auto definition_def = name[setLabel] > assign > expression[setValue];
const auto range_def = letter[setLabel] > sign(Kind::Less) > expression[setValue];
const auto param_def = spanned((name[setLabel] >> -letters[setBrackets]) > assign > text[setText] >
                               -(sign(Kind::Else) > fallback[setFallback]));
const auto fallback_def = fallbackName | fallbackNumber;
const auto fallbackName_def = name[toName];
const auto fallbackNumber_def =
    spanned((sign(Kind::Minus) > numeral[toNegative]) | numeral[become]);
const auto target_def = spanned((OneOf(Kind::Name)[setTargetName] >> -indices[setTargetIndices]) |
                                OneOf(Kind::Drop)[setTargetName]);
const auto statement_def =
    spanned((OneOf(Kind::Size, Kind::Const)[setStatementKind] > list(definition[addDeclaration])) |
            (OneOf(Kind::Index)[setStatementKind] > list(range[addDeclaration])) |
            (OneOf(Kind::Param)[setStatementKind] > list(param[addParam])) |
            ((x3::eps[startEquation] >> list(target[addTarget])) > assign > expression[setValue]));
const auto repeatHead_def = sign(Kind::Repeat) > letter[setLetter] >
                            sign(Kind::Less) > expression[setCount];

// Definitions
const auto formal_def =
    spanned((OneOf(Kind::Size, Kind::Const)[setFormalKind] > name[setLabel] >
             -(assign > expression[setFallback])) |
            (OneOf(Kind::Fn)[setFormalKind] > name[setLabel]) |
            (name[setLabel] >> -letters[setBrackets] >> -(sign(Kind::Colon) > type[setType])));
const auto result_def = spanned(name[setLabel] >> -letters[setBrackets]);
const auto results =
    (sign(Kind::LeftParen) > list(result[addResult]) > sign(Kind::RightParen)) | result[addResult];
const auto signature_def =
    spanned(OneOf(Kind::Fn, Kind::Block, Kind::Model)[setDefinitionKind] > name[setLabel] >
            sign(Kind::LeftParen) > -list(formal[addFormal]) > sign(Kind::RightParen) >
            sign(Kind::Arrow) > results);
const auto import_def = spanned(sign(Kind::Use) > name[setLabel]);

BOOST_SPIRIT_DEFINE(name, letter, type, label, text, letters, indices)
BOOST_SPIRIT_DEFINE(expression, conjunction, negation, comparison, sum, product, factor, powerOf)
BOOST_SPIRIT_DEFINE(operand, parenthesis, number, conditional, reading, builtIn, call, argument,
                    argumentValue)
BOOST_SPIRIT_DEFINE(functionName, reduction, root, rootOperand, rootAccess, extent, config)
BOOST_SPIRIT_DEFINE(configDefault, arriving, definition, range, param, fallback, fallbackName)
BOOST_SPIRIT_DEFINE(fallbackNumber, target, statement, repeatHead, formal, result, signature)
BOOST_SPIRIT_DEFINE(numeral, import)

template <class R, class Node> void read(R const &rule, Place &at, Place end, Node &node) {
  Place place = at;
  try {
    if (!x3::parse(place, end, rule, node))
      throw Mismatch{at, rule.name};
  } catch (x3::expectation_failure<Place> const &failure) {
    throw Mismatch{failure.where(), failure.which()};
  }
  at = place;
}

} // namespace

void readUse(Place &at, Place end, ast::Use &use) { read(import, at, end, use); }

void readSignature(Place &at, Place end, ast::Definition &definition) {
  read(signature, at, end, definition);
  definition.signatureSpan = definition.span;
}

void readRepeat(Place &at, Place end, ast::Repeat &repeat) { read(repeatHead, at, end, repeat); }

void readStatement(Place &at, Place end, ast::Statement &statement_) {
  read(statement, at, end, statement_);
}

} // namespace qkv::grammar

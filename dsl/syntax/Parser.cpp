// The grammar in Boost.Spirit X3, rule by rule as in GRAMMAR.md (G2 to G6).
//
// In: tokens, whose nesting is within bounds (G9). Out: nodes of the syntax tree with their
// spans. What must hold: a token or two decide between alternatives, and behind that every
// element is expected (`>`), so the place of a failure is the place of the mistake.
#include "dsl/syntax/ParserActions.h"

namespace qkv::grammar {

namespace {

constexpr Sign sign(Kind kind) { return Sign(kind); }
const auto comma = sign(Kind::Comma);
const auto assign = sign(Kind::Assign);

/// One or more, with commas: behind a comma there must be one more.
template <class P> auto list(P const &element) { return element >> *(comma > element); }

/// operand (operator operand)*: one flat node (G9), or the operand itself.
template <Expr::Kind kind, class Operand, class Operator>
auto chain(Operand const &operand, Operator const &op) {
  return operand[become] >> -(&op[wrap<kind>] >> +(op[addOperator] > operand[addChild]));
}

template <class Id, class Attribute> using Rule = x3::rule<Id, Attribute>;
#define QKV_RULE(name, attribute, what)                                                            \
  struct name##Rule {};                                                                            \
  const Rule<name##Rule, attribute> name = what

QKV_RULE(name, ast::Name, "a name");
QKV_RULE(letter, ast::Name, "a letter");
QKV_RULE(type, ast::Name, "a type (float, int, bool or token)");
QKV_RULE(label, ast::Name, "'max'");
QKV_RULE(minLabel, ast::Name, "'min'");
QKV_RULE(text, Place, "a string");
QKV_RULE(format, ast::Name, "a format of checkpoints (gguf)");
QKV_RULE(letters, std::vector<ast::Name>, "'['");
QKV_RULE(indices, std::vector<ExprPtr>, "'['");

QKV_RULE(index, ExprPtr, "an expression");
QKV_RULE(merged, ExprPtr, "'('");
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
QKV_RULE(storedName, ExprPtr, "a string");
QKV_RULE(stored, ExprPtr, "a string");
QKV_RULE(numeral, ExprPtr, "a number");
QKV_RULE(conditional, ExprPtr, "'if'");
QKV_RULE(reduction, ExprPtr, "a reduction");
QKV_RULE(reading, ExprPtr, "a name");
QKV_RULE(builtIn, ExprPtr, "a function");
QKV_RULE(call, ExprPtr, "'('");
QKV_RULE(builtInCall, ExprPtr, "'('");
QKV_RULE(operandArgument, ast::Argument, "an argument");
QKV_RULE(root, ExprPtr, "'√'");
QKV_RULE(rootOperand, ExprPtr, "a name, an access, a number or a parenthesis");
QKV_RULE(rootAccess, ExprPtr, "a name");
QKV_RULE(extent, ExprPtr, "'extent'");
QKV_RULE(config, ExprPtr, "'config'");
QKV_RULE(configDefault, ExprPtr, "a default");
QKV_RULE(arriving, ExprPtr, "'dynamic'");
QKV_RULE(argument, ast::Argument, "an argument");
QKV_RULE(minimum, ast::Argument, "'min'");
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
const auto name_def = Word<Label::None>();
const auto letter_def = Word<Label::None>();
const auto type_def = Word<Label::None>();
const auto label_def = Word<Label::Max>();
const auto minLabel_def = Word<Label::Min>();
const auto text_def = OneOf(Kind::String);
const auto format_def = Word<Label::None>();
const auto bar = sign(Kind::Bar);
const auto letters_def = sign(Kind::LeftBracket) > (letter >> *(comma > letter)) >
                         sign(Kind::RightBracket);
const auto indices_def = sign(Kind::LeftBracket) > (index >> *(comma > index)) >
                         sign(Kind::RightBracket);
const auto index_def = merged | expression;
const auto merged_def = spanned((MergedAhead()[startMerged] >> sign(Kind::LeftParen)) >
                                list(expression[addChild]) > sign(Kind::RightParen));

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
const auto operand_def = reading | number | storedName | builtIn | reduction | parenthesis |
                         conditional | extent | root | config | arriving;
const auto number_def =
    OneOf(Kind::Integer, Kind::Number, Kind::Infinity, Kind::True, Kind::False)[toLiteral];
// A text, or in a param a tensor of the checkpoint.
const auto storedName_def = spanned(OneOf(Kind::String)[toLiteral] >> -indices[setPlace]);
const auto numeral_def = OneOf(Kind::Integer, Kind::Number)[toLiteral];
const auto conditional_def =
    spanned(sign(Kind::If)[startIf] > expression[addChild] > sign(Kind::Then) >
            expression[addChild] > sign(Kind::Else) > expression[addChild]);
const auto reading_def = spanned(name[toName] >> -(indices[setAccess] | call[takeCall]));
const auto builtIn_def = spanned((OneOf(Kind::Function, Kind::MinMax)[wordToName] >>
                                  &sign(Kind::LeftParen)) > builtInCall[takeBuiltIn]);
const auto fromText = sign(Kind::From) > text[setFrom] >
                      *(bar > format[addFromFormat] > text[setFromFormatText]);
const auto call_def =
    (sign(Kind::LeftParen)[startCall] > -list(argument[addArgument]) > sign(Kind::RightParen)) >>
    -indices[setResultIndices] >> -fromText;
// Around a stored tensor's name stand the language's own functions (C5): exp("A_log").
const auto builtInCall_def = (sign(Kind::LeftParen)[startCall] >
                              -list(operandArgument[addArgument]) > sign(Kind::RightParen)) >>
                             -indices[setResultIndices] >> -fromText;
const auto operandArgument_def =
    ((name >> sign(Kind::Colon))[setLabel] > argumentValue[setValue]) | expression[setValue];
const auto argument_def = ((name >> sign(Kind::Colon))[setLabel] > argumentValue[setValue]) |
                          (!OneOf(Kind::String) >> expression[setValue]);
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
            *(bar > format[addFormat] > text[setFormatText]) > -(comma > configDefault[addChild]) >
            sign(Kind::RightParen) > -OneOf(Kind::Length)[setLength]);
const auto configDefault_def = expression;
const auto arriving_def =
    spanned(OneOf(Kind::Dynamic, Kind::Stream)[startNode] > sign(Kind::LeftParen) >
            -(minimum[addArgument] > comma) > label > sign(Kind::Colon) > expression[addChild] >
            -(comma > minimum[addArgument]) > sign(Kind::RightParen));
const auto minimum_def = minLabel[setLabel] > sign(Kind::Colon) > expression[setValue];

// Statements (G5)
const auto definition_def = name[setLabel] > assign > expression[setValue];
const auto range_def = letter[setLabel] > sign(Kind::Less) > expression[setValue];
const auto param_def =
    spanned((name[setLabel] >> -letters[setBrackets]) > assign > stored[addStored] >
            *(bar > format[addStoredFormat] > stored[addStored]) >
            -(sign(Kind::Else) > fallback[setFallback]));
const auto stored_def = StringAhead() >> expression;
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

BOOST_SPIRIT_DEFINE(name, letter, type, label, text, letters, indices, index, merged)
BOOST_SPIRIT_DEFINE(expression, conjunction, negation, comparison, sum, product, factor, powerOf)
BOOST_SPIRIT_DEFINE(operand, parenthesis, number, conditional, reading, builtIn, call, argument,
                    argumentValue)
BOOST_SPIRIT_DEFINE(functionName, reduction, root, rootOperand, rootAccess, extent, config)
BOOST_SPIRIT_DEFINE(configDefault, arriving, definition, range, param, fallback, fallbackName)
BOOST_SPIRIT_DEFINE(fallbackNumber, target, statement, repeatHead, formal, result, signature)
BOOST_SPIRIT_DEFINE(numeral, import, minimum, minLabel, format, storedName, stored, builtInCall,
                    operandArgument)

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

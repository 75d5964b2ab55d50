// Tokens as parsers of Spirit X3, for Parser.cpp alone.
//
// In: the place of a token. Out: whether it is the wanted one, and the place behind it. What a
// failed expectation calls them is said here too: a sign by its spelling, a rule by its name.
#pragma once

#include "dsl/syntax/Grammar.h"

#include <boost/spirit/home/x3.hpp>

namespace qkv::grammar {

namespace x3 = boost::spirit::x3;
using lexical::Kind;

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
    static_assert(static_cast<int>(Kind::Infinity) < 64);
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

/// Whether a parenthesis with a comma in it begins here: (h,d).
struct MergedAhead : x3::parser<MergedAhead> {
  using attribute_type = x3::unused_type;
  static constexpr bool has_attribute = false;
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &) const {
    if (first == last || first->kind != Kind::LeftParen)
      return false;
    int depth = 0;
    for (Place at = first; at != last; ++at) {
      if (at->kind == Kind::LeftParen || at->kind == Kind::LeftBracket)
        ++depth;
      else if (at->kind == Kind::RightParen || at->kind == Kind::RightBracket)
        --depth;
      if (depth == 0)
        return false;
      if (depth == 1 && at->kind == Kind::Comma)
        return true;
    }
    return false;
  }
};

/// Whether a string stands in what a param is made of, which ends at a comma, `|` or `else`.
struct StringAhead : x3::parser<StringAhead> {
  using attribute_type = x3::unused_type;
  static constexpr bool has_attribute = false;
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &) const {
    int depth = 0, branches = 0;
    for (Place at = first; at != last && depth >= 0; ++at) {
      depth += at->kind == Kind::LeftParen || at->kind == Kind::LeftBracket;
      depth -= at->kind == Kind::RightParen || at->kind == Kind::RightBracket;
      branches += at->kind == Kind::If;
      if (at->kind == Kind::String)
        return true;
      bool end = at->kind == Kind::StatementEnd || at->kind == Kind::RightBrace ||
                 at->kind == Kind::LeftBrace || at->kind == Kind::EndOfFile;
      bool between = at->kind == Kind::Comma || at->kind == Kind::Bar ||
                     (at->kind == Kind::Else && --branches < 0);
      if (end || (depth == 0 && between))
        return false;
    }
    return false;
  }
};

enum class Label : uint8_t { None, Max, Min };
/// A name; or the word `max` or `min` where it is only a label.
template <Label label> struct Word : x3::parser<Word<label>> {
  using attribute_type = ast::Name;
  static constexpr bool has_attribute = true;
  template <class Context, class RContext, class Attribute>
  bool parse(Place &first, Place const &last, Context const &, RContext &, Attribute &out) const {
    const char *word = label == Label::Max ? "max" : "min";
    if (first == last ||
        !(label == Label::None ? first->kind == Kind::Name
                               : first->kind == Kind::MinMax && first->text == word))
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

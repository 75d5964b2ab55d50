// The tree of a template.
#pragma once

#include "runtime/template/Value.h"

#include <memory>
#include <string>
#include <vector>

namespace qkv::jinja {

struct Expression;
using Expr = std::unique_ptr<Expression>;

/// What stands between a call's parentheses.
struct Arguments {
  std::vector<Expr> plain;
  std::vector<std::pair<std::string, Expr>> named;
  std::vector<Expr> spread; ///< *items
};

struct Expression {
  enum class Kind {
    Constant,
    Name,
    List,
    Tuple,
    Dict,      ///< children: key, value, key, value
    Unary,     ///< text: "-", "+", "not"
    Binary,    ///< text: "+", "and", "~", ...
    Compare,   ///< children; operators: between them
    Choose,    ///< children: value, condition, otherwise (may be missing)
    Attribute, ///< children: of what; text: the name
    Item,      ///< children: of what, which
    Slice,     ///< children: of what, begin, end, step (each but the first may be null)
    Call,      ///< children: what is called
    Filter,    ///< children: what it is given (missing in a filter block); text: the name
    Test       ///< children: what is tested; text: the name
  };
  Kind kind = Kind::Constant;
  int line = 1;
  std::string text;
  Value value;
  std::vector<Expr> children;
  std::vector<std::string> operators;
  Arguments arguments;
  bool negated = false; ///< is not
  int height = 1;       ///< of the tree below
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

/// A name that is given a value: `a`, `ns.a`, `a, b`.
struct Target {
  std::string name, attribute;
  std::vector<Target> several;
};

struct Parameter {
  std::string name;
  Expr fallback; ///< may be null
};

/// What a macro is, and what stands inside of `call`.
struct MacroBody {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
};

struct Statement {
  enum class Kind {
    Text,
    Print,
    For,
    If,
    Set,
    SetBlock,
    Macro,
    Call,
    Filter,
    With,
    Group,
    Break,
    Continue
  };
  Kind kind = Kind::Text;
  int line = 1;
  std::string text;
  Expr expression;             ///< Print, For (over what), If, Set, Call, Filter
  Expr condition;              ///< For: which of them
  std::vector<Target> targets; ///< For, Set, SetBlock: one
  std::vector<std::pair<std::string, Expr>> names; ///< With
  Block body, otherwise;
  std::vector<Expr> filters; ///< SetBlock: each is given what the one before it gave
  bool recursive = false;
  std::shared_ptr<MacroBody> macro; ///< Macro, Call
};

/// Parses a template. False with `why` set.
bool parse(const std::string &source, Block &block, std::string &why);

} // namespace qkv::jinja

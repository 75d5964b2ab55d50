// The syntax tree: what the parser makes of a file and the formatter prints.
//
// Nothing is resolved here: a name may be a letter, a size or a tensor. Every node has the
// span of its text. Names are NFC (G8).
#pragma once

#include "dsl/syntax/Source.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qkv::ast {

struct Expr;
using ExprPtr = std::shared_ptr<Expr>;

struct Name {
  std::string text;
  Span span;
};

/// `align: additive` or, without a name, a plain argument.
struct Argument {
  std::optional<Name> name;
  ExprPtr value;
};

/// `gguf "blk.{l}."`: what stands instead of a text for one format of checkpoint (C5).
struct FormatText {
  Name format;
  std::string text;
  Span span;
};

/// A string; in a parameter's or block's name `{...}` holds integer expressions.
struct Text {
  std::string text; ///< between the quotes, as written
  Span span;
  std::vector<FormatText> formats; ///< of `from`
};

struct Expr {
  enum class Kind {
    Integer,   ///< 12 (`integer`)
    Number,    ///< 0.5, 1e-5 (`number`)
    Boolean,   ///< true, false (`boolean`)
    String,    ///< "..." (`name.text`): a text that is compared (C2), or in a param the tensor
               ///< of that name, at `indices` (C5)
    Name,      ///< x, and `_` is none
    Access,    ///< name[indices]: an element, or a slice as an argument of a call
    Unary,     ///< op "-" or "not": children[0]
    Binary,    ///< one level of precedence, flat and read from the left (G9): children n+1,
               ///< `ops` n, all of + -, or all of * / // %, or all `and`, or all `or`:
               ///< a - b + c is one node with ops {"-", "+"}. `^` has two children, ops {"^"}
    Compare,   ///< chain a < b <= c: children n+1, ops n (== != < <= > >=)
    If,        ///< children: condition, then, else
    Call,      ///< name(arguments)[indices] from text: a fn, a block or a built-in function
               ///< (exp ... min max; the square root sign makes a Call of sqrt)
    Reduction, ///< op[letters](children[0] where children[1]): sum max softmax ...;
               ///< children.size() is 2 with a guard
    Extent,    ///< extent(name)
    Config,    ///< config("key" | gguf "key", default): children[0] is the default, if any;
               ///< `formats` the other keys; `length` is behind it
    Dynamic,   ///< dynamic(max: children[0]); arguments: `min`, if it is given
    Stream,    ///< stream(max: children[0]), likewise
    Merged,    ///< (h,d) as an index: children, the position that counts them in row-major order
  };
  Kind kind;
  Span span;
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  Name name;                    ///< Name, Access, Call, Extent; String and Config: the text
  std::string op;               ///< Unary, Reduction
  Span opSpan;                  ///< Unary, Reduction: where `op` stands
  std::vector<std::string> ops; ///< Binary, Compare: ops[i] stands before children[i + 1]
  std::vector<Span> opSpans;    ///< Binary, Compare: where each of `ops` stands
  std::vector<ExprPtr> children;
  std::vector<Name> letters;       ///< Reduction
  std::vector<Argument> arguments; ///< Call
  std::vector<ExprPtr> indices;    ///< Access, String; Call: the indices of its result
  bool indexed = false;            ///< Call, String: `[...]` follows
  std::vector<FormatText> formats; ///< Config
  bool length = false;             ///< Config: .length follows
  std::optional<Text> from;        ///< Call
};

/// size or const: name = value; index: name < value.
struct Declaration {
  Name name;
  ExprPtr value;
};

/// How one format stores a parameter (C5): an expression in which one tensor is named.
struct Stored {
  Name format; ///< no text: every format that is not named
  ExprPtr value;
  const Expr *tensor = nullptr; ///< the String in `value`
};

/// param name[letters] = "text" | gguf "text" else fallback
struct Param {
  Name name;
  std::vector<Name> letters;
  bool indexed = false;       ///< brackets were written
  std::vector<Stored> stored; ///< the first one without a format
  ExprPtr fallback;           ///< or null: a tensor's name or a number
  Span span;
};

/// One name on the left of an equation. `_` drops a result.
struct Target {
  Name name;
  std::vector<ExprPtr> indices;
  bool indexed = false;
  Span span;
};

struct Statement;

struct Repeat {
  Name letter;
  ExprPtr count;
  std::vector<Statement> body;
};

struct Statement {
  enum class Kind { Size, Const, Index, Param, Equation, Repeat };
  Kind kind;
  Span span;
  std::vector<Declaration> declarations; ///< Size, Const, Index
  std::vector<Param> params;             ///< Param
  std::vector<Target> targets;           ///< Equation
  ExprPtr value;                         ///< Equation
  std::shared_ptr<Repeat> repeat;        ///< Repeat
};

/// An argument of a signature.
struct Formal {
  enum class Kind { Tensor, Size, Const, Function };
  Kind kind = Kind::Tensor;
  Name name;
  std::vector<Name> letters; ///< Tensor
  bool indexed = false;
  std::optional<Name> type; ///< Tensor of a model: float int bool token
  ExprPtr fallback;         ///< Size, Const: the default, or null
  Span span;
};

/// A result of a signature: name[letters].
struct Result {
  Name name;
  std::vector<Name> letters;
  bool indexed = false;
  Span span;
};

struct Definition {
  enum class Kind { Fn, Block, Model };
  Kind kind;
  Name name;
  std::vector<Formal> formals;
  std::vector<Result> results;
  std::vector<Statement> body;
  Span span;
  Span signatureSpan;
};

/// `use nn`
struct Use {
  Name name;
  Span span;
};

/// A file. Statements at file level are sizes, constants and indices; the parser accepts any
/// and the checker says what does not belong.
struct File {
  const Source *source = nullptr;
  std::vector<Use> uses;
  std::vector<Statement> statements;
  std::vector<Definition> definitions;
};

} // namespace qkv::ast

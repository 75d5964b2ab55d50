// Text -> tokens: words, numbers, signs, and the ends of statements (G1, G7 to G10).
//
// In: any bytes. Out: tokens with their spans, an EndOfFile last; what is no token is a
// diagnostic, and reading goes on behind it. Signs of other languages (`&&`, `+=`) are
// reported and stand for what was meant, so that the rest of the line is read too.
#pragma once

#include "dsl/syntax/Diagnostics.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::lexical {

enum class Kind : uint8_t {
  EndOfFile,
  StatementEnd, ///< G1: a `;`, or an empty span at the end of a line
  Bad,          ///< something that has been reported already
  Name,
  Drop, ///< `_` alone
  Integer,
  Number,
  String,
  // brackets and signs
  LeftParen,
  RightParen,
  LeftBracket,
  RightBracket,
  LeftBrace,
  RightBrace,
  Comma,
  Colon,
  Assign,
  Arrow,
  Root,
  Bar,    ///< `|`, before what is said for a format of checkpoints (C5)
  Length, ///< `.length` behind a `)` (C2)
  // binary operators; And and Or among the words are binary too
  Plus,
  Minus,
  Star,
  Slash,
  SlashSlash,
  Percent,
  Caret,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  And,
  Or,
  // reserved words (G7)
  Size,
  Const,
  Index,
  Param,
  Fn,
  Block,
  Model,
  Use,
  Repeat,
  From,
  If,
  Then,
  Else,
  Not,
  Where,
  True,
  False,
  Reduction, ///< sum mean prod softmax ... (the table of dsl/functions)
  MinMax,    ///< min max: a reduction before `[`, a function before `(`
  Function,  ///< exp log sqrt ... (likewise)
  Extent,
  Config,
  Dynamic,
  Stream,
  Infinity, ///< inf
};

struct Token {
  Kind kind = Kind::EndOfFile;
  Span span;
  std::string text; ///< what it means: `*` for `×`, a name in NFC, a string without quotes
  int64_t integer = 0;
  double number = 0;
  uint32_t line = 1;  ///< where it begins
  int32_t match = -1; ///< a bracket: its partner's place in the list, or -1
  bool firstOnLine = false;
};

struct Tokens {
  std::vector<Token> tokens;
  std::vector<Span> comments; ///< from `#`, without the line's end
};

inline bool isBinary(Kind kind) { return kind >= Kind::Plus && kind <= Kind::Or; }
inline bool isReserved(Kind kind) { return kind >= Kind::And; }
/// Whether a word means something in the language, and what words mean one of these (G7).
bool isReservedWord(const std::string &word);
std::vector<std::string> wordsOf(std::initializer_list<Kind> kinds);
/// Whether an operand ends with it, so that a `-` behind it subtracts.
bool endsOperand(Kind kind);
/// As a person writes it: ")" or "then"; for names and numbers what they are.
const char *spelling(Kind kind);

/// The tokens, with statement ends, and with what is nested too deeply made Bad (G9).
Tokens scan(const Source &source, Diagnostics &diagnostics);

/// The second half of `scan`: pairs brackets, ends statements, checks the nesting.
void layOut(std::vector<Token> &tokens, Diagnostics &diagnostics);

/// How deep brackets, `if`s, prefixes and exponents may nest (G9).
constexpr int maxNesting = 256;

} // namespace qkv::lexical

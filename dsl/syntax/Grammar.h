// The grammar's rules as functions: tokens -> nodes of the syntax tree, one statement or
// signature at a time. Parser.cpp makes them from Spirit X3 rules; Recovery.cpp calls them.
//
// In: the place to read from. Out: the node, with the place moved behind it. What does not fit
// is thrown as a Mismatch or a Misuse and leaves the place where it was; nothing else is
// thrown. A statement's end is not read.
#pragma once

#include "dsl/syntax/Ast.h"
#include "dsl/syntax/Lexical.h"

#include <string>

namespace qkv::grammar {

using lexical::Token;
using Place = const Token *;

/// Something else was expected here: "an expression", "')'".
struct Mismatch {
  Place at;
  std::string wanted;
};

/// Well formed, but not allowed.
struct Misuse {
  Span span;
  std::string message, rule, hint;
};

/// `use nn`
void readUse(Place &at, Place end, ast::Use &use);
/// `fn name(...) -> ...`, up to the brace
void readSignature(Place &at, Place end, ast::Definition &definition);
/// `repeat l < L`, up to the brace
void readRepeat(Place &at, Place end, ast::Repeat &repeat);
/// Any other statement
void readStatement(Place &at, Place end, ast::Statement &statement);

/// Says in the language's terms what a mismatch is (SyntaxErrors.cpp). `first` is the first
/// token of the file, `found` may have been reported already: then nothing is said.
void explain(const Mismatch &mismatch, Place first, Diagnostics &diagnostics);

} // namespace qkv::grammar

// Text -> syntax tree, with Boost.Spirit X3 (the grammar is in Parser.cpp alone). GRAMMAR.md
// is the grammar in EBNF.
//
// In: any bytes. Out: the tree of what could be read; each thing that could not is a
// diagnostic, and reading goes on after it (G1). Nothing is thrown, nothing recurses deeper
// than G9 allows.
#pragma once

#include "dsl/syntax/Ast.h"
#include "dsl/syntax/Diagnostics.h"

namespace qkv {

/// Parses a file. The tree holds every statement that was sound, and every definition whose
/// signature and braces were, with those of its statements.
ast::File parse(const Source &source, Diagnostics &diagnostics);

} // namespace qkv

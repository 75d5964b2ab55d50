// In: the text of a grammar (GBNF), or of a JSON schema. Out: rules. Holds: what is not understood
// is an error with its place, never left out; depth and size are bounded.
#pragma once

#include "runtime/grammar/Grammar.h"

#include <optional>
#include <string_view>

namespace qkv::rt {

/// What is wrong with a text, and where.
struct GrammarError {
  std::string text;
  int line = 0, column = 0, length = 1; ///< line 0: no place
};

/// GBNF: `name ::= alternatives` with "literals", [classes], `.`, ( ), |, * + ? {m} {m,} {m,n}, and
/// comments behind #. A text is what fits `root`.
std::optional<Grammar> readGbnf(std::string_view text, GrammarError &error);

/// Texts of JSON that a schema allows, in a form of their own: properties in the schema's order,
/// little whitespace.
std::optional<Grammar> readJsonSchema(std::string_view text, GrammarError &error);

/// Expressions of this depth are refused.
constexpr int mostGrammarDepth = 200;

} // namespace qkv::rt

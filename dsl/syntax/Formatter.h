// `qkv fmt`: one way to write a file. Comments stay where they were, formatting twice
// changes nothing, and the syntax tree stays the same.
#pragma once

#include "dsl/syntax/Ast.h"

#include <optional>
#include <string>

namespace qkv {

class Diagnostics;

/// The formatted text, or nothing if the file does not parse (the errors are in diagnostics).
std::optional<std::string> format(const Source &source, Diagnostics &diagnostics);

} // namespace qkv

// The syntax tree as text, so that tests can say what they expect in a line.
#pragma once

#include "dsl/syntax/Ast.h"

#include <string>

namespace qkv::test {

/// `a - b * c` is `(a - (b * c))`; a read is `x[i]`, a reduction `sum[j](x where g)`.
std::string tree(const ast::ExprPtr &expr);
std::string tree(const ast::Statement &statement);
std::string tree(const ast::Definition &definition);
/// Uses, statements and definitions, a line each.
std::string tree(const ast::File &file);

} // namespace qkv::test

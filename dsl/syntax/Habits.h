// Words, functions and signs that other languages and notations have, and what is written here
// instead: for the hints of diagnostics.
//
// In: what was written. Out: the hint, or an empty string where it is nobody's habit.
#pragma once

#include <cstdint>
#include <string>

namespace qkv::habits {

/// A word that begins a statement elsewhere: let, def, for, return, import.
std::string statement(const std::string &word);

/// A function, a reduction or a value: pow, cumsum, matmul, True, None. Upper and lower case count
/// as the same where the lower-case word is one of this language.
std::string name(const std::string &word);

/// A character, by its code point: '?', a backslash, superscripts, arrows.
std::string character(int32_t code);

} // namespace qkv::habits

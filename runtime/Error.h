// In: what went wrong and where. Out: a filled qkv_error. Holds: texts are whole UTF-8, lower
// case, without a full stop; a null error is allowed everywhere.
#pragma once

#include "runtime/qkv.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// printf into a string.
std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/// An error without a place. Always false, so that a failing function can return it.
bool fail(qkv_error *error, const std::string &text);

/// An error of a whole file. Always false.
bool failFile(qkv_error *error, std::string_view file, const std::string &text);

/// An error at a place of the model. Always false.
bool failAt(qkv_error *error, const char *file, int32_t line, int32_t column, int32_t length,
            const std::string &text);

/// `[12,64,768]`.
std::string shapeText(const std::vector<int64_t> &shape);

/// A name from a file, in quotes, with unprintable bytes and excess length taken out.
std::string quote(std::string_view name);

/// "float", "int" or "bool".
const char *typeText(int32_t type);

/// `file:line:column: error: text`, or with `program` where there is no file.
std::string errorText(const qkv_error &error, const char *program);

} // namespace qkv::rt

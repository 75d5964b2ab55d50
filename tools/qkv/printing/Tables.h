// In: a page of Markdown. Out: the rows of its tables. What the library of models says of itself is
// in tables that people read, too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qkv::driver {

/// The cells of each row, without spaces around them; heads of tables are among the rows.
std::vector<std::vector<std::string_view>> tableRows(std::string_view text);

/// What stands between backquotes.
std::vector<std::string> quotedIn(std::string_view cell);

} // namespace qkv::driver

// In: a name that is not there. Out: the one that was probably meant. Holds: the work is bounded,
// however many and long the names of a file are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// The index of the name like `wanted`: the same behind another prefix, or a few edits away; -1
/// if none is.
int64_t nearestName(const std::vector<std::string_view> &names, std::string_view wanted);

/// Bytes of the UTF-8 character that the text begins with; 0 if it begins with none (Unicode 15,
/// table 3-7: no surrogates, nothing in a longer form than needed).
size_t utf8Length(std::string_view text);

} // namespace qkv::rt

// In: a name that is not there. Out: the one that was probably meant. Holds: the work is bounded,
// however many and long the names of a file are.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// The index of the name like `wanted`: the same behind another prefix, or a few edits away; -1
/// if none is.
int64_t nearestName(const std::vector<std::string_view> &names, std::string_view wanted);

} // namespace qkv::rt

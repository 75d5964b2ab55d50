// In: names of intermediate tensors as a user asks for them. Out: which tensors are meant. Holds:
// the compiler, which looks among a program's tensors, and a built program, which looks among those
// that it can trace, understand a name alike.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qkv::rt {

/// "alpha,encoder.x" one by one; empty ones are left out.
std::vector<std::string> traceNames(std::string_view list);

/// Whether `asked` means the tensor of that name: the same words between dots, or the last ones of
/// the name. `*` is any one word; `#2` may be left off.
bool meansTensor(std::string_view asked, std::string_view name);

} // namespace qkv::rt

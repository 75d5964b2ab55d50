// Types of MLIR's text cut short.
#pragma once

#include <string>

namespace qkv::driver {

/// tensor<?x16xf32> and memref<?x16xf32, strided<..>> are ?x16xf32, vector<16xf32> is <16xf32>, a
/// tensor of rank 0 is [f32], !llvm.ptr is ptr; of three or more equal types in a row stand one and
/// how many: 8 * <16xf32>.
std::string withShortTypes(const std::string &line);

} // namespace qkv::driver

// Extents as code. In: an extent and the sizes' values. Out: its value, as Extent::evaluate has it.
#pragma once

#include "compiler/description/Extent.h"

#include "llvm/IR/IRBuilder.h"

#include <vector>

namespace qkv {

llvm::Value *emit(llvm::IRBuilder<> &builder, const Extent &extent,
                  const std::vector<llvm::Value *> &sizes);

} // namespace qkv

// Elementwise kernels that run on a tile of a contraction's outputs while it is in the first
// cache, instead of on all of them afterwards: bias, activation, gate, residual.
#pragma once

#include "compiler/passes/kernels/KernelBody.h"

namespace qkv {

struct Epilogue {
  std::unique_ptr<KernelBody> body;
  llvm::SmallVector<int> letters; ///< for each letter of the body the contraction's
};

/// The kernels directly behind `contraction` that compute each element from elements of its own
/// letters, so that they may run behind each tile of it, in order. `vector`: the letter whose
/// positions should lie beside each other in what they write. What they need is moved in front of
/// the contraction; they themselves stay, for the caller to erase.
llvm::SmallVector<Epilogue> findEpilogues(mlir::linalg::GenericOp contraction, int vector,
                                          int64_t lanes);

} // namespace qkv

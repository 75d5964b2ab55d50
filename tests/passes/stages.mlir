// Every stage's text goes on from there to the same end, and says where it came from.
// RUN: %opt %numerics/attention.mlir --cpu x86-64-v3 --stage-to llvm > %t.whole
// RUN: %opt %numerics/attention.mlir --cpu x86-64-v3 --stage-to fused > %t.fused
// RUN: %opt %t.fused --cpu x86-64-v3 --stage-from fused --stage-to kernels > %t.kernels
// RUN: %opt %t.kernels --cpu x86-64-v3 --stage-from kernels --stage-to llvm > %t.llvm
// RUN: cmp %t.whole %t.llvm
// RUN: FileCheck %s --check-prefix=KERNELS < %t.kernels
// RUN: FileCheck %s --check-prefix=LLVM < %t.llvm
// RUN: %opt %numerics/attention.mlir --stage-to llvm --locations | FileCheck %s --check-prefix=LINES

// KERNELS-NOT: linalg
// KERNELS-NOT: tensor
// KERNELS: math.fma %{{.*}} : vector<8xf32>

// LLVM: llvm.call @qkv_alloc
// LLVM: llvm.call @qkv_parallel_for
// LLVM: llvm.func @_mlir_ciface_attention(

// LINES: loc("{{.*}}attention.mlir":{{[0-9]+}}:{{[0-9]+}})
// LINES: #llvm.di_subprogram<{{.*}}name = "attention"

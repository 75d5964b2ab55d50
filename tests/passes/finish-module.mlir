// RUN: %opt %s --passes 'qkv-finish-module{cpu=skylake-avx512}' | FileCheck %s
// RUN: %opt %s --passes 'qkv-finish-module{cpu=haswell}' | FileCheck %s --check-prefix=NARROW

// CHECK: llvm.func @qkv_free(!llvm.ptr)
// CHECK: llvm.func @qkv_alloc(i64) -> !llvm.ptr
llvm.func @_mlir_memref_to_llvm_free(!llvm.ptr)
llvm.func @_mlir_memref_to_llvm_alloc(i64) -> !llvm.ptr

// CHECK: llvm.func @entry() attributes {prefer_vector_width = "512"}
// NARROW: llvm.func @entry() {
llvm.func @entry() {
  %n = llvm.mlir.constant(64 : i64) : i64
  // CHECK: llvm.call @qkv_alloc
  %p = llvm.call @_mlir_memref_to_llvm_alloc(%n) : (i64) -> !llvm.ptr
  llvm.call @_mlir_memref_to_llvm_free(%p) : (!llvm.ptr) -> ()
  llvm.return
}
// CHECK: llvm.func internal @step() attributes {
llvm.func @step() attributes {sym_visibility = "private"} { llvm.return }
// Declarations stay external.
// CHECK: llvm.func @erff(f32) -> f32 attributes {sym_visibility = "private"}
llvm.func @erff(f32) -> f32 attributes {sym_visibility = "private"}

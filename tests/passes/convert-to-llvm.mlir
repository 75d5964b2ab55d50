// RUN: %opt %s --passes "qkv-convert-to-llvm,reconcile-unrealized-casts" | FileCheck %s
// All dialects become LLVM's at once, and nothing else is left.

// CHECK-DAG: llvm.func @cbrtf(f32) -> f32
// CHECK-DAG: llvm.func @_mlir_memref_to_llvm_alloc(i64)

// A function with an intrinsic takes it, as a vector; libm has the other, lane by lane.
// CHECK-LABEL: llvm.func @functions(
// CHECK: llvm.intr.exp(%{{.*}}) : (vector<2xf32>)
// CHECK-COUNT-2: llvm.call @cbrtf
// CHECK-NOT: math.
func.func @functions(%x: vector<2xf32>) -> vector<2xf32> {
  %e = math.exp %x : vector<2xf32>
  %s = math.cbrt %e : vector<2xf32>
  return %s : vector<2xf32>
}

// CHECK-LABEL: llvm.func @loop(
// CHECK-NOT: unrealized_conversion_cast
// CHECK: llvm.call @_mlir_memref_to_llvm_alloc
// CHECK: llvm.cond_br
// CHECK: llvm.intr.vector.reduce.fadd
// CHECK-NOT: {{memref|vector|arith|cf|func}}.
// CHECK: llvm.return
func.func @loop(%n: index) -> f32 {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant 0.0 : f32
  %buffer = memref.alloc(%n) : memref<?xf32>
  cf.br ^head(%c0, %zero : index, f32)
^head(%i: index, %sum: f32):
  %more = arith.cmpi slt, %i, %n : index
  cf.cond_br %more, ^body, ^done
^body:
  %v = vector.load %buffer[%i] : memref<?xf32>, vector<4xf32>
  %next = vector.reduction <add>, %v, %sum : vector<4xf32> into f32
  %j = arith.addi %i, %c4 : index
  cf.br ^head(%j, %next : index, f32)
^done:
  return %sum : f32
}

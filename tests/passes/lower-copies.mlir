// RUN: %opt %s --passes 'func.func(qkv-lower-copies)' | FileCheck %s

// CHECK-LABEL: func.func @copies
func.func @copies(%a: memref<?x4xf32, strided<[8, 1], offset: 3>>, %b: memref<?x4xf32>) {
  %zero = arith.constant 0.0 : f32
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : f32) outs(%{{.*}} : memref<?x4xf32>)
  linalg.fill ins(%zero : f32) outs(%b : memref<?x4xf32>)
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : memref<?x4xf32, strided<[8, 1], offset: 3>>) outs(%{{.*}} : memref<?x4xf32>)
  memref.copy %a, %b : memref<?x4xf32, strided<[8, 1], offset: 3>> to memref<?x4xf32>
  // A copy onto itself is none.
  // CHECK-NOT: memref.copy
  // CHECK-NOT: linalg.generic
  memref.copy %b, %b : memref<?x4xf32> to memref<?x4xf32>
  return
}

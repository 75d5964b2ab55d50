// RUN: %opt %s --passes "qkv-expand-views" | FileCheck %s
// What is a view becomes arithmetic on its place; a mask is a comparison; a vector of two
// dimensions is read row by row.

// CHECK-LABEL: func.func @view
// CHECK-NOT: memref.subview
// CHECK: affine.apply
// CHECK: memref.reinterpret_cast
func.func @view(%buffer: memref<8x16xf32>, %i: index) -> f32 {
  %c0 = arith.constant 0 : index
  %row = memref.subview %buffer[%i, 4] [1, 8] [1, 1]
      : memref<8x16xf32> to memref<8xf32, strided<[1], offset: ?>>
  %value = memref.load %row[%c0] : memref<8xf32, strided<[1], offset: ?>>
  return %value : f32
}

// CHECK-LABEL: func.func @mask
// CHECK-NOT: vector.create_mask
// CHECK: arith.cmpi
func.func @mask(%n: index) -> vector<16xi1> {
  %mask = vector.create_mask %n : vector<16xi1>
  return %mask : vector<16xi1>
}

// CHECK-LABEL: func.func @rows
// CHECK-NOT: vector<2x8xf32>, memref
// CHECK-COUNT-2: vector.load{{.*}}vector<8xf32>
func.func @rows(%buffer: memref<2x8xf32>) -> vector<2x8xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rows = vector.transfer_read %buffer[%c0, %c0], %zero {in_bounds = [true, true]}
      : memref<2x8xf32>, vector<2x8xf32>
  return %rows : vector<2x8xf32>
}

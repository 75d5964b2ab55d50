// RUN: %opt %s --passes qkv-widen-bools | FileCheck %s

// CHECK: memref.global "private" constant @table : memref<3xi8> = dense<[1, 0, 1]>
memref.global "private" constant @table : memref<3xi1> = dense<[true, false, true]>

// CHECK-LABEL: func.func @bools
// CHECK-SAME: memref<?xi8>
// CHECK-NOT: memref<{{.*}}xi1>
func.func @bools(%a: memref<?xi1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %t = memref.get_global @table : memref<3xi1>
  // CHECK: %[[BYTE:.*]] = memref.load %{{.*}} : memref<3xi8>
  // CHECK: arith.cmpi ne, %[[BYTE]], %{{.*}} : i8
  %x = memref.load %t[%c0] : memref<3xi1>
  // CHECK: %[[OUT:.*]] = arith.extui %{{.*}} : i1 to i8
  // CHECK: memref.store %[[OUT]], %{{.*}} : memref<?xi8>
  memref.store %x, %a[%c1] : memref<?xi1>
  %b = memref.alloc(%n) : memref<?xi1>
  // CHECK: linalg.generic
  // CHECK: ^bb0(%[[IN:.*]]: i8, %{{.*}}: i8):
  // CHECK: arith.cmpi ne, %[[IN]]
  // CHECK: arith.xori %{{.*}} : i1
  // CHECK: arith.extui %{{.*}} : i1 to i8
  // CHECK: linalg.yield %{{.*}} : i8
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%a : memref<?xi1>) outs(%b : memref<?xi1>) {
  ^bb0(%v: i1, %out: i1):
    %true = arith.constant true
    %r = arith.xori %v, %true : i1
    linalg.yield %r : i1
  }
  memref.dealloc %b : memref<?xi1>
  return
}

// Other integers stay.
// CHECK-LABEL: func.func @others
// CHECK-SAME: memref<?xi64>
func.func @others(%a: memref<?xi64>) { return }

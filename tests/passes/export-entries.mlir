// RUN: %opt %s --passes qkv-export-entries | FileCheck %s

// Parameters come in one table, whatever their shapes; inputs and results by descriptors.
// CHECK-LABEL: func.func @entry(
// CHECK-SAME: %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: memref<4xf32>, %[[TABLE:[^:]*]]: !llvm.ptr, %{{[^:]*}}: memref<?xf32>)
// CHECK-SAME: attributes {llvm.emit_c_interface, qkv.entry}
// CHECK: %[[PLACE:.*]] = llvm.getelementptr %[[TABLE]][1]
// CHECK: %[[W:.*]] = llvm.load %[[PLACE]]
// CHECK: %[[HELD:.*]] = llvm.insertvalue %[[W]], %{{.*}}[1]
// CHECK: %[[ROWS:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<2x3xf32>
// The step wants the pointer alone.
// CHECK: %[[SAME:.*]] = builtin.unrealized_conversion_cast %[[ROWS]] : memref<2x3xf32> to
// CHECK: %[[POINTER:.*]] = llvm.extractvalue %[[SAME]][1]
// CHECK: call @step(%{{.*}}, %[[POINTER]], %{{.*}}) : (!llvm.ptr, !llvm.ptr, memref<?xf32>) -> ()
func.func @entry(%ctx: !llvm.ptr, %x: memref<4xf32>, %v: memref<5xf32> {qkv.param},
                 %w: memref<2x3xf32> {qkv.param}, %y: memref<?xf32>) attributes {qkv.entry} {
  func.call @step(%ctx, %w, %y) : (!llvm.ptr, memref<2x3xf32>, memref<?xf32>) -> ()
  return
}

// A buffer of unknown extent keeps its descriptor.
// CHECK-LABEL: func.func private @step(
// CHECK-SAME: %{{[^:]*}}: !llvm.ptr, %[[W:[^:]*]]: !llvm.ptr, %{{[^:]*}}: memref<?xf32>)
// CHECK: llvm.insertvalue %[[W]], %{{.*}}[0]
// CHECK: %[[ROWS:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<2x3xf32>
// CHECK: memref.load %[[ROWS]]
func.func @step(%ctx: !llvm.ptr, %w: memref<2x3xf32>, %y: memref<?xf32>) {
  %zero = arith.constant 0 : index
  %one = memref.load %w[%zero, %zero] : memref<2x3xf32>
  memref.store %one, %y[%zero] : memref<?xf32>
  return
}

// So does one whose rows do not lie behind one another.
// CHECK-LABEL: func.func private @strided(
// CHECK-SAME: %{{[^:]*}}: memref<2x3xf32, strided<[8, 1]>>)
func.func @strided(%w: memref<2x3xf32, strided<[8, 1]>>) { return }

// CHECK: func.func private @declared(i64)
func.func private @declared(i64)

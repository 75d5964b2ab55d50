// RUN: %opt %s --passes qkv-pass-destinations | FileCheck %s

// The result's extents are traced through a loop and a slice to an argument and its sum.
// CHECK-LABEL: func.func private @step
// CHECK-SAME: (%{{.*}}: index, %[[X:.*]]: tensor<?x8xf32>, %[[OUT:.*]]: memref<?x8xf32>)
func.func private @step(%n: index, %x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = arith.addi %n, %c1 : index
  %e = tensor.empty(%m) : tensor<?x8xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%t = %e) -> tensor<?x8xf32> {
    %s = tensor.extract_slice %x[%i, 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<1x8xf32>
    %u = tensor.insert_slice %s into %t[%i, 0] [1, 8] [1, 1] : tensor<1x8xf32> into tensor<?x8xf32>
    scf.yield %u : tensor<?x8xf32>
  }
  // CHECK: bufferization.materialize_in_destination %{{.*}} in restrict writable %[[OUT]]
  // CHECK-NEXT: return
  return %r : tensor<?x8xf32>
}

// A function that calls one: its own result has the extents of the call's.
// CHECK-LABEL: func.func private @twice
func.func private @twice(%n: index, %x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: call @step(%{{.*}}, %{{.*}}, %{{.*}}) : (index, tensor<?x8xf32>, memref<?x8xf32>) -> ()
  %a = func.call @step(%n, %x) : (index, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %a : tensor<?x8xf32>
}

// An extent that is read from memory cannot be known where the buffer is made.
// CHECK-LABEL: func.func private @unknown
// CHECK-SAME: -> tensor<?xf32>
func.func private @unknown(%x: tensor<1xi64>) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %v = tensor.extract %x[%c0] : tensor<1xi64>
  %n = arith.index_cast %v : i64 to index
  %e = tensor.empty(%n) : tensor<?xf32>
  return %e : tensor<?xf32>
}

// CHECK-LABEL: func.func @main
func.func @main(%ctx: !llvm.ptr, %n: index, %x: tensor<?x8xf32>, %ids: tensor<1xi64>, %y: memref<?x8xf32>) attributes {qkv.entry} {
  // CHECK: %[[ROWS:.*]] = arith.addi %{{.*}}, %{{.*}} : index
  // CHECK: %[[BUFFER:.*]] = memref.alloc(%[[ROWS]]) : memref<?x8xf32>
  // CHECK: call @twice(%{{.*}}, %{{.*}}, %[[BUFFER]])
  // CHECK: %[[RESULT:.*]] = bufferization.to_tensor %[[BUFFER]] restrict writable
  %a = func.call @twice(%n, %x) : (index, tensor<?x8xf32>) -> tensor<?x8xf32>
  // CHECK: call @unknown(%{{.*}}) : (tensor<1xi64>) -> tensor<?xf32>
  %b = func.call @unknown(%ids) : (tensor<1xi64>) -> tensor<?xf32>
  // CHECK: materialize_in_destination %[[RESULT]]
  bufferization.materialize_in_destination %a in restrict writable %y : (tensor<?x8xf32>, memref<?x8xf32>) -> ()
  return
}

// RUN: %opt %s --passes 'func.func(qkv-compute-in-place)' --split-input-file | FileCheck %s

// Into a slice of another tensor, and that into the result.
// CHECK-LABEL: func.func @slices
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<8xf32> {bufferization.writable = false}
// CHECK: %[[RESULT:.*]] = bufferization.to_tensor %{{.*}} restrict writable : memref<4x8xf32>
// CHECK: %[[WHOLE:.*]] = linalg.fill ins(%{{.*}}) outs(%[[RESULT]]
// CHECK: %[[SLICE:.*]] = tensor.extract_slice %[[WHOLE]][2, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<8xf32>
// CHECK: linalg.exp ins(%[[X]] : tensor<8xf32>) outs(%[[SLICE]] : tensor<8xf32>)
// CHECK: materialize_in_destination %{{.*}} in writable
// CHECK-NEXT: return
func.func @slices(%ctx: !llvm.ptr, %x: tensor<8xf32>, %y: memref<4x8xf32>) attributes {qkv.entry} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x8xf32>
  %whole = linalg.fill ins(%zero : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %r = tensor.empty() : tensor<8xf32>
  %row = linalg.exp ins(%x : tensor<8xf32>) outs(%r : tensor<8xf32>) -> tensor<8xf32>
  %all = tensor.insert_slice %row into %whole[2, 0] [1, 8] [1, 1] : tensor<8xf32> into tensor<4x8xf32>
  bufferization.materialize_in_destination %all in restrict writable %y : (tensor<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

// Something else reads a value on the way: it keeps a place of its own.
// CHECK-LABEL: func.func @shared
// CHECK: %[[EMPTY:.*]] = tensor.empty
// CHECK: linalg.fill ins(%{{.*}}) outs(%[[EMPTY]]
func.func @shared(%ctx: !llvm.ptr, %x: tensor<8xf32>, %y: memref<8xf32>, %z: memref<8xf32>) attributes {qkv.entry} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %start = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %a = linalg.exp ins(%x : tensor<8xf32>) outs(%start : tensor<8xf32>) -> tensor<8xf32>
  %b = linalg.log ins(%x : tensor<8xf32>) outs(%start : tensor<8xf32>) -> tensor<8xf32>
  bufferization.materialize_in_destination %a in restrict writable %y : (tensor<8xf32>, memref<8xf32>) -> ()
  bufferization.materialize_in_destination %b in restrict writable %z : (tensor<8xf32>, memref<8xf32>) -> ()
  return
}

// -----

// The other tensor is made later than the value: no slice of it exists yet.
// CHECK-LABEL: func.func private @later
// CHECK-NOT: tensor.extract_slice
func.func private @later(%x: tensor<8xf32>) -> tensor<4x8xf32> {
  %zero = arith.constant 0.0 : f32
  %r = tensor.empty() : tensor<8xf32>
  %row = linalg.exp ins(%x : tensor<8xf32>) outs(%r : tensor<8xf32>) -> tensor<8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %whole = linalg.fill ins(%zero : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %all = tensor.insert_slice %row into %whole[2, 0] [1, 8] [1, 1] : tensor<8xf32> into tensor<4x8xf32>
  return %all : tensor<4x8xf32>
}

// -----

// Element by element over an operand that nothing else reads; not over one that is read again,
// nor over one that lies otherwise.
// CHECK-LABEL: func.func private @elements
// CHECK: %[[A:.*]] = linalg.exp
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[A]] : {{.*}}) outs(%[[A]] :
// CHECK: %[[C:.*]] = linalg.generic {{.*}} ins(%[[B]], %[[X:.*]] : {{.*}}) outs(%{{[0-9]+}} :
// CHECK: linalg.generic {{.*}} ins(%[[C]], %[[B]] : {{.*}}) outs(%[[C]] :
func.func private @elements(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %e = tensor.empty() : tensor<8x8xf32>
  %a = linalg.exp ins(%x : tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %b = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%v: f32, %out: f32):
    %r = arith.negf %v : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%b, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%v: f32, %w: f32, %out: f32):
    %r = arith.addf %v, %w : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  %d = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%c, %b : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) {
  ^bb0(%v: f32, %w: f32, %out: f32):
    %r = arith.mulf %v, %w : f32
    linalg.yield %r : f32
  } -> tensor<8x8xf32>
  return %d : tensor<8x8xf32>
}

// -----

// Axes that are merged at the end: the result is looked at with them apart.
// CHECK-LABEL: func.func @merged
// CHECK: %[[APART:.*]] = memref.expand_shape %{{.*}} {{\[\[}}0], [1, 2]] output_shape [%{{.*}}, 3, 5] : memref<?x15xf32> into memref<?x3x5xf32>
// CHECK: %[[PLACE:.*]] = bufferization.to_tensor %[[APART]] restrict writable
// CHECK: linalg.exp ins(%{{.*}}) outs(%[[PLACE]]
// CHECK-NOT: collapse_shape
func.func @merged(%ctx: !llvm.ptr, %n: index, %x: tensor<?x3x5xf32>, %y: memref<?x15xf32>) attributes {qkv.entry} {
  %e = tensor.empty(%n) : tensor<?x3x5xf32>
  %row = linalg.exp ins(%x : tensor<?x3x5xf32>) outs(%e : tensor<?x3x5xf32>) -> tensor<?x3x5xf32>
  %all = tensor.collapse_shape %row [[0], [1, 2]] : tensor<?x3x5xf32> into tensor<?x15xf32>
  bufferization.materialize_in_destination %all in restrict writable %y : (tensor<?x15xf32>, memref<?x15xf32>) -> ()
  return
}

// -----

// A step of a recurrence goes on from the place that it writes: it is one slice.
// CHECK-LABEL: func.func @step
// CHECK: %[[OLD:.*]] = tensor.extract_slice
// CHECK: linalg.exp ins(%[[OLD]] : tensor<8xf32>) outs(%[[OLD]] : tensor<8xf32>)
func.func @step(%ctx: !llvm.ptr, %x: tensor<1x8xf32>) -> tensor<1x8xf32> {
  %old = tensor.extract_slice %x[0, 0] [1, 8] [1, 1] : tensor<1x8xf32> to tensor<8xf32>
  %e = tensor.empty() : tensor<8xf32>
  %new = linalg.exp ins(%old : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %all = tensor.insert_slice %new into %x[0, 0] [1, 8] [1, 1] : tensor<8xf32> into tensor<1x8xf32>
  return %all : tensor<1x8xf32>
}

// -----

// What has axes merged on the way ends in a part of the other with these axes; the other is a tensor of
// nothing, which is made in front.
// CHECK-LABEL: func.func private @merged
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<4x2xf32>
// CHECK: %[[ALL:.*]] = tensor.empty() : tensor<12xf32>
// CHECK: %[[PART:.*]] = tensor.extract_slice %[[ALL]][1] [8] [1] : tensor<12xf32> to tensor<8xf32>
// CHECK: %[[WIDE:.*]] = tensor.expand_shape %[[PART]] {{\[\[}}0, 1]] output_shape [4, 2]
// CHECK: linalg.exp ins(%[[X]] : tensor<4x2xf32>) outs(%[[WIDE]] : tensor<4x2xf32>)
func.func private @merged(%x: tensor<4x2xf32>) -> tensor<12xf32> {
  %r = tensor.empty() : tensor<4x2xf32>
  %apart = linalg.exp ins(%x : tensor<4x2xf32>) outs(%r : tensor<4x2xf32>) -> tensor<4x2xf32>
  %row = tensor.collapse_shape %apart [[0, 1]] : tensor<4x2xf32> into tensor<8xf32>
  %e = tensor.empty() : tensor<12xf32>
  %all = tensor.insert_slice %row into %e[1] [8] [1] : tensor<8xf32> into tensor<12xf32>
  return %all : tensor<12xf32>
}

// -----

// What is put together is read at the element that is written alone: it is the result itself.
#id = affine_map<(d0) -> (d0)>
// CHECK-LABEL: func.func @together
// CHECK: %[[RESULT:.*]] = bufferization.to_tensor %{{.*}} restrict writable : memref<8xf32>
// CHECK: tensor.extract_slice %[[RESULT]][0] [4] [1]
// CHECK: %[[FIRST:.*]] = tensor.insert_slice %{{.*}} into %[[RESULT]][0] [4] [1]
// CHECK: %[[BOTH:.*]] = tensor.insert_slice %{{.*}} into %[[FIRST]][4] [4] [1]
// CHECK: linalg.generic {{.*}} ins(%[[BOTH]] : tensor<8xf32>) outs(%[[BOTH]] : tensor<8xf32>)
func.func @together(%ctx: !llvm.ptr, %x: tensor<4xf32>, %y: tensor<4xf32>, %z: memref<8xf32>) attributes {qkv.entry} {
  %r = tensor.empty() : tensor<4xf32>
  %a = linalg.exp ins(%x : tensor<4xf32>) outs(%r : tensor<4xf32>) -> tensor<4xf32>
  %e = tensor.empty() : tensor<8xf32>
  %first = tensor.insert_slice %a into %e[0] [4] [1] : tensor<4xf32> into tensor<8xf32>
  %both = tensor.insert_slice %y into %first[4] [4] [1] : tensor<4xf32> into tensor<8xf32>
  %o = tensor.empty() : tensor<8xf32>
  %n = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%both : tensor<8xf32>) outs(%o : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %t = arith.negf %in : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  bufferization.materialize_in_destination %n in restrict writable %z : (tensor<8xf32>, memref<8xf32>) -> ()
  return
}

// RUN: %opt %s --passes 'func.func(qkv-block-rows,canonicalize)' --split-input-file | FileCheck %s

#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>

// A chain over two sequence letters ends in sums of rows: a block of 64 rows at a time, and what
// two of its operations read is computed once.
// CHECK-LABEL: func.func @chain
// CHECK: %[[OUT:.*]] = tensor.empty(%{{.*}}) : tensor<?xf32>
// CHECK-NOT: tensor<?x?xf32>
// CHECK: scf.for {{.*}} step %c64
// CHECK: affine.min
// CHECK: tensor.empty(%{{.*}}) : tensor<64x?xf32>
// CHECK: linalg.generic {{.*}}"s"
// CHECK-NOT: "s"
// CHECK: linalg.generic {{.*}}"t"
// CHECK: linalg.generic {{.*}}"o"
// CHECK: scf.yield
func.func @chain(%a: tensor<?x?xf32>, %n: index) -> tensor<?xf32> {
  %e = tensor.empty(%n, %n) : tensor<?x?xf32>
  %f = tensor.empty(%n) : tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) attrs = {qkv.equation = "s"} {
  ^bb0(%x: f32, %out: f32):
    %r = arith.mulf %x, %x : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  %t = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%s : tensor<?x?xf32>) outs(%f : tensor<?xf32>) attrs = {qkv.equation = "t"} {
  ^bb0(%x: f32, %out: f32):
    %r = arith.addf %x, %out : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %o = linalg.generic {indexing_maps = [#ij, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%s, %t : tensor<?x?xf32>, tensor<?xf32>) outs(%f : tensor<?xf32>) attrs = {qkv.equation = "o"} {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %q = arith.divf %x, %y : f32
    %r = arith.addf %q, %out : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %o : tensor<?xf32>
}

// -----

#hij = affine_map<(h, i, j) -> (h, i, j)>
#hi = affine_map<(h, i, j) -> (h, i)>

// Heads that do not mix go one by one, so that a block of one is what is in cache.
// CHECK-LABEL: func.func @heads
// CHECK: scf.for {{.*}} step %c1
// CHECK: scf.for {{.*}} step %c64
// CHECK: tensor.empty(%{{.*}}) : tensor<1x64x?xf32>
// CHECK: linalg.generic {{.*}}"s"
// CHECK: linalg.generic {{.*}}"t"
func.func @heads(%a: tensor<8x?x?xf32>, %n: index) -> tensor<8x?xf32> {
  %e = tensor.empty(%n, %n) : tensor<8x?x?xf32>
  %f = tensor.empty(%n) : tensor<8x?xf32>
  %s = linalg.generic {indexing_maps = [#hij, #hij], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%a : tensor<8x?x?xf32>) outs(%e : tensor<8x?x?xf32>) attrs = {qkv.equation = "s"} {
  ^bb0(%x: f32, %out: f32):
    %r = arith.mulf %x, %x : f32
    linalg.yield %r : f32
  } -> tensor<8x?x?xf32>
  %t = linalg.generic {indexing_maps = [#hij, #hi], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%s : tensor<8x?x?xf32>) outs(%f : tensor<8x?xf32>) attrs = {qkv.equation = "t"} {
  ^bb0(%x: f32, %out: f32):
    %r = arith.addf %x, %out : f32
    linalg.yield %r : f32
  } -> tensor<8x?xf32>
  return %t : tensor<8x?xf32>
}

// -----

#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>

// Read the other way round as well: rows need columns of what other rows compute.
// CHECK-LABEL: func.func @transposed
// CHECK-NOT: scf.for
func.func @transposed(%a: tensor<?x?xf32>, %n: index) -> tensor<?xf32> {
  %e = tensor.empty(%n, %n) : tensor<?x?xf32>
  %f = tensor.empty(%n) : tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%x: f32, %out: f32):
    %r = arith.mulf %x, %x : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  %o = linalg.generic {indexing_maps = [#ij, #ji, #i], iterator_types = ["parallel", "reduction"]}
      ins(%s, %s : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %q = arith.mulf %x, %y : f32
    %r = arith.addf %q, %out : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %o : tensor<?xf32>
}

// -----

#ij = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>

// Something else wants all of it.
// CHECK-LABEL: func.func @result
// CHECK-NOT: scf.for
func.func @result(%a: tensor<?x?xf32>, %n: index) -> (tensor<?xf32>, tensor<?x?xf32>) {
  %e = tensor.empty(%n, %n) : tensor<?x?xf32>
  %f = tensor.empty(%n) : tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%a : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%x: f32, %out: f32):
    %r = arith.mulf %x, %x : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  %o = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%s : tensor<?x?xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%x: f32, %out: f32):
    %r = arith.addf %x, %out : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %o, %s : tensor<?xf32>, tensor<?x?xf32>
}

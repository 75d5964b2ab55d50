// RUN: %opt %s --passes 'func.func(qkv-fuse-elementwise),canonicalize' | FileCheck %s

#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>
#v = affine_map<(i) -> (i)>
#map3a = affine_map<(i, j, k) -> (i, k)>
#map3b = affine_map<(i, j, k) -> (k, j)>
#map3c = affine_map<(i, j, k) -> (i, j)>

// One reader of each element: into it, whatever it costs, and the names come along.
// CHECK-LABEL: func.func @chain
// CHECK: linalg.generic
// CHECK-SAME: qkv.equation = "y", qkv.equations = "u, v, y"
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: math.tanh
// CHECK-NOT: linalg.generic
func.func @chain(%x: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) attrs = {qkv.equation = "u"} {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %v = linalg.generic {indexing_maps = [#ij, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%u, %x : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) attrs = {qkv.equation = "v"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) attrs = {qkv.equation = "y"} {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A reduction over letters that the producer has: a sum of squares. Its index goes along.
// CHECK-LABEL: func.func @squares
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: linalg.index 1
// CHECK: tensor.extract
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK-NOT: linalg.generic
func.func @squares(%x: tensor<?x8xf32>, %t: tensor<8xf32>, %init: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %j = linalg.index 1 : index
    %b = tensor.extract %t[%j] : tensor<8xf32>
    %c = arith.mulf %a, %b : f32
    %r = arith.mulf %c, %c : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<?x8xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %o, %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// Two readers: computed twice where that is cheap.
// CHECK-LABEL: func.func @cheap
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: linalg.generic
func.func @cheap(%x: tensor<?x8xf32>, %n: index, %init: tensor<?xf32>) -> (tensor<?x8xf32>, tensor<?xf32>) {
  %quarter = arith.constant 4.0 : f32
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.divf %a, %quarter : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%u : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<?x8xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %o, %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %y, %s : tensor<?x8xf32>, tensor<?xf32>
}

// Not twice what is expensive.
// CHECK-LABEL: func.func @expensive
// CHECK-COUNT-1: math.exp
// CHECK-NOT: math.exp
func.func @expensive(%x: tensor<?x8xf32>, %n: index, %init: tensor<?xf32>) -> (tensor<?x8xf32>, tensor<?xf32>) {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%u : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<?x8xf32>) outs(%init : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %o, %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %y, %s : tensor<?x8xf32>, tensor<?xf32>
}

// Over fewer letters than the reader: only at the cost of a load (the sum), not a root.
// CHECK-LABEL: func.func @fewerLetters
// CHECK: linalg.generic
// CHECK: math.sqrt
// CHECK: linalg.generic
// CHECK-NOT: math.sqrt
// CHECK: arith.addf
// CHECK: arith.mulf
// CHECK-NOT: linalg.generic
func.func @fewerLetters(%x: tensor<?x8xf32>, %m: tensor<?xf32>, %n: index) -> tensor<?x8xf32> {
  %one = arith.constant 1.0 : f32
  %e1 = tensor.empty(%n) : tensor<?xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#v, #v], iterator_types = ["parallel"]}
      ins(%m : tensor<?xf32>) outs(%e1 : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.sqrt %a : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %v = linalg.generic {indexing_maps = [#v, #v], iterator_types = ["parallel"]}
      ins(%m : tensor<?xf32>) outs(%e1 : tensor<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %one : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#ij, #i, #i, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %u, %v : tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.mulf %p, %c : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Not into a contraction, which reads each element many times, however cheap it is.
// CHECK-LABEL: func.func @contraction
// CHECK-COUNT-2: linalg.generic
func.func @contraction(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>, %init: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#map3a, #map3b, #map3c], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%u, %w : tensor<?x8xf32>, tensor<8x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %o, %p : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Not what checks, nor several tensors read across their rows instead of one.
// CHECK-LABEL: func.func @staysBehind
// CHECK-COUNT-4: linalg.generic
func.func @staysBehind(%ctx: !llvm.ptr, %x: tensor<?x?xf32>, %z: tensor<?x?xf32>, %k: tensor<?x?xi64>, %n: index) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %eight = arith.constant 8 : i64
  %e = tensor.empty(%n, %n) : tensor<?x?xf32>
  %u = linalg.generic {indexing_maps = [#ij, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %k : tensor<?x?xf32>, tensor<?x?xi64>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: i64, %o: f32):
    qkv.check %ctx, %b, %eight {site = 0 : i32, kind = 0 : i32} : !llvm.ptr
    linalg.yield %a : f32
  } -> tensor<?x?xf32>
  %y = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%u : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  %v = linalg.generic {indexing_maps = [#ij, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : tensor<?x?xf32>, tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  %w = linalg.generic {indexing_maps = [#ji, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%v, %z : tensor<?x?xf32>, tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  return %y, %w : tensor<?x?xf32>, tensor<?x?xf32>
}

// Not past what writes over its operand: the state of a recurrence would be copied.
// CHECK-LABEL: func.func @state
// CHECK: scf.for
// CHECK: linalg.generic
// CHECK: tensor.insert_slice
// CHECK: linalg.generic
func.func @state(%h: tensor<?x8xf32>, %x: tensor<8xf32>, %n: index) -> (tensor<?x8xf32>, tensor<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<8xf32>
  %r:2 = scf.for %t = %c0 to %n step %c1 iter_args(%s = %h, %q = %x) -> (tensor<?x8xf32>, tensor<8xf32>) {
    %before = tensor.extract_slice %s[%t, 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<8xf32>
    %u = linalg.generic {indexing_maps = [#v, #v], iterator_types = ["parallel"]}
        ins(%before : tensor<8xf32>) outs(%e : tensor<8xf32>) {
    ^bb0(%a: f32, %o: f32):
      %p = arith.addf %a, %a : f32
      linalg.yield %p : f32
    } -> tensor<8xf32>
    %s2 = tensor.insert_slice %q into %s[%t, 0] [1, 8] [1, 1] : tensor<8xf32> into tensor<?x8xf32>
    %y = linalg.generic {indexing_maps = [#v, #v], iterator_types = ["parallel"]}
        ins(%u : tensor<8xf32>) outs(%e : tensor<8xf32>) {
    ^bb0(%a: f32, %o: f32):
      %p = math.tanh %a : f32
      linalg.yield %p : f32
    } -> tensor<8xf32>
    scf.yield %s2, %y : tensor<?x8xf32>, tensor<8xf32>
  }
  return %r#0, %r#1 : tensor<?x8xf32>, tensor<8xf32>
}

// What nobody reads of the fused operation is no result of it: a sum over i of rows that are a
// multiple of one number each.
// CHECK-LABEL: func.func @unread
// CHECK: %[[Y:.*]] = linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK-SAME: outs(%{{.*}} : tensor<3xf32>)
// CHECK: return %[[Y]]
func.func @unread(%x: tensor<?xf32>, %z: f32, %n: index, %init: tensor<3xf32>) -> tensor<3xf32> {
  %e = tensor.empty(%n) : tensor<?x3xf32>
  %u = linalg.generic {indexing_maps = [#i, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?xf32>) outs(%e : tensor<?x3xf32>) attrs = {qkv.equation = "u"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.mulf %a, %z : f32
    linalg.yield %r : f32
  } -> tensor<?x3xf32>
  %y = linalg.generic {indexing_maps = [#ji, #i], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<?x3xf32>) outs(%init : tensor<3xf32>) attrs = {qkv.equation = "y"} {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %o : f32
    linalg.yield %r : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

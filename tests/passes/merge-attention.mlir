// RUN: %opt %s --passes 'func.func(qkv-merge-attention)' | FileCheck %s

#row = affine_map<(i, e) -> (i, e)>
#one = affine_map<(i) -> (i)>

// Two values and the logarithm of the sums under one score: one pass. The second value, computed
// between the two, moves up; its factor stays its own.
// CHECK-LABEL: func.func @values
// CHECK: tensor.cast
// CHECK: %[[ALL:.*]]:3 = qkv.attention rows(%[[N:.*]]) keys(%[[N]])
// CHECK-SAME: values(%{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?x4xf32>)
// CHECK-SAME: outs(%{{.*}}, %{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xf32>)
// CHECK-SAME: qkv.equations = "s:1,o:2,p:3,l:4"
// CHECK-COUNT-1: qkv.reduce
// CHECK: qkv.yield
// CHECK: %[[FACTOR:.*]] = tensor.extract
// CHECK: %[[ONE:.*]] = arith.constant 1.0
// CHECK: qkv.score %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} factors(%[[ONE]], %[[FACTOR]])
// CHECK-NOT: qkv.attention
// CHECK: return %[[ALL]]#0, %[[ALL]]#1, %[[ALL]]#2
func.func @values(%n: index, %q: tensor<?x6xf32>, %k: tensor<?x6xf32>, %m: tensor<?x?xf32>,
                  %v: tensor<?x8xf32>, %w: tensor<7x4xf32>)
    -> (tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xf32>) {
  %c6 = arith.constant 6 : index
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %o = qkv.attention rows(%n) keys(%n) values(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>)
      attributes {value_maps = [#row], output_maps = [#row], qkv.equations = "s:1,o:2"} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %s = qkv.reduce "sum"(%c6) {
    ^bb0(%d: index):
      %a = tensor.extract %q[%i, %d] : tensor<?x6xf32>
      %b = tensor.extract %k[%j, %d] : tensor<?x6xf32>
      %ab = arith.mulf %a, %b : f32
      qkv.yield %ab : f32
    }
    qkv.score %s, %true, %true, %true
  } -> tensor<?x8xf32>
  %x = tensor.cast %w : tensor<7x4xf32> to tensor<?x4xf32>
  %f = tensor.empty(%n) : tensor<?x4xf32>
  %p = qkv.attention rows(%n) keys(%n) values(%x : tensor<?x4xf32>) outs(%f : tensor<?x4xf32>)
      attributes {value_maps = [#row], output_maps = [#row], qkv.equations = "s:1,p:3"} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %s = qkv.reduce "sum"(%c6) {
    ^bb0(%d: index):
      %a = tensor.extract %q[%i, %d] : tensor<?x6xf32>
      %b = tensor.extract %k[%j, %d] : tensor<?x6xf32>
      %ab = arith.mulf %a, %b : f32
      qkv.yield %ab : f32
    }
    %factor = tensor.extract %m[%i, %j] : tensor<?x?xf32>
    qkv.score %s, %true, %true, %true factors(%factor)
  } -> tensor<?x4xf32>
  %g = tensor.empty(%n) : tensor<?xf32>
  %l = qkv.attention rows(%n) keys(%n) outs(%g : tensor<?xf32>)
      attributes {value_maps = [], output_maps = [#one], qkv.equations = "s:1,l:4"} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %s = qkv.reduce "sum"(%c6) {
    ^bb0(%d: index):
      %a = tensor.extract %q[%i, %d] : tensor<?x6xf32>
      %b = tensor.extract %k[%j, %d] : tensor<?x6xf32>
      %ab = arith.mulf %a, %b : f32
      qkv.yield %ab : f32
    }
    qkv.score %s, %true, %true, %true
  } -> tensor<?xf32>
  return %o, %p, %l : tensor<?x8xf32>, tensor<?x4xf32>, tensor<?xf32>
}

// Another score is another softmax; so is one whose value is made of the first's output.
// CHECK-LABEL: func.func @apart
// CHECK-COUNT-3: qkv.attention
func.func @apart(%n: index, %s: tensor<?x?xf32>, %t: tensor<?x?xf32>, %v: tensor<?x8xf32>)
    -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %o = qkv.attention rows(%n) keys(%n) values(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>)
      attributes {value_maps = [#row], output_maps = [#row]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %a = tensor.extract %s[%i, %j] : tensor<?x?xf32>
    qkv.score %a, %true, %true, %true
  } -> tensor<?x8xf32>
  %p = qkv.attention rows(%n) keys(%n) values(%o : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>)
      attributes {value_maps = [#row], output_maps = [#row]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %a = tensor.extract %s[%i, %j] : tensor<?x?xf32>
    qkv.score %a, %true, %true, %true
  } -> tensor<?x8xf32>
  %r = qkv.attention rows(%n) keys(%n) values(%v : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>)
      attributes {value_maps = [#row], output_maps = [#row]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %a = tensor.extract %t[%i, %j] : tensor<?x?xf32>
    qkv.score %a, %true, %true, %true
  } -> tensor<?x8xf32>
  return %p, %r : tensor<?x8xf32>, tensor<?x8xf32>
}

// Recurrences over a tensor that the loop carries: by extract at earlier positions inside a
// body, over all earlier positions, and two tensors at once; a branch at the tensors' level.
#o = affine_map<(o) -> (o)>
func.func @recurrences(%ctx: !llvm.ptr, %T: index, %x: tensor<?x24xf32> {test.dims = [0]},
    %y: memref<?x24xf32> {test.dims = [0]}, %u: memref<?x24xf32> {test.dims = [0]}) attributes {qkv.entry} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %tenth = arith.constant 0.1 : f32
  %e0 = tensor.empty(%T) : tensor<?x24xf32>
  %e1 = tensor.empty(%T) : tensor<?x24xf32>
  %r:2 = scf.for %t = %c0 to %T step %c1 iter_args(%a = %e0, %b = %e1) -> (tensor<?x24xf32>, tensor<?x24xf32>) {
    // a[t, o] = x[t, o] + 0.1 * sum[j](a[j, o] where j < t)
    %s0 = tensor.empty() : tensor<24xf32>
    %s1 = linalg.fill ins(%zero : f32) outs(%s0 : tensor<24xf32>) -> tensor<24xf32>
    %p = tensor.empty(%t) : tensor<?xf32>
    %sum = linalg.generic {indexing_maps = [affine_map<(o, j) -> (j)>, affine_map<(o, j) -> (o)>], iterator_types = ["parallel", "reduction"]}
        ins(%p : tensor<?xf32>) outs(%s1 : tensor<24xf32>) {
    ^bb0(%unused: f32, %out: f32):
      %o = linalg.index 0 : index
      %j = linalg.index 1 : index
      %v = tensor.extract %a[%j, %o] : tensor<?x24xf32>
      %q = arith.addf %out, %v : f32
      linalg.yield %q : f32
    } -> tensor<24xf32>
    %xt = tensor.extract_slice %x[%t, 0] [1, 24] [1, 1] : tensor<?x24xf32> to tensor<24xf32>
    %n0 = tensor.empty() : tensor<24xf32>
    %na = linalg.generic {indexing_maps = [#o, #o, #o], iterator_types = ["parallel"]}
        ins(%sum, %xt : tensor<24xf32>, tensor<24xf32>) outs(%n0 : tensor<24xf32>) {
    ^bb0(%s: f32, %v: f32, %out: f32):
      %m = arith.mulf %s, %tenth : f32
      %q = arith.addf %m, %v : f32
      linalg.yield %q : f32
    } -> tensor<24xf32>
    %a1 = tensor.insert_slice %na into %a[%t, 0] [1, 24] [1, 1] : tensor<24xf32> into tensor<?x24xf32>
    // b[t, o] = tanh(a[t, o] + (b[t - 1, 23 - o] where 0 < t)): read by value, backwards
    %n1 = tensor.empty() : tensor<24xf32>
    %nb = linalg.generic {indexing_maps = [#o, #o], iterator_types = ["parallel"]}
        ins(%na : tensor<24xf32>) outs(%n1 : tensor<24xf32>) {
    ^bb0(%v: f32, %out: f32):
      %o = linalg.index 0 : index
      %c23 = arith.constant 23 : index
      %back = arith.subi %c23, %o : index
      %t1 = arith.subi %t, %c1 : index
      %place = arith.maxsi %t1, %c0 : index
      %old = tensor.extract %b[%place, %back] : tensor<?x24xf32>
      %later = arith.cmpi sgt, %t, %c0 : index
      %prev = arith.select %later, %old, %zero : f32
      %q = arith.addf %v, %prev : f32
      %w = math.tanh %q : f32
      linalg.yield %w : f32
    } -> tensor<24xf32>
    %b1 = tensor.insert_slice %nb into %b[%t, 0] [1, 24] [1, 1] : tensor<24xf32> into tensor<?x24xf32>
    scf.yield %a1, %b1 : tensor<?x24xf32>, tensor<?x24xf32>
  }
  bufferization.materialize_in_destination %r#0 in restrict writable %y : (tensor<?x24xf32>, memref<?x24xf32>) -> ()
  %c2 = arith.constant 2 : index
  %many = arith.cmpi sgt, %T, %c2 : index
  %chosen = scf.if %many -> tensor<?x24xf32> {
    scf.yield %r#1 : tensor<?x24xf32>
  } else {
    scf.yield %x : tensor<?x24xf32>
  }
  bufferization.materialize_in_destination %chosen in restrict writable %u : (tensor<?x24xf32>, memref<?x24xf32>) -> ()
  return
}

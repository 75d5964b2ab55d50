// Contractions in every layout: x W^T, x W, x^T W, a matrix and a vector, a vector and a
// matrix, and one over two letters with a third outside.
#ic = affine_map<(i, o, c) -> (i, c)>
#ci = affine_map<(i, o, c) -> (c, i)>
#oc = affine_map<(i, o, c) -> (o, c)>
#co = affine_map<(i, o, c) -> (c, o)>
#io = affine_map<(i, o, c) -> (i, o)>
func.func @contractions(%ctx: !llvm.ptr, %I: index, %N: index, %K: index,
    %x: tensor<?x?xf32> {test.dims = [0, 2]}, %w: tensor<?x?xf32> {test.dims = [1, 2]},
    %v: tensor<?x?xf32> {test.dims = [2, 1]}, %y: tensor<?x?xf32> {test.dims = [2, 0]},
    %h: tensor<3x?x4x?xf32> {test.dims = [0, 2]}, %u: tensor<?x3x4x?xf32> {test.dims = [1, 2]},
    %nt: memref<?x?xf32> {test.dims = [0, 1]}, %nn: memref<?x?xf32> {test.dims = [0, 1]},
    %tn: memref<?x?xf32> {test.dims = [0, 1]}, %mv: memref<?xf32> {test.dims = [1]},
    %two: memref<?x3x?xf32> {test.dims = [0, 1]}) attributes {qkv.entry} {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%I, %N) : tensor<?x?xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %r0 = linalg.generic {indexing_maps = [#ic, #oc, #io], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f0 : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %r0 in restrict writable %nt : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  %f1 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %r1 = linalg.generic {indexing_maps = [#ic, #co, #io], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %v : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f1 : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %r1 in restrict writable %nn : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  %f2 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %r2 = linalg.generic {indexing_maps = [#ci, #co, #io], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%y, %v : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f2 : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %i = linalg.index 0 : index
    %o = linalg.index 1 : index
    %near = arith.cmpi sle, %o, %i : index
    %m = arith.mulf %a, %b : f32
    %t = arith.select %near, %m, %zero : f32
    %r = arith.addf %out, %t fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %r2 in restrict writable %tn : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  %ev = tensor.empty(%N) : tensor<?xf32>
  %f3 = linalg.fill ins(%zero : f32) outs(%ev : tensor<?xf32>) -> tensor<?xf32>
  %row = tensor.extract_slice %x[0, 0] [1, %K] [1, 1] : tensor<?x?xf32> to tensor<?xf32>
  %r3 = linalg.generic {indexing_maps = [affine_map<(o, c) -> (o, c)>, affine_map<(o, c) -> (c)>, affine_map<(o, c) -> (o)>], iterator_types = ["parallel", "reduction"]}
      ins(%w, %row : tensor<?x?xf32>, tensor<?xf32>) outs(%f3 : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %r3 in restrict writable %mv : (tensor<?xf32>, memref<?xf32>) -> ()
  // two[i, h, o] = sum[g, c](h[h, i, g, c] * u[o, h, g, c])
  %e4 = tensor.empty(%I, %N) : tensor<?x3x?xf32>
  %f4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<?x3x?xf32>) -> tensor<?x3x?xf32>
  %r4 = linalg.generic {indexing_maps = [affine_map<(i, h, o, g, c) -> (h, i, g, c)>, affine_map<(i, h, o, g, c) -> (o, h, g, c)>, affine_map<(i, h, o, g, c) -> (i, h, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%h, %u : tensor<3x?x4x?xf32>, tensor<?x3x4x?xf32>) outs(%f4 : tensor<?x3x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?x3x?xf32>
  bufferization.materialize_in_destination %r4 in restrict writable %two : (tensor<?x3x?xf32>, memref<?x3x?xf32>) -> ()
  return
}

// Writes over an input and over a value that is also a result: both must keep what they hold.
#ij = affine_map<(i, j) -> (i, j)>
func.func @writes(%ctx: !llvm.ptr, %I: index, %x: tensor<?x20xf32> {test.dims = [0]},
    %a: memref<?x20xf32> {test.dims = [0]}, %b: memref<?x20xf32> {test.dims = [0]},
    %c: memref<?x20xf32> {test.dims = [0]}) attributes {qkv.entry} {
  %two = arith.constant 2.0 : f32
  %one = arith.constant 1.0 : f32
  %row0 = tensor.empty() : tensor<1x20xf32>
  %row = linalg.fill ins(%one : f32) outs(%row0 : tensor<1x20xf32>) -> tensor<1x20xf32>
  %changed = tensor.insert_slice %row into %x[0, 0] [1, 20] [1, 1] : tensor<1x20xf32> into tensor<?x20xf32>
  %e = tensor.empty(%I) : tensor<?x20xf32>
  %start = linalg.fill ins(%two : f32) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  // Two sums that begin with the same fill; the first is a result, and then written over.
  %p = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%changed : tensor<?x20xf32>) outs(%start : tensor<?x20xf32>) {
  ^bb0(%v: f32, %out: f32):
    %r = arith.addf %v, %out : f32
    linalg.yield %r : f32
  } -> tensor<?x20xf32>
  %q = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x20xf32>) outs(%start : tensor<?x20xf32>) {
  ^bb0(%v: f32, %out: f32):
    %r = arith.mulf %v, %out : f32
    linalg.yield %r : f32
  } -> tensor<?x20xf32>
  bufferization.materialize_in_destination %p in restrict writable %a : (tensor<?x20xf32>, memref<?x20xf32>) -> ()
  %over = tensor.insert_slice %row into %p[0, 0] [1, 20] [1, 1] : tensor<1x20xf32> into tensor<?x20xf32>
  bufferization.materialize_in_destination %over in restrict writable %b : (tensor<?x20xf32>, memref<?x20xf32>) -> ()
  bufferization.materialize_in_destination %q in restrict writable %c : (tensor<?x20xf32>, memref<?x20xf32>) -> ()
  return
}

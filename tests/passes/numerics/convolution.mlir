// y[i, o] = sum[r, c](x[i + r - 1, c] * w[o, r, c] where inside), a small and a large letter;
// and a product of three whose vector letter is neither first nor last.
#xyz = affine_map<(i, o, r, c) -> (o, r, c)>
#out = affine_map<(i, o, r, c) -> (i, o)>
func.func @convolution(%ctx: !llvm.ptr, %I: index, %C: index,
    %x: tensor<?x?xf32> {test.dims = [0, 1]}, %w: tensor<20x3x?xf32> {test.dims = [1]},
    %y: memref<?x20xf32> {test.dims = [0]}, %z: memref<?x20x?xf32> {test.dims = [0, 1]})
    attributes {qkv.entry} {
  %zero = arith.constant 0.0 : f32
  %i0 = arith.constant 0 : i64
  %i1 = arith.constant 1 : i64
  %in = arith.index_cast %I : index to i64
  %top = arith.subi %in, %i1 : i64
  %e = tensor.empty(%I) : tensor<?x20xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x20xf32>) -> tensor<?x20xf32>
  %s = linalg.generic {indexing_maps = [#xyz, #out], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%w : tensor<20x3x?xf32>) outs(%f : tensor<?x20xf32>) {
  ^bb0(%wv: f32, %out: f32):
    %i = linalg.index 0 : index
    %r = linalg.index 2 : index
    %c = linalg.index 3 : index
    %ii = arith.index_cast %i : index to i64
    %ri = arith.index_cast %r : index to i64
    %a = arith.addi %ii, %ri : i64
    %place = arith.subi %a, %i1 : i64
    %low = arith.cmpi sge, %place, %i0 : i64
    %high = arith.cmpi slt, %place, %in : i64
    %inside = arith.andi %low, %high : i1
    %p0 = arith.maxsi %place, %i0 : i64
    %p1 = arith.minsi %p0, %top : i64
    %p = arith.index_cast %p1 : i64 to index
    %xv = tensor.extract %x[%p, %c] : tensor<?x?xf32>
    %m = arith.mulf %xv, %wv : f32
    %t = arith.select %inside, %m, %zero : f32
    %sum = arith.addf %out, %t : f32
    linalg.yield %sum : f32
  } -> tensor<?x20xf32>
  bufferization.materialize_in_destination %s in restrict writable %y : (tensor<?x20xf32>, memref<?x20xf32>) -> ()
  // z[i, o, c] = sum[r](w[o, r, c] * x[i, c] * r)
  %e2 = tensor.empty(%I, %C) : tensor<?x20x?xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x20x?xf32>) -> tensor<?x20x?xf32>
  %s2 = linalg.generic {indexing_maps = [affine_map<(i, o, c, r) -> (o, r, c)>, affine_map<(i, o, c, r) -> (i, c)>, affine_map<(i, o, c, r) -> (i, o, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w, %x : tensor<20x3x?xf32>, tensor<?x?xf32>) outs(%f2 : tensor<?x20x?xf32>) {
  ^bb0(%wv: f32, %xv: f32, %out: f32):
    %r = linalg.index 3 : index
    %ri = arith.index_cast %r : index to i64
    %rf = arith.sitofp %ri : i64 to f32
    %m0 = arith.mulf %wv, %xv : f32
    %m1 = arith.mulf %m0, %rf : f32
    %sum = arith.addf %out, %m1 fastmath<contract,reassoc> : f32
    linalg.yield %sum : f32
  } -> tensor<?x20x?xf32>
  bufferization.materialize_in_destination %s2 in restrict writable %z : (tensor<?x20x?xf32>, memref<?x20x?xf32>) -> ()
  return
}

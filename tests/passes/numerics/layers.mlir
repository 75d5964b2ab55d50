// One function called once a layer, with slices handed over and an argument that it rebinds.
#ij = affine_map<(i, j) -> (i, j)>
func.func private @layer(%I: index, %x: tensor<?x16xf32>, %w: tensor<16x16xf32>, %b: tensor<16xf32>) -> tensor<?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %e = tensor.empty(%I) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o, c)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x16xf32>, tensor<16x16xf32>) outs(%f : tensor<?x16xf32>) {
  ^bb0(%a: f32, %c: f32, %out: f32):
    %m = arith.mulf %a, %c : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?x16xf32>
  %y = linalg.generic {indexing_maps = [#ij, affine_map<(i, j) -> (j)>, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%s, %b, %x : tensor<?x16xf32>, tensor<16xf32>, tensor<?x16xf32>) outs(%e : tensor<?x16xf32>) {
  ^bb0(%a: f32, %c: f32, %old: f32, %out: f32):
    %t = math.tanh %a : f32
    %m = arith.addf %t, %c : f32
    %r = arith.addf %m, %old : f32
    linalg.yield %r : f32
  } -> tensor<?x16xf32>
  // The first row is set: the argument's or the new tensor's buffer must not leak into others.
  %row = tensor.extract_slice %x[0, 0] [1, 16] [1, 1] : tensor<?x16xf32> to tensor<1x16xf32>
  %z = tensor.insert_slice %row into %y[0, 0] [1, 16] [1, 1] : tensor<1x16xf32> into tensor<?x16xf32>
  return %z : tensor<?x16xf32>
}
func.func private @same(%x: tensor<?x16xf32>) -> tensor<?x16xf32> {
  return %x : tensor<?x16xf32>
}
func.func @layers(%ctx: !llvm.ptr, %I: index, %x: tensor<?x16xf32> {test.dims = [0]},
    %w: tensor<8x16x16xf32>, %b: tensor<16xf32>, %y: memref<?x16xf32> {test.dims = [0]},
    %first: memref<?x16xf32> {test.dims = [0]}) attributes {qkv.entry} {
  %w0 = tensor.extract_slice %w[0, 0, 0] [1, 16, 16] [1, 1, 1] : tensor<8x16x16xf32> to tensor<16x16xf32>
  %w1 = tensor.extract_slice %w[1, 0, 0] [1, 16, 16] [1, 1, 1] : tensor<8x16x16xf32> to tensor<16x16xf32>
  %w2 = tensor.extract_slice %w[2, 0, 0] [1, 16, 16] [1, 1, 1] : tensor<8x16x16xf32> to tensor<16x16xf32>
  %w3 = tensor.extract_slice %w[3, 0, 0] [1, 16, 16] [1, 1, 1] : tensor<8x16x16xf32> to tensor<16x16xf32>
  %x1 = func.call @layer(%I, %x, %w0, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x2 = func.call @layer(%I, %x1, %w1, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x3 = func.call @layer(%I, %x2, %w2, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x4 = func.call @layer(%I, %x3, %w3, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x5 = func.call @layer(%I, %x4, %w0, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x6 = func.call @layer(%I, %x5, %w1, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  %x7 = func.call @same(%x6) : (tensor<?x16xf32>) -> tensor<?x16xf32>
  %x8 = func.call @layer(%I, %x7, %w3, %b) : (index, tensor<?x16xf32>, tensor<16x16xf32>, tensor<16xf32>) -> tensor<?x16xf32>
  bufferization.materialize_in_destination %x8 in restrict writable %y : (tensor<?x16xf32>, memref<?x16xf32>) -> ()
  bufferization.materialize_in_destination %x1 in restrict writable %first : (tensor<?x16xf32>, memref<?x16xf32>) -> ()
  return
}

// Every kind of reduction, along rows, columns and both; one with two results (argmax).
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>
#ij = affine_map<(i, j) -> (i, j)>
#none = affine_map<(i, j) -> ()>
func.func @reductions(%ctx: !llvm.ptr, %I: index, %J: index,
    %x: tensor<?x?xf32> {test.dims = [0, 1]}, %n: tensor<?x?xi64> {test.dims = [0, 1]},
    %most: memref<?xf32> {test.dims = [0]}, %least: memref<?xf32> {test.dims = [1]},
    %product: memref<?xf32> {test.dims = [0]}, %total: memref<f32>,
    %at: memref<?xi64> {test.dims = [0]}, %greatest: memref<?xi64> {test.dims = [0]},
    %spread: memref<?xf32> {test.dims = [0]}) attributes {qkv.entry} {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %ninf = arith.constant 0xFF800000 : f32
  %inf = arith.constant 0x7F800000 : f32
  %none = arith.constant -1 : i64
  %lowest = arith.constant -9223372036854775808 : i64
  %ei = tensor.empty(%I) : tensor<?xf32>
  %ej = tensor.empty(%J) : tensor<?xf32>
  %ei64 = tensor.empty(%I) : tensor<?xi64>
  %e0 = tensor.empty() : tensor<f32>
  %fm = linalg.fill ins(%ninf : f32) outs(%ei : tensor<?xf32>) -> tensor<?xf32>
  %m = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%fm : tensor<?xf32>) {
  ^bb0(%v: f32, %out: f32):
    %r = arith.maximumf %out, %v : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %m in restrict writable %most : (tensor<?xf32>, memref<?xf32>) -> ()
  %fl = linalg.fill ins(%inf : f32) outs(%ej : tensor<?xf32>) -> tensor<?xf32>
  %l = linalg.generic {indexing_maps = [#ij, #j], iterator_types = ["reduction", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%fl : tensor<?xf32>) {
  ^bb0(%v: f32, %out: f32):
    %r = arith.minimumf %out, %v : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %l in restrict writable %least : (tensor<?xf32>, memref<?xf32>) -> ()
  %fp = linalg.fill ins(%one : f32) outs(%ei : tensor<?xf32>) -> tensor<?xf32>
  %p = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%fp : tensor<?xf32>) {
  ^bb0(%v: f32, %out: f32):
    %near = arith.addf %v, %one : f32
    %r = arith.mulf %out, %near : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %p in restrict writable %product : (tensor<?xf32>, memref<?xf32>) -> ()
  %ft = linalg.fill ins(%zero : f32) outs(%e0 : tensor<f32>) -> tensor<f32>
  %t = linalg.generic {indexing_maps = [#ij, #none], iterator_types = ["reduction", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%ft : tensor<f32>) {
  ^bb0(%v: f32, %out: f32):
    %square = arith.mulf %v, %v : f32
    %r = arith.addf %out, %square fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<f32>
  bufferization.materialize_in_destination %t in restrict writable %total : (tensor<f32>, memref<f32>) -> ()
  %fa = linalg.fill ins(%none : i64) outs(%ei64 : tensor<?xi64>) -> tensor<?xi64>
  %fb = linalg.fill ins(%ninf : f32) outs(%ei : tensor<?xf32>) -> tensor<?xf32>
  %a:2 = linalg.generic {indexing_maps = [#ij, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%fb, %fa : tensor<?xf32>, tensor<?xi64>) {
  ^bb0(%v: f32, %best: f32, %where: i64):
    %j = linalg.index 1 : index
    %jj = arith.index_cast %j : index to i64
    %more = arith.cmpf ogt, %v, %best : f32
    %nb = arith.select %more, %v, %best : f32
    %nw = arith.select %more, %jj, %where : i64
    linalg.yield %nb, %nw : f32, i64
  } -> (tensor<?xf32>, tensor<?xi64>)
  bufferization.materialize_in_destination %a#1 in restrict writable %at : (tensor<?xi64>, memref<?xi64>) -> ()
  %fg = linalg.fill ins(%lowest : i64) outs(%ei64 : tensor<?xi64>) -> tensor<?xi64>
  %g = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%n : tensor<?x?xi64>) outs(%fg : tensor<?xi64>) {
  ^bb0(%v: i64, %out: i64):
    %r = arith.maxsi %v, %out : i64
    linalg.yield %r : i64
  } -> tensor<?xi64>
  bufferization.materialize_in_destination %g in restrict writable %greatest : (tensor<?xi64>, memref<?xi64>) -> ()
  // sqrt of the mean square, over columns first: a chain with an elementwise end
  %jd = arith.index_cast %J : index to i64
  %jf = arith.sitofp %jd : i64 to f32
  %fs = linalg.fill ins(%zero : f32) outs(%ei : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#ij, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x, %m : tensor<?x?xf32>, tensor<?xf32>) outs(%fs : tensor<?xf32>) {
  ^bb0(%v: f32, %mv: f32, %out: f32):
    %d = arith.subf %v, %mv : f32
    %square = arith.mulf %d, %d : f32
    %r = arith.addf %out, %square fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %root = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%s : tensor<?xf32>) outs(%ei : tensor<?xf32>) {
  ^bb0(%v: f32, %out: f32):
    %mean = arith.divf %v, %jf : f32
    %r = math.sqrt %mean : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  bufferization.materialize_in_destination %root in restrict writable %spread : (tensor<?xf32>, memref<?xf32>) -> ()
  return
}

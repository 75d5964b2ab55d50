// Reads at computed places: an embedding (uniform along the vector letter), a table of relative
// positions (backwards), a transpose, a diagonal, a stride, a value access along the vector.
#i = affine_map<(i, c) -> (i)>
#ic = affine_map<(i, c) -> (i, c)>
#ci = affine_map<(i, c) -> (c, i)>
func.func @gathers(%ctx: !llvm.ptr, %I: index, %C: index,
    %tokens: tensor<?xi64> {test.dims = [0], test.below = 60},
    %wte: tensor<50x?xf32> {test.dims = [1]},
    %x: tensor<?x?xf32> {test.dims = [1, 0]},
    %rel: tensor<33xf32>,
    %permutation: tensor<?xi64> {test.dims = [1], test.below = 50},
    %embedded: memref<?x?xf32> {test.dims = [0, 1]},
    %mixed: memref<?x?xf32> {test.dims = [0, 1]}) attributes {qkv.entry} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0 : i64
  %last = arith.constant 49 : i64
  %bound = arith.constant 50 : i64
  %e0 = tensor.empty(%I, %C) : tensor<?x?xf32>
  %embed = linalg.generic {indexing_maps = [#i, #ic], iterator_types = ["parallel", "parallel"]}
      ins(%tokens : tensor<?xi64>) outs(%e0 : tensor<?x?xf32>) {
  ^bb0(%token: i64, %out: f32):
    %c = linalg.index 1 : index
    qkv.check %ctx, %token, %bound {site = 3 : i32, kind = 0 : i32} : !llvm.ptr
    %low = arith.maxsi %token, %zero : i64
    %clamped = arith.minsi %low, %last : i64
    %row = arith.index_cast %clamped : i64 to index
    %v = tensor.extract %wte[%row, %c] : tensor<50x?xf32>
    linalg.yield %v : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %embed in restrict writable %embedded : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  %e1 = tensor.empty(%I, %C) : tensor<?x?xf32>
  %mix = linalg.generic {indexing_maps = [#ci, #ic], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%e1 : tensor<?x?xf32>) {
  ^bb0(%transposed: f32, %out: f32):
    %i = linalg.index 0 : index
    %c = linalg.index 1 : index
    // rel[clamp(i - c + 16)]
    %d = arith.subi %i, %c : index
    %d16 = arith.addi %d, %c16 : index
    %low = arith.maxsi %d16, %c0 : index
    %place = arith.minsi %low, %c32 : index
    %r = tensor.extract %rel[%place] : tensor<33xf32>
    // rel[16 - c] where c is small, unclamped: the index steps by -1
    %back = arith.subi %c16, %c : index
    %backLow = arith.maxsi %back, %c0 : index
    %b = tensor.extract %rel[%backLow] : tensor<33xf32>
    // wte[permutation[c], c]: two gathers
    %p = tensor.extract %permutation[%c] : tensor<?xi64>
    %pi = arith.index_cast %p : i64 to index
    %w = tensor.extract %wte[%pi, %c] : tensor<50x?xf32>
    // wte[c % 50, c]: a diagonal, and wte[7, (2 c) % C]: a stride that wraps
    %c50 = arith.constant 50 : index
    %m = arith.remui %c, %c50 : index
    %g = tensor.extract %wte[%m, %c] : tensor<50x?xf32>
    %twice = arith.muli %c, %c2 : index
    %wrap = arith.remui %twice, %C : index
    %seven = arith.constant 7 : index
    %s = tensor.extract %wte[%seven, %wrap] : tensor<50x?xf32>
    %t0 = arith.addf %transposed, %r : f32
    %t1 = arith.mulf %t0, %b : f32
    %t2 = arith.addf %t1, %w : f32
    %t3 = arith.subf %t2, %g : f32
    %t4 = arith.addf %t3, %s : f32
    linalg.yield %t4 : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %mix in restrict writable %mixed : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  return
}

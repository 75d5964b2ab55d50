#id2 = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
module {
  func.func @attention(%ctx: !llvm.ptr, %I: index, %J: index, %D: index, %q: tensor<?x?xf32> {test.dims=[0,2]}, %k: tensor<?x?xf32> {test.dims=[1,2]}, %v: tensor<?x?xf32> {test.dims=[1,2]}, %c: memref<?x?xf32> {test.dims=[0,2]}) attributes {qkv.entry} {
    %zero = arith.constant 0.0 : f32
    %ninf = arith.constant 0xFF800000 : f32
    %e = tensor.empty(%I, %J) : tensor<?x?xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
    %s = linalg.generic {indexing_maps = [affine_map<(i, j, d) -> (i, d)>, affine_map<(i, j, d) -> (j, d)>, affine_map<(i, j, d) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%q, %k : tensor<?x?xf32>, tensor<?x?xf32>) outs(%z : tensor<?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.mulf %a, %b : f32
      %r = arith.addf %o, %m fastmath<contract,reassoc> : f32
      linalg.yield %r : f32
    } -> tensor<?x?xf32>
    %di = arith.index_cast %D : index to i64
    %df = arith.sitofp %di : i64 to f64
    %sq = math.sqrt %df : f64
    %sqf = arith.truncf %sq : f64 to f32
    %e1 = tensor.empty(%I, %J) : tensor<?x?xf32>
    %s1 = linalg.generic {indexing_maps = [#id2, #id2], iterator_types = ["parallel", "parallel"]} ins(%s : tensor<?x?xf32>) outs(%e1 : tensor<?x?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %r = arith.divf %a, %sqf : f32
      linalg.yield %r : f32
    } -> tensor<?x?xf32>
    %em = tensor.empty(%I) : tensor<?xf32>
    %fm = linalg.fill ins(%ninf : f32) outs(%em : tensor<?xf32>) -> tensor<?xf32>
    %mx = linalg.generic {indexing_maps = [#id2, #row], iterator_types = ["parallel", "reduction"]} ins(%s1 : tensor<?x?xf32>) outs(%fm : tensor<?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %g = arith.cmpi sle, %j, %i : index
      %x = arith.select %g, %a, %ninf : f32
      %r = arith.maximumf %o, %x : f32
      linalg.yield %r : f32
    } -> tensor<?xf32>
    %ex = linalg.generic {indexing_maps = [#id2, #row, #id2], iterator_types = ["parallel", "parallel"]} ins(%s1, %mx : tensor<?x?xf32>, tensor<?xf32>) outs(%e1 : tensor<?x?xf32>) {
    ^bb0(%a: f32, %m: f32, %o: f32):
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %g = arith.cmpi sle, %j, %i : index
      %d = arith.subf %a, %m : f32
      %x = math.exp %d : f32
      %r = arith.select %g, %x, %zero : f32
      linalg.yield %r : f32
    } -> tensor<?x?xf32>
    %fs = linalg.fill ins(%zero : f32) outs(%em : tensor<?xf32>) -> tensor<?xf32>
    %sum = linalg.generic {indexing_maps = [#id2, #row], iterator_types = ["parallel", "reduction"]} ins(%ex : tensor<?x?xf32>) outs(%fs : tensor<?xf32>) {
    ^bb0(%a: f32, %o: f32):
      %r = arith.addf %o, %a : f32
      linalg.yield %r : f32
    } -> tensor<?xf32>
    %al = linalg.generic {indexing_maps = [#id2, #row, #id2], iterator_types = ["parallel", "parallel"]} ins(%ex, %sum : tensor<?x?xf32>, tensor<?xf32>) outs(%e1 : tensor<?x?xf32>) {
    ^bb0(%a: f32, %m: f32, %o: f32):
      %x = arith.divf %a, %m : f32
      linalg.yield %x : f32
    } -> tensor<?x?xf32>
    %c1 = arith.constant 1 : index
    %E = tensor.dim %v, %c1 : tensor<?x?xf32>
    %e2 = tensor.empty(%I, %E) : tensor<?x?xf32>
    %z2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x?xf32>) -> tensor<?x?xf32>
    %o2 = linalg.generic {indexing_maps = [affine_map<(i, e, j) -> (i, j)>, affine_map<(i, e, j) -> (j, e)>, affine_map<(i, e, j) -> (i, e)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%al, %v : tensor<?x?xf32>, tensor<?x?xf32>) outs(%z2 : tensor<?x?xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.mulf %a, %b : f32
      %r = arith.addf %o, %m fastmath<contract,reassoc> : f32
      linalg.yield %r : f32
    } -> tensor<?x?xf32>
    bufferization.materialize_in_destination %o2 in restrict writable %c : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
    return
  }
}

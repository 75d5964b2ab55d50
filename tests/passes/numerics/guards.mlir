// Guards: bools in memory, conditions on letters in every position, branches with checks inside.
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>
#ij = affine_map<(i, j) -> (i, j)>
func.func @guards(%ctx: !llvm.ptr, %I: index, %J: index,
    %x: tensor<?x?xf32> {test.dims = [0, 1]},
    %flags: tensor<?x?xi1> {test.dims = [0, 1]},
    %ids: tensor<?xi64> {test.dims = [1], test.below = 3},
    %near: memref<?x?xi1> {test.dims = [0, 1]},
    %picked: memref<?x?xf32> {test.dims = [0, 1]},
    %counted: memref<?xi64> {test.dims = [0]},
    %some: memref<?xi1> {test.dims = [0]}) attributes {qkv.entry} {
  %f0 = arith.constant 0.0 : f32
  %i0 = arith.constant 0 : i64
  %i1 = arith.constant 1 : i64
  %i3 = arith.constant 3 : i64
  %b0 = arith.constant false
  %c0 = arith.constant 0 : index
  %c3 = arith.constant 3 : index
  %e0 = tensor.empty(%I, %J) : tensor<?x?xi1>
  // near[i, j] = 0 <= i - j < 3 or flags[i, j] and not ids[j] = 1
  %n = linalg.generic {indexing_maps = [#ij, #j, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%flags, %ids : tensor<?x?xi1>, tensor<?xi64>) outs(%e0 : tensor<?x?xi1>) {
  ^bb0(%flag: i1, %id: i64, %out: i1):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %ii = arith.index_cast %i : index to i64
    %jj = arith.index_cast %j : index to i64
    %d = arith.subi %ii, %jj : i64
    %a = arith.cmpi sge, %d, %i0 : i64
    %b = arith.cmpi sgt, %i3, %d : i64
    %both = arith.andi %a, %b : i1
    %ne = arith.cmpi ne, %id, %i1 : i64
    %f = arith.andi %flag, %ne : i1
    %r = arith.ori %both, %f : i1
    linalg.yield %r : i1
  } -> tensor<?x?xi1>
  bufferization.materialize_in_destination %n in restrict writable %near : (tensor<?x?xi1>, memref<?x?xi1>) -> ()
  // picked[i, j] = if near then (if i < 3 then x[i, ids[j]] checked else x * 7 // (ids + 1)) else 0
  %e1 = tensor.empty(%I, %J) : tensor<?x?xf32>
  %jd = arith.index_cast %J : index to i64
  %p = linalg.generic {indexing_maps = [#ij, #j, #ij, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%n, %ids, %x : tensor<?x?xi1>, tensor<?xi64>, tensor<?x?xf32>) outs(%e1 : tensor<?x?xf32>) {
  ^bb0(%taken: i1, %id: i64, %v: f32, %out: f32):
    %i = linalg.index 0 : index
    %first = arith.cmpi slt, %i, %c3 : index
    %r = scf.if %taken -> f32 {
      %q = scf.if %first -> f32 {
        qkv.check %ctx, %id, %jd {site = 5 : i32, kind = 0 : i32} : !llvm.ptr
        %top = arith.subi %jd, %i1 : i64
        %clamped = arith.minsi %id, %top : i64
        %place = arith.index_cast %clamped : i64 to index
        %g = tensor.extract %x[%i, %place] : tensor<?x?xf32>
        scf.yield %g : f32
      } else {
        // A divisor that is 0 in other lanes: ids - 1 where ids is not 1, else checked.
        %m = arith.subi %id, %i1 : i64
        qkv.check %ctx, %m, %i0 {site = 6 : i32, kind = 1 : i32} : !llvm.ptr
        %isZero = arith.cmpi eq, %m, %i0 : i64
        %safe = arith.select %isZero, %i1, %m : i64
        %ii = arith.index_cast %i : index to i64
        %quotient = arith.floordivsi %ii, %safe : i64
        %rest = arith.remsi %ii, %safe : i64
        %both = arith.addi %quotient, %rest : i64
        %as = arith.sitofp %both : i64 to f32
        %sum = arith.addf %as, %v : f32
        scf.yield %sum : f32
      }
      scf.yield %q : f32
    } else {
      scf.yield %f0 : f32
    }
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %p in restrict writable %picked : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  // counted[i] = sum[j](ids[j] where near), some[i] = any near and x > 0.5
  %e2 = tensor.empty(%I) : tensor<?xi64>
  %z2 = linalg.fill ins(%i0 : i64) outs(%e2 : tensor<?xi64>) -> tensor<?xi64>
  %c = linalg.generic {indexing_maps = [#ij, #j, #i], iterator_types = ["parallel", "reduction"]}
      ins(%n, %ids : tensor<?x?xi1>, tensor<?xi64>) outs(%z2 : tensor<?xi64>) {
  ^bb0(%taken: i1, %id: i64, %out: i64):
    %t = arith.select %taken, %id, %i0 : i64
    %r = arith.addi %out, %t : i64
    linalg.yield %r : i64
  } -> tensor<?xi64>
  bufferization.materialize_in_destination %c in restrict writable %counted : (tensor<?xi64>, memref<?xi64>) -> ()
  %e3 = tensor.empty(%I) : tensor<?xi1>
  %z3 = linalg.fill ins(%b0 : i1) outs(%e3 : tensor<?xi1>) -> tensor<?xi1>
  %half = arith.constant 0.5 : f32
  %s = linalg.generic {indexing_maps = [#ij, #ij, #i], iterator_types = ["parallel", "reduction"]}
      ins(%n, %x : tensor<?x?xi1>, tensor<?x?xf32>) outs(%z3 : tensor<?xi1>) {
  ^bb0(%taken: i1, %v: f32, %out: i1):
    %big = arith.cmpf ogt, %v, %half : f32
    %t = arith.andi %taken, %big : i1
    %r = arith.ori %out, %t : i1
    linalg.yield %r : i1
  } -> tensor<?xi1>
  bufferization.materialize_in_destination %s in restrict writable %some : (tensor<?xi1>, memref<?xi1>) -> ()
  return
}

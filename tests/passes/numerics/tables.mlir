// Tables in double precision, rounded once: sinusoids, slopes; and a chain of two in double.
#ic = affine_map<(i, c) -> (i, c)>
#c = affine_map<(i, c) -> (c)>
#h = affine_map<(h) -> (h)>
func.func @tables(%ctx: !llvm.ptr, %I: index, %C: index, %x: tensor<?x?xf32> {test.dims = [0, 1]},
    %y: memref<?x?xf32> {test.dims = [0, 1]}) attributes {qkv.entry} {
  %two = arith.constant 2 : i64
  %zero = arith.constant 0 : i64
  %one = arith.constant 1 : i64
  %base = arith.constant 1.0e4 : f64
  %cd = arith.index_cast %C : index to i64
  %cf = arith.sitofp %cd : i64 to f64
  %e = tensor.empty(%C) : tensor<?xf64>
  %rates = linalg.generic {indexing_maps = [#h], iterator_types = ["parallel"]} outs(%e : tensor<?xf64>) {
  ^bb0(%out: f64):
    %c = linalg.index 0 : index
    %ci = arith.index_cast %c : index to i64
    %odd = arith.remsi %ci, %two : i64
    %even = arith.subi %ci, %odd : i64
    %ef = arith.sitofp %even : i64 to f64
    %power = arith.divf %ef, %cf : f64
    %r = math.powf %base, %power : f64
    linalg.yield %r : f64
  } -> tensor<?xf64>
  %e1 = tensor.empty(%I, %C) : tensor<?x?xf32>
  %t = linalg.generic {indexing_maps = [#c, #ic, #ic], iterator_types = ["parallel", "parallel"]}
      ins(%rates, %x : tensor<?xf64>, tensor<?x?xf32>) outs(%e1 : tensor<?x?xf32>) {
  ^bb0(%rate: f64, %v: f32, %out: f32):
    %i = linalg.index 0 : index
    %c = linalg.index 1 : index
    %ii = arith.index_cast %i : index to i64
    %if = arith.sitofp %ii : i64 to f64
    %angle = arith.divf %if, %rate : f64
    %ci = arith.index_cast %c : index to i64
    %odd = arith.remsi %ci, %two : i64
    %isEven = arith.cmpi eq, %odd, %zero : i64
    %s = math.sin %angle : f64
    %k = math.cos %angle : f64
    %p = arith.select %isEven, %s, %k : f64
    %pf = arith.truncf %p : f64 to f32
    %r = arith.addf %pf, %v : f32
    linalg.yield %r : f32
  } -> tensor<?x?xf32>
  bufferization.materialize_in_destination %t in restrict writable %y : (tensor<?x?xf32>, memref<?x?xf32>) -> ()
  return
}

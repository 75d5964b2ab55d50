// Every function of f32 by itself: AccuracyTest says how far each may be off.
#i = affine_map<(i) -> (i)>
func.func @accuracy(%ctx: !llvm.ptr, %I: index, %x: tensor<?xf32> {test.dims = [0], test.scale = 20.0},
    %y: tensor<?xf32> {test.dims = [0], test.scale = 3.0},
    %exp: memref<?xf32> {test.dims = [0]}, %log: memref<?xf32> {test.dims = [0]},
    %tanh: memref<?xf32> {test.dims = [0]}, %sigmoid: memref<?xf32> {test.dims = [0]},
    %erf: memref<?xf32> {test.dims = [0]}, %sin: memref<?xf32> {test.dims = [0]},
    %cos: memref<?xf32> {test.dims = [0]}, %sqrt: memref<?xf32> {test.dims = [0]},
    %rsqrt: memref<?xf32> {test.dims = [0]}, %pow: memref<?xf32> {test.dims = [0]},
    %power: memref<?xf32> {test.dims = [0]}, %expm1: memref<?xf32> {test.dims = [0]},
    %log1p: memref<?xf32> {test.dims = [0]})
    attributes {qkv.entry} {
  %e = tensor.empty(%I) : tensor<?xf32>
  %one = arith.constant 1.0 : f32
  %exponent = arith.constant -0.7 : f32
  %r:13 = linalg.generic {indexing_maps = [#i, #i, #i, #i, #i, #i, #i, #i, #i, #i, #i, #i, #i, #i, #i], iterator_types = ["parallel"]}
      ins(%x, %y : tensor<?xf32>, tensor<?xf32>)
      outs(%e, %e, %e, %e, %e, %e, %e, %e, %e, %e, %e, %e, %e : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  ^bb0(%v: f32, %w: f32, %o0: f32, %o1: f32, %o2: f32, %o3: f32, %o4: f32, %o5: f32, %o6: f32, %o7: f32, %o8: f32, %o9: f32, %o10: f32, %o11: f32, %o12: f32):
    %f0 = math.exp %v : f32
    %f1 = math.log %v : f32
    %f2 = math.tanh %v : f32
    %n = arith.negf %v : f32
    %p = math.exp %n : f32
    %s = arith.addf %one, %p : f32
    %f3 = arith.divf %one, %s : f32
    %f4 = math.erf %v : f32
    %f5 = math.sin %v : f32
    %f6 = math.cos %v : f32
    %f7 = math.sqrt %v : f32
    %f8 = math.rsqrt %v : f32
    %f9 = math.powf %v, %w : f32
    %f10 = math.powf %v, %exponent : f32
    %f11 = math.expm1 %v : f32
    %f12 = math.log1p %v : f32
    linalg.yield %f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7, %f8, %f9, %f10, %f11, %f12 : f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32, f32
  } -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  bufferization.materialize_in_destination %r#0 in restrict writable %exp : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#1 in restrict writable %log : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#2 in restrict writable %tanh : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#3 in restrict writable %sigmoid : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#4 in restrict writable %erf : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#5 in restrict writable %sin : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#6 in restrict writable %cos : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#7 in restrict writable %sqrt : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#8 in restrict writable %rsqrt : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#9 in restrict writable %pow : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#10 in restrict writable %power : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#11 in restrict writable %expm1 : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#12 in restrict writable %log1p : (tensor<?xf32>, memref<?xf32>) -> ()
  return
}

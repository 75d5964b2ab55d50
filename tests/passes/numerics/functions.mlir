// Every function of f32, on vectors and on what is left of them.
#i = affine_map<(i) -> (i)>
func.func @functions(%ctx: !llvm.ptr, %I: index, %x: tensor<?xf32> {test.dims = [0], test.scale = 20.0},
    %exp: memref<?xf32> {test.dims = [0]}, %log: memref<?xf32> {test.dims = [0]},
    %tanh: memref<?xf32> {test.dims = [0]}, %erf: memref<?xf32> {test.dims = [0]},
    %sin: memref<?xf32> {test.dims = [0]}, %cos: memref<?xf32> {test.dims = [0]},
    %pow: memref<?xf32> {test.dims = [0]}, %rest: memref<?xf32> {test.dims = [0]})
    attributes {qkv.entry} {
  %e = tensor.empty(%I) : tensor<?xf32>
  %half = arith.constant 0.5 : f32
  %two = arith.constant 2.0 : f32
  %third = arith.constant 3.3 : f32
  %r:8 = linalg.generic {indexing_maps = [#i, #i, #i, #i, #i, #i, #i, #i, #i], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf32>) outs(%e, %e, %e, %e, %e, %e, %e, %e : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  ^bb0(%v: f32, %o0: f32, %o1: f32, %o2: f32, %o3: f32, %o4: f32, %o5: f32, %o6: f32, %o7: f32):
    %a = math.absf %v : f32
    %f0 = math.exp %v : f32
    %f1 = math.log %a : f32
    %f2 = math.tanh %v : f32
    %f3 = math.erf %v : f32
    %f4 = math.sin %v : f32
    %f5 = math.cos %v : f32
    %f6 = math.powf %a, %third : f32
    %q0 = math.sqrt %a : f32
    %q1 = math.rsqrt %a : f32
    %q2 = math.floor %v : f32
    %q3 = math.ceil %v : f32
    %q4 = math.roundeven %v : f32
    %q5 = math.powf %v, %two : f32
    %q6 = math.powf %a, %half : f32
    %s0 = arith.addf %q0, %q1 : f32
    %s1 = arith.addf %s0, %q2 : f32
    %s2 = arith.addf %s1, %q3 : f32
    %s3 = arith.addf %s2, %q4 : f32
    %s4 = arith.addf %s3, %q5 : f32
    %s5 = arith.addf %s4, %q6 : f32
    linalg.yield %f0, %f1, %f2, %f3, %f4, %f5, %f6, %s5 : f32, f32, f32, f32, f32, f32, f32, f32
  } -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  bufferization.materialize_in_destination %r#0 in restrict writable %exp : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#1 in restrict writable %log : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#2 in restrict writable %tanh : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#3 in restrict writable %erf : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#4 in restrict writable %sin : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#5 in restrict writable %cos : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#6 in restrict writable %pow : (tensor<?xf32>, memref<?xf32>) -> ()
  bufferization.materialize_in_destination %r#7 in restrict writable %rest : (tensor<?xf32>, memref<?xf32>) -> ()
  return
}

module {
  func.func @rnn(%ctx: !llvm.ptr, %T: index, %x: tensor<?x8xf32> {test.dims=[0]}, %Wx: tensor<32x8xf32>, %Wh: tensor<32x32xf32> {test.scale = 0.2}, %r: memref<?x32xf32> {test.dims=[0]}) attributes {qkv.entry} {
    %zero = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %e = tensor.empty(%T) : tensor<?x32xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
    %s = linalg.generic {indexing_maps = [affine_map<(i, j, d) -> (i, d)>, affine_map<(i, j, d) -> (j, d)>, affine_map<(i, j, d) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %Wx : tensor<?x8xf32>, tensor<32x8xf32>) outs(%z : tensor<?x32xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.mulf %a, %b : f32
      %rr = arith.addf %o, %m fastmath<contract,reassoc> : f32
      linalg.yield %rr : f32
    } -> tensor<?x32xf32>
    %T1 = arith.addi %T, %c1 : index
    %h0 = tensor.empty(%T1) : tensor<?x32xf32>
    %init = tensor.empty() : tensor<1x32xf32>
    %i0 = linalg.fill ins(%zero : f32) outs(%init : tensor<1x32xf32>) -> tensor<1x32xf32>
    %h1 = tensor.insert_slice %i0 into %h0[0, 0] [1, 32] [1, 1] : tensor<1x32xf32> into tensor<?x32xf32>
    %h = scf.for %t = %c0 to %T step %c1 iter_args(%hh = %h1) -> tensor<?x32xf32> {
      %prev = tensor.extract_slice %hh[%t, 0] [1, 32] [1, 1] : tensor<?x32xf32> to tensor<32xf32>
      %st = tensor.extract_slice %s[%t, 0] [1, 32] [1, 1] : tensor<?x32xf32> to tensor<32xf32>
      %ne = tensor.empty() : tensor<32xf32>
      %nz = linalg.fill ins(%zero : f32) outs(%ne : tensor<32xf32>) -> tensor<32xf32>
      %d = linalg.generic {indexing_maps = [affine_map<(o, k) -> (o, k)>, affine_map<(o, k) -> (k)>, affine_map<(o, k) -> (o)>], iterator_types = ["parallel", "reduction"]} ins(%Wh, %prev : tensor<32x32xf32>, tensor<32xf32>) outs(%nz : tensor<32xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %m = arith.mulf %a, %b : f32
        %rr = arith.addf %o, %m fastmath<contract,reassoc> : f32
        linalg.yield %rr : f32
      } -> tensor<32xf32>
      %ne2 = tensor.empty() : tensor<32xf32>
      %y = linalg.generic {indexing_maps = [affine_map<(o) -> (o)>, affine_map<(o) -> (o)>, affine_map<(o) -> (o)>], iterator_types = ["parallel"]} ins(%st, %d : tensor<32xf32>, tensor<32xf32>) outs(%ne2 : tensor<32xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %m = arith.addf %a, %b : f32
        %rr = math.tanh %m : f32
        linalg.yield %rr : f32
      } -> tensor<32xf32>
      %t1 = arith.addi %t, %c1 : index
      %n = tensor.insert_slice %y into %hh[%t1, 0] [1, 32] [1, 1] : tensor<32xf32> into tensor<?x32xf32>
      scf.yield %n : tensor<?x32xf32>
    }
    %res = tensor.extract_slice %h[1, 0] [%T, 32] [1, 1] : tensor<?x32xf32> to tensor<?x32xf32>
    bufferization.materialize_in_destination %res in restrict writable %r : (tensor<?x32xf32>, memref<?x32xf32>) -> ()
    return
  }
}

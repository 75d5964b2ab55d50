// RUN: %opt %s --passes 'func.func(qkv-lower-kernels{cpu=skylake-avx512},canonicalize,cse)' --split-input-file | FileCheck %s
// RUN: %opt %s --passes 'func.func(qkv-lower-kernels{cpu=haswell},canonicalize,cse)' --split-input-file | FileCheck %s --check-prefix=AVX2

#ij = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>

// Elementwise: full vectors, then one under a mask; what does not depend on the vector letter
// stands before its loop.
// CHECK-LABEL: func.func @elementwise
// CHECK: scf.for
// CHECK: %[[M:.*]] = memref.load %arg1
// CHECK: scf.for
// CHECK: vector.load {{.*}} : memref<?x?xf32>, vector<16xf32>
// CHECK: vector.broadcast %[[M]] : f32 to vector<16xf32>
// CHECK: vector.store
// CHECK: scf.for
// CHECK: vector.create_mask
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
// AVX2-LABEL: func.func @elementwise
// AVX2: vector<8xf32>
func.func @elementwise(%x: memref<?x?xf32>, %m: memref<?xf32>, %y: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<?x?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %r = arith.subf %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Extents that are multiples have no ends.
// CHECK-LABEL: func.func @multiple
// CHECK-NOT: mask
// CHECK: vector.load
// CHECK-NOT: mask
// CHECK: return
func.func @multiple(%x: memref<64xf32>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A table read by value: the row is a scalar, the place in it contiguous; the check is one for
// all lanes.
// CHECK-LABEL: func.func @embedding
// CHECK: %[[TOKEN:.*]] = memref.load
// CHECK: scf.for
// CHECK: qkv.check %arg0, %[[TOKEN]]
// CHECK: vector.load %arg2
// CHECK-NOT: vector.gather
// CHECK: return
func.func @embedding(%ctx: !llvm.ptr, %tokens: memref<?xi64>, %wte: memref<50x64xf32>, %y: memref<?x64xf32>) {
  %bound = arith.constant 50 : i64
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%tokens : memref<?xi64>) outs(%y : memref<?x64xf32>) {
  ^bb0(%token: i64, %out: f32):
    %c = linalg.index 1 : index
    qkv.check %ctx, %token, %bound {site = 0 : i32, kind = 0 : i32} : !llvm.ptr
    %row = arith.index_cast %token : i64 to index
    %v = memref.load %wte[%row, %c] : memref<50x64xf32>
    linalg.yield %v : f32
  }
  return
}

// -----

// A place that differs from lane to lane in any other way is gathered.
// CHECK-LABEL: func.func @gather
// CHECK: vector.gather
func.func @gather(%x: memref<?xf32>, %at: memref<?xi64>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%at : memref<?xi64>) outs(%y : memref<?xf32>) {
  ^bb0(%p: i64, %out: f32):
    %place = arith.index_cast %p : i64 to index
    %v = memref.load %x[%place] : memref<?xf32>
    linalg.yield %v : f32
  }
  return
}

// -----

// A sum along rows: partial sums in lanes, of several rows at once, then over the lanes.
// CHECK-LABEL: func.func @rows
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: vector.shuffle
// CHECK: vector.store %{{.*}} : memref<?xf32>, vector<4xf32>
func.func @rows(%x: memref<?x?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.addf %out, %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A sum along columns: an output a lane, in order.
// CHECK-LABEL: func.func @columns
// CHECK-NOT: vector.shuffle
// CHECK: scf.for {{.*}} iter_args
// CHECK: vector.load
// CHECK-NOT: vector.shuffle
// CHECK: return
func.func @columns(%x: memref<?x?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<?x?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %r = arith.addf %out, %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// x W^T, the form of most weights: a tile of 4 x 4 outputs (of 2 x 4 with 8 lanes), in parallel.
// The fill before is where the sums start, and goes.
// CHECK-LABEL: func.func @weights
// CHECK-NOT: linalg
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: %{{.*}}:16 = scf.for
// CHECK-COUNT-16: math.fma
// CHECK: scf.yield
// AVX2-LABEL: func.func @weights
// AVX2: %{{.*}}:8 = scf.for
func.func @weights(%x: memref<?x768xf32>, %w: memref<768x768xf32>, %y: memref<?x768xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%zero : f32) outs(%y : memref<?x768xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o, c)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x768xf32>, memref<768x768xf32>) outs(%y : memref<?x768xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %r = math.fma %a, %b, %out : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// x W: 6 rows of 4 vectors of outputs, then 4 rows, 2, 1.
// CHECK-LABEL: func.func @product
// CHECK: %{{.*}}:24 = scf.for
// CHECK: vector.broadcast
// CHECK: math.fma
// CHECK-NOT: vector.shuffle
// CHECK: return
func.func @product(%x: memref<?x768xf32>, %w: memref<768x64xf32>, %y: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (c, o)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x768xf32>, memref<768x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %r = math.fma %a, %b, %out : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// A value that counts as 0 where its weight is: the sums of a tile are made without looking, and
// again, looking, only where one of them is not finite.
// CHECK-LABEL: func.func @apart
// CHECK: %[[SUMS:.*]]:24 = scf.for
// CHECK-NOT: arith.select
// CHECK: scf.yield
// CHECK: %[[WILD:.*]] = vector.reduction <add>
// CHECK: %[[AGAIN:.*]] = arith.cmpf une, %[[WILD]]
// CHECK: scf.if %[[AGAIN]]
// CHECK: scf.for
// CHECK: arith.cmpf oeq
// CHECK: arith.select
// CHECK: } else {
// CHECK-NEXT: scf.yield %[[SUMS]]#0
func.func @apart(%x: memref<?x768xf32>, %w: memref<768x64xf32>, %y: memref<?x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (c, o)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x768xf32>, memref<768x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %none = arith.cmpf oeq, %a, %zero : f32
    %kept = arith.select %none, %zero, %b : f32
    %r = math.fma %a, %kept, %out : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Weights in panels: the panel's number and the places in it are known from the tile, nothing is
// divided in a loop; each vector of a panel is loaded once for the rows of a tile. A panel of
// 512 KB is summed in chunks: partial sums go on from the output.
// CHECK-LABEL: func.func @panels
// CHECK: scf.forall (%[[O:.*]]) = (0) to (576) step (64)
// CHECK: scf.for %[[FROM:.*]] = %c0 to %c2048 step %[[CHUNK:.*]] {
// CHECK-DAG: %[[TO:.*]] = arith.minui
// CHECK-DAG: %[[FIRST:.*]] = arith.cmpi eq, %[[FROM]], %c0
// CHECK: vector.load %arg2[%{{.*}}, %[[O]]] : memref<?x600xf32>
// CHECK: arith.select %[[FIRST]]
// CHECK: %{{.*}}:24 = scf.for %[[C:.*]] = %[[FROM]] to %[[TO]] step %c1
// CHECK: %[[PANEL:.*]] = arith.divui %[[O]], %c64
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c0]
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c16]
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c32]
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c48]
// CHECK-NOT: vector.load
// CHECK: scf.yield
// CHECK: %{{.*}}:16 = scf.for
// CHECK: %{{.*}}:8 = scf.for
// CHECK: %{{.*}}:4 = scf.for
// CHECK: return
// AVX2-LABEL: func.func @panels
// AVX2: %{{.*}}:12 = scf.for
// AVX2-NOT: vector.gather
// AVX2: return
func.func @panels(%x: memref<?x2048xf32>, %w: memref<10x2048x64xf32>, %y: memref<?x600xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%zero : f32) outs(%y : memref<?x600xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x2048xf32>, memref<10x2048x64xf32>) outs(%y : memref<?x600xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %r = math.fma %a, %b, %out : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Narrow weights: a vector is widened once for all rows of a tile.
// CHECK-LABEL: func.func @narrow
// CHECK: %{{.*}}:24 = scf.for
// CHECK-COUNT-4: arith.extf {{.*}} : vector<16xbf16> to vector<16xf32>
// CHECK-NOT: arith.extf
// CHECK: scf.yield
// CHECK: return
func.func @narrow(%x: memref<?x512xf32>, %w: memref<2x512x64xbf16>, %y: memref<?x128xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x512xf32>, memref<2x512x64xbf16>) outs(%y : memref<?x128xf32>) {
  ^bb0(%a: f32, %b: bf16, %out: f32):
    %wide = arith.extf %b : bf16 to f32
    %r = math.fma %a, %wide, %out : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Bias and residual run on each tile behind its sums, the second in place; their buffers are made
// before. The transposed copy is a kernel of its own.
// CHECK-LABEL: func.func @epilogues
// CHECK: memref.alloc
// CHECK: scf.forall
// CHECK: %{{.*}}:24 = scf.for
// CHECK-COUNT-24: vector.store
// CHECK: scf.for
// CHECK: vector.load %arg2
// CHECK: vector.load %arg3
// CHECK: vector.store %{{.*}}, %arg3
// CHECK: %{{.*}}:16 = scf.for
// CHECK: scf.for
// CHECK: vector.load %arg3
// CHECK: %{{.*}}:8 = scf.for
// CHECK: %{{.*}}:4 = scf.for
// CHECK: scf.for
// CHECK-NOT: math.fma
// CHECK: %arg4
// CHECK: return
func.func @epilogues(%x: memref<?x96xf32>, %w: memref<1x96x64xf32>, %b: memref<64xf32>, %r: memref<?x64xf32>, %t: memref<64x?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x96xf32>
  %y = memref.alloc(%n) : memref<?x64xf32>
  linalg.generic {indexing_maps = [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%zero : f32) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x96xf32>, memref<1x96x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b0: f32, %out: f32):
    %f = math.fma %a, %b0, %out : f32
    linalg.yield %f : f32
  }
  %z = memref.alloc(%n) : memref<?x64xf32>
  linalg.generic {indexing_maps = [affine_map<(i, o) -> (i, o)>, affine_map<(i, o) -> (o)>, affine_map<(i, o) -> (i, o)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %b : memref<?x64xf32>, memref<64xf32>) outs(%z : memref<?x64xf32>) {
  ^bb0(%a: f32, %b0: f32, %out: f32):
    %s = arith.addf %a, %b0 : f32
    linalg.yield %s : f32
  }
  memref.dealloc %y : memref<?x64xf32>
  linalg.generic {indexing_maps = [affine_map<(i, o) -> (i, o)>, affine_map<(i, o) -> (i, o)>, affine_map<(i, o) -> (i, o)>], iterator_types = ["parallel", "parallel"]}
      ins(%z, %r : memref<?x64xf32>, memref<?x64xf32>) outs(%r : memref<?x64xf32>) {
  ^bb0(%a: f32, %b0: f32, %out: f32):
    %s = arith.addf %a, %b0 : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o) -> (i, o)>, affine_map<(i, o) -> (o, i)>], iterator_types = ["parallel", "parallel"]}
      ins(%z : memref<?x64xf32>) outs(%t : memref<64x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  memref.dealloc %z : memref<?x64xf32>
  return
}

// -----

// What the contraction reads is not written before all of it is read.
// CHECK-LABEL: func.func @reads
// CHECK: %{{.*}}:24 = scf.for
// CHECK-COUNT-24: vector.store %{{.*}}, %arg2
// CHECK-NOT: vector.store %{{.*}}, %arg0
// CHECK: %{{.*}}:4 = scf.for
// CHECK: vector.store %{{.*}}, %arg0
// CHECK: return
func.func @reads(%x: memref<?x64xf32>, %w: memref<1x64x64xf32>, %y: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x64xf32>, memref<1x64x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %f = math.fma %a, %b, %out : f32
    linalg.yield %f : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o) -> (i, o)>, affine_map<(i, o) -> (i, o)>], iterator_types = ["parallel", "parallel"]}
      ins(%y : memref<?x64xf32>) outs(%x : memref<?x64xf32>) {
  ^bb0(%a: f32, %out: f32):
    %s = arith.addf %a, %out : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// A row of a table that lies in panels: its place is found once, the elements are gathered.
// CHECK-LABEL: func.func @panelRow
// CHECK: arith.divui
// CHECK: arith.remui
// CHECK: vector.gather
// CHECK: return
func.func @panelRow(%tokens: memref<?xindex>, %w: memref<2x48x64xf32>, %y: memref<?x48xf32>) {
  %width = arith.constant 64 : index
  linalg.generic {indexing_maps = [affine_map<(i, c) -> (i)>, affine_map<(i, c) -> (i, c)>], iterator_types = ["parallel", "parallel"]}
      ins(%tokens : memref<?xindex>) outs(%y : memref<?x48xf32>) {
  ^bb0(%token: index, %out: f32):
    %c = linalg.index 1 : index
    %panel = arith.divui %token, %width : index
    %lane = arith.remui %token, %width : index
    %r = memref.load %w[%panel, %c, %lane] : memref<2x48x64xf32>
    linalg.yield %r : f32
  }
  return
}

// -----

// A guard on letters is compared in i32 whatever the type; a branch on data computes both sides.
// CHECK-LABEL: func.func @guard
// CHECK: arith.cmpi s{{[gl]}}e, %{{.*}} : vector<16xi32>
// CHECK: arith.select {{.*}} : vector<16xi1>, vector<16xf32>
// CHECK-NOT: scf.if
// CHECK: return
func.func @guard(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>) {
  ^bb0(%a: f32, %out: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %near = arith.cmpi sle, %j, %i : index
    %s = arith.select %near, %a, %zero : f32
    %positive = arith.cmpf ogt, %s, %zero : f32
    %r = scf.if %positive -> f32 {
      %q = arith.divf %a, %s : f32
      scf.yield %q : f32
    } else {
      scf.yield %s : f32
    }
    linalg.yield %r : f32
  }
  return
}

// -----

// A body without a form on vectors (a loop inside) is a plain loop.
// CHECK-LABEL: func.func @scalar
// CHECK-NOT: vector
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.store
// CHECK-NOT: vector
// CHECK: return
func.func @scalar(%x: memref<?xf32>, %n: memref<?xi64>, %y: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x, %n : memref<?xf32>, memref<?xi64>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %times: i64, %out: f32):
    %end = arith.index_cast %times : i64 to index
    %r = scf.for %k = %c0 to %end step %c1 iter_args(%s = %a) -> f32 {
      %t = arith.mulf %s, %a : f32
      scf.yield %t : f32
    }
    linalg.yield %r : f32
  }
  return
}

// -----

#bj_b = affine_map<(b, j) -> (b)>
#bj_j = affine_map<(b, j) -> (j)>

// Lanes over the outputs: each is summed in order.
// CHECK-LABEL: func.func @outputs
// CHECK: vector.load %arg0
// CHECK-NOT: vector.load %arg1
// CHECK: return
func.func @outputs(%y: memref<?xf32>, %w: memref<?xf32>, %o: memref<?xf32>) {
  linalg.generic {indexing_maps = [#bj_b, #bj_j, #bj_b], iterator_types = ["parallel", "reduction"]}
      ins(%y, %w : memref<?xf32>, memref<?xf32>) outs(%o : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %out, %p : f32
    linalg.yield %s : f32
  }
  return
}

// The outputs of several sequences are summed as each is alone, in lanes over what it sums.
// CHECK-LABEL: func.func @sequences
// CHECK-NOT: vector.load %arg0
// CHECK: vector.load %arg1
// CHECK: return
func.func @sequences(%y: memref<?xf32>, %w: memref<?xf32>, %o: memref<?xf32>) {
  linalg.generic {indexing_maps = [#bj_b, #bj_j, #bj_b], iterator_types = ["parallel", "reduction"]}
      ins(%y, %w : memref<?xf32>, memref<?xf32>) outs(%o : memref<?xf32>)
      attrs = {qkv.batch = 0 : i64} {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %out, %p : f32
    linalg.yield %s : f32
  }
  return
}

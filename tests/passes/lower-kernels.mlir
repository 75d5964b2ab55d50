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

// x W: rows of 4, 4 vectors of outputs.
// CHECK-LABEL: func.func @product
// CHECK: %{{.*}}:16 = scf.for
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

// RUN: %opt %s --passes 'func.func(qkv-lower-kernels{cpu=skylake-avx512},canonicalize,cse)' --split-input-file | FileCheck %s
// RUN: %opt %s --passes 'func.func(qkv-lower-kernels{cpu=haswell},canonicalize,cse)' --split-input-file | FileCheck %s --check-prefix=AVX2

// A matrix of 2 MB that each round of a recurrence reads again: odd rounds take its panels from
// the last to the first, each from its first position; two at once, for there is one row. The
// panels' numbers and the places in them are still known from where the tile begins.
// CHECK-LABEL: func.func @recurrence
// CHECK: scf.for %[[T:.*]] = %c0 to %c8 step %c1 {
// CHECK: %[[ODD:.*]] = arith.andi %[[T]], %c1
// CHECK: %[[BACK:.*]] = arith.cmpi ne, %[[ODD]], %c0
// CHECK: scf.forall (%[[AT:.*]]) = (0) to (1024) step (128) {
// CHECK: %[[MIRRORED:.*]] = arith.subi %c896, %[[AT]]
// CHECK: %[[O:.*]] = arith.select %[[BACK]], %[[MIRRORED]], %[[AT]]
// CHECK: %[[SUMS:.*]]:8 = scf.for %[[C:.*]] = %c0 to %c512 step %c1
// CHECK: %[[PANEL:.*]] = arith.divui %[[O]], %c64
// CHECK: %[[NEXT:.*]] = arith.addi %[[PANEL]], %c1
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c0]
// CHECK: vector.load %arg1[%[[PANEL]], %[[C]], %c48]
// CHECK: vector.load %arg1[%[[NEXT]], %[[C]], %c0]
// CHECK: vector.load %arg1[%[[NEXT]], %[[C]], %c48]
// CHECK: vector.store %[[SUMS]]#0, %{{.*}}[%[[O]]]
// CHECK: return
func.func @recurrence(%x: memref<8x512xf32>, %w: memref<16x512x64xf32>, %y: memref<8x1024xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %t = %c0 to %c8 step %c1 {
    %xt = memref.subview %x[%t, 0] [1, 512] [1, 1] : memref<8x512xf32> to memref<512xf32, strided<[1], offset: ?>>
    %yt = memref.subview %y[%t, 0] [1, 1024] [1, 1] : memref<8x1024xf32> to memref<1024xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(o, c) -> (c)>, affine_map<(o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(o, c) -> (o)>], iterator_types = ["parallel", "reduction"]}
        ins(%xt, %w : memref<512xf32, strided<[1], offset: ?>>, memref<16x512x64xf32>) outs(%yt : memref<1024xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %r = math.fma %a, %b, %out : f32
      linalg.yield %r : f32
    }
  }
  return
}

// -----

// What the second cache holds is taken in one direction. (Here it is 1 MB; haswell's 256 KB.)
// CHECK-LABEL: func.func @held
// CHECK-NOT: arith.select
// CHECK: return
// AVX2-LABEL: func.func @held
// AVX2: arith.select
// AVX2: return
func.func @held(%x: memref<512xf32>, %w: memref<4x512x64xf32>, %y: memref<8x256xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %t = %c0 to %c8 step %c1 {
    %yt = memref.subview %y[%t, 0] [1, 256] [1, 1] : memref<8x256xf32> to memref<256xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(o, c) -> (c)>, affine_map<(o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(o, c) -> (o)>], iterator_types = ["parallel", "reduction"]}
        ins(%x, %w : memref<512xf32>, memref<4x512x64xf32>) outs(%yt : memref<256xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %r = math.fma %a, %b, %out : f32
      linalg.yield %r : f32
    }
  }
  return
}

// -----

// A matrix is asked for eight rounds ahead, a line once (two vectors of 16 bits), for all rows of
// a tile; a kernel behind the tile has what it reads asked for before the sums.
// CHECK-LABEL: func.func @ahead
// CHECK: memref.prefetch %arg2[%{{.*}}, %{{.*}}], read, locality<3>
// CHECK: scf.for %[[C:.*]] = %c0 to %c512 step %c1
// CHECK: %[[LATER:.*]] = arith.addi %[[C]], %c8
// CHECK: memref.prefetch %arg1[%[[PANEL:.*]], %[[LATER]], %c0]
// CHECK: memref.prefetch %arg1[%[[PANEL]], %[[LATER]], %c32]
// CHECK-NOT: memref.prefetch
// CHECK: scf.yield
// CHECK: return
func.func @ahead(%x: memref<6x512xf32>, %w: memref<2x512x64xbf16>, %r: memref<6x128xf32>, %y: memref<6x128xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%zero : f32) outs(%y : memref<6x128xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, o, c) -> (i, c)>, affine_map<(i, o, c) -> (o floordiv 64, c, o mod 64)>, affine_map<(i, o, c) -> (i, o)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<6x512xf32>, memref<2x512x64xbf16>) outs(%y : memref<6x128xf32>) {
  ^bb0(%a: f32, %b: bf16, %out: f32):
    %wide = arith.extf %b : bf16 to f32
    %s = math.fma %a, %wide, %out : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%y, %r : memref<6x128xf32>, memref<6x128xf32>) outs(%y : memref<6x128xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// Where a condition of the vector letter changes, its loop is divided; on either side the body has
// no condition, and what is read by it lies beside each other. (The halves of a rotary position.)
// CHECK-LABEL: func.func @halves
// CHECK: scf.for %[[A:.*]] = %c0 to %c32 step %c16
// CHECK: %[[LATER:.*]] = arith.addi %[[A]], %c32
// CHECK: vector.load %arg0[%{{.*}}, %[[LATER]]]
// CHECK: arith.negf
// CHECK: scf.for %[[B:.*]] = %c32 to %c64 step %c16
// CHECK: %[[BEFORE:.*]] = arith.subi %[[B]], %c32
// CHECK: vector.load %arg0[%{{.*}}, %[[BEFORE]]]
// CHECK-NOT: arith.negf
// CHECK-NOT: gather
// CHECK-NOT: select
// CHECK: return
func.func @halves(%x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c63 = arith.constant 63 : index
  linalg.generic {indexing_maps = [affine_map<(i, d) -> (i, d)>], iterator_types = ["parallel", "parallel"]}
      outs(%y : memref<?x64xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %d = linalg.index 1 : index
    %first = arith.cmpi slt, %d, %c32 : index
    %up = arith.addi %d, %c32 : index
    %clampedUp = arith.minsi %up, %c63 : index
    %later = memref.load %x[%i, %clampedUp] : memref<?x64xf32>
    %negative = arith.negf %later : f32
    %down = arith.subi %d, %c32 : index
    %clampedDown = arith.maxsi %down, %c0 : index
    %before = memref.load %x[%i, %clampedDown] : memref<?x64xf32>
    %r = arith.select %first, %negative, %before : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Rows of all sequences are rows of a tile: panels are the outer loop, and each is read for all of
// them. A full tile of rows asks, in each round, for a line of the panel behind: another one than
// the tile before.
// CHECK-LABEL: func.func @rows
// CHECK: %[[S:.*]] = memref.dim %arg0, %c0
// CHECK: %[[T:.*]] = memref.dim %arg0, %c1
// CHECK: arith.muli %[[S]], %[[T]]
// CHECK: scf.forall (%{{.*}}) = (0) to (2048) step (64)
// CHECK-NOT: scf.for {{.*}} to %[[S]]
// CHECK: scf.for %[[ROW:.*]] = %c0 to %{{.*}} step %c6
// CHECK: %[[SEQUENCE:.*]] = arith.divui %[[ROW]], %[[T]]
// CHECK: %[[PASSED:.*]] = arith.muli %[[SEQUENCE]], %[[T]]
// CHECK: %[[POSITION:.*]] = arith.subi %[[ROW]], %[[PASSED]]
// CHECK: %[[TILE:.*]] = arith.divui %[[ROW]], %c6
// CHECK: scf.for %[[C:.*]] = %c0 to %c512 step %c1
// CHECK: memref.prefetch %arg1[{{.*}}], read, locality<3>
// CHECK: %[[LINE:.*]] = arith.remui %[[TILE]], %c4
// CHECK: memref.prefetch %arg1[%{{.*}}, %[[C]], %{{.*}}], read, locality<2>
// CHECK: vector.load %arg1
func.func @rows(%x: memref<?x?x512xf32>, %w: memref<32x512x64xf32>, %o: memref<?x?x2048xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%o : memref<?x?x2048xf32>)
  linalg.generic {qkv.batch = 0 : i64, indexing_maps = [
      affine_map<(s, i, o, c) -> (s, i, c)>,
      affine_map<(s, i, o, c) -> (o floordiv 64, c, o mod 64)>,
      affine_map<(s, i, o, c) -> (s, i, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : memref<?x?x512xf32>, memref<32x512x64xf32>) outs(%o : memref<?x?x2048xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %r = math.fma %a, %b, %out : f32
      linalg.yield %r : f32
    }
  return
}

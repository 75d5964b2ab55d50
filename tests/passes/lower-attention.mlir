// RUN: %opt %s --passes 'func.func(qkv-lower-attention{cpu=skylake-avx512},cse,canonicalize)' | FileCheck %s
// RUN: %opt %s --passes 'func.func(qkv-lower-attention{cpu=haswell},cse,canonicalize)' | FileCheck %s --check-prefix=AVX2

// Keys are packed into vectors of lanes, as many heads at a time as stay in cache; then a tile of
// rows is a round of a parallel loop. Its keys stream by: skipped where no element takes part,
// without a mask where all do, by groups of eight rows and then by slices of 16 keys.
// Scores are in no buffer but a scratch for eight rows.
// CHECK-LABEL: func.func @causal
// Few rows turn a block of keys into lanes where they read it; of more all keys are packed before.
// CHECK: %[[FEW:.*]] = arith.cmpi ult
// CHECK: scf.if %[[FEW]]
// CHECK: scf.forall
// CHECK: %[[BLOCK:.*]] = memref.alloca() {{.*}} : memref<1x4x64x16xf32>
// CHECK: scf.while
// CHECK: memref.prefetch
// CHECK: vector.shuffle
// CHECK: vector.store {{.*}}, %[[BLOCK]]
// CHECK: vector.load %[[BLOCK]]
// CHECK: memref.prefetch
// CHECK: } else {
// CHECK: arith.divui %c524288
// CHECK: %[[ROOM:.*]] = arith.select %{{.*}}, %{{.*}}, %c0
// CHECK: %[[PACKED:.*]] = memref.alloc(%[[ROOM]], %{{.*}}) {{.*}} : memref<?x?x64x16xf32>
// CHECK: scf.for
// CHECK: scf.forall
// CHECK: vector.shuffle
// CHECK: vector.store {{.*}}, %[[PACKED]]
// CHECK-NOT: memref.alloc(
// CHECK: scf.forall
// CHECK: %[[SCRATCH:.*]] = memref.alloca() {{.*}} : memref<8x64xf32>
// A tile whose outputs are not all finite is computed again, with care.
// CHECK: scf.while (%[[CAREFUL:.*]] = %false)
// CHECK: scf.for
// CHECK: %[[ANY:.*]] = arith.cmpi sle
// CHECK: scf.if %[[ANY]]
// CHECK: %[[ALL:.*]] = arith.cmpi sle
// CHECK: %[[WHOLE:.*]] = arith.andi %[[ALL]]
// The whole block: a dot product of eight rows with two vectors of keys in registers.
// CHECK: scf.if %[[WHOLE]]
// CHECK-NOT: vector.create_mask
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>
// CHECK: vector.load %[[PACKED]]
// CHECK-COUNT-16: math.fma
// CHECK-NEXT: scf.yield
// CHECK: vector.store {{.*}}, %[[SCRATCH]]
// CHECK: } else {
// Slices of the block, then a vector of keys at a time.
// CHECK-COUNT-3: arith.cmpi sle
// CHECK: vector.create_mask
// CHECK-COUNT-8: math.fma
// CHECK-NEXT: scf.yield
// CHECK: arith.select
// CHECK: vector.store {{.*}}, %[[SCRATCH]]
// CHECK: vector.reduction <maxnumf>
// The output is read once there is something in it.
// CHECK: scf.if %{{.*}} -> (vector<16xf32>
// With care a value that is not finite is 0 where its weight is.
// CHECK: scf.if %[[CAREFUL]] -> (vector<16xf32>
// CHECK: arith.cmpf uno
// CHECK: } else {
// CHECK-NOT: arith.cmpf
// CHECK: scf.yield
// CHECK: scf.condition
// CHECK: memref.dealloc %[[PACKED]]

// With half the registers groups have half the rows.
// AVX2-LABEL: func.func @causal
// AVX2: scf.forall
// AVX2: scf.forall
// AVX2: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>
// AVX2-COUNT-8: math.fma
// AVX2-NEXT: scf.yield
func.func @causal(%context: !llvm.ptr, %q: memref<3x?x64xf32>, %k: memref<3x?x64xf32>,
                  %v: memref<3x?x64xf32>, %o: memref<3x?x64xf32>, %n: index) {
  %c3 = arith.constant 3 : index
  %c64 = arith.constant 64 : index
  qkv.attention outer(%c3) rows(%n) keys(%n) values(%v : memref<3x?x64xf32>)
      outs(%o : memref<3x?x64xf32>)
      attributes {value_maps = [affine_map<(h, j, e) -> (h, j, e)>],
                  output_maps = [affine_map<(h, i, e) -> (h, i, e)>]} {
  ^bb0(%h: index, %i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %dot = qkv.reduce "sum"(%c64) {
    ^bb0(%d: index):
      %a = memref.load %q[%h, %i, %d] : memref<3x?x64xf32>
      %b = memref.load %k[%h, %j, %d] : memref<3x?x64xf32>
      %ab = arith.mulf %a, %b : f32
      qkv.yield %ab : f32
    }
    %part = arith.cmpi sle, %j, %i : index
    %any = arith.cmpi sle, %j0, %i1 : index
    %all = arith.cmpi sle, %j1, %i0 : index
    qkv.score %dot, %part, %any, %all
  }
  return
}

// Of rows that are few for certain there is the one form: nothing is packed for all keys, and nothing
// is done where there is no row.
// CHECK-LABEL: func.func @few
// CHECK-NOT: memref.alloc(
// CHECK: %[[SOME:.*]] = arith.cmpi ult
// CHECK: scf.if %[[SOME]]
// CHECK: scf.forall
// CHECK-NOT: memref.alloc(
// CHECK-NOT: scf.forall
// CHECK: return
func.func @few(%context: !llvm.ptr, %q: memref<3x?x64xf32>, %k: memref<3x?x64xf32>,
                  %v: memref<3x?x64xf32>, %o: memref<3x?x64xf32>, %n: index) {
  %c3 = arith.constant 3 : index
  %c64 = arith.constant 64 : index
  qkv.attention outer(%c3) rows(%n) keys(%n) values(%v : memref<3x?x64xf32>)
      outs(%o : memref<3x?x64xf32>)
      attributes {qkv.most_rows = 8 : i64, value_maps = [affine_map<(h, j, e) -> (h, j, e)>],
                  output_maps = [affine_map<(h, i, e) -> (h, i, e)>]} {
  ^bb0(%h: index, %i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %dot = qkv.reduce "sum"(%c64) {
    ^bb0(%d: index):
      %a = memref.load %q[%h, %i, %d] : memref<3x?x64xf32>
      %b = memref.load %k[%h, %j, %d] : memref<3x?x64xf32>
      %ab = arith.mulf %a, %b : f32
      qkv.yield %ab : f32
    }
    %part = arith.cmpi sle, %j, %i : index
    %any = arith.cmpi sle, %j0, %i1 : index
    %all = arith.cmpi sle, %j1, %i0 : index
    qkv.score %dot, %part, %any, %all
  }
  return
}

// A score without a sum over keys' letters reads what is contiguous in place; the last block alone
// is masked.
// CHECK-LABEL: func.func @table
// CHECK-NOT: memref.alloc(
// CHECK: scf.forall
// CHECK: %[[WHOLE:.*]] = arith.cmpi uge
// CHECK: scf.if %[[WHOLE]]
// CHECK: vector.load %{{.*}} : memref<?x?xf32>, vector<16xf32>
// CHECK: vector.maskedload
func.func @table(%context: !llvm.ptr, %s: memref<?x?xf32>, %v: memref<?x20xf32>,
                 %o: memref<?x20xf32>, %m: index, %n: index) {
  %yes = arith.constant true
  qkv.attention rows(%m) keys(%n) values(%v : memref<?x20xf32>) outs(%o : memref<?x20xf32>)
      attributes {value_maps = [affine_map<(j, e) -> (j, e)>],
                  output_maps = [affine_map<(i, e) -> (i, e)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %a = memref.load %s[%i, %j] : memref<?x?xf32>
    qkv.score %a, %yes, %yes, %yes
  }
  return
}

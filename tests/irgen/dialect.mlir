// RUN: %opt %s | %opt | FileCheck %s
// What the dialect prints parses back.

// CHECK-LABEL: func.func @check
// CHECK: qkv.check %{{.*}}, %{{.*}}, %{{.*}} {kind = 0 : i32, site = 3 : i32} : !llvm.ptr
func.func @check(%context: !llvm.ptr, %value: i64, %bound: i64) {
  qkv.check %context, %value, %bound {site = 3 : i32, kind = 0 : i32} : !llvm.ptr
  return
}

// CHECK-LABEL: func.func @attention
// CHECK: qkv.attention outer(%{{.*}}) rows(%{{.*}}) keys(%{{.*}}) values(%{{.*}} : memref<4x?x80xf32>)
// CHECK-SAME: outs(%{{.*}} : memref<?x4x80xf32>)
// CHECK: qkv.reduce "sum"(%{{.*}}) {
// CHECK: qkv.yield
// CHECK: qkv.score
func.func @attention(%q: memref<4x?x64xf32>, %k: memref<4x?x64xf32>, %v: memref<4x?x80xf32>,
                     %o: memref<?x4x80xf32>, %heads: index, %n: index, %c64: index) {
  qkv.attention outer(%heads) rows(%n) keys(%n) values(%v : memref<4x?x80xf32>)
      outs(%o : memref<?x4x80xf32>)
      attributes {value_maps = [affine_map<(h, j, e) -> (h, j, e)>],
                  output_maps = [affine_map<(h, i, e) -> (i, h, e)>]} {
  ^bb0(%h: index, %i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %dot = qkv.reduce "sum"(%c64) {
    ^bb0(%d: index):
      %a = memref.load %q[%h, %i, %d] : memref<4x?x64xf32>
      %b = memref.load %k[%h, %j, %d] : memref<4x?x64xf32>
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

// Two values, the second by its own factor and read at a place; the logarithm of the sums.
// CHECK-LABEL: func.func @values
// CHECK: qkv.attention rows(%{{.*}}) keys(%{{.*}}) values(%{{.*}}, %{{.*}} : memref<?x8xf32>, memref<9x8xf32>)
// CHECK-SAME: outs(%{{.*}}, %{{.*}}, %{{.*}} : memref<?x8xf32>, memref<?x8xf32>, memref<?xf32>)
// CHECK: qkv.score %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} factors(%{{.*}}, %{{.*}}) places(%{{.*}}, %{{.*}})
func.func @values(%s: memref<?x?xf32>, %v: memref<?x8xf32>, %near: memref<9x8xf32>,
                  %a: memref<?x8xf32>, %b: memref<?x8xf32>, %l: memref<?xf32>, %n: index) {
  qkv.attention rows(%n) keys(%n) values(%v, %near : memref<?x8xf32>, memref<9x8xf32>)
      outs(%a, %b, %l : memref<?x8xf32>, memref<?x8xf32>, memref<?xf32>)
      attributes {value_maps = [affine_map<(j, e) -> (j, e)>, affine_map<(j, e) -> (j, e)>],
                  output_maps = [affine_map<(i, e) -> (i, e)>, affine_map<(i, e) -> (i, e)>,
                                 affine_map<(i) -> (i)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %one = arith.constant 1.0 : f32
    %half = arith.constant 0.5 : f32
    %c8 = arith.constant 8 : index
    %score = memref.load %s[%i, %j] : memref<?x?xf32>
    %place = arith.minui %j, %c8 : index
    qkv.score %score, %true, %true, %true factors(%one, %half) places(%j, %place)
  }
  return
}

// CHECK-LABEL: func.func @log_sum
// CHECK: qkv.attention rows(%{{.*}}) keys(%{{.*}}) outs(%{{.*}} : memref<?xf32>)
func.func @log_sum(%s: memref<?x?xf32>, %l: memref<?xf32>, %n: index) {
  qkv.attention rows(%n) keys(%n) outs(%l : memref<?xf32>)
      attributes {value_maps = [], output_maps = [affine_map<(i) -> (i)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    %true = arith.constant true
    %score = memref.load %s[%i, %j] : memref<?x?xf32>
    qkv.score %score, %true, %true, %true
  }
  return
}

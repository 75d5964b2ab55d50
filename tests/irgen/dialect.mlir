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

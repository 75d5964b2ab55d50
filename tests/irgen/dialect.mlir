// RUN: %opt %s | %opt | FileCheck %s
// What the dialect prints parses back.

// CHECK-LABEL: func.func @check
// CHECK: qkv.check %{{.*}}, %{{.*}}, %{{.*}} {kind = 0 : i32, site = 3 : i32} : !llvm.ptr
func.func @check(%context: !llvm.ptr, %value: i64, %bound: i64) {
  qkv.check %context, %value, %bound {site = 3 : i32, kind = 0 : i32} : !llvm.ptr
  return
}

// CHECK-LABEL: func.func @attention
// CHECK: qkv.attention queries(%{{.*}} : memref<?x64xf32>)
// CHECK-SAME: keys(%{{.*}} : memref<?x64x64xbf16>)
// CHECK: qkv.score
func.func @attention(%q: memref<?x64xf32>, %offsets: memref<?xindex>, %positions: memref<?xindex>,
                     %low: memref<?xindex>, %high: memref<?xindex>, %tables: memref<?x?xindex>,
                     %k: memref<?x64x64xbf16>, %v: memref<?x64x80xbf16>, %o: memref<?x80xf32>,
                     %scale: f32) {
  qkv.attention queries(%q : memref<?x64xf32>)
      rows(%offsets : memref<?xindex>, %positions : memref<?xindex>)
      range(%low : memref<?xindex>, %high : memref<?xindex>) tables(%tables : memref<?x?xindex>)
      keys(%k : memref<?x64x64xbf16>) values(%v : memref<?x64x80xbf16>)
      results(%o : memref<?x80xf32>) {
  ^bb0(%dot: f32, %i: index, %j: index):
    %scaled = arith.mulf %dot, %scale : f32
    %causal = arith.cmpi sle, %j, %i : index
    qkv.score %scaled, %causal
  }
  return
}

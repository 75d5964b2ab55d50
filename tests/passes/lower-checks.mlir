// RUN: %opt %s --passes qkv-lower-checks | FileCheck %s

// CHECK-LABEL: func.func @checks(%arg0: !llvm.ptr, %arg1: i64, %arg2: i64)
func.func @checks(%ctx: !llvm.ptr, %value: i64, %bound: i64) {
  // Below 0 is beyond every bound without a sign.
  // CHECK: %[[OUTSIDE:.*]] = arith.cmpi uge, %arg1, %arg2 : i64
  // CHECK-NEXT: scf.if %[[OUTSIDE]] {
  // CHECK-NEXT: %[[SITE:.*]] = arith.constant 7 : i32
  // CHECK-NEXT: func.call @qkv_check_failed(%arg0, %[[SITE]], %arg1, %arg2)
  qkv.check %ctx, %value, %bound {site = 7 : i32, kind = 0 : i32} : !llvm.ptr
  // CHECK: arith.cmpi eq, %arg1, %{{.*}} : i64
  qkv.check %ctx, %value, %bound {site = 8 : i32, kind = 1 : i32} : !llvm.ptr
  return
}
// CHECK: func.func private @qkv_check_failed(!llvm.ptr, i32, i64, i64)

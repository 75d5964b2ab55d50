// RUN: %opt %s --passes qkv-outline-parallel | FileCheck %s

// Rounds [begin, end) of the loop; constants are written again, the rest comes from memory.
// CHECK-LABEL: func.func private @threads.part0(%arg0: !llvm.ptr, %arg1: i64, %arg2: i64)
// CHECK: %[[VALUE:.*]] = arith.constant 2.000000e+00 : f32
// CHECK: llvm.load
// CHECK: scf.for
// CHECK: memref.store %[[VALUE]]

// CHECK-LABEL: func.func @threads
// CHECK: llvm.alloca
// CHECK: %[[COUNT:.*]] = arith.index_cast %{{.*}} : index to i64
// CHECK: %[[GRAIN:.*]] = arith.constant 5 : i64
// CHECK: call @qkv_parallel_for(%arg0, %[[COUNT]], %[[GRAIN]], %{{.*}}, %{{.*}})
func.func @threads(%ctx: !llvm.ptr, %n: index, %a: memref<?xf32>) {
  %two = arith.constant 2.0 : f32
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32>
  } {qkv.grain = 5 : i64}
  return
}

// Without a context there is nobody to ask for threads.
// CHECK-LABEL: func.func @alone
// CHECK-NOT: call
// CHECK: scf.for
func.func @alone(%n: index, %a: memref<?xf32>) {
  %two = arith.constant 2.0 : f32
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32>
  } {qkv.grain = 5 : i64}
  return
}

// A buffer whose type says all but its place is handed over as a pointer.
// CHECK-LABEL: func.func private @known.part
// CHECK: llvm.getelementptr %arg0[0, 0] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(ptr)>
// CHECK: builtin.unrealized_conversion_cast %{{.*}} to memref<64xf32>
func.func @known(%ctx: !llvm.ptr, %a: memref<64xf32>) {
  %two = arith.constant 2.0 : f32
  scf.forall (%i) = (0) to (64) step (4) {
    memref.store %two, %a[%i] : memref<64xf32>
  } {qkv.grain = 5 : i64}
  return
}

// What two entries compute by the same code, of the same lines, is one function; another number is
// other code, and another line has its own.
#here = loc("m.qkv":3:1)
#there = loc("m.qkv":4:1)
// CHECK-LABEL: func.func @one
// CHECK: constant @one.part[[PART:[0-9]+]]
func.func @one(%ctx: !llvm.ptr, %n: index, %a: memref<?xf32>) {
  %two = arith.constant 2.0 : f32 loc(#here)
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32> loc(#here)
  } {qkv.grain = 5 : i64} loc(#here)
  return
}

// CHECK-LABEL: func.func @same
// CHECK: constant @one.part[[PART]]
func.func @same(%ctx: !llvm.ptr, %n: index, %a: memref<?xf32>) {
  %two = arith.constant 2.0 : f32 loc(#here)
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32> loc(#here)
  } {qkv.grain = 5 : i64} loc(#here)
  return
}

// CHECK-LABEL: func.func @number
// CHECK: constant @number.part
func.func @number(%ctx: !llvm.ptr, %n: index, %a: memref<?xf32>) {
  %two = arith.constant 3.0 : f32 loc(#here)
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32> loc(#here)
  } {qkv.grain = 5 : i64} loc(#here)
  return
}

// CHECK-LABEL: func.func @line
// CHECK: constant @line.part
func.func @line(%ctx: !llvm.ptr, %n: index, %a: memref<?xf32>) {
  %two = arith.constant 2.0 : f32 loc(#here)
  scf.forall (%i) = (0) to (%n) step (4) {
    memref.store %two, %a[%i] : memref<?xf32> loc(#there)
  } {qkv.grain = 5 : i64} loc(#here)
  return
}

// A loop inside of another: the record of its call is one of each thread, not of all.
// CHECK-LABEL: func.func private @nested.part
// CHECK-NOT: llvm.alloca
// CHECK-LABEL: func.func private @nested.part
// CHECK: llvm.alloca
// CHECK: scf.for
// CHECK-NOT: llvm.alloca
// CHECK: call @qkv_parallel_for
// CHECK-LABEL: func.func @nested
// CHECK: llvm.alloca
// CHECK-NOT: llvm.alloca
// CHECK: call @qkv_parallel_for
func.func @nested(%ctx: !llvm.ptr, %n: index, %a: memref<?x?xf32>) {
  %two = arith.constant 2.0 : f32
  scf.forall (%i) = (0) to (%n) step (1) {
    scf.forall (%j) = (0) to (%n) step (1) {
      memref.store %two, %a[%i, %j] : memref<?x?xf32>
    } {qkv.grain = 5 : i64}
  } {qkv.grain = 1 : i64}
  return
}

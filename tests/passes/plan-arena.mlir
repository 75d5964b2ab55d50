// RUN: %opt %s --passes 'qkv-plan-arena,func.func(cse,canonicalize)' | FileCheck %s

func.func private @use(memref<?xf32>)
func.func private @use8(memref<8xf32>)
func.func private @use16(memref<?x16xf32>)

// Not alive at once: one place. Alive at once: one above the other, rounded to 64 bytes.
// CHECK-LABEL: func.func @fixed()
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
// CHECK: %[[ARENA:.*]] = memref.alloc() : memref<128xi8>
// CHECK: %[[A:.*]] = memref.view %[[ARENA]][%[[C0]]][] : memref<128xi8> to memref<8xf32>
// CHECK: %[[B:.*]] = memref.view %[[ARENA]][%[[C64]]][] : memref<128xi8> to memref<8xf32>
// CHECK-NEXT: call @use8(%[[A]])
// CHECK-NEXT: call @use8(%[[B]])
// CHECK-NEXT: call @use8(%[[B]])
// CHECK-NEXT: call @use8(%[[A]])
// CHECK-NEXT: memref.dealloc %[[ARENA]]
// CHECK-NOT: memref.dealloc
func.func @fixed() attributes {qkv.entry} {
  %a = memref.alloc() : memref<8xf32>
  %b = memref.alloc() : memref<8xf32>
  func.call @use8(%a) : (memref<8xf32>) -> ()
  func.call @use8(%b) : (memref<8xf32>) -> ()
  memref.dealloc %a : memref<8xf32>
  %c = memref.alloc() : memref<8xf32>
  func.call @use8(%b) : (memref<8xf32>) -> ()
  func.call @use8(%c) : (memref<8xf32>) -> ()
  memref.dealloc %c : memref<8xf32>
  memref.dealloc %b : memref<8xf32>
  return
}

// Sizes of the run: %b above %a, and %c above whatever ends last of what it meets.
// CHECK-LABEL: func.func @dynamic(
// CHECK-SAME: %[[N:.*]]: index, %[[M:.*]]: index
// CHECK: %[[A:.*]] = arith.muli %[[N]], %{{.*}} : index
// CHECK: %[[B:.*]] = arith.muli %[[M]], %{{.*}} : index
// CHECK: %[[SUM:.*]] = arith.addi
// CHECK: memref.alloc(%[[SUM]]) : memref<?xi8>
func.func @dynamic(%n: index, %m: index) attributes {qkv.entry} {
  %a = memref.alloc(%n) : memref<?x16xf32>
  %b = memref.alloc(%m) : memref<?x16xf32>
  %v = memref.subview %a[0, 0] [%n, 1] [1, 1] : memref<?x16xf32> to memref<?xf32, strided<[16]>>
  %w = memref.subview %b[0, 0] [%m, 1] [1, 1] : memref<?x16xf32> to memref<?xf32, strided<[16]>>
  memref.copy %v, %w : memref<?xf32, strided<[16]>> to memref<?xf32, strided<[16]>>
  memref.dealloc %a : memref<?x16xf32>
  memref.dealloc %b : memref<?x16xf32>
  return
}

// A callee's part comes from the caller: above %a, and once for both calls, which are not
// alive at once.
// CHECK-LABEL: func.func @calls(
// CHECK-SAME: %[[N:.*]]: index
// CHECK: %[[PART:.*]] = call @layer.arena(%[[N]]) : (index) -> index
// CHECK-NOT: @layer.arena
// CHECK: %[[ALL:.*]] = arith.addi
// CHECK: %[[ARENA:.*]] = memref.alloc(%[[ALL]]) : memref<?xi8>
// CHECK: call @layer(%{{.*}}, %{{.*}}) : (memref<?xf32>, memref<?xi8>) -> ()
// CHECK: call @layer(%{{.*}}, %{{.*}}) : (memref<?xf32>, memref<?xi8>) -> ()
func.func @calls(%n: index) attributes {qkv.entry} {
  %a = memref.alloc(%n) : memref<?xf32>
  func.call @layer(%a) : (memref<?xf32>) -> ()
  func.call @layer(%a) : (memref<?xf32>) -> ()
  memref.dealloc %a : memref<?xf32>
  return
}

// CHECK-LABEL: func.func private @layer(
// CHECK-SAME: %[[X:.*]]: memref<?xf32>, %[[ARENA:.*]]: memref<?xi8>
// CHECK-NOT: memref.alloc
// CHECK: memref.view %[[ARENA]]
// CHECK-NOT: memref.dealloc
// CHECK: func.func private @layer.arena(%[[N:.*]]: index) -> index
// CHECK: arith.muli
// CHECK: return
func.func private @layer(%x: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  %t = memref.alloc(%n) : memref<?xf32>
  memref.copy %x, %t : memref<?xf32> to memref<?xf32>
  func.call @use(%t) : (memref<?xf32>) -> ()
  memref.dealloc %t : memref<?xf32>
  return
}

// Left as they are: what is freed under another name, a size that the loop knows, a thread's own.
// CHECK-LABEL: func.func @others
// CHECK-COUNT-4: memref.alloc
func.func @others(%n: index, %c: i1) attributes {qkv.entry} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc(%n) : memref<?xf32>
  %b = memref.alloc(%n) : memref<?xf32>
  %one, %other = scf.if %c -> (memref<?xf32>, memref<?xf32>) {
    scf.yield %a, %b : memref<?xf32>, memref<?xf32>
  } else {
    scf.yield %b, %a : memref<?xf32>, memref<?xf32>
  }
  func.call @use(%one) : (memref<?xf32>) -> ()
  memref.dealloc %one : memref<?xf32>
  memref.dealloc %other : memref<?xf32>
  scf.for %i = %c0 to %n step %c1 {
    %d = memref.alloc(%i) : memref<?xf32>
    func.call @use(%d) : (memref<?xf32>) -> ()
    memref.dealloc %d : memref<?xf32>
  }
  scf.forall (%i) in (%n) {
    %d = memref.alloc(%n) : memref<?xf32>
    func.call @use(%d) : (memref<?xf32>) -> ()
    memref.dealloc %d : memref<?xf32>
  }
  return
}

// A size may come of a division: where the function begins, before what would keep zero from it,
// it divides by one at least.
// CHECK-LABEL: func.func @divided
// CHECK: arith.maxui %{{.*}}, %c1
// CHECK: arith.ceildivui
// CHECK-COUNT-1: memref.alloc
// CHECK-NOT: memref.alloc
// CHECK: return
func.func @divided(%n: index, %m: index) attributes {qkv.entry} {
  %size = arith.ceildivui %n, %m : index
  %a = memref.alloc(%size) : memref<?xf32>
  %b = memref.alloc(%size) : memref<?xf32>
  func.call @use(%a) : (memref<?xf32>) -> ()
  func.call @use(%b) : (memref<?xf32>) -> ()
  memref.dealloc %a : memref<?xf32>
  memref.dealloc %b : memref<?xf32>
  return
}

// Of a size that is a minimum its bound is enough, where the other operand is only known later.
// CHECK-LABEL: func.func @bounded
// CHECK-COUNT-1: memref.alloc
// CHECK-NOT: memref.alloc
// CHECK: %[[LEAST:.*]] = arith.minui
// CHECK: memref.view %{{.*}}[%{{.*}}][%[[LEAST]]] : memref<?xi8> to memref<?x16xf32>
// CHECK: return
func.func @bounded(%n: index, %counts: memref<4xindex>) attributes {qkv.entry} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %i = %c0 to %c4 step %c1 {
    %count = memref.load %counts[%i] : memref<4xindex>
    %least = arith.minui %count, %n : index
    %a = memref.alloc(%least) : memref<?x16xf32>
    func.call @use16(%a) : (memref<?x16xf32>) -> ()
    memref.dealloc %a : memref<?x16xf32>
  }
  return
}

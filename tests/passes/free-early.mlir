// RUN: %opt %s --passes 'func.func(qkv-free-early)' | FileCheck %s

func.func private @use(memref<?xf32>)

// Behind the last use, through a view; not before a use inside a loop ends.
// CHECK-LABEL: func.func @early
func.func @early(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: %[[A:.*]] = memref.alloc
  %a = memref.alloc(%n) : memref<?xf32>
  %view = memref.subview %a[0] [%c1] [1] : memref<?xf32> to memref<?xf32, strided<[1]>>
  %cast = memref.cast %view : memref<?xf32, strided<[1]>> to memref<?xf32>
  // CHECK: call @use
  // CHECK-NEXT: memref.dealloc %[[A]]
  func.call @use(%cast) : (memref<?xf32>) -> ()
  // CHECK: %[[B:.*]] = memref.alloc
  %b = memref.alloc(%n) : memref<?xf32>
  // CHECK: scf.for
  scf.for %i = %c0 to %n step %c1 {
    func.call @use(%b) : (memref<?xf32>) -> ()
  }
  // CHECK: }
  // CHECK-NEXT: memref.dealloc %[[B]]
  %c = memref.alloc(%n) : memref<?xf32>
  // CHECK: call @use
  func.call @use(%c) : (memref<?xf32>) -> ()
  memref.dealloc %a : memref<?xf32>
  memref.dealloc %b : memref<?xf32>
  memref.dealloc %c : memref<?xf32>
  return
}

// A buffer that a loop hands on is used as long as the loop's result is.
// CHECK-LABEL: func.func @handed
func.func @handed(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc(%n) : memref<?xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %a) -> memref<?xf32> {
    scf.yield %x : memref<?xf32>
  }
  // CHECK: memref.alloc
  // CHECK: call @use
  // CHECK-NEXT: memref.dealloc
  %b = memref.alloc(%n) : memref<?xf32>
  func.call @use(%r) : (memref<?xf32>) -> ()
  memref.dealloc %b : memref<?xf32>
  memref.dealloc %a : memref<?xf32>
  return
}

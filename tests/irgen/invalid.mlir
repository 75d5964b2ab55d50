// RUN: split-file %s %t
// RUN: not %opt %t/kind.mlir 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not %opt %t/blocks.mlir 2>&1 | FileCheck %s --check-prefix=BLOCKS
// RUN: not %opt %t/body.mlir 2>&1 | FileCheck %s --check-prefix=BODY
// RUN: not %opt %t/attribute.mlir 2>&1 | FileCheck %s --check-prefix=ATTRIBUTE

//--- kind.mlir
// KIND: error: 'qkv.check' op kind is 0 (index) or 1 (divisor), found 2
func.func @check(%context: !llvm.ptr, %value: i64) {
  qkv.check %context, %value, %value {site = 0 : i32, kind = 2 : i32} : !llvm.ptr
  return
}

//--- blocks.mlir
// BLOCKS: error: 'qkv.attention' op keys and values stand in blocks of 64 positions
func.func @attention(%q: memref<?x8xf32>, %n: memref<?xindex>, %t: memref<?x?xindex>,
                     %k: memref<?x8x32xf32>, %v: memref<?x64x8xf32>) {
  qkv.attention queries(%q : memref<?x8xf32>) rows(%n : memref<?xindex>, %n : memref<?xindex>)
      range(%n : memref<?xindex>, %n : memref<?xindex>) tables(%t : memref<?x?xindex>)
      keys(%k : memref<?x8x32xf32>) values(%v : memref<?x64x8xf32>) results(%q : memref<?x8xf32>) {
  ^bb0(%dot: f32, %i: index, %j: index):
    %true = arith.constant true
    qkv.score %dot, %true
  }
  return
}

//--- body.mlir
// BODY: error: 'qkv.attention' op the body takes a dot product (f32), the query's and the key's position
func.func @attention(%q: memref<?x8xf32>, %n: memref<?xindex>, %t: memref<?x?xindex>,
                     %k: memref<?x8x64xf32>, %v: memref<?x64x8xf32>) {
  qkv.attention queries(%q : memref<?x8xf32>) rows(%n : memref<?xindex>, %n : memref<?xindex>)
      range(%n : memref<?xindex>, %n : memref<?xindex>) tables(%t : memref<?x?xindex>)
      keys(%k : memref<?x8x64xf32>) values(%v : memref<?x64x8xf32>) results(%q : memref<?x8xf32>) {
  ^bb0(%dot: f32, %i: index):
    %true = arith.constant true
    qkv.score %dot, %true
  }
  return
}

//--- attribute.mlir
// ATTRIBUTE: error: {{.*}} has an attribute that the qkv dialect does not know: qkv.equations
func.func @f() attributes {qkv.equations = "x"} {
  return
}

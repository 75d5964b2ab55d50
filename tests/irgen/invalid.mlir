// RUN: split-file %s %t
// RUN: not %opt %t/kind.mlir 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not %opt %t/maps.mlir 2>&1 | FileCheck %s --check-prefix=MAPS
// RUN: not %opt %t/reduce.mlir 2>&1 | FileCheck %s --check-prefix=REDUCE
// RUN: not %opt %t/body.mlir 2>&1 | FileCheck %s --check-prefix=BODY
// RUN: not %opt %t/outputs.mlir 2>&1 | FileCheck %s --check-prefix=OUTPUTS
// RUN: not %opt %t/factors.mlir 2>&1 | FileCheck %s --check-prefix=FACTORS
// RUN: not %opt %t/attribute.mlir 2>&1 | FileCheck %s --check-prefix=ATTRIBUTE

//--- kind.mlir
// KIND: error: 'qkv.check' op kind is 0 (index) or 1 (divisor), found 2
func.func @check(%context: !llvm.ptr, %value: i64) {
  qkv.check %context, %value, %value {site = 0 : i32, kind = 2 : i32} : !llvm.ptr
  return
}

//--- maps.mlir
// MAPS: error: 'qkv.attention' op the last index of value 0 and its output is its last letter
func.func @attention(%v: memref<?x8xf32>, %n: index, %s: f32, %p: i1) {
  qkv.attention rows(%n) keys(%n) values(%v : memref<?x8xf32>) outs(%v : memref<?x8xf32>)
      attributes {value_maps = [affine_map<(j, e) -> (e, j)>],
                  output_maps = [affine_map<(i, e) -> (i, e)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    qkv.score %s, %p, %p, %p
  }
  return
}

//--- outputs.mlir
// OUTPUTS: error: 'qkv.attention' op an output a value and at most one more, with a map each
func.func @attention(%o: memref<?xf32>, %n: index, %s: f32, %p: i1) {
  qkv.attention rows(%n) keys(%n) outs(%o, %o : memref<?xf32>, memref<?xf32>)
      attributes {value_maps = [], output_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    qkv.score %s, %p, %p, %p
  }
  return
}

//--- factors.mlir
// FACTORS: error: 'qkv.attention' op a factor and a place for each value, or for none
func.func @attention(%v: memref<?x8xf32>, %n: index, %s: f32, %p: i1) {
  qkv.attention rows(%n) keys(%n) values(%v : memref<?x8xf32>) outs(%v : memref<?x8xf32>)
      attributes {value_maps = [affine_map<(j, e) -> (j, e)>],
                  output_maps = [affine_map<(i, e) -> (i, e)>]} {
  ^bb0(%i: index, %j: index, %i0: index, %i1: index, %j0: index, %j1: index):
    qkv.score %s, %p, %p, %p factors(%s, %s)
  }
  return
}

//--- body.mlir
// BODY: error: 'qkv.attention' op the body takes an index for each outer letter, the row's, the key's, and the bounds of a tile
func.func @attention(%v: memref<?x8xf32>, %n: index, %s: f32, %p: i1) {
  qkv.attention rows(%n) keys(%n) values(%v : memref<?x8xf32>) outs(%v : memref<?x8xf32>)
      attributes {value_maps = [affine_map<(j, e) -> (j, e)>],
                  output_maps = [affine_map<(i, e) -> (i, e)>]} {
  ^bb0(%i: index, %j: index):
    qkv.score %s, %p, %p, %p
  }
  return
}

//--- reduce.mlir
// REDUCE: error: 'qkv.reduce' op expects sum, max, min or prod, found mean
func.func @reduce(%n: index, %x: f32) -> f32 {
  %r = qkv.reduce "mean"(%n) {
  ^bb0(%i: index):
    qkv.yield %x : f32
  }
  return %r : f32
}

//--- attribute.mlir
// ATTRIBUTE: error: {{.*}} has an attribute that the qkv dialect does not know: qkv.sums
func.func @f() attributes {qkv.sums = "x"} {
  return
}

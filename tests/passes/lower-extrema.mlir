// RUN: %opt %s --passes 'func.func(qkv-lower-extrema)' | FileCheck %s

// CHECK-LABEL: func.func @extrema(%arg0: vector<8xf32>, %arg1: vector<8xf32>, %arg2: f32)
func.func @extrema(%a: vector<8xf32>, %b: vector<8xf32>, %x: f32) -> (vector<8xf32>, f32, f32) {
  // CHECK: %[[MORE:.*]] = arith.cmpf ogt, %arg1, %arg0 : vector<8xf32>
  // CHECK: arith.select %[[MORE]], %arg1, %arg0
  %0 = arith.maximumf %a, %b : vector<8xf32>
  %zero = arith.constant 0.0 : f32
  // CHECK: %[[LESS:.*]] = arith.cmpf olt, %[[ZERO:.*]], %arg2 : f32
  // CHECK: arith.select %[[LESS]], %[[ZERO]], %arg2
  %1 = arith.minnumf %x, %zero : f32
  %2 = arith.maxnumf %x, %zero : f32
  return %0, %1, %2 : vector<8xf32>, f32, f32
}

// CHECK-LABEL: func.func @integers
// CHECK: arith.maxsi
func.func @integers(%a: i64, %b: i64) -> i64 {
  %0 = arith.maxsi %a, %b : i64
  return %0 : i64
}

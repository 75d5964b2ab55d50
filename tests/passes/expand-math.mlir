// RUN: %opt %s --passes 'func.func(qkv-expand-math{cpu=x86-64-v3},canonicalize)' | FileCheck %s
// RUN: %opt %s --passes 'func.func(qkv-expand-math{cpu=x86-64},canonicalize)' | FileCheck %s --check-prefix=PLAIN

// CHECK-LABEL: func.func @functions
func.func @functions(%x: f32) -> (f32, f32, f32, f32) {
  // CHECK-NOT: math.exp
  // CHECK-NOT: math.tanh
  // CHECK: math.fma
  // PLAIN-LABEL: func.func @functions
  // PLAIN-NOT: math.fma
  %a = math.exp %x : f32
  %b = math.tanh %x : f32
  // CHECK: math.sqrt
  // CHECK: arith.divf
  %c = math.rsqrt %x : f32
  // Large angles are reduced apart, where there are any.
  // CHECK: arith.cmpf oge
  // CHECK: scf.if
  // CHECK-COUNT-8: math.roundeven %{{.*}} : f64
  // CHECK: } {qkv.rare}
  // CHECK-NOT: math.sin
  %d = math.sin %x : f32
  return %a, %b, %c, %d : f32, f32, f32, f32
}

// CHECK-LABEL: func.func @powers
func.func @powers(%x: f32, %y: f32) -> (f32, f32, f32) {
  %two = arith.constant 2.0 : f32
  %odd = arith.constant 2.3 : f32
  // CHECK: arith.mulf %[[X:.*]], %[[X]]
  %a = math.powf %x, %two : f32
  // Through the logarithm in f64; of a constant exponent nothing asks what kind it is.
  // CHECK: arith.extf
  // CHECK: math.fma %{{.*}} : f64
  // CHECK-NOT: math.copysign
  // CHECK: arith.cmpf uno
  %b = math.powf %x, %odd : f32
  // CHECK: math.fma %{{.*}} : f64
  // CHECK: math.copysign
  // CHECK-NOT: math.powf
  %c = math.powf %x, %y : f32
  // CHECK: return
  return %a, %b, %c : f32, f32, f32
}

// Tables in double precision are exact: libm's.
// CHECK-LABEL: func.func @doubles
// CHECK: math.exp %{{.*}} : f64
func.func @doubles(%x: f64) -> f64 {
  %a = math.exp %x : f64
  return %a : f64
}

// CHECK-LABEL: func.func @sums
// PLAIN-LABEL: func.func @sums
func.func @sums(%a: memref<8xf32>, %b: memref<8xf32>, %c: memref<f32>, %d: memref<f32>) {
  // CHECK: ^bb0(%[[X:.*]]: f32, %[[Y:.*]]: f32, %[[OUT:.*]]: f32):
  // CHECK-NEXT: math.fma %[[X]], %[[Y]], %[[OUT]] : f32
  // PLAIN: arith.mulf
  // PLAIN: arith.addf %{{[a-z0-9]*}}, %{{[a-z0-9]*}} : f32
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
      ins(%a, %b : memref<8xf32>, memref<8xf32>) outs(%c : memref<f32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %m = arith.mulf %x, %y fastmath<contract> : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  }
  // Not where the product is an element of its own,
  // CHECK: arith.mulf
  // CHECK-NEXT: arith.addf
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
      ins(%a, %b : memref<8xf32>, memref<8xf32>) outs(%d : memref<f32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %m = arith.mulf %x, %y : f32
    %r = arith.addf %out, %m fastmath<contract,reassoc> : f32
    linalg.yield %r : f32
  }
  // where the sum does not allow it, nor outside of a reduction.
  // CHECK: arith.mulf
  // CHECK-NEXT: arith.addf
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
      ins(%a, %b : memref<8xf32>, memref<8xf32>) outs(%d : memref<f32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %m = arith.mulf %x, %y : f32
    %r = arith.addf %out, %m : f32
    linalg.yield %r : f32
  }
  // CHECK: arith.mulf
  // CHECK-NEXT: arith.addf %{{[a-z0-9]*}}, %{{[a-z0-9]*}} : f32
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%a : memref<8xf32>) outs(%b : memref<8xf32>) {
  ^bb0(%x: f32, %out: f32):
    %m = arith.mulf %x, %x fastmath<contract> : f32
    %r = arith.addf %x, %m fastmath<contract> : f32
    linalg.yield %r : f32
  }
  return
}

// RUN: %opt %s --passes qkv-export-entries | FileCheck %s

// CHECK: func.func @entry(%{{.*}}: !llvm.ptr) attributes {llvm.emit_c_interface, qkv.entry}
func.func @entry(%ctx: !llvm.ptr) attributes {qkv.entry} { return }
// CHECK: func.func private @step(%{{.*}}: !llvm.ptr) {
func.func @step(%ctx: !llvm.ptr) { return }
// CHECK: func.func private @declared(i64)
func.func private @declared(i64)

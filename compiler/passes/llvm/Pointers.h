// Buffers as pointers, where the type alone says the rest of a descriptor.
//
// In: memrefs, before they are descriptors. Out: pointers, and memrefs made of them; both ways
// through casts that the conversion to the LLVM dialect resolves.
#pragma once

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/IR/BuiltinTypes.h"

namespace qkv {

/// Whether all extents and strides of a buffer's type are known, and nothing lies before it.
bool isPointer(mlir::Type type);

/// Where the elements of such a buffer are.
mlir::Value pointerTo(mlir::OpBuilder &builder, mlir::Location loc,
                      const mlir::LLVMTypeConverter &types, mlir::Value buffer);

/// The buffer of such a type whose elements are at `pointer`.
mlir::Value bufferAt(mlir::OpBuilder &builder, mlir::Location loc,
                     const mlir::LLVMTypeConverter &types, mlir::Type type, mlir::Value pointer);

} // namespace qkv

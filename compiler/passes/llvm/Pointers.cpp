// Buffers as pointers and back.
#include "compiler/passes/llvm/Pointers.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"

namespace qkv {

using namespace mlir;

bool isPointer(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  return buffer && buffer.hasStaticShape() && buffer.getLayout().isIdentity() &&
         !buffer.getMemorySpace();
}

Value pointerTo(OpBuilder &builder, Location loc, const LLVMTypeConverter &types, Value buffer) {
  Value descriptor =
      UnrealizedConversionCastOp::create(builder, loc, types.convertType(buffer.getType()), buffer)
          .getResult(0);
  return MemRefDescriptor(descriptor).alignedPtr(builder, loc);
}

Value bufferAt(OpBuilder &builder, Location loc, const LLVMTypeConverter &types, Type type,
               Value pointer) {
  Value descriptor =
      MemRefDescriptor::fromStaticShape(builder, loc, types, cast<MemRefType>(type), pointer);
  return UnrealizedConversionCastOp::create(builder, loc, type, descriptor).getResult(0);
}

} // namespace qkv

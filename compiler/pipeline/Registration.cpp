// Every pass of MLIR's that the pipeline names, and our own.
#include "compiler/pipeline/Registration.h"

#include "compiler/passes/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

#include <mutex>

namespace qkv {

void registerAllPasses() {
  static std::once_flag once;
  std::call_once(once, [] {
    mlir::registerTransformsPasses();
    mlir::registerConversionPasses();
    mlir::registerLinalgPasses();
    mlir::LLVM::registerLLVMPasses();
    mlir::bufferization::registerBufferizationPasses();
    mlir::memref::registerMemRefPasses();
    registerPasses();
  });
}

} // namespace qkv

// Checked equations -> the `graph` stage: qkv dialect and linalg on tensors, one op an
// equation (reductions split out), locations on the equations' spans.
#pragma once

#include "dsl/Program.h"
#include "runtime/qkv.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace qkv {

struct GenerateOptions {
  /// @NAME: the model's results.
  bool whole = true;
  /// Also @NAME.last: a generator's logits of the last position alone.
  bool lastPosition = true;
  /// Also @NAME.session, @NAME.step, ...: bits by qkv_part, of those that the model has.
  unsigned parts = 0;
  /// Also @NAME.batch (and @NAME.last.batch): several sequences of equal sizes at once. Their
  /// number comes before the dynamic sizes; inputs and results have it as their first axis.
  bool batch = false;
  /// Parameters that are contracted are held in panels of as many positions (qkv_held), which
  /// are vectors of `lanes`. 0: as checkpoints have them.
  int64_t panelWidth = 0, lanes = 1;
  /// How those that are contracted or gathered hold an element: a qkv_element.
  int32_t element = QKV_F32;
  /// How what grows from step to step holds a float.
  Half cache = Half::None;
  /// Softmax-weighted sums as one operation each.
  bool fuse = true;
  /// Also @NAME.trace: a program of the same inputs and parameters (compiler/trace); null: none.
  const Program *trace = nullptr;
};

/// The module of a program. Its attribute `qkv.description` holds everything a caller must
/// know (native/Description.h), so that any later stage's dump can be compiled on alone.
/// Contract with what follows:
///   func.func @NAME(%context: !llvm.ptr, %size...: index, %input...: tensor, %param...: tensor
///   {qkv.param},
///                   %result...: memref) attributes {qkv.entry}
/// Each result is written by bufferization.materialize_in_destination.
mlir::OwningOpRef<mlir::ModuleOp> generate(mlir::MLIRContext &context, const Program &program,
                                           const GenerateOptions &options = {});

} // namespace qkv

// The qkv dialect's classes (QkvOps.td).
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "compiler/dialect/QkvDialect.h.inc"

#define GET_OP_CLASSES
#include "compiler/dialect/QkvOps.h.inc"

namespace qkv {

/// Names of the dialect's attributes on operations of other dialects.
constexpr const char *descriptionAttribute = "qkv.description";
constexpr const char *entryAttribute = "qkv.entry";
/// An entry's argument: a parameter of the model.
constexpr const char *paramAttribute = "qkv.param";
constexpr const char *repeatAttribute = "qkv.repeat";
/// A function that is called once for each of several sequences.
constexpr const char *sequenceAttribute = "qkv.sequence";
constexpr const char *equationAttribute = "qkv.equation";
constexpr const char *equationsAttribute = "qkv.equations";
constexpr const char *whyAttribute = "qkv.why";
/// Rows that a qkv.attention has at most, where that is no more than a block.
constexpr const char *mostRowsAttribute = "qkv.most_rows";
/// The letter of a linalg.generic that is over the sequences of a batch.
constexpr const char *batchAttribute = "qkv.batch";
/// What a linalg.generic computes depends on no input: it is the same for all sequences.
constexpr const char *sharedAttribute = "qkv.shared";
/// The module: which stage it is, where its text was printed.
constexpr const char *stageAttribute = "qkv.stage";
constexpr const char *grainAttribute = "qkv.grain";
constexpr const char *rareAttribute = "qkv.rare";

} // namespace qkv

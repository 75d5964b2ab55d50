// In: elements as files store them. Out: elements as models use them (f32, i64, one byte bools).
// Holds: which conversions there are is rule T1 of the language.
#pragma once

#include "runtime/qkv.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qkv::rt {

/// Element types of checkpoints. From Q4_0 on elements are held in blocks (Blocks.h), which are
/// numbers for a model's floats. Other is a type that no model can read.
enum class Dtype : uint8_t {
  F64,
  F32,
  F16,
  BF16,
  I64,
  I32,
  I16,
  I8,
  U8,
  U16,
  U32,
  Bool,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
  NVFP4,
  TQ1_0,
  TQ2_0,
  Q1_0,
  Q2_0,
  Other
};

/// The type that a safetensors file names; Other when it is not in T1.
Dtype dtypeOf(std::string_view name);

/// How many elements lie in how many bytes, and cannot be read one without the others.
struct Block {
  int64_t elements = 1;
  int64_t bytes = 0; ///< 0 for Other
};
Block blockOf(Dtype type);

/// Bytes of `count` elements, which are whole blocks; -1 if they are none, or too many.
int64_t bytesOf(Block block, int64_t count);

/// Bytes of an element; 0 for Other, and for what is in blocks.
size_t dtypeSize(Dtype type);

/// The file's name for it.
const char *dtypeText(Dtype type);

/// Bytes of an element of a model's type (QKV_FLOAT, QKV_INT, ...).
size_t typeSize(int32_t type);

/// How a file stores a result of a model's type: F32, I64, BOOL.
Dtype storedType(int32_t type);

/// The file's types that a model's type accepts, for messages.
const char *acceptedText(int32_t type);

/// Whether T1 lets a model's type be read from a file's type.
bool accepts(int32_t type, Dtype from);

/// Whether the file's bytes are the model's bytes (bools are not: any byte may stand there).
bool sameBytes(int32_t type, Dtype from);

/// Converts `count` elements, whole blocks; `accepts(type, from)` holds. `source` may be unaligned.
void convertElements(int32_t type, void *target, Dtype from, const void *source, int64_t count);

} // namespace qkv::rt

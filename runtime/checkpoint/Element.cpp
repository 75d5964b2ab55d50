// In: elements as files store them. Out: elements as models use them. Holds: conversions are exact
// except F64 to f32, which rounds to nearest.
#include "runtime/checkpoint/Element.h"

#include "runtime/checkpoint/Blocks.h"

#include <cstring>

namespace qkv::rt {
namespace {

struct Row {
  const char *name;
  Block block;
};
constexpr Row rows[] = {
    {"F64", {1, 8}},      {"F32", {1, 4}},      {"F16", {1, 2}},      {"BF16", {1, 2}},
    {"I64", {1, 8}},      {"I32", {1, 4}},      {"I16", {1, 2}},      {"I8", {1, 1}},
    {"U8", {1, 1}},       {"U16", {1, 2}},      {"U32", {1, 4}},      {"BOOL", {1, 1}},
    {"Q4_0", {32, 18}},   {"Q4_1", {32, 20}},   {"Q5_0", {32, 22}},   {"Q5_1", {32, 24}},
    {"Q8_0", {32, 34}},   {"Q2_K", {256, 84}},  {"Q3_K", {256, 110}}, {"Q4_K", {256, 144}},
    {"Q5_K", {256, 176}}, {"Q6_K", {256, 210}}, {"IQ4_NL", {32, 18}}, {"IQ4_XS", {256, 136}},
    {"MXFP4", {32, 17}},  {"NVFP4", {64, 36}},  {"TQ1_0", {256, 54}}, {"TQ2_0", {256, 66}},
    {"Q1_0", {128, 18}},  {"Q2_0", {64, 18}},   {"other", {1, 0}}};
static_assert(sizeof rows / sizeof rows[0] == static_cast<size_t>(Dtype::Other) + 1);
constexpr size_t plainCount = static_cast<size_t>(Dtype::Q4_0); // safetensors knows these

template <typename T> T load(const char *source) {
  T value;
  memcpy(&value, source, sizeof value);
  return value;
}

float fromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

template <typename From, typename To> void widen(void *target, const void *source, int64_t count) {
  auto *to = static_cast<To *>(target);
  auto *from = static_cast<const char *>(source);
  for (int64_t i = 0; i < count; ++i)
    to[i] = static_cast<To>(load<From>(from + i * sizeof(From)));
}

} // namespace

float fromHalf(uint16_t half) {
  uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31, fraction = half & 0x3FFu;
  if (exponent == 31)
    return fromBits(sign | 0x7F800000u | fraction << 13);
  if (exponent)
    return fromBits(sign | (exponent + 112) << 23 | fraction << 13);
  // Subnormal halves are normal floats: value = fraction * 2^-24.
  float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

Dtype dtypeOf(std::string_view name) {
  for (size_t i = 0; i < plainCount; ++i)
    if (name == rows[i].name)
      return static_cast<Dtype>(i);
  return Dtype::Other;
}

Block blockOf(Dtype type) { return rows[static_cast<size_t>(type)].block; }

int64_t bytesOf(Block block, int64_t count) {
  int64_t bytes = 0;
  if (count < 0 || count % block.elements ||
      __builtin_mul_overflow(count / block.elements, block.bytes, &bytes))
    return -1;
  return bytes;
}

size_t dtypeSize(Dtype type) {
  Block block = blockOf(type);
  return block.elements == 1 ? block.bytes : 0;
}

const char *dtypeText(Dtype type) { return rows[static_cast<size_t>(type)].name; }

size_t typeSize(int32_t type) {
  switch (type) {
  case QKV_FLOAT:
    return 4;
  case QKV_INT:
    return 8;
  case QKV_FLOAT_BF16:
  case QKV_FLOAT_F16:
    return 2;
  default:
    return 1;
  }
}

Dtype storedType(int32_t type) {
  return type == QKV_FLOAT ? Dtype::F32 : type == QKV_INT ? Dtype::I64 : Dtype::Bool;
}

const char *acceptedText(int32_t type) {
  return type == QKV_FLOAT ? "F64, F32, F16 or BF16"
         : type == QKV_INT ? "I64, I32, I16, I8, U8, U16 or U32"
                           : "BOOL";
}

bool accepts(int32_t type, Dtype from) {
  if (type == QKV_FLOAT)
    return from <= Dtype::BF16 || (from >= Dtype::Q4_0 && from < Dtype::Other);
  if (type == QKV_INT)
    return from >= Dtype::I64 && from <= Dtype::U32;
  return from == Dtype::Bool;
}

bool sameBytes(int32_t type, Dtype from) {
  return (type == QKV_FLOAT && from == Dtype::F32) || (type == QKV_INT && from == Dtype::I64);
}

void convertElements(int32_t type, void *target, Dtype from, const void *source, int64_t count) {
  if (count == 0)
    return;
  if (sameBytes(type, from)) {
    memcpy(target, source, count * dtypeSize(from));
    return;
  }
  auto *bytes = static_cast<const char *>(source);
  switch (from) {
  case Dtype::F64:
    return widen<double, float>(target, source, count);
  case Dtype::F16:
    for (int64_t i = 0; i < count; ++i)
      static_cast<float *>(target)[i] = fromHalf(load<uint16_t>(bytes + 2 * i));
    return;
  case Dtype::BF16:
    for (int64_t i = 0; i < count; ++i)
      static_cast<float *>(target)[i] =
          fromBits(static_cast<uint32_t>(load<uint16_t>(bytes + 2 * i)) << 16);
    return;
  case Dtype::I32:
    return widen<int32_t, int64_t>(target, source, count);
  case Dtype::I16:
    return widen<int16_t, int64_t>(target, source, count);
  case Dtype::I8:
    return widen<int8_t, int64_t>(target, source, count);
  case Dtype::U8:
    return widen<uint8_t, int64_t>(target, source, count);
  case Dtype::U16:
    return widen<uint16_t, int64_t>(target, source, count);
  case Dtype::U32:
    return widen<uint32_t, int64_t>(target, source, count);
  case Dtype::Bool:
    for (int64_t i = 0; i < count; ++i)
      static_cast<uint8_t *>(target)[i] = bytes[i] != 0;
    return;
  default:
    decodeBlocks(from, source, count / blockOf(from).elements, static_cast<float *>(target));
    return;
  }
}

} // namespace qkv::rt

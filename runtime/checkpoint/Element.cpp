// In: elements as files store them. Out: elements as models use them. Holds: conversions are exact
// except F64 to f32, which rounds to nearest.
#include "runtime/checkpoint/Element.h"

#include <cstring>

namespace qkv::rt {
namespace {

struct Row {
  const char *name;
  size_t size;
};
constexpr Row rows[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4},
                        {"I16", 2}, {"I8", 1},  {"U8", 1},  {"U16", 2},  {"U32", 4}, {"BOOL", 1}};
constexpr size_t rowCount = sizeof rows / sizeof rows[0];

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

template <typename From, typename To> void widen(void *target, const void *source, int64_t count) {
  auto *to = static_cast<To *>(target);
  auto *from = static_cast<const char *>(source);
  for (int64_t i = 0; i < count; ++i)
    to[i] = static_cast<To>(load<From>(from + i * sizeof(From)));
}

} // namespace

Dtype dtypeOf(std::string_view name) {
  for (size_t i = 0; i < rowCount; ++i)
    if (name == rows[i].name)
      return static_cast<Dtype>(i);
  return Dtype::Other;
}

size_t dtypeSize(Dtype type) {
  return type == Dtype::Other ? 0 : rows[static_cast<size_t>(type)].size;
}

const char *dtypeText(Dtype type) {
  return type == Dtype::Other ? "other" : rows[static_cast<size_t>(type)].name;
}

size_t typeSize(int32_t type) { return type == QKV_FLOAT ? 4 : type == QKV_INT ? 8 : 1; }

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
    return from <= Dtype::BF16;
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
    return;
  }
}

} // namespace qkv::rt

// In: blocks of elements as quantised checkpoints store them. Out: f32. Holds: every product of a
// scale and a stored integer is exact in f32, so that an element is rounded at most once (where an
// offset is added).
//
// Over each decoder stands how a block lies in its bytes: d, m and dmin are f16, little endian; j
// counts the elements of the block; "nibbles of 16 bytes" are low halves first (j < 16), then high.
#include "runtime/checkpoint/Blocks.h"

#include <cmath>
#include <cstring>

namespace qkv::rt {
namespace {

using Byte = unsigned char;

float half(const Byte *at) { return fromHalf(static_cast<uint16_t>(at[0] | at[1] << 8)); }

int nibble(const Byte *bytes, int j, int halfOf) {
  return j < halfOf ? bytes[j] & 15 : bytes[j - halfOf] >> 4;
}

/// d, 16 bytes of nibbles: d * (nibble - 8)
void decodeQ4_0(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(nibble(b + 2, j, 16) - 8);
}

/// d, m, 16 bytes of nibbles: d * nibble + m
void decodeQ4_1(const Byte *b, float *y) {
  float d = half(b), m = half(b + 2);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(nibble(b + 4, j, 16)) + m;
}

/// A nibble with bit j of four bytes above it.
int fiveBits(const Byte *high, const Byte *low, int j) {
  return nibble(low, j, 16) | (high[j / 8] >> j % 8 & 1) << 4;
}

/// d, 4 bytes of high bits, 16 bytes of nibbles: d * (5 bits - 16)
void decodeQ5_0(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(fiveBits(b + 2, b + 6, j) - 16);
}

/// d, m, 4 bytes of high bits, 16 bytes of nibbles: d * 5 bits + m
void decodeQ5_1(const Byte *b, float *y) {
  float d = half(b), m = half(b + 2);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(fiveBits(b + 4, b + 8, j)) + m;
}

/// d, 32 signed bytes: d * byte
void decodeQ8_0(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(static_cast<int8_t>(b[2 + j]));
}

/// Two bits of an element of a block of 256: by halves of 128, which lie in 32 bytes, in four
/// rounds of 32 elements, each two bits further up.
int twoBits(const Byte *q, int j) { return q[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3; }

/// 16 bytes of scales, 64 of pairs of bits, d, dmin; 16 elements share s:
/// d * (s & 15) * bits - dmin * (s >> 4)
void decodeQ2_K(const Byte *b, float *y) {
  float d = half(b + 80), dmin = half(b + 82);
  for (int j = 0; j < 256; ++j) {
    int s = b[j / 16];
    y[j] =
        d * static_cast<float>((s & 15) * twoBits(b + 16, j)) - dmin * static_cast<float>(s >> 4);
  }
}

/// 32 bytes of high bits, 64 of pairs of bits, 12 of 16 scales of 6 bits, d:
/// d * (scale - 32) * (bits - (4 where the high bit is not set))
void decodeQ3_K(const Byte *b, float *y) {
  const Byte *high = b, *low = b + 32, *s = b + 96;
  float d = half(b + 108);
  for (int j = 0; j < 256; ++j) {
    int k = j / 16;
    int scale = (k < 8 ? s[k] & 15 : s[k - 8] >> 4) | (s[8 + k % 4] >> 2 * (k / 4) & 3) << 4;
    int value = twoBits(low, j) - (high[j % 32] >> j / 32 & 1 ? 0 : 4);
    y[j] = d * static_cast<float>((scale - 32) * value);
  }
}

/// The k-th of eight pairs of 6 bits in 12 bytes: a scale and an offset.
void scaleAndOffset(const Byte *s, int k, int &scale, int &offset) {
  if (k < 4) {
    scale = s[k] & 63;
    offset = s[k + 4] & 63;
  } else {
    scale = (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
    offset = s[k + 4] >> 4 | s[k] >> 6 << 4;
  }
}

/// Four bits of an element of a block of 256: 64 elements from 32 bytes, low nibbles first.
int fourBits(const Byte *q, int j) { return nibble(q + j / 64 * 32, j % 64, 32); }

/// d, dmin, 12 bytes of scales and offsets, 128 of nibbles: d * scale * nibble - dmin * offset, a
/// pair for each 32 elements
void decodeQ4_K(const Byte *b, float *y) {
  float d = half(b), dmin = half(b + 2);
  for (int k = 0; k < 8; ++k) {
    int scale, offset;
    scaleAndOffset(b + 4, k, scale, offset);
    for (int j = k * 32; j < k * 32 + 32; ++j)
      y[j] =
          d * static_cast<float>(scale * fourBits(b + 16, j)) - dmin * static_cast<float>(offset);
  }
}

/// As Q4_K with 32 bytes of fifth bits before the nibbles: bit k of byte j % 32
void decodeQ5_K(const Byte *b, float *y) {
  float d = half(b), dmin = half(b + 2);
  for (int k = 0; k < 8; ++k) {
    int scale, offset;
    scaleAndOffset(b + 4, k, scale, offset);
    for (int j = k * 32; j < k * 32 + 32; ++j) {
      int value = fourBits(b + 48, j) | (b[16 + j % 32] >> k & 1) << 4;
      y[j] = d * static_cast<float>(scale * value) - dmin * static_cast<float>(offset);
    }
  }
}

/// 128 bytes of low nibbles, 64 of pairs of high bits, 16 signed scales, d: d * scale * (6 bits -
/// 32). By halves of 128 elements: the low nibbles of 64 bytes are its first 64 elements, the high
/// ones the others; the pairs lie as twoBits() reads them.
void decodeQ6_K(const Byte *b, float *y) {
  const Byte *low = b, *high = b + 128, *scales = b + 192;
  float d = half(b + 208);
  for (int j = 0; j < 256; ++j) {
    int value = nibble(low + j / 128 * 64, j % 128, 64) | twoBits(high, j) << 4;
    y[j] = d * static_cast<float>(static_cast<int8_t>(scales[j / 16]) * (value - 32));
  }
}

constexpr int8_t unevenSteps[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};

/// d, 16 bytes of nibbles: d * step[nibble]
void decodeIQ4_NL(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(unevenSteps[nibble(b + 2, j, 16)]);
}

/// d, 16 bits with two high bits for each of eight scales, 4 bytes with their low nibbles, then 16
/// bytes of nibbles for each 32 elements: d * (scale - 32) * step[nibble]
void decodeIQ4_XS(const Byte *b, float *y) {
  float d = half(b);
  int high = b[2] | b[3] << 8;
  for (int k = 0; k < 8; ++k) {
    int scale = (b[4 + k / 2] >> 4 * (k % 2) & 15) | (high >> 2 * k & 3) << 4;
    for (int j = 0; j < 32; ++j)
      y[32 * k + j] =
          d * static_cast<float>((scale - 32) * unevenSteps[nibble(b + 8 + 16 * k, j, 16)]);
  }
}

/// Twice the value of a float of one sign, two exponent and one fraction bits (E2M1).
constexpr int8_t twiceE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/// An exponent e, 16 bytes of nibbles: 2^(e - 127) * E2M1
void decodeMXFP4(const Byte *b, float *y) {
  float d = std::ldexp(1.0f, b[0] - 128);
  for (int j = 0; j < 32; ++j)
    y[j] = d * static_cast<float>(twiceE2M1[nibble(b + 1, j, 16)]);
}

/// The value of a float of four exponent and three fraction bits without a sign (UE4M3, bias 7).
/// 127 is NaN in that format; here it stands for nothing.
float fromUE4M3(Byte bits) {
  if (bits >= 127)
    return 0;
  int exponent = bits >> 3, fraction = bits & 7;
  return exponent ? std::ldexp(static_cast<float>(8 + fraction), exponent - 10)
                  : std::ldexp(static_cast<float>(fraction), -9);
}

/// Four scales, then 8 bytes of nibbles for each 16 elements: scale * E2M1
void decodeNVFP4(const Byte *b, float *y) {
  for (int k = 0; k < 4; ++k) {
    float d = fromUE4M3(b[k]) * 0.5f;
    for (int j = 0; j < 16; ++j)
      y[16 * k + j] = d * static_cast<float>(twiceE2M1[nibble(b + 4 + 8 * k, j, 8)]);
  }
}

/// The n-th of the digits of base 3 whose fraction the byte is (digit 0 behind the point first).
int ternaryDigit(Byte byte, int n) {
  constexpr int powers[] = {1, 3, 9, 27, 81};
  return (byte * powers[n] & 255) * 3 >> 8;
}

/// 48 bytes of five digits of base 3, 4 bytes of four, d: d * (digit - 1). The first 32 bytes hold
/// their first digits, then their second ones, ...; so do the next 16, and the last 4.
void decodeTQ1_0(const Byte *b, float *y) {
  float d = half(b + 52);
  auto take = [&](const Byte *bytes, int count, int digits) {
    for (int n = 0; n < digits; ++n)
      for (int j = 0; j < count; ++j)
        *y++ = d * static_cast<float>(ternaryDigit(bytes[j], n) - 1);
  };
  take(b, 32, 5);
  take(b + 32, 16, 5);
  take(b + 48, 4, 4);
}

/// 64 bytes of pairs of bits, d: d * (bits - 1)
void decodeTQ2_0(const Byte *b, float *y) {
  float d = half(b + 64);
  for (int j = 0; j < 256; ++j)
    y[j] = d * static_cast<float>(twoBits(b, j) - 1);
}

/// d, 16 bytes of bits: d where it is set, else -d
void decodeQ1_0(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 128; ++j)
    y[j] = b[2 + j / 8] >> j % 8 & 1 ? d : -d;
}

/// d, 16 bytes of four pairs of bits each: d * (bits - 1)
void decodeQ2_0(const Byte *b, float *y) {
  float d = half(b);
  for (int j = 0; j < 64; ++j)
    y[j] = d * static_cast<float>((b[2 + j / 4] >> j % 4 * 2 & 3) - 1);
}

using Decoder = void (*)(const Byte *block, float *elements);

Decoder decoderOf(Dtype type) {
  // In the order of Dtype.
  static constexpr Decoder decoders[] = {
      decodeQ4_0,  decodeQ4_1,  decodeQ5_0,  decodeQ5_1,  decodeQ8_0,   decodeQ2_K,
      decodeQ3_K,  decodeQ4_K,  decodeQ5_K,  decodeQ6_K,  decodeIQ4_NL, decodeIQ4_XS,
      decodeMXFP4, decodeNVFP4, decodeTQ1_0, decodeTQ2_0, decodeQ1_0,   decodeQ2_0};
  constexpr size_t first = static_cast<size_t>(Dtype::Q4_0);
  static_assert(first + sizeof decoders / sizeof decoders[0] == static_cast<size_t>(Dtype::Other));
  return decoders[static_cast<size_t>(type) - first];
}

} // namespace

void decodeBlocks(Dtype type, const void *source, int64_t blocks, float *target) {
  if (type < Dtype::Q4_0 || type >= Dtype::Other)
    return;
  Decoder decode = decoderOf(type);
  Block block = blockOf(type);
  auto *at = static_cast<const Byte *>(source);
  for (int64_t i = 0; i < blocks; ++i)
    decode(at + i * block.bytes, target + i * block.elements);
}

} // namespace qkv::rt

#!/usr/bin/env python3
"""Figures for the decoders of quantised blocks (runtime/checkpoint/Blocks.cpp).

Out: blocks.gguf, with tensors of every type that is decoded, each of a few blocks of bytes at random
(scales are kept small enough for f32), and beside each tensor NAME a tensor NAME.f32 with the values
that its description gives. Written from the description of the format alone, one element at a time:
each value is computed exactly (in rationals) and rounded once to f32. No library beyond Python's own;
the same bytes every time.
"""
import os
import random
import struct
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
E2M1 = [Fraction(n, 2) for n in (0, 1, 2, 3, 4, 6, 8, 12)]
E2M1 += [-value for value in E2M1]
SCALE = Fraction(3, 4)  # of the NVFP4 tensor


def half(data, at):
    return Fraction(struct.unpack_from("<e", data, at)[0])


def bits(number, low, count):
    return number >> low & (1 << count) - 1


def by_16_bytes(data, at):
    """32 nibbles: all low ones, then all high ones."""
    return [bits(b, 0, 4) for b in data[at:at + 16]] + [bits(b, 4, 4) for b in data[at:at + 16]]


def q4_0(b):
    return [half(b, 0) * (v - 8) for v in by_16_bytes(b, 2)]


def q4_1(b):
    return [half(b, 0) * v + half(b, 2) for v in by_16_bytes(b, 4)]


def fifth(data, at):
    word = struct.unpack_from("<I", data, at)[0]
    return [16 * bits(word, j, 1) for j in range(32)]


def q5_0(b):
    return [half(b, 0) * (v + h - 16) for v, h in zip(by_16_bytes(b, 6), fifth(b, 2))]


def q5_1(b):
    return [half(b, 0) * (v + h) + half(b, 2) for v, h in zip(by_16_bytes(b, 8), fifth(b, 4))]


def q8_0(b):
    return [half(b, 0) * v for v in struct.unpack_from("<32b", b, 2)]


def pairs(q):
    """256 pairs of bits of 64 bytes, as K-quants order them."""
    out = []
    for part in (q[:32], q[32:]):
        for shift in (0, 2, 4, 6):
            out += [bits(byte, shift, 2) for byte in part]
    return out


def q2_k(b):
    d, dmin = half(b, 80), half(b, 82)
    return [d * bits(b[j // 16], 0, 4) * v - dmin * bits(b[j // 16], 4, 4)
            for j, v in enumerate(pairs(b[16:80]))]


def q3_k(b):
    high, s, d = b[:32], b[96:108], half(b, 108)
    scales = []
    for k in range(16):
        low = bits(s[k], 0, 4) if k < 8 else bits(s[k - 8], 4, 4)
        scales.append(low + 16 * bits(s[8 + k % 4], 2 * (k // 4), 2) - 32)
    out = []
    for j, v in enumerate(pairs(b[32:96])):
        step = j // 32
        out.append(d * scales[j // 16] * (v - (0 if bits(high[j % 32], step, 1) else 4)))
    return out


def six_bit_pairs(s):
    out = []
    for k in range(8):
        if k < 4:
            out.append((bits(s[k], 0, 6), bits(s[k + 4], 0, 6)))
        else:
            out.append((bits(s[k + 4], 0, 4) + 16 * bits(s[k - 4], 6, 2),
                        bits(s[k + 4], 4, 4) + 16 * bits(s[k], 6, 2)))
    return out


def nibbles_by_64(q):
    out = []
    for part in range(0, 128, 32):
        out += [bits(byte, 0, 4) for byte in q[part:part + 32]]
        out += [bits(byte, 4, 4) for byte in q[part:part + 32]]
    return out


def q4_k(b):
    scales = six_bit_pairs(b[4:16])
    return [half(b, 0) * scales[j // 32][0] * v - half(b, 2) * scales[j // 32][1]
            for j, v in enumerate(nibbles_by_64(b[16:144]))]


def q5_k(b):
    scales = six_bit_pairs(b[4:16])
    return [half(b, 0) * scales[j // 32][0] * (v + 16 * bits(b[16 + j % 32], j // 32, 1))
            - half(b, 2) * scales[j // 32][1] for j, v in enumerate(nibbles_by_64(b[48:176]))]


def q6_k(b):
    d, out = half(b, 208), [None] * 256
    scales = struct.unpack_from("<16b", b, 192)
    for part in range(2):
        low, high = b[64 * part:64 * part + 64], b[128 + 32 * part:160 + 32 * part]
        for i in range(32):
            values = [bits(low[i], 0, 4) + 16 * bits(high[i], 0, 2),
                      bits(low[i + 32], 0, 4) + 16 * bits(high[i], 2, 2),
                      bits(low[i], 4, 4) + 16 * bits(high[i], 4, 2),
                      bits(low[i + 32], 4, 4) + 16 * bits(high[i], 6, 2)]
            for quarter, value in enumerate(values):
                scale = scales[8 * part + i // 16 + 2 * quarter]
                out[128 * part + 32 * quarter + i] = d * scale * (value - 32)
    return out


def iq4_nl(b):
    return [half(b, 0) * STEPS[v] for v in by_16_bytes(b, 2)]


def iq4_xs(b):
    out, high = [], struct.unpack_from("<H", b, 2)[0]
    for k in range(8):
        scale = bits(b[4 + k // 2], 4 * (k % 2), 4) + 16 * bits(high, 2 * k, 2) - 32
        out += [half(b, 0) * scale * STEPS[v] for v in by_16_bytes(b, 8 + 16 * k)]
    return out


def mxfp4(b):
    return [Fraction(2) ** (b[0] - 127) * E2M1[v] for v in by_16_bytes(b, 1)]


def ue4m3(byte):
    exponent, fraction = bits(byte, 3, 4), bits(byte, 0, 3)
    if exponent == 0:
        return Fraction(fraction, 8) * Fraction(2) ** -6
    return (1 + Fraction(fraction, 8)) * Fraction(2) ** (exponent - 7)


def nvfp4(b):
    out = []
    for k in range(4):
        q = b[4 + 8 * k:12 + 8 * k]
        out += [ue4m3(b[k]) * E2M1[bits(v, 0, 4)] * SCALE for v in q]
        out += [ue4m3(b[k]) * E2M1[bits(v, 4, 4)] * SCALE for v in q]
    return out


def pack_ternary(digits):
    """A byte whose 256th part has these digits of base 3, rounded up."""
    number = 0
    for digit in digits:
        number = 3 * number + digit
    number *= 3 ** (5 - len(digits))
    return (number * 256 + 242) // 243


def tq1_0_pair(rng):
    """Bytes and values at once: what stands in the bytes are digits, not any bits."""
    digits = [rng.randrange(3) for _ in range(256)]
    data = bytearray()
    for start, count, each in ((0, 32, 5), (160, 16, 5), (240, 4, 4)):
        for j in range(count):
            data.append(pack_ternary([digits[start + n * count + j] for n in range(each)]))
    d = struct.pack("<e", 0.0371)
    data += d
    return bytes(data), [half(d, 0) * (digit - 1) for digit in digits]


def tq2_0(b):
    return [half(b, 64) * (v - 1) for v in pairs(b[:64])]


def q1_0(b):
    return [half(b, 0) * (1 if bits(b[2 + j // 8], j % 8, 1) else -1) for j in range(128)]


def q2_0(b):
    return [half(b, 0) * (bits(b[2 + j // 4], 2 * (j % 4), 2) - 1) for j in range(64)]


# name, id, bytes and elements of a block, where f16 lie in it, decoder
BLOCKS = [("q4_0", 2, 18, 32, [0], q4_0), ("q4_1", 3, 20, 32, [0, 2], q4_1),
          ("q5_0", 6, 22, 32, [0], q5_0), ("q5_1", 7, 24, 32, [0, 2], q5_1),
          ("q8_0", 8, 34, 32, [0], q8_0), ("q2_k", 10, 84, 256, [80, 82], q2_k),
          ("q3_k", 11, 110, 256, [108], q3_k), ("q4_k", 12, 144, 256, [0, 2], q4_k),
          ("q5_k", 13, 176, 256, [0, 2], q5_k), ("q6_k", 14, 210, 256, [208], q6_k),
          ("iq4_nl", 20, 18, 32, [0], iq4_nl), ("iq4_xs", 23, 136, 256, [0], iq4_xs),
          ("mxfp4", 39, 17, 32, [], mxfp4), ("nvfp4", 40, 36, 64, [], nvfp4),
          ("tq1_0", 34, 54, 256, None, None), ("tq2_0", 35, 66, 256, [64], tq2_0),
          ("q1_0", 41, 18, 128, [0], q1_0), ("q2_0", 42, 18, 64, [0], q2_0)]
PLAIN = [("f16", 1, "<e"), ("bf16", 30, None), ("i8", 24, "<b"), ("i16", 25, "<h"), ("i32", 26, "<i"),
         ("i64", 27, "<q"), ("f64", 28, "<d")]


def rounded(value):
    """The nearest f32 of a rational, ties to even: a double of it would round twice."""
    if value == 0:
        return struct.pack("<f", 0.0)
    sign, value = (0x80000000, -value) if value < 0 else (0, value)
    exponent = -126
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    scaled = value / Fraction(2) ** (exponent - 23)
    whole = scaled.numerator // scaled.denominator
    rest = scaled - whole
    whole += rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2)
    # Carries of the fraction go into the exponent by themselves.
    number = whole + (exponent + 126 << 23)
    return struct.pack("<I", sign | min(number, 0x7F800000))


def block(rng, name, size, halves):
    data = bytearray(rng.randrange(256) for _ in range(size))
    for at in halves:
        data[at:at + 2] = struct.pack("<e", rng.uniform(-0.05, 0.05))
    if name == "nvfp4":
        data[:4] = bytes(rng.randrange(127) for _ in range(4))
    return bytes(data)


def main():
    rng = random.Random(20)
    tensors = []  # name, id, extents with the fastest first, bytes
    for name, number, size, elements, halves, decode in BLOCKS:
        data, values = b"", []
        for i in range(3):
            if decode:
                one = block(rng, name, size, halves)
                if name == "mxfp4":
                    one = bytes([(0, 1, 130)[i]]) + one[1:]
                result = decode(one)
            else:
                one, result = tq1_0_pair(rng)
            data += one
            values += result
        tensors.append((name + ".weight", number, [elements, 3], data))
        tensors.append((name + ".f32", 0, [elements * 3], b"".join(map(rounded, values))))
    tensors.append(("nvfp4.scale", 0, [1], struct.pack("<f", float(SCALE))))
    for name, number, code in PLAIN:
        numbers = [-3, 0, 1, 17, 100, -128]
        data = b"".join(struct.pack(code, n) if code else struct.pack("<f", n)[2:] for n in numbers)
        tensors.append((name + ".weight", number, [3, 2], data))
        tensors.append((name + ".f32", 0, [6], struct.pack("<6f", *numbers)))
    head, body = b"", b""
    for name, number, extents, data in tensors:
        head += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(extents))
        head += struct.pack(f"<{len(extents)}q", *extents) + struct.pack("<IQ", number, len(body))
        body += data + b"\0" * (-len(data) % 32)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + head
    with open(HERE + "/blocks.gguf", "wb") as file:
        file.write(start + b"\0" * (-len(start) % 32) + body)


main()

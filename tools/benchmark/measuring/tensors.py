"""Files of random weights: safetensors for qkv, GGUF for llama.cpp.

In: names, shapes, an element type. Out: a file, whole or not at all. Values repeat one block of
noise: speed does not depend on them, so long as they are of the size that weights have.
"""

import array
import json
import math
import os
import random
import struct
import sys

ELEMENT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


class Noise:
    """Normal values of deviation 0.02, endlessly; around 1 for what has one axis (norms)."""

    PERIOD = 1 << 16

    def __init__(self, element):
        self.element = element
        source = random.Random(1)
        values = [source.gauss(0, 0.02) for _ in range(self.PERIOD)]
        self.blocks = {center: self._encode([center + v for v in values]) for center in (0.0, 1.0)}

    def _encode(self, values):
        if self.element == "f16":
            return struct.pack(f"<{len(values)}e", *values)
        floats = array.array("f", values)
        if sys.byteorder == "big":
            floats.byteswap()
        data = floats.tobytes()
        if self.element == "f32":
            return data
        # bf16 is the upper half of f32.
        half = bytearray(2 * len(values))
        half[0::2], half[1::2] = data[2::4], data[3::4]
        return bytes(half)

    def write(self, file, shape):
        block = self.blocks[1.0 if len(shape) == 1 else 0.0]
        left = math.prod(shape) * ELEMENT_BYTES[self.element]
        while left > 0:
            left -= file.write(block[:left])


def _whole(path, write):
    """Calls write(file); the file appears when all of it is there."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.part{os.getpid()}"
    try:
        with open(part, "wb") as file:
            write(file)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def write_safetensors(path, tensors, element="f32"):
    """`tensors`: (name, shape) pairs."""
    header, offset = {}, 0
    for name, shape in tensors:
        size = math.prod(shape) * ELEMENT_BYTES[element]
        kind = {"f32": "F32", "f16": "F16", "bf16": "BF16"}[element]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    noise = Noise(element)

    def write(file):
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in tensors:
            noise.write(file, shape)

    _whole(path, write)


def write_tokens(path, name, tokens):
    """An input of one int tensor."""
    data = struct.pack(f"<{len(tokens)}q", *tokens)
    header = {name: {"dtype": "I64", "shape": [len(tokens)], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    _whole(path, lambda file: file.write(struct.pack("<Q", len(text)) + text + data))


# ---- GGUF (ggml's format specification, version 3) -------------------------------------------

GGUF_TYPES = {"f32": 0, "f16": 1, "bf16": 30}
GGUF_FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32}
ALIGNMENT = 32


def _gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _gguf_value(value):
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _gguf_string(value)
    kind = {str: 8, float: 6, int: 5}[type(value[0])]
    if kind == 8:
        body = b"".join(map(_gguf_string, value))
    else:
        body = struct.pack(f"<{len(value)}{'f' if kind == 6 else 'i'}", *value)
    return struct.pack("<IIQ", 9, kind, len(value)) + body


def write_gguf(path, shape, element):
    """A Llama of `shape` (keys of its config.json) with random weights."""
    width, layers = shape["hidden_size"], shape["num_hidden_layers"]
    heads, groups = shape["num_attention_heads"], shape["num_key_value_heads"]
    hidden, vocabulary = shape["intermediate_size"], shape["vocab_size"]
    narrow = width // heads * groups
    metadata = {
        "general.architecture": "llama",
        "general.file_type": GGUF_FILE_TYPES[element],
        "llama.context_length": 2048,
        "llama.embedding_length": width,
        "llama.block_count": layers,
        "llama.feed_forward_length": hidden,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": groups,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": width // heads,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": vocabulary,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(3, vocabulary)],
        "tokenizer.ggml.scores": [0.0] * vocabulary,
        "tokenizer.ggml.token_type": [1] * vocabulary,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    tensors = [("token_embd.weight", (vocabulary, width)), ("output_norm.weight", (width,)),
               ("output.weight", (vocabulary, width))]
    for i in range(layers):
        for name, *extents in [
            ("attn_norm", width), ("ffn_norm", width), ("attn_q", width, width),
            ("attn_k", narrow, width), ("attn_v", narrow, width), ("attn_output", width, width),
            ("ffn_gate", hidden, width), ("ffn_up", hidden, width), ("ffn_down", width, hidden),
        ]:
            tensors.append((f"blk.{i}.{name}.weight", tuple(extents)))
    noise = {True: Noise("f32"), False: Noise(element)}  # norms are f32 in every file

    def write(file):
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
        for key, value in metadata.items():
            file.write(_gguf_string(key) + _gguf_value(value))
        offset = 0
        for name, extents in tensors:
            kind = "f32" if len(extents) == 1 else element
            file.write(_gguf_string(name) + struct.pack("<I", len(extents)))
            file.write(struct.pack(f"<{len(extents)}Q", *reversed(extents)))
            file.write(struct.pack("<IQ", GGUF_TYPES[kind], offset))
            size = math.prod(extents) * ELEMENT_BYTES[kind]
            offset += size + -size % ALIGNMENT
        for _, extents in tensors:
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            noise[len(extents) == 1].write(file, extents)
        file.write(b"\0" * (-file.tell() % ALIGNMENT))

    _whole(path, write)

"""Small vocabularies and models whose text can be told beforehand.

A model here is a table: the logits behind a token are its row. `chain` fills it so that each token of a
list is followed by the next one."""

import json
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import safetensors  # noqa: E402

PAGE = """size V = config("vocab_size", 300)
size T = stream(max: 64)
index i < T, v < V, w < V
model table(tokens[i] : token) -> logits[i,v] {
  param W[w,v] = "W"
  logits[i,v] = W[tokens[i],v]
}
"""


def byte_characters():
    """The character that stands for each byte in byte-level vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def spelled(text):
    table = byte_characters()
    return "".join(table[byte] for byte in text.encode())


class ByteLevel:
    """All bytes, some words, special tokens; `before` stands before a text."""

    def __init__(self, words, special, before=None):
        self.texts = [character for _, character in sorted(byte_characters().items())]
        self.texts += [spelled(word) for word in words]
        self.special = special
        self.before = before

    def __len__(self):
        return len(self.texts) + len(self.special)

    def id(self, text):
        if text in self.special:
            return len(self.texts) + self.special.index(text)
        return self.texts.index(spelled(text))

    def ids(self, *texts):
        return [self.id(text) for text in texts]

    def json(self):
        around = None
        if self.before:
            around = {"type": "TemplateProcessing",
                      "single": [{"SpecialToken": {"id": self.before, "type_id": 0}},
                                 {"Sequence": {"id": "A", "type_id": 0}}],
                      "pair": [], "special_tokens": {self.before: {"id": self.before, "ids": [self.id(self.before)],
                                                                   "tokens": [self.before]}}}
        return {"version": "1.0", "truncation": None, "padding": None,
                "added_tokens": [{"id": self.id(text), "content": text, "single_word": False, "lstrip": False,
                                  "rstrip": False, "normalized": False, "special": True} for text in self.special],
                "normalizer": None,
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                  "use_regex": True},
                "post_processor": around,
                "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
                "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                          "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                          "ignore_merges": True, "vocab": {text: i for i, text in enumerate(self.texts)},
                          "merges": []}}


def table(size, *chains):
    """The rows of a model whose tokens follow one another as in the chains."""
    rows = [[0.0] * size for _ in range(size)]
    for chain in chains:
        for token, following in zip(chain, chain[1:]):
            rows[token][following] = 1.0
    return rows


def packed(rows):
    return struct.pack(f"<{sum(map(len, rows))}f", *(value for row in rows for value in row))


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file)


def write_folder(path, rows, tokenizer=None, config=None, **others):
    """A checkpoint; `others` are JSON files by their names without the end."""
    os.makedirs(path, exist_ok=True)
    write_json(os.path.join(path, "config.json"), {"vocab_size": len(rows), **(config or {})})
    if tokenizer:
        write_json(os.path.join(path, "tokenizer.json"), tokenizer.json())
    for name, value in others.items():
        write_json(os.path.join(path, name + ".json"), value)
    safetensors.write(os.path.join(path, "model.safetensors"),
                      {"W": ("F32", [len(rows), len(rows[0])], packed(rows))})


def gguf_value(value):
    """The type and the bytes of a value."""
    def text(one):
        return struct.pack("<Q", len(one.encode())) + one.encode()
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    kind = 8 if not value or isinstance(value[0], str) else 5
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(
        text(one) if kind == 8 else struct.pack("<i", one) for one in value)


def write_gguf(path, keys, rows):
    def text(one):
        return struct.pack("<Q", len(one.encode())) + one.encode()
    out = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys))
    for key, value in keys.items():
        kind, data = gguf_value(value)
        out += text(key) + struct.pack("<I", kind) + data
    out += text("W") + struct.pack("<IQQIQ", 2, len(rows[0]), len(rows), 0, 0)
    out += b"\0" * (-len(out) % 32) + packed(rows)
    with open(path, "wb") as file:
        file.write(out)


def gguf_keys(tokenizer, **more):
    """The keys of a GGUF about a byte-level vocabulary."""
    ordinary, control = 1, 3
    keys = {"general.architecture": "table", "table.vocab_size": len(tokenizer), "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": tokenizer.texts + tokenizer.special,
            "tokenizer.ggml.token_type": [ordinary] * len(tokenizer.texts) + [control] * len(tokenizer.special),
            "tokenizer.ggml.merges": []}
    return {**keys, **{"tokenizer.ggml." + name: value for name, value in more.items()}}

"""ONNX models for ONNX Runtime, written by hand: protocol buffers of a few nodes.

In: sizes by name, as in rows.toml. Out: the file's bytes, and the inputs to feed (name, type, shape,
and values where they are not noise). Field numbers are those of onnx.proto.
"""

import struct

from .tensors import Noise

FLOAT, INT32 = 1, 6


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _value_info(name, kind, shape):
    extents = b"".join(_field(1, _field(1, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, extents)))


class _Sink(bytearray):
    def write(self, data):
        self.extend(data)
        return len(data)


def _initializer(name, shape):
    data = _Sink()
    Noise("f32").write(data, shape if len(shape) > 1 else (1, *shape))
    return (b"".join(_field(1, n) for n in shape) + _field(2, FLOAT) + _field(8, name) +
            _field(9, bytes(data)))


def _node(operator, inputs, outputs, domain="", **attributes):
    node = b"".join(_field(1, name) for name in inputs) + b"".join(_field(2, n) for n in outputs)
    node += _field(4, operator)
    for name, value in attributes.items():
        kind, number = (1, 2) if isinstance(value, float) else (2, 3)
        node += _field(5, _field(1, name) + _field(number, value) + _field(20, kind))
    return node + (_field(7, domain) if domain else b"")


def _model(node, feeds, outputs, initializers=(), opset=21):
    graph = _field(1, node) + _field(2, "benchmark")
    graph += b"".join(_field(5, _initializer(*one)) for one in initializers)
    kinds = {"float32": FLOAT, "int32": INT32}
    graph += b"".join(_field(11, _value_info(f["name"], kinds[f["type"]], f["shape"])) for f in feeds)
    graph += b"".join(_field(12, _value_info(name, FLOAT, shape)) for name, shape in outputs)
    opsets = _field(8, _field(1, "") + _field(2, opset))
    opsets += _field(8, _field(1, "com.microsoft") + _field(2, 1))
    return _field(1, 10) + opsets + _field(7, graph)


def _feed(name, *shape, kind="float32", values=None):
    feed = {"name": name, "type": kind, "shape": list(shape)}
    return {**feed, "values": values} if values is not None else feed


def matmul(s):
    feeds = [_feed("x", s["M"], s["K"])]
    return _model(_node("MatMul", ["x", "w"], ["y"]), feeds, [("y", (s["M"], s["N"]))],
                  [("w", (s["K"], s["N"]))]), feeds


def _multihead(s, causal):
    width = s["H"] * s["D"]
    feeds = [_feed(name, 1, s["T"], width) for name in "qkv"]
    node = _node("MultiHeadAttention", ["q", "k", "v"], ["y"], "com.microsoft", num_heads=s["H"],
                 unidirectional=causal)
    return _model(node, feeds, [("y", (1, s["T"], width))]), feeds


def _attention(s, causal):
    shape = (1, s["H"], s["T"], s["D"])
    feeds = [_feed(name, *shape) for name in "qkv"]
    node = _node("Attention", ["q", "k", "v"], ["y"], is_causal=causal)
    return _model(node, feeds, [("y", shape)], opset=23), feeds


def _grouped(s):
    width, heads, length = s["H"] * s["D"], s["H"], s["T"]
    feeds = [_feed(name, 1, length, width) for name in "qkv"]
    feeds.append(_feed("last", 1, kind="int32", values=[length - 1]))
    feeds.append(_feed("total", 1, kind="int32", values=[length]))
    node = _node("GroupQueryAttention", ["q", "k", "v", "", "", "last", "total"],
                 ["y", "keys", "values"], "com.microsoft", num_heads=heads, kv_num_heads=heads)
    cache = (1, heads, length, s["D"])
    return _model(node, feeds, [("y", (1, length, width)), ("keys", cache), ("values", cache)]), feeds


def lstm(s):
    steps, width, hidden = s["T"], s["C"], s["O"]
    feeds = [_feed("x", steps, 1, width)]
    node = _node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=hidden)
    return _model(node, feeds, [("y", (steps, 1, 1, hidden))],
                  [("w", (1, 4 * hidden, width)), ("r", (1, 4 * hidden, hidden)),
                   ("b", (1, 8 * hidden))]), feeds


GRAPHS = {
    "matmul": matmul,
    "multihead": lambda s: _multihead(s, 0),
    "multihead-causal": lambda s: _multihead(s, 1),
    "attention": lambda s: _attention(s, 0),
    "attention-causal": lambda s: _attention(s, 1),
    "grouped-causal": _grouped,
    "lstm": lstm,
}

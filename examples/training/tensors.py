"""Safetensors files of float32 and int64 arrays, and of bfloat16 as its bits in uint16.

In and out: a name's numpy array. Holds: a file shows when it is complete.
"""

import json
import os
import struct

import numpy

TYPES = {"F32": numpy.dtype("<f4"), "I64": numpy.dtype("<i8"),
         "BF16": numpy.dtype("<u2")}


def write(path, arrays):
    """arrays: a name's array of one of the types."""
    header, data = {}, b""
    for name, array in arrays.items():
        kind = next(kind for kind, dtype in TYPES.items() if dtype == array.dtype)
        content = numpy.ascontiguousarray(array, TYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    os.replace(path + ".part", path)


def read(path):
    """The arrays of such a file by their names."""
    with open(path, "rb") as file:
        content = file.read()
    size, = struct.unpack_from("<Q", content)
    data, arrays = content[8 + size:], {}
    for name, entry in json.loads(content[8:8 + size]).items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(data[begin:end], TYPES[entry["dtype"]])
        arrays[name] = array.reshape(entry["shape"]).copy()
    return arrays

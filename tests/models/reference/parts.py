"""What the models' figures share: random checkpoints, their files, and the pieces of a Transformer in
numpy, double precision, as the papers print them.

In: names and shapes. Out: safetensors files whose values bfloat16 holds exactly, so that what is read
is what was computed with. Positions are rows: x[i, c]."""

import json
import struct

import numpy as np


class Weights(dict):
    """Tensors by name. Each is drawn when it is named, from a generator of its own family."""

    def __init__(self, seed):
        super().__init__()
        self.generator = np.random.default_rng(seed)

    def draw(self, name, *shape, spread=None, around=0.0):
        """A normal tensor. Without a spread, that of a matrix which keeps its input's size."""
        if spread is None:
            spread = 1.2 / np.sqrt(shape[-1])
        self[name] = bfloat(around + spread * self.generator.standard_normal(shape))

    def scale(self, name, size, around=1.0):
        """The scales of a norm, away from what they are before training."""
        self.draw(name, size, spread=0.2, around=around)

    def shift(self, name, size):
        self.draw(name, size, spread=0.3)


def bfloat(values):
    """The nearest values that bfloat16 holds, as doubles."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def as_bytes(values, kind):
    if kind == "BF16":
        return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    return np.asarray(values).astype({"F32": "<f4", "I64": "<i8"}[kind]).tobytes()


def save(path, tensors):
    """A safetensors file of (name, element type, values)."""
    header, body = {}, b""
    for name, kind, values in tensors:
        data = as_bytes(values, kind)
        header[name] = {"dtype": kind, "shape": list(np.shape(values)),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


# ---- Functions of elements --------------------------------------------------------------

def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def gelu(x):
    from math import erf
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def softplus(x):
    return np.logaddexp(0, x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---- Norms ------------------------------------------------------------------------------

def rms_norm(x, w, eps):
    return x / np.sqrt((x ** 2).mean(-1, keepdims=True) + eps) * w


def layer_norm(x, w, b, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + eps) * w + b


# ---- Positions --------------------------------------------------------------------------

def frequencies(size, base):
    return 1 / base ** (np.arange(0, size, 2) / size)


def llama3_frequencies(f, factor, low, high, old):
    """Llama 3.1: waves longer than the old context's share are stretched, short ones stay."""
    out = []
    for value in f:
        wave = 2 * np.pi / value
        if wave < old / high:
            out.append(value)
        elif wave > old / low:
            out.append(value / factor)
        else:
            smooth = (old / wave - low) / (high - low)
            out.append((1 - smooth) * value / factor + smooth * value)
    return np.array(out)


def yarn_frequencies(size, base, factor, fast, slow, old, truncate=True):
    """Peng et al. 2023: between the pairs that turn `fast` and `slow` times within the old context."""
    def pair(turns):
        return size * np.log(old / (turns * 2 * np.pi)) / (2 * np.log(base))
    low, high = pair(fast), pair(slow)
    if truncate:
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    f = frequencies(size, base)
    ramp = np.clip((np.arange(size // 2) - low) / max(high - low, 0.001), 0, 1)
    return f / factor * ramp + f * (1 - ramp)


def rotary(x, f, scale=1.0):
    """x[i, ..., d]: pair n is d = n and n + len(f); what is behind the pairs stays."""
    half = len(f)
    angle = np.arange(len(x))[:, None] * f
    angle = angle.reshape(len(x), *[1] * (x.ndim - 2), half)
    a, b, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], -1)


# ---- Attention --------------------------------------------------------------------------

def heads(x, count):
    """[i, count * d] as [i, count, d]."""
    return x.reshape(len(x), count, -1)


def attend(q, k, v, scale, window=None, cap=None, sinks=None, bias=None, causal=True):
    """q[i, h, d], k[j, g, d], v[j, g, e]: query head h looks at key head h // (H / G)."""
    length, count = q.shape[:2]
    group = count // k.shape[1]
    out = np.zeros((length, count, v.shape[2]))
    for h in range(count):
        scores = q[:, h] @ k[:, h // group].T * scale
        if cap:
            scores = cap * np.tanh(scores / cap)
        if bias is not None:
            scores = scores + bias[h]
        i, j = np.indices(scores.shape)
        if causal:
            scores = np.where(j <= i, scores, -np.inf)
        if window:
            scores = np.where(i - j < window, scores, -np.inf)
        if sinks is not None:
            scores = np.concatenate([scores, np.full((length, 1), sinks[h])], 1)
        weights = softmax(scores)[:, :len(k)]
        out[:, h] = weights @ v[:, h // group]
    return out.reshape(length, -1)

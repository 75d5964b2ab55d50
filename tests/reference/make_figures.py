#!/usr/bin/python3
"""Figures of another framework, for the standard library to be measured by.

Out: for every case in figures/ (NAME.qkv, written by hand) NAME.weights.safetensors,
NAME.input.safetensors and NAME.expected.safetensors. Weights have the names of the
framework's own state_dict, inputs and expected values those of the model's signature.
Weights and inputs are exact in f32, everything is computed in float64 and stored as f32.

Runs with Debian's python3-torch (1.13) and numpy; the same bytes every time:
    OPENBLAS_CORETYPE=Cooperlake /usr/bin/python3 make_figures.py
"""
import json
import os
import struct

os.environ.setdefault("OPENBLAS_CORETYPE", "Cooperlake")
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures")
TYPES = {"float32": "F32", "int64": "I64", "bool": "BOOL"}
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def save(path, tensors):
    """safetensors: the length of the header, the header, the values one after the other."""
    header, blobs, at = {}, [], 0
    for name, value in sorted(tensors.items()):
        array = np.array(value.detach() if torch.is_tensor(value) else value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        blob = array.tobytes()
        header[name] = {"dtype": TYPES[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write(name, weights, inputs, expected):
    if weights:
        save(f"{FOLDER}/{name}.weights.safetensors", weights)
    save(f"{FOLDER}/{name}.input.safetensors", inputs)
    save(f"{FOLDER}/{name}.expected.safetensors", expected)


class Random:
    """Normal values that f32 holds exactly; each case has its own seed."""

    def __init__(self, seed):
        self.generator = np.random.RandomState(seed)

    def __call__(self, *shape, scale=1.0):
        return torch.tensor((self.generator.randn(*shape) * scale).astype(np.float32).astype(np.float64))

    def fill(self, module):
        """Gives every parameter a value of its own: none stays at 0 or 1."""
        for name, parameter in module.named_parameters():
            value = self(*parameter.shape, scale=0.4 if parameter.dim() > 1 else 0.2)
            if name.split(".")[-2:-1] and "norm" in name.split(".")[-2] and name.endswith("weight"):
                value = (value + 1).float().double()
            with torch.no_grad():
                parameter.copy_(value)
        return module


def prefixed(**modules):
    return {f"{prefix}.{name}": value for prefix, module in modules.items()
            for name, value in module.state_dict().items()}


# ---- Recurrent layers and cells ----


def recurrent():
    for seed, (kind, layer, cell) in enumerate((("rnn", nn.RNN, nn.RNNCell), ("gru", nn.GRU, nn.GRUCell),
                                                ("lstm", nn.LSTM, nn.LSTMCell))):
        random = Random(100 + seed)
        for form, steps, options in (("one", 11, {}), ("two", 9, {"num_layers": 2}),
                                     ("bidirectional", 8, {"num_layers": 2, "bidirectional": True}),
                                     ("unbiased", 1, {"bias": False})):
            module = random.fill(layer(5, 7, **options))
            x = random(steps, 5)
            write(f"{kind}-{form}", module.state_dict(), {"x": x}, {"y": module(x)[0]})

        module = random.fill(layer(5, 7))
        x, h0, c0 = random(6, 5), random(7), random(7)
        if kind == "lstm":
            y, (hn, cn) = module(x, (h0[None], c0[None]))
            write("lstm-states", module.state_dict(), {"x": x, "h0": h0, "c0": c0},
                  {"y": y, "hn": hn[0], "cn": cn[0]})
        else:
            y, hn = module(x, h0[None])
            write(f"{kind}-states", module.state_dict(), {"x": x, "h0": h0}, {"y": y, "hn": hn[0]})

        module = random.fill(cell(5, 7))
        x, state, ys = random(6, 5), torch.zeros(1, 7), []
        c = torch.zeros(1, 7)
        for step in x:
            if kind == "lstm":
                state, c = module(step[None], (state, c))
            else:
                state = module(step[None], state)
            ys.append(state[0])
        write(f"{kind}-cell", prefixed(cell=module), {"x": x}, {"y": torch.stack(ys)})


# ---- Multi-head attention and the Transformer ----


def multihead():
    random = Random(200)
    module = random.fill(nn.MultiheadAttention(16, 4, batch_first=True))
    weights = module.state_dict()
    x, m = random(1, 9, 16), random(1, 6, 16)

    def case(name, inputs, *arguments, **options):
        write(f"multihead-{name}", weights, {"x": x[0], **inputs}, {"y": module(*arguments, **options)[0][0]})

    case("self", {}, x, x, x)
    case("cross", {"m": m[0]}, x, m, m)
    case("causal", {}, x, x, x, attn_mask=torch.triu(torch.ones(9, 9), 1).bool())
    pad = torch.tensor([[False] * 6 + [True] * 3])
    case("padded", {"pad": pad[0]}, x, x, x, key_padding_mask=pad)
    memory_pad = torch.tensor([[False, True, False, False, True, False]])
    case("padded-cross", {"m": m[0], "pad": memory_pad[0]}, x, m, m, key_padding_mask=memory_pad)
    mask = torch.tensor(random.generator.rand(9, 9) < 0.5) | torch.eye(9).bool()
    case("masked", {"mask": mask}, x, x, x, attn_mask=~mask)
    memory_mask = torch.tensor(random.generator.rand(9, 6) < 0.5)
    memory_mask[:, 0] = True
    case("masked-cross", {"m": m[0], "mask": memory_mask}, x, m, m, attn_mask=~memory_mask)


def transformer():
    for seed, (name, layers, activation, norm_first, padded) in enumerate((
            ("post", 2, "relu", False, False), ("pre", 2, "gelu", True, False),
            ("post-padded", 1, "gelu", False, True), ("pre-padded", 1, "relu", True, True))):
        random = Random(300 + seed)
        module = random.fill(nn.Transformer(16, 4, layers, layers, 32, dropout=0.0, activation=activation,
                                            norm_first=norm_first, batch_first=True))
        source, target = random(1, 10, 16), random(1, 7, 16)
        options = {"tgt_mask": torch.triu(torch.ones(7, 7), 1).bool()}
        inputs = {"src": source[0], "tgt": target[0]}
        if padded:
            pad = torch.tensor([[False] * 7 + [True] * 3])
            options |= {"src_key_padding_mask": pad, "memory_key_padding_mask": pad}
            inputs["pad"] = pad[0]
        expected = {"y": module(source, target, **options)[0]}
        write(f"transformer-{name}", module.state_dict(), inputs, expected)


def language_model():
    """A decoder-only model of the framework's parts: embedding, positions, causal layers, head."""
    random = Random(310)
    parts = nn.ModuleDict({
        "tokens": nn.Embedding(23, 16), "positions": nn.Embedding(12, 16),
        "layers": nn.ModuleList([nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, activation="gelu",
                                                            norm_first=True, batch_first=True)
                                 for _ in range(2)]),
        "norm": nn.LayerNorm(16), "head": nn.Linear(16, 23, bias=False)})
    random.fill(parts)
    tokens = torch.tensor(random.generator.randint(0, 23, (1, 12)))
    x = parts["tokens"](tokens) + parts["positions"](torch.arange(12))
    for layer in parts["layers"]:
        x = layer(x, src_mask=torch.triu(torch.ones(12, 12), 1).bool())
    write("language-model", parts.state_dict(), {"tokens": tokens[0]},
          {"logits": parts["head"](parts["norm"](x))[0]})


# ---- Convolution, tables, norms, functions of elements ----


def convolution():
    random = Random(400)
    forms = {"plain": dict(kernel_size=3), "point": dict(kernel_size=1),
             "strided": dict(kernel_size=3, stride=2, padding=1),
             "dilated": dict(kernel_size=3, dilation=2, padding=2),
             "all": dict(kernel_size=4, stride=3, padding=4, dilation=2),
             "unbiased": dict(kernel_size=2, padding=1, bias=False)}
    modules = {name: random.fill(nn.Conv1d(4, 6, **form)) for name, form in forms.items()}
    modules["depthwise"] = random.fill(nn.Conv1d(4, 4, 3, groups=4, padding=2))
    x = random(13, 4)
    expected = {name: module(x.T[None])[0].T for name, module in modules.items()}
    expected["depthwise"] = expected["depthwise"][:13]
    write("conv1d", prefixed(**modules), {"x": x}, expected)
    for name in ("plain", "all"):  # these two need a fixed or a smallest number of positions
        del modules[name], expected[name]
    write("conv1d-dynamic", prefixed(**modules), {"x": x}, expected)


def tables():
    random = Random(410)
    modules = {"table": random.fill(nn.Embedding(11, 6)), "positions": random.fill(nn.Embedding(20, 6)),
               "norm": nn.LayerNorm(6), "wide": nn.LayerNorm(6, eps=0.1), "out": random.fill(nn.Linear(6, 9))}
    for name in ("norm", "wide"):
        random.fill(nn.ModuleDict({"norm": modules[name]}))
    rms = (random(6, scale=0.2) + 1).float().double()
    tokens = torch.tensor(random.generator.randint(0, 11, 14))
    x = modules["table"](tokens)
    placed = x + modules["positions"](torch.arange(14) + 3)
    write("tables", {**prefixed(**modules), "rms.weight": rms}, {"tokens": tokens},
          {"x": x, "placed": placed, "normed": modules["norm"](placed), "wide": modules["wide"](placed),
           "rms": placed / torch.sqrt((placed ** 2).mean(-1, keepdim=True) + 1e-6) * rms,
           "out": modules["out"](modules["norm"](placed))})


def elements():
    random = Random(420)
    x = torch.cat([random(40, scale=2.0), torch.tensor([0.0, -30.0, 30.0, 90.0, -90.0, 1e-4, -1e-4])])
    x = x.float().double()
    write("elements", {}, {"x": x}, {
        "relu": F.relu(x), "leaky": F.leaky_relu(x), "leaky3": F.leaky_relu(x, 0.3), "elu": F.elu(x),
        "selu": F.selu(x), "gelu": F.gelu(x), "gelu_tanh": F.gelu(x, approximate="tanh"),
        "silu": F.silu(x), "softplus": F.softplus(x, threshold=1000), "mish": F.mish(x),
        "quick": x * torch.sigmoid(1.702 * x), "squared": F.relu(x) ** 2, "capped": 20 * torch.tanh(x / 20)})


def feed_forward():
    random = Random(430)
    plain = random.fill(nn.ModuleDict({"linear1": nn.Linear(8, 12), "linear2": nn.Linear(12, 8)}))
    gated = {name: random.fill(nn.ModuleDict({
        "gate_proj": nn.Linear(8, 12, bias=bias), "up_proj": nn.Linear(8, 12, bias=bias),
        "down_proj": nn.Linear(12, 8, bias=bias)})) for name, bias in (("silu", False), ("gelu", True))}
    x = random(5, 8)

    def gate(module, act):
        return module["down_proj"](act(module["gate_proj"](x)) * module["up_proj"](x))

    write("feed-forward", prefixed(plain=plain, swi=gated["silu"], ge=gated["gelu"]), {"x": x},
          {"plain": plain["linear2"](F.relu(plain["linear1"](x))),
           "swi": gate(gated["silu"], F.silu), "ge": gate(gated["gelu"], F.gelu)})


# ---- Positions, alignments, attention of one head: numpy, from the papers' formulas ----


def rotate(q, positions, base, neighbours):
    """Su et al. 2021 as complex numbers: pair n times e^(i pos base^(-2n/D))."""
    half = q.shape[-1] // 2
    turn = np.exp(1j * np.outer(positions, base ** (-2.0 * np.arange(half) / q.shape[-1])))
    if neighbours:
        z = (q[:, 0::2] + 1j * q[:, 1::2]) * turn
        return np.stack([z.real, z.imag], -1).reshape(q.shape)
    z = (q[:, :half] + 1j * q[:, half:]) * turn
    return np.concatenate([z.real, z.imag], -1)


def slopes(heads):
    """Press et al. 2021, as the authors' code."""
    lower = 2 ** int(np.floor(np.log2(heads)))
    first = [2.0 ** (-8.0 * (h + 1) / lower) for h in range(lower)]
    return np.array(first if lower == heads else first + list(slopes(2 * lower)[0::2][: heads - lower]))


def positions():
    random = Random(500)
    q, x = random(9, 12).numpy(), random(9, 7).numpy()
    pos = np.array([0, 5, 17, 3, 40, 2, 2, 9, 11], np.int64)
    wave = np.arange(19)[:, None] / 10000 ** (np.arange(0, 7, 2) / 7)
    code = np.zeros((19, 8))
    code[:, 0::2], code[:, 1::2] = np.sin(wave), np.cos(wave)
    code = code[:, :7]
    write("positions", {}, {"q": q, "x": x, "pos": pos}, {
        "pairs": rotate(q, np.arange(9), 10000, True), "pairs_late": rotate(q, np.arange(9) + 100, 10000, True),
        "pairs_at": rotate(q, pos, 500, True), "halves": rotate(q, np.arange(9), 10000, False),
        "halves_late": rotate(q, np.arange(9) + 33, 1e6, False), "halves_at": rotate(q, pos, 10000, False),
        "waves": x + code[:9], "waves_late": x + code[10:],
        "slopes8": slopes(8), "slopes12": slopes(12), "slopes1": slopes(1), "slopes6": slopes(6)})


def softmax(scores, allowed=None):
    """Rows of weights; a row that may look at nothing is 0."""
    scores = scores if allowed is None else np.where(allowed, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(-1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


def alignments():
    random = Random(510)
    s, h = random(4, 6), random(7, 5)
    same = random(7, 6)
    general = random.fill(nn.Bilinear(6, 5, 1, bias=False))
    w, query, key = random(8), random(8, 6, scale=0.4), random(8, 5, scale=0.4)
    energy = general(s[:, None].expand(4, 7, 6).contiguous(), h[None].expand(4, 7, 5).contiguous())[..., 0]
    additive = (torch.tanh((s @ query.T)[:, None] + (h @ key.T)[None]) * w).sum(-1)
    write("alignments", {**prefixed(general=general), "add.w": w, "add.query.weight": query,
                         "add.key.weight": key}, {"s": s, "h": h, "same": same},
          {"dots": s @ same.T, "scaled": s @ same.T / np.sqrt(6), "generals": energy, "sums": additive,
           "context": softmax(additive.numpy()) @ h.numpy(), "plain": softmax((s @ same.T).numpy()) @ h.numpy()})


def attention():
    random = Random(520)
    q, k, v, sinks = (random(*shape).numpy() for shape in ((3, 8, 6), (3, 8, 6), (3, 8, 5), (3,)))
    mask = random.generator.rand(8, 8) < 0.4
    mask[3] = False
    i, j = np.arange(8)[:, None], np.arange(8)[None]
    scores = np.einsum("hid,hjd->hij", q, k) / np.sqrt(6)

    def sink(allowed):
        wide = np.concatenate([np.where(allowed, scores, -np.inf),
                               np.broadcast_to(sinks[:, None, None], (3, 8, 1))], -1)
        return softmax(wide)[..., :-1] @ v

    write("attention", {}, {"q": q, "k": k, "v": v, "sink": sinks, "mask": mask,
                            "length": np.array(5, np.int64)}, {
        "plain": softmax(scores) @ v, "weights": softmax(scores), "causal": softmax(scores, j <= i) @ v,
        "windowed": softmax(scores, (j <= i) & (i - j < 3)) @ v, "masked": softmax(scores, mask) @ v,
        "padded": softmax(scores, j < 5) @ v,
        "alibi": softmax(scores - slopes(3)[:, None, None] * (i - j), j <= i) @ v,
        "sunk": sink(True), "sunk_windowed": sink((j <= i) & (i - j < 4))})


def images():
    """Convolutions that only look back, and over rows and columns."""
    random = Random(530)
    causal, patches, padded = nn.Conv1d(5, 6, 3, dilation=2), nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(3, 4, 3, padding=1)
    for module in (causal, patches, padded):
        random.fill(module)
    x, image = random(9, 5), random(3, 8, 6)
    before = torch.cat([torch.zeros(4, 5), x])
    write("images", prefixed(causal=causal, patches=patches, padded=padded), {"x": x, "image": image},
          {"back": causal(before.T).T, "small": patches(image), "same": padded(image)})


def heads_and_places():
    random = Random(540)
    q, x = random(7, 12).numpy(), random(7, 12).numpy()
    row, column = np.array([0, 0, 1, 3, 2, 5, 4], np.int64), np.array([2, 0, 1, 1, 6, 3, 0], np.int64)
    half = np.arange(7)
    write("places", {}, {"q": q, "x": x, "row": row, "column": column}, {
        "apart": x.reshape(7, 3, 4).transpose(1, 0, 2), "beside": x.reshape(7, 3, 4).transpose(0, 2, 1).reshape(7, 12),
        "partial": np.concatenate([rotate(q[:, :8], half + 5, 10000, False), q[:, 8:]], -1),
        "scaled": rotate(q, (half + 1) / 8, 500, False),
        "grid": np.concatenate([rotate(q[:, :6], row, 100, False), rotate(q[:, 6:], column, 100, False)], -1)})


def pooled():
    random = Random(550)
    q, k, v, rq, rk, x, w = (random(*shape).numpy() for shape in
                             ((9, 6), (9, 6), (9, 5), (8, 6), (8, 6), (9, 6), (6,)))
    i, j = np.arange(9)[:, None], np.arange(9)[None]
    near = np.clip(i - j + 4, 0, 7)
    score = q @ k.T + np.take_along_axis(q @ rk.T, near, 1) + np.take_along_axis(k @ rq.T, near, 1).T
    write("pooled", {"pool.weight": w}, {"q": q, "k": k, "v": v, "rq": rq, "rk": rk, "x": x},
          {"far": softmax(score / np.sqrt(18)) @ v, "one": softmax(x @ w) @ x})


def experts():
    random = Random(560)
    x, router = random(7, 6).numpy(), random(5, 6).numpy()
    gate, up, down = (random(*shape, scale=0.4).numpy() for shape in ((5, 8, 6), (5, 8, 6), (5, 6, 8)))
    score = x @ router.T
    share = softmax(score, np.argsort(np.argsort(-score, 1), 1) < 2)
    hidden = [(x @ gate[e].T) / (1 + np.exp(-(x @ gate[e].T))) * (x @ up[e].T) for e in range(5)]
    weights = {"moe.gate.weight": router}
    for e in range(5):
        for name, value in (("gate", gate), ("up", up), ("down", down)):
            weights[f"moe.experts.{e}.{name}_proj.weight"] = value[e]
    write("experts", weights, {"x": x},
          {"y": sum(share[:, e:e + 1] * (hidden[e] @ down[e].T) for e in range(5)), "share": share})


def states():
    """Memories that are matrices, a step after the other."""
    random = Random(570)
    x, B, C, q, v = (random(*shape).numpy() for shape in ((11, 4), (11, 5), (11, 5), (11, 6), (11, 4)))
    dt, A = np.abs(random(11, 4).numpy()), -np.abs(random(4, 5).numpy())
    key = random(11, 6).numpy()
    key = (key / np.linalg.norm(key, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    beta, fade = (random.generator.rand(2, 11)).astype(np.float32).astype(np.float64)
    s, m, space, delta = np.zeros((4, 5)), np.zeros((6, 4)), [], []
    for t in range(11):
        s = np.exp(dt[t][:, None] * A) * s + np.outer(dt[t] * x[t], B[t])
        space.append(s @ C[t])
        m = fade[t] * m
        m = m + beta[t] * np.outer(key[t], v[t] - key[t] @ m)
        delta.append(q[t] @ m)
    write("states", {}, {"x": x, "B": B, "C": C, "q": q, "v": v, "dt": dt, "A": A, "key": key, "beta": beta,
                         "fade": fade}, {"space": np.array(space), "delta": np.array(delta)})


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    with torch.no_grad():
        for case in (recurrent, multihead, transformer, language_model, convolution, tables, elements,
                     feed_forward, positions, alignments, attention, images, heads_and_places, pooled,
                     experts, states):
            case()

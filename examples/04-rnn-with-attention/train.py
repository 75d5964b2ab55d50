#!/usr/bin/python3
"""Trains the model of dates.qkv in torch, and checks it there.

In:  lines from ../dates/generate.py; dates.ckpt, if an earlier training was interrupted.
Out: dates.safetensors, whose names and shapes are those of dates.qkv; with --figures
     figures.safetensors, the logits of one line, against which the compiled model is tested.
Holds: the same seed gives the same batches, whether interrupted or not. The functions below
     say what dates.qkv says, for a batch B at a time.
"""

import argparse
import json
import math
import os
import random
import struct
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "..", "dates"))

# OpenBLAS 0.3.21 takes newer CPUs for very old ones unless told; it looks when it is loaded.
try:
    with open("/proc/cpuinfo") as cpuinfo:
        if "avx512_bf16" in cpuinfo.read():
            os.environ.setdefault("OPENBLAS_CORETYPE", "Cooperlake")
except OSError:
    pass
os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import numpy  # noqa: E402
import torch  # noqa: E402

import generate  # noqa: E402

WEIGHTS = os.path.join(FOLDER, "dates.safetensors")
CHECKPOINT = os.path.join(FOLDER, "dates.ckpt")
FIGURES = os.path.join(FOLDER, "figures.safetensors")

START, END, V = 256, 257, 258  # the bytes, then the two marks
E, H, D, A = 32, 64, 96, 64    # as in dates.qkv

SHAPES = {
    "embedding.weight": (V, E),
    "encoder.forward.weight_ih": (4 * H, E),
    "encoder.forward.weight_hh": (4 * H, H),
    "encoder.forward.bias": (4 * H,),
    "encoder.backward.weight_ih": (4 * H, E),
    "encoder.backward.weight_hh": (4 * H, H),
    "encoder.backward.bias": (4 * H,),
    "decoder.start.weight": (D, H),
    "decoder.start.bias": (D,),
    "decoder.alignment.weight": (A,),
    "decoder.alignment.query.weight": (A, D),
    "decoder.alignment.key.weight": (A, 2 * H),
    "decoder.cell.weight_ih": (4 * D, E),
    "decoder.cell.weight_hh": (4 * D, D),
    "decoder.cell.weight_ch": (4 * D, 2 * H),
    "decoder.cell.bias": (4 * D,),
    "output.weight": (V, D),
    "output.bias": (V,),
}

# ---- The model ---------------------------------------------------------------------------


def lstm(z, c):
    """The next state and memory. z[B,4*O]: gates input, forget, candidate, output. c[B,O]."""
    i, f, g, o = z.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def encode(p, source, lengths):
    """Annotations h[B,S,2*H] of source[B,S], and the backward encoder's last state [B,H].

    The backward half runs forward over the reversed lines, so that no position is ever masked:
    what stands behind a line's end comes after all that counts.
    """
    batch, extent = source.shape
    position = torch.arange(extent)[:, None]
    mirror = torch.where(position < lengths, lengths - 1 - position, position)  # [S,B]
    tokens = torch.stack([source.t(), source.t().gather(0, mirror)])            # [2,S,B]
    ways = "forward", "backward"
    W, U, b = (torch.stack([p[f"encoder.{way}.{name}"] for way in ways])
               for name in ("weight_ih", "weight_hh", "bias"))
    x = p["embedding.weight"][tokens].view(2, extent * batch, E)
    z = torch.baddbmm(b[:, None], x, W.transpose(1, 2)).view(2, extent, batch, 4 * H)
    U = U.transpose(1, 2)
    h = c = x.new_zeros(2, batch, H)
    states = []
    for z_j in z.unbind(1):
        h, c = lstm(torch.baddbmm(z_j, h, U), c)
        states.append(h)
    states = torch.stack(states, 1)                                             # [2,S,B,H]
    backward = states[1].gather(0, mirror[:, :, None].expand(-1, -1, H))
    return torch.cat([states[0], backward], -1).transpose(0, 1), backward[0]


def decode(p, source, lengths, tokens=None, steps=0):
    """Logits[B,T,V] for the tokens after tokens[B,T]; without them, the ISO dates [B,steps]
    of the most likely next token each time."""
    h, last = encode(p, source, lengths)
    h = h.contiguous()
    keys = h @ p["decoder.alignment.key.weight"].t()
    outside = torch.arange(source.shape[1]) >= lengths[:, None]
    s = torch.tanh(last @ p["decoder.start.weight"].t() + p["decoder.start.bias"])
    c = torch.zeros_like(s)
    embedded = p["embedding.weight"] @ p["decoder.cell.weight_ih"].t() + p["decoder.cell.bias"]
    token = torch.full_like(lengths, START)
    results = []
    for t in range(steps if tokens is None else tokens.shape[1]):
        if tokens is not None:
            token = tokens[:, t]
        query = s @ p["decoder.alignment.query.weight"].t()
        e = torch.tanh(keys + query[:, None]) @ p["decoder.alignment.weight"]
        alpha = torch.softmax(e.masked_fill(outside, -math.inf), 1)
        context = (alpha[:, None] @ h)[:, 0]
        z = (embedded[token] + s @ p["decoder.cell.weight_hh"].t()
             + context @ p["decoder.cell.weight_ch"].t())
        s, c = lstm(z, c)
        if tokens is None:
            token = (s @ p["output.weight"].t() + p["output.bias"]).argmax(1)
            results.append(token)
        else:
            results.append(s)
    results = torch.stack(results, 1)
    return results if tokens is None else results @ p["output.weight"].t() + p["output.bias"]


# ---- Data --------------------------------------------------------------------------------


def tensors(pairs):
    """source[B,S] padded with 0, lengths[B], target[B,12] with both marks."""
    lines = [list(source.encode()) for source, _ in pairs]
    extent = max(map(len, lines))
    target = [[START, *iso.encode(), END] for _, iso in pairs]
    return (torch.tensor([line + [0] * (extent - len(line)) for line in lines]),
            torch.tensor([len(line) for line in lines]), torch.tensor(target))


def batches(first, count, size, seed):
    """Yields the batches first to count - 1: always the same ones, of lines about as long."""
    group = 8
    for step in range(first - first % group, count, group):
        pairs = list(generate.pairs(group * size, f"training {seed} {step}"))
        pairs.sort(key=lambda pair: len(pair[0].encode()))
        starts = list(range(0, group * size, size))
        random.Random(step).shuffle(starts)
        for n, start in enumerate(starts):
            if first <= step + n < count:
                yield tensors(pairs[start:start + size])


# ---- Files -------------------------------------------------------------------------------

TYPES = {"F32": numpy.dtype("<f4"), "I64": numpy.dtype("<i8")}


def write_safetensors(path, arrays):
    """arrays: a name's numpy array of float32 or int64."""
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


def read_safetensors(path):
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


def read_weights(dtype=torch.float32):
    """The trained parameters; ends the program where there are none."""
    if not os.path.exists(WEIGHTS):
        sys.exit(f"train.py: {WEIGHTS} is missing; train first")
    p = {name: torch.from_numpy(w).to(dtype) for name, w in read_safetensors(WEIGHTS).items()}
    if {name: tuple(w.shape) for name, w in p.items()} != SHAPES:
        sys.exit(f"train.py: {WEIGHTS} holds other parameters than this model's")
    return p


# ---- Training ----------------------------------------------------------------------------


def new_parameters(seed):
    """Bytes are told apart from the first step on (variance 1), states pass from step to step
    undiminished (orthogonal matrices, open forget gates), scores have room to differ."""
    torch.manual_seed(seed)
    p = {}
    for name, shape in SHAPES.items():
        w = p[name] = torch.zeros(shape)
        if name == "embedding.weight":
            w.normal_()
        elif name == "decoder.alignment.weight":
            w.uniform_(-0.5, 0.5)
        elif name.endswith("weight_hh"):
            for gate in w.chunk(4):
                torch.nn.init.orthogonal_(gate)
        elif name.endswith("weight") or "weight_" in name:
            w.uniform_(-math.sqrt(1 / shape[-1]), math.sqrt(1 / shape[-1]))
        elif name.startswith("encoder") or name == "decoder.cell.bias":
            w.view(4, -1)[1] = 1
    return p


def learning_rate(step, steps, peak):
    """Up in a straight line, then down along half a cosine."""
    rise = min(1.0, (step + 1) / 100)
    return peak * rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(options):
    settings = {name: getattr(options, name) for name in ("seed", "steps", "batch", "rate")}
    p = new_parameters(options.seed)
    for w in p.values():
        w.requires_grad_()
    optimizer = torch.optim.Adam(p.values(), betas=(0.9, 0.98))
    first, spent = 0, 0.0
    if os.path.exists(CHECKPOINT) and not options.fresh:
        saved = torch.load(CHECKPOINT)
        if saved["settings"] != settings:
            sys.exit(f"train.py: {CHECKPOINT} was made with {saved['settings']}; "
                     "give the same, or --fresh to begin anew")
        with torch.no_grad():
            for name, w in p.items():
                w.copy_(saved["parameters"][name])
        optimizer.load_state_dict(saved["optimizer"])
        first, spent = saved["step"], saved["seconds"]
        print(f"resuming at step {first}", flush=True)

    began, mean = time.monotonic() - spent, None
    for step, (source, lengths, target) in enumerate(
            batches(first, options.steps, options.batch, options.seed), first):
        logits = decode(p, source, lengths, target[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.param_groups[0]["lr"] = learning_rate(step, options.steps, options.rate)
        optimizer.step()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        done = step + 1
        if done % 50 == 0 or done == options.steps:
            seconds = time.monotonic() - began
            print(f"step {done}/{options.steps}  loss {mean:.5f}  {seconds:.0f} s", flush=True)
            torch.save({"settings": settings, "step": done, "seconds": seconds, "parameters": p,
                        "optimizer": optimizer.state_dict()}, CHECKPOINT + ".part")
            os.replace(CHECKPOINT + ".part", CHECKPOINT)

    write_safetensors(WEIGHTS, {name: w.detach().numpy() for name, w in p.items()})
    if os.path.exists(CHECKPOINT):
        os.remove(CHECKPOINT)
    print(f"wrote {os.path.relpath(WEIGHTS)}, {os.path.getsize(WEIGHTS)} bytes")


# ---- Checks ------------------------------------------------------------------------------


def evaluate(options):
    """Prints for each seed how many lines get exactly their date, generating greedily."""
    p = read_weights()
    for seed in options.seeds:
        pairs = list(generate.pairs(options.count, seed))
        right = 0
        for start in range(0, len(pairs), 250):
            part = pairs[start:start + 250]
            source, lengths, target = tensors(part)
            with torch.no_grad():
                result = decode(p, source, lengths, steps=target.shape[1] - 1)
            good = (result == target[:, 1:]).all(1)
            right += int(good.sum())
            if options.verbose:
                for (line, iso), is_good, row in zip(part, good.tolist(), result.tolist()):
                    if not is_good:
                        text = bytes(byte for byte in row if byte < START).decode(errors="replace")
                        print(f"  {line!r}: {text}, expected {iso}")
        print(f"seed {seed}: {right} of {len(pairs)} lines exact, {100 * right / len(pairs):.2f} %",
              flush=True)


def figures():
    """Writes one line's inputs and logits, computed in double precision and rounded once."""
    line, iso = " Thu, the 7th of DECEMBER,  2023", "2023-12-07"
    source, lengths, target = tensors([(line, iso)])
    with torch.no_grad():
        logits = decode(read_weights(torch.float64), source, lengths, target[:, :-1])
    write_safetensors(FIGURES, {"source": source[0].numpy(), "tokens": target[0, :-1].numpy(),
                                "logits": logits[0].float().numpy()})
    print(f"wrote {os.path.relpath(FIGURES)}, {os.path.getsize(FIGURES)} bytes")


def main():
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains the model of dates.qkv: bytes of a date as people write it to its "
                    "ISO form.",
        epilog="examples:\n"
               "  train.py                      train, or go on where a training was interrupted\n"
               "  train.py --evaluate           exact lines of other seeds\n"
               "  train.py --evaluate --seeds 7 --count 5000 --verbose\n"
               "  train.py --figures            logits of one line, for the tests")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--evaluate", action="store_true", help="check dates.safetensors")
    mode.add_argument("--figures", action="store_true", help="write figures.safetensors")
    parser.add_argument("--fresh", action="store_true", help="ignore an interrupted training")
    parser.add_argument("--seed", type=int, default=1, help="of training (default: 1)")
    parser.add_argument("--steps", type=int, default=2400, help="batches (default: 2400)")
    parser.add_argument("--batch", type=int, default=128, help="lines of a batch (default: 128)")
    parser.add_argument("--rate", type=float, default=6e-3, help="highest learning rate (0.006)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5],
                        help="of evaluation (default: 2 3 4 5)")
    parser.add_argument("--count", type=int, default=1000,
                        help="lines of each seed of evaluation (default: 1000)")
    parser.add_argument("--verbose", action="store_true", help="print the lines that fail")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.evaluate:
        evaluate(options)
    elif options.figures:
        figures()
    else:
        train(options)


if __name__ == "__main__":
    main()

"""What the rungs without recurrence compute, in torch.

In:  parameters by torch.nn.Transformer's names; source[B,S] padded at its end, tokens[B,T].
Out: logits[B,T,V]. A Plan says which parts a model has.
Holds: each function says what the pages of rungs 5 to 9 say, for a batch B at a time.
"""

import math
from dataclasses import dataclass

import torch

from .lines import START, V
from .rung import Model

C, F, D = 64, 128, 16  # values of a position, of its feed-forward part, of a head
SOURCES, TOKENS = 96, 16  # positions that a learned code knows
NEVER = -1e30  # added to a score that nobody may see; finite, since a position behind a line's end may
               # see nothing at all, and its softmax must still be a number
TAB = 9  # stands between the line and its answer where both are one stream


@dataclass
class Plan:
    """The parts of a model. Without all of them it is attention alone."""
    positions: str = "none"  # none, sinusoidal, learned, rotary, alibi
    heads: int = 4
    scaled: bool = True
    residual: bool = True
    norm: bool = True
    feed_forward: bool = True
    causal: bool = True      # the decoder does not look ahead
    linear: bool = False     # sums without a softmax
    post: bool = False       # the norms stand behind the sums, as in the paper
    encoder: int = 2         # layers
    decoder: int = 2


def shapes_of(plan):
    shapes = {"embedding.weight": (V, C)}

    def layer(name, attentions):
        for attention in attentions:
            shapes[f"{name}{attention}.in_proj_weight"] = (3 * C, C)
            shapes[f"{name}{attention}.in_proj_bias"] = (3 * C,)
            shapes[f"{name}{attention}.out_proj.weight"] = (C, C)
            shapes[f"{name}{attention}.out_proj.bias"] = (C,)
        if plan.feed_forward:
            shapes[f"{name}linear1.weight"], shapes[f"{name}linear1.bias"] = (F, C), (F,)
            shapes[f"{name}linear2.weight"], shapes[f"{name}linear2.bias"] = (C, F), (C,)
        if plan.norm:
            for n in range(len(attentions) + plan.feed_forward):
                shapes[f"{name}norm{n + 1}.weight"] = shapes[f"{name}norm{n + 1}.bias"] = (C,)

    for half, count, attentions in (("encoder", plan.encoder, ["self_attn"]),
                                    ("decoder", plan.decoder, ["self_attn", "multihead_attn"])):
        if half == "decoder" and not plan.encoder:
            attentions = ["self_attn"]
        for n in range(count):
            layer(f"{half}.layers.{n}.", attentions)
        if plan.norm and not plan.post and count:
            shapes[f"{half}.norm.weight"] = shapes[f"{half}.norm.bias"] = (C,)
    if plan.positions == "learned":
        shapes["source_positions.weight"] = (SOURCES, C)
        shapes["token_positions.weight"] = (TOKENS, C)
    shapes["output.weight"], shapes["output.bias"] = (V, C), (V,)
    return shapes


def begin(name, w):
    """Bytes are told apart from the first step on; sums begin as a whisper beside what they are
    added to."""
    if name == "embedding.weight":
        w.normal_()
    elif "positions" in name:
        w.normal_(std=0.5)
    elif "norm" in name and name.endswith("weight"):
        w.fill_(1)
    elif name.endswith("weight"):
        bound = math.sqrt(3 / w.shape[1])
        w.uniform_(-bound, bound)
        if name.endswith(("out_proj.weight", "linear2.weight")):
            w.mul_(0.5)
        elif name == "output.weight":
            w.mul_(0.3)


# ---- Positions ----------------------------------------------------------------------------


def sinusoidal(extent, like):
    """Sines at even c, cosines at odd c: [extent,C]."""
    c = torch.arange(C, dtype=torch.float64)
    angle = torch.arange(extent, dtype=torch.float64)[:, None] / 10000 ** ((c - c % 2) / C)
    return torch.where(c % 2 == 0, angle.sin(), angle.cos()).to(like.dtype)


def rotary(q):
    """Pairs n and n + D/2 of q[B,H,T,D] turned by t / 10000^(2n/D)."""
    half = q.shape[-1] // 2
    n = torch.arange(half, dtype=torch.float64)
    angle = torch.arange(q.shape[-2], dtype=torch.float64)[:, None] / 10000 ** (n / half)
    cos, sin = angle.cos().to(q.dtype), angle.sin().to(q.dtype)
    a, b = q[..., :half], q[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def alibi(extent, like, causal):
    """[H,extent,extent]: what each step away costs. Heads 0 and 1 1/2, heads 2 and 3 1/16; in the
    encoder the even heads look back and the odd ones ahead, or left and right would be one."""
    i, j = torch.arange(extent)[:, None], torch.arange(extent)
    slope = torch.tensor([1 / 2, 1 / 2, 1 / 16, 1 / 16])[:, None, None]
    bias = -slope * (i - j).abs()
    if not causal:
        back = torch.tensor([True, False, True, False])[:, None, None]
        bias = bias.masked_fill(torch.where(back, j > i, j < i), NEVER)
    return bias.to(like.dtype)


# ---- Layers -------------------------------------------------------------------------------


def norm(plan, p, name, x):
    if not plan.norm:
        return x
    return torch.nn.functional.layer_norm(x, (C,), p[name + "weight"], p[name + "bias"])


def attention(plan, p, name, x, y, bias, positions):
    """x[B,T,C] asks, y[B,S,C] answers. bias: broadcast to [B,H,T,S]; NEVER where nobody looks."""
    B, T, S, H = len(x), x.shape[1], y.shape[1], plan.heads
    W, b = p[name + "in_proj_weight"], p[name + "in_proj_bias"]
    if x is y:
        q, k, v = (x @ W.t() + b).view(B, T, 3, H, C // H).permute(2, 0, 3, 1, 4)
    else:
        q = (x @ W[:C].t() + b[:C]).view(B, T, H, C // H).transpose(1, 2)
        k, v = (y @ W[C:].t() + b[C:]).view(B, S, 2, H, C // H).permute(2, 0, 3, 1, 4)
    if positions == "rotary":
        q, k = rotary(q), rotary(k)
    if plan.linear:
        q, k = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
        weights = q @ k.transpose(2, 3) * bias.exp()
        context = weights @ v / weights.sum(-1, keepdim=True)
    else:
        scale = 1 / math.sqrt(C // H) if plan.scaled else 1.0
        context = torch.softmax((q * scale) @ k.transpose(2, 3) + bias, -1) @ v
    context = context.transpose(1, 2).reshape(B, T, C)
    return context @ p[name + "out_proj.weight"].t() + p[name + "out_proj.bias"]


def add(plan, p, name, x, part):
    """x and a part's result, which sees x through a norm."""
    if plan.post:
        return norm(plan, p, name, x + part(x))
    result = part(norm(plan, p, name, x))
    return x + result if plan.residual else result


def feed_forward(p, name, x):
    hidden = torch.relu(x @ p[name + "linear1.weight"].t() + p[name + "linear1.bias"])
    return hidden @ p[name + "linear2.weight"].t() + p[name + "linear2.bias"]


def layer(plan, p, name, x, bias, memory=None, memory_bias=None):
    x = add(plan, p, name + "norm1.", x,
            lambda n: attention(plan, p, name + "self_attn.", n, n, bias, plan.positions))
    n = 2
    if memory is not None:
        x = add(plan, p, name + "norm2.", x, lambda n: attention(
            plan, p, name + "multihead_attn.", n, memory, memory_bias, "none"))
        n = 3
    if plan.feed_forward:
        x = add(plan, p, f"{name}norm{n}.", x, lambda n: feed_forward(p, name, n))
    return x


def embedded(plan, p, tokens, table):
    x = p["embedding.weight"][tokens]
    if plan.positions == "sinusoidal":
        x = x + sinusoidal(tokens.shape[1], x)
    elif plan.positions == "learned":
        x = x + p[table][:tokens.shape[1]]
    return x


def ahead(extent, like):
    """[extent,extent]: NEVER where j > i."""
    return torch.full((extent, extent), NEVER, dtype=like.dtype).triu(1)


def stack(plan, p, half, x, bias, memory=None, memory_bias=None):
    for n in range(plan.encoder if half == "encoder" else plan.decoder):
        x = layer(plan, p, f"{half}.layers.{n}.", x, bias, memory, memory_bias)
    return x if plan.post else norm(plan, p, f"{half}.norm.", x)


def encoder_decoder(plan, **options):
    """A Model of rungs 5 to 8."""
    def encode(p, source, lengths):
        x = embedded(plan, p, source, "source_positions.weight")
        beyond = (torch.arange(source.shape[1]) >= lengths[:, None])[:, None, None]
        bias = torch.zeros(beyond.shape, dtype=x.dtype).masked_fill(beyond, NEVER)
        here = bias + alibi(source.shape[1], x, False) if plan.positions == "alibi" else bias
        return stack(plan, p, "encoder", x, here), bias

    def decode(p, memory, tokens):
        y = embedded(plan, p, tokens, "token_positions.weight")
        bias = ahead(tokens.shape[1], y) if plan.causal else torch.zeros(1, dtype=y.dtype)
        if plan.positions == "alibi":
            bias = bias + alibi(tokens.shape[1], y, True)
        y = stack(plan, p, "decoder", y, bias, *memory)
        return y @ p["output.weight"].t() + p["output.bias"]

    return Model(shapes_of(plan), begin, encode, decode, **options)


def decoder_only(plan, **options):
    """A Model of rung 9: a start mark, the line, a tab and the date are one stream."""
    def all_logits(p, stream):
        x = embedded(plan, p, stream, None)
        y = stack(plan, p, "decoder", x, ahead(stream.shape[1], x))
        return y @ p["output.weight"].t() + p["output.bias"]

    def decode(p, memory, tokens):
        source, lengths = memory
        stream = torch.zeros(len(source), source.shape[1] + 1 + tokens.shape[1], dtype=torch.long)
        stream[:, 0] = START
        stream[:, 1:source.shape[1] + 1] = source
        answer = tokens.clone()
        answer[:, 0] = TAB
        places = lengths[:, None] + 1 + torch.arange(tokens.shape[1])
        stream.scatter_(1, places, answer)
        logits = all_logits(p, stream)
        return logits.gather(1, places[:, :, None].expand(-1, -1, V))

    def stream(p, source, tokens):
        start, answer = torch.full((len(source), 1), START), tokens.clone()
        answer[:, 0] = TAB
        whole = torch.cat([start, source, answer], 1)
        return whole, all_logits(p, whole)

    return Model(shapes_of(plan), begin, lambda p, source, lengths: (source, lengths), decode,
                 stream=stream, **options)

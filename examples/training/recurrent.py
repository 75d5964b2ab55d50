"""What the recurrent rungs compute, in torch: encoders, decoders, alignments.

In:  parameters by the names of the models' pages; source[B,S] with the longest line first.
Out: encoders give the states at all positions [B,S,M] and the last ones; decoders give logits.
Holds: each function says what the pages of rungs 1 to 4 say, for a batch B at a time. What stands
     behind a line's end never meets what counts.
"""

import math

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .lines import V
from .rung import Model

E = 32  # values of an embedded byte
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def cell_shapes(prefix, cell, inputs, states, contexts=0):
    """The parameters of one cell."""
    rows = GATES[cell] * states
    shapes = {f"{prefix}.weight_ih": (rows, inputs), f"{prefix}.weight_hh": (rows, states),
              f"{prefix}.bias": (rows,)}
    if contexts:
        shapes[f"{prefix}.weight_ch"] = (rows, contexts)
    return shapes


def begin(name, w, forget_gates=()):
    """Bytes are told apart from the first step on (variance 1), states pass from step to step
    undiminished (orthogonal matrices, open forget gates), scores have room to differ.
    forget_gates: the biases of LSTMs."""
    if name == "embedding.weight":
        w.normal_()
    elif name == "decoder.alignment.weight" and w.dim() == 1:
        w.uniform_(-0.5, 0.5)
    elif name.endswith("weight_hh"):
        for gate in w.split(w.shape[1]):
            torch.nn.init.orthogonal_(gate)
    elif name.endswith("weight") or "weight_" in name:
        w.uniform_(-math.sqrt(1 / w.shape[-1]), math.sqrt(1 / w.shape[-1]))
    elif name in forget_gates:
        w.view(4, -1)[1] = 1


def run(cell, p, prefixes, x, start, lengths=None, contexts=None):
    """The states of a cell over x[B,T,E], and the last state (of an LSTM with its memory). Two
    prefixes: one forward and one backward, side by side."""
    weights = []
    for prefix in prefixes:
        inputs = p[f"{prefix}.weight_ih"]
        if contexts is not None:
            inputs = torch.cat([inputs, p[f"{prefix}.weight_ch"]], 1)
        bias = p[f"{prefix}.bias"]
        weights += [inputs, p[f"{prefix}.weight_hh"], bias, torch.zeros_like(bias)]
    if contexts is not None:
        x = torch.cat([x, contexts[:, None].expand(-1, x.shape[1], -1)], 2)
    function = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[cell]
    both = len(prefixes) == 2
    if lengths is None:
        result = function(x, start, weights, True, 1, 0.0, False, both, True)
        return result[0], result[1:]
    packed = pack_padded_sequence(x, lengths, batch_first=True)
    result = function(packed.data, packed.batch_sizes, start, weights, True, 1, 0.0, False, both)
    states = torch.nn.utils.rnn.PackedSequence(result[0], packed.batch_sizes)
    return pad_packed_sequence(states, batch_first=True)[0], result[1:]


def zeros(cell, x, states, ways=1):
    """The state before the first step."""
    zero = x.new_zeros(ways, len(x), states)
    return (zero, zero) if cell == "lstm" else zero


def model(parts, cell="lstm", **options):
    """A Model of shapes, encode and decode."""
    shapes, encode, decode = parts
    gates = {name for name in shapes if cell == "lstm" and name.endswith("bias")
             and (name.startswith("encoder") or name in ("decoder.bias", "decoder.cell.bias"))}
    return Model(shapes, lambda name, w: begin(name, w, gates), encode, decode, **options)


# ---- One vector ---------------------------------------------------------------------------


def one_vector(cell, states):
    """Rungs 1 and 2: shapes, encode, decode. The decoder begins where the encoder ended."""
    shapes = {"embedding.weight": (V, E), **cell_shapes("encoder", cell, E, states),
              **cell_shapes("decoder", cell, E, states), "output.weight": (V, states),
              "output.bias": (V,)}

    def encode(p, source, lengths):
        x = p["embedding.weight"][source]
        last = run(cell, p, ["encoder"], x, zeros(cell, x, states), lengths)[1]
        return last if cell == "lstm" else last[0]

    def decode(p, memory, tokens):
        s = run(cell, p, ["decoder"], p["embedding.weight"][tokens], memory)[0]
        return s @ p["output.weight"].t() + p["output.bias"]

    return shapes, encode, decode


# ---- Both directions ----------------------------------------------------------------------

H, D, A = 48, 96, 64  # an encoder's state, the decoder's, the alignment's hidden layer

READER = {"embedding.weight": (V, E), **cell_shapes("encoder.forward", "lstm", E, H),
          **cell_shapes("encoder.backward", "lstm", E, H), "decoder.start.weight": (D, H),
          "decoder.start.bias": (D,), **cell_shapes("decoder.cell", "lstm", E, D, 2 * H),
          "output.weight": (V, D), "output.bias": (V,)}


def annotations(p, source, lengths):
    """h[B,S,2*H], and the decoder's first state: what the backward half knows of the line."""
    x = p["embedding.weight"][source]
    h, (last, _) = run("lstm", p, ["encoder.forward", "encoder.backward"], x,
                       zeros("lstm", x, H, 2), lengths)
    start = torch.tanh(last[1] @ p["decoder.start.weight"].t() + p["decoder.start.bias"])
    return h, start


def outside(h, lengths):
    """[B,S]: behind the line's end."""
    return torch.arange(h.shape[1]) >= lengths[:, None]


def fixed_summary(kind):
    """Rung 3: shapes, encode, decode. One summary of h is the context at every step."""
    def encode(p, source, lengths):
        h, start = annotations(p, source, lengths)
        beyond = outside(h, lengths)[:, :, None]
        if kind == "mean":
            summary = h.masked_fill(beyond, 0).sum(1) / lengths[:, None]
        elif kind == "maximum":
            summary = h.masked_fill(beyond, -math.inf).max(1)[0]
        else:
            summary = h[torch.arange(len(h)), lengths - 1]
        return summary, start

    def decode(p, memory, tokens):
        summary, start = memory
        state = start[None], torch.zeros_like(start[None])
        s = run("lstm", p, ["decoder.cell"], p["embedding.weight"][tokens], state,
                contexts=summary)[0]
        return s @ p["output.weight"].t() + p["output.bias"]

    return dict(READER), encode, decode


# ---- Attention ----------------------------------------------------------------------------

ALIGNMENTS = {
    "dates": {"decoder.alignment.weight": (A,), "decoder.alignment.query.weight": (A, D),
              "decoder.alignment.key.weight": (A, 2 * H)},
    "dot": {},
    "bilinear": {"decoder.alignment.weight": (D, 2 * H)},
    "projected": {"decoder.alignment.query.weight": (A, D),
                  "decoder.alignment.key.weight": (A, 2 * H)},
}


def with_attention(kind):
    """Rung 4: shapes, encode, decode. At each step the context is a mean of h weighted by how
    well each fits the state before. kind: an alignment; `dates` is the additive one."""
    shapes = {**READER, **ALIGNMENTS[kind]}
    name = "decoder.alignment."

    def encode(p, source, lengths):
        h, start = annotations(p, source, lengths)
        keys = h
        if kind == "bilinear":
            keys = h @ p[name + "weight"].t()
        elif kind != "dot":
            keys = h @ p[name + "key.weight"].t()
        return h, keys, start, outside(h, lengths)

    def scores(p, s, keys):
        if kind == "dates":
            query = s @ p[name + "query.weight"].t()
            return torch.tanh(keys + query[:, None]) @ p[name + "weight"]
        if kind == "projected":
            s = s @ p[name + "query.weight"].t()
            return (keys @ s[:, :, None])[:, :, 0] / math.sqrt(A)
        return (keys @ s[:, :, None])[:, :, 0]

    def decode(p, memory, tokens):
        h, keys, s, beyond = memory
        c = torch.zeros_like(s)
        x = p["embedding.weight"] @ p["decoder.cell.weight_ih"].t() + p["decoder.cell.bias"]
        W = torch.cat([p["decoder.cell.weight_hh"], p["decoder.cell.weight_ch"]], 1).t()
        results = []
        for t in range(tokens.shape[1]):
            alpha = torch.softmax(scores(p, s, keys).masked_fill(beyond, -math.inf), 1)
            context = (alpha[:, None] @ h)[:, 0]
            z = torch.addmm(x[tokens[:, t]], torch.cat([s, context], 1), W)
            i, f, g, o = z.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            s = torch.sigmoid(o) * torch.tanh(c)
            results.append(s)
        return torch.stack(results, 1) @ p["output.weight"].t() + p["output.bias"]

    return shapes, encode, decode

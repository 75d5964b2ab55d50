"""GPT-2. Radford et al. 2019, "Language models are unsupervised multitask learners"."""

from parts import *

CHECKPOINTS = {"gpt2": {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 61, "n_positions": 24,
    "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": None, "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new"}}


def weights(c, w):
    C = c["n_embd"]
    w.draw("wte.weight", c["vocab_size"], C, spread=0.5)
    w.draw("wpe.weight", c["n_positions"], C, spread=0.3)
    for l in range(c["n_layer"]):
        p = f"h.{l}."
        for norm in ("ln_1", "ln_2"):
            w.scale(p + norm + ".weight", C)
            w.shift(p + norm + ".bias", C)
        # The transposes of linear layers: inputs first.
        for name, rows, columns in (("attn.c_attn", C, 3 * C), ("attn.c_proj", C, C),
                                    ("mlp.c_fc", C, 4 * C), ("mlp.c_proj", 4 * C, C)):
            w.draw(p + name + ".weight", rows, columns, spread=1 / np.sqrt(rows))
            w.shift(p + name + ".bias", columns)
    w.scale("ln_f.weight", C)
    w.shift("ln_f.bias", C)


def logits(c, w, tokens):
    eps, H = c["layer_norm_epsilon"], c["n_head"]

    def norm(x, p):
        return layer_norm(x, w[p + ".weight"], w[p + ".bias"], eps)

    def linear(x, p):
        return x @ w[p + ".weight"] + w[p + ".bias"]

    x = w["wte.weight"][tokens] + w["wpe.weight"][:len(tokens)]
    for l in range(c["n_layer"]):
        p = f"h.{l}."
        q, k, v = np.split(linear(norm(x, p + "ln_1"), p + "attn.c_attn"), 3, axis=1)
        a = attend(heads(q, H), heads(k, H), heads(v, H), (c["n_embd"] / H) ** -0.5)
        x = x + linear(a, p + "attn.c_proj")
        x = x + linear(gelu_tanh(linear(norm(x, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
    return norm(x, "ln_f") @ w["wte.weight"].T

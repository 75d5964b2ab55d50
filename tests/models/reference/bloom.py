"""BLOOM. Le Scao et al. 2022; its positions are those of Press et al. 2021 (ALiBi)."""

from parts import *

CHECKPOINTS = {"bloom": {
    # Six heads: the slopes of four, and two between them.
    "architectures": ["BloomForCausalLM"], "model_type": "bloom", "vocab_size": 61, "hidden_size": 24,
    "n_layer": 2, "n_head": 6, "layer_norm_epsilon": 1e-5, "seq_length": 64}}


def weights(c, w):
    C = c["hidden_size"]

    def norm(name):
        w.scale(name + ".weight", C)
        w.shift(name + ".bias", C)

    w.draw("word_embeddings.weight", c["vocab_size"], C, spread=0.5)
    norm("word_embeddings_layernorm")
    for l in range(c["n_layer"]):
        p = f"h.{l}."
        norm(p + "input_layernorm")
        norm(p + "post_attention_layernorm")
        for name, rows, columns in (("self_attention.query_key_value", 3 * C, C),
                                    ("self_attention.dense", C, C),
                                    ("mlp.dense_h_to_4h", 4 * C, C), ("mlp.dense_4h_to_h", C, 4 * C)):
            w.draw(p + name + ".weight", rows, columns)
            w.shift(p + name + ".bias", rows)
    norm("ln_f")


def slopes(count):
    power = 2 ** int(np.floor(np.log2(count)))
    first = [2 ** (-8 * (k + 1) / power) for k in range(power)]
    between = [2 ** (-4 * (k + 1) / power) for k in range(0, 2 * (count - power), 2)]
    return np.array(first + between)


def logits(c, w, tokens):
    C, H, eps = c["hidden_size"], c["n_head"], c["layer_norm_epsilon"]

    def norm(x, p):
        return layer_norm(x, w[p + ".weight"], w[p + ".bias"], eps)

    def linear(x, p):
        return x @ w[p + ".weight"].T + w[p + ".bias"]

    # As published: the slope times the key's position, the same for every query.
    bias = slopes(H)[:, None, None] * np.arange(len(tokens))[None, None, :]
    x = norm(w["word_embeddings.weight"][tokens], "word_embeddings_layernorm")
    for l in range(c["n_layer"]):
        p = f"h.{l}."
        # A head's query, key and value stand together.
        u = linear(norm(x, p + "input_layernorm"), p + "self_attention.query_key_value")
        u = u.reshape(len(x), H, 3, C // H)
        a = attend(u[:, :, 0], u[:, :, 1], u[:, :, 2], (C / H) ** -0.5, bias=bias)
        x = x + linear(a, p + "self_attention.dense")
        n = norm(x, p + "post_attention_layernorm")
        x = x + linear(gelu_tanh(linear(n, p + "mlp.dense_h_to_4h")), p + "mlp.dense_4h_to_h")
    return norm(x, "ln_f") @ w["word_embeddings.weight"].T

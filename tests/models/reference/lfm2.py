"""LFM2 (Liquid AI 2025): short gated convolutions, and attention in some layers."""

from mamba import convolve
from parts import *

CHECKPOINTS = {"lfm2": {
    "architectures": ["Lfm2ForCausalLM"], "model_type": "lfm2", "vocab_size": 61, "hidden_size": 32,
    "block_ff_dim": 48, "block_auto_adjust_ff_dim": False, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "conv_L_cache": 3, "conv_bias": False,
    "norm_eps": 1e-5, "rope_theta": 1e6, "max_position_embeddings": 64,
    "layer_types": ["conv", "full_attention", "conv"]}}


def weights(c, w):
    C, H, G = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    D, F = C // H, c["block_ff_dim"]
    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        w.scale(p + "operator_norm.weight", C)
        w.scale(p + "ffn_norm.weight", C)
        if kind == "conv":
            w.draw(p + "conv.in_proj.weight", 3 * C, C)
            w.draw(p + "conv.conv.weight", C, 1, c["conv_L_cache"], spread=0.6)
            w.draw(p + "conv.out_proj.weight", C, C)
        else:
            for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
                w.draw(f"{p}self_attn.{name}_proj.weight", rows, C)
            w.draw(p + "self_attn.out_proj.weight", C, H * D)
            w.scale(p + "self_attn.q_layernorm.weight", D)
            w.scale(p + "self_attn.k_layernorm.weight", D)
        w.draw(p + "feed_forward.w1.weight", F, C)
        w.draw(p + "feed_forward.w3.weight", F, C)
        w.draw(p + "feed_forward.w2.weight", C, F)
    w.scale("model.embedding_norm.weight", C)


def logits(c, w, tokens):
    H, G, eps = c["num_attention_heads"], c["num_key_value_heads"], c["norm_eps"]
    D = c["hidden_size"] // H
    f = frequencies(D, c["rope_theta"])

    def norm(x, p):
        return rms_norm(x, w[p + ".weight"], eps)

    def linear(x, p):
        return x @ w[p + ".weight"].T

    x = w["model.embed_tokens.weight"][tokens]
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        n = norm(x, p + "operator_norm")
        if kind == "conv":
            B, Cg, u = np.split(linear(n, p + "conv.in_proj"), 3, axis=1)
            x = x + linear(Cg * convolve(B * u, w[p + "conv.conv.weight"], 0), p + "conv.out_proj")
        else:
            a = p + "self_attn."
            q, k, v = (heads(linear(n, f"{a}{m}_proj"), h) for m, h in (("q", H), ("k", G), ("v", G)))
            q, k = norm(q, a + "q_layernorm"), norm(k, a + "k_layernorm")
            x = x + linear(attend(rotary(q, f), rotary(k, f), v, D ** -0.5), a + "out_proj")
        n = norm(x, p + "ffn_norm")
        m = p + "feed_forward."
        x = x + linear(silu(linear(n, m + "w1")) * linear(n, m + "w3"), m + "w2")
    return norm(x, "model.embedding_norm") @ w["model.embed_tokens.weight"].T

"""Qwen3 with experts (Yang et al. 2025)."""

from deepseek import gated
from parts import *

CHECKPOINTS = {"qwen3-moe": {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 61,
    "hidden_size": 24, "intermediate_size": 32, "moe_intermediate_size": 6, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "num_experts": 8,
    "num_experts_per_tok": 3, "norm_topk_prob": True, "decoder_sparse_step": 1,
    "mlp_only_layers": [], "rms_norm_eps": 1e-6, "rope_theta": 1e6, "max_position_embeddings": 64,
    "tie_word_embeddings": False, "attention_bias": False}}


def weights(c, w):
    C, H, G, D = (c[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads",
                                 "head_dim"))
    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        w.scale(p + "input_layernorm.weight", C)
        w.scale(p + "post_attention_layernorm.weight", C)
        for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
            w.draw(f"{p}self_attn.{name}_proj.weight", rows, C)
        w.draw(p + "self_attn.o_proj.weight", C, H * D)
        w.scale(p + "self_attn.q_norm.weight", D)
        w.scale(p + "self_attn.k_norm.weight", D)
        w.draw(p + "mlp.gate.weight", c["num_experts"], C)
        F = c["moe_intermediate_size"]
        for e in range(c["num_experts"]):
            for name, rows, columns in (("gate", F, C), ("up", F, C), ("down", C, F)):
                w.draw(f"{p}mlp.experts.{e}.{name}_proj.weight", rows, columns)
    w.scale("model.norm.weight", C)
    w.draw("lm_head.weight", c["vocab_size"], C)


def choose(scores, count, normalised):
    """Shares of the `count` best experts of each row: softmax over all, then 0 for the others."""
    shares = softmax(scores)
    for row in shares:
        row[np.argsort(-row)[count:]] = 0
    return shares / shares.sum(1, keepdims=True) if normalised else shares


def logits(c, w, tokens):
    H, G, D, eps = (c[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim",
                                   "rms_norm_eps"))
    f = frequencies(D, c["rope_theta"])
    x = w["model.embed_tokens.weight"][tokens]
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        a = p + "self_attn."
        n = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (heads(n @ w[f"{a}{name}_proj.weight"].T, h)
                   for name, h in (("q", H), ("k", G), ("v", G)))
        q, k = rms_norm(q, w[a + "q_norm.weight"], eps), rms_norm(k, w[a + "k_norm.weight"], eps)
        x = x + attend(rotary(q, f), rotary(k, f), v, D ** -0.5) @ w[a + "o_proj.weight"].T
        n = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        share = choose(n @ w[p + "mlp.gate.weight"].T, c["num_experts_per_tok"], c["norm_topk_prob"])
        x = x + sum(share[:, e:e + 1] * gated(w, n, f"{p}mlp.experts.{e}")
                    for e in range(c["num_experts"]))
    return rms_norm(x, w["model.norm.weight"], eps) @ w["lm_head.weight"].T
